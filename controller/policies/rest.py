"""What a plan says where nothing is due."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.policies.problems import Blocked

__all__ = ["Rest"]


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing is due.

    Attributes:
        until: Look again at this instant; None: when something changes.
        blocked: What is in the way; None: nothing.
        warning: What a human must change though all works for now; None: nothing.
    """

    until: float | None
    blocked: Blocked | None = None
    warning: Blocked | None = None
