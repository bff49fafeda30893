"""What a feed tells about itself."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FeedHealth"]


@dataclass(frozen=True, slots=True)
class FeedHealth:
    """State of a feed's connection.

    Attributes:
        connected: None until the first try has ended.
        reason: CamelCase, for the condition.
        message: For the user.
    """

    connected: bool | None
    reason: str
    message: str
