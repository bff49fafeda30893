"""What the loop of polls gets from its requests, and what it hands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from controller.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["AccessDenied", "AnswerTooLarge", "Batch", "Delivery", "Subscribe"]


class AccessDenied(TransientError):
    """The network refuses the keys or a topic; it may think otherwise later.

    Args:
        message: For the user.
        topics: Those that it names; none: the keys as a whole.
    """

    def __init__(self, message: str, topics: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.topics = topics


class AnswerTooLarge(TransientError):
    """An answer is larger than is read: asked again, it would be so again."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Answer to one poll.

    Attributes:
        position: From where the next poll goes on.
        region: To be sent along with it.
        messages: As they came over the wire; a `Refusal` stands for one that cannot be read.
    """

    position: int
    region: str | None
    messages: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came, and what it goes on from.

    Attributes:
        topics: Those that were asked for.
        messages: As they came over the wire; none where only time has passed.
        heard: Topic → position up to which all of it was heard before.
        kept: Nothing older than this position comes any more.
        cause: Why that is so, for the user.
        ahead: Seconds by which the network's clock is ahead of this machine's.
    """

    topics: frozenset[str]
    messages: Sequence[Any]
    heard: Callable[[str], int]
    kept: int
    cause: str
    ahead: float


class Subscribe(Protocol):
    """One request for the messages of topics after a position."""

    def __call__(
        self, topics: frozenset[str], position: int, region: str | None
    ) -> Awaitable[Batch]:
        """Raise a `TransientError` for whatever goes wrong."""
        ...
