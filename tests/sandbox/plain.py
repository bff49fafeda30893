"""What tests of the simulators share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["PLAIN", "Clock"]

PLAIN: Any = {"trust_env": False, "verify": False}
"""For an HTTP client that speaks to this process alone."""


@dataclass
class Clock:
    """A clock that stands still until a test sets it."""

    now: float = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now
