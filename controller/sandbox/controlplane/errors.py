"""What can keep a control plane from running."""

from __future__ import annotations

__all__ = ["ControlPlaneError"]


class ControlPlaneError(Exception):
    """The control plane cannot be had, started or used; the message names the remedy."""
