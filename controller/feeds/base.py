"""What a feed is, and what a kind of feeds is.

A kind is registered in `controller.feeds.registry` by the name of its field in `spec.feed`; nobody
else knows it by name. A feed serves all rules whose
`Source` is the same. It tells whatever it has
to tell to one `Sink`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from controller.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable, Iterable, Mapping

    from controller.clients.kube import Secret
    from controller.events import Event, Ruling
    from controller.resources.common import SpecModel
    from controller.settings import Part, Settings

__all__ = [
    "Feed",
    "FeedHealth",
    "FeedKind",
    "GapFound",
    "HealthChanged",
    "Malformed",
    "News",
    "Past",
    "SecretNeed",
    "Sink",
    "Source",
    "Span",
]


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


@dataclass(frozen=True, slots=True)
class HealthChanged:
    """The health of some topics changed."""

    topics: Collection[str]


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that is not an event.

    Attributes:
        reason: Why it is none, for the log.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class GapFound:
    """A span of a topic that the feed did not bring when it was due.

    Attributes:
        topic: Its name.
        recovered: How many of its messages were read later.
        problem: Why others may be lost; None: none that matters is.
    """

    topic: str
    recovered: int
    problem: str | None


News = GapFound | HealthChanged | Malformed


class Sink(Protocol):
    """Takes all that a feed has to tell."""

    async def put(self, event: Event) -> None:
        """Take an event; while there is no room, the feed's position must wait."""
        ...

    def tell(self, news: News) -> None:
        """Take any other news, at once."""
        ...


class Feed(Protocol):
    """What listens to one source, whatever number of rules share it."""

    @property
    def alive(self) -> bool:
        """Whether all its loops run."""
        ...

    def want(self, windows: Mapping[str, float], gone: Iterable[str]) -> None:
        """Listen to some topics more and to some no more, without a gap for those that stay.

        Args:
            windows: Topic → seconds before now from which it is heard when it is new.
            gone: Topics that are not listened to any more.
        """
        ...

    def health_of(self, topics: Iterable[str]) -> FeedHealth:
        """The worst of these topics; others are not their matter."""
        ...

    def last_poll_of(self, topics: Iterable[str]) -> float | None:
        """When these topics last proved to be connected, in seconds since the epoch."""
        ...

    def check(self, now: float) -> None:
        """Notice what time alone changes, such as a silent connection; called every second.

        Args:
            now: By `time.monotonic`.
        """
        ...

    async def close(self) -> None:
        """Stop, and give the connections back."""
        ...


class SecretNeed(NamedTuple):
    """The Secret that a rule's feed needs.

    Attributes:
        field: Where the rule names it, such as `spec.feed.pubnub.secretRef`.
        name: Its name.
        keys: Those that it must have, for the user who is to create it.
    """

    field: str
    name: str
    keys: str


class Source(NamedTuple):
    """What a rule listens at: rules of which it is equal share a feed.

    Attributes:
        kind: Name of the feed's kind.
        key: What makes two feeds of this kind the same, such as credentials.
    """

    kind: str
    key: Hashable


class Span(NamedTuple):
    """Topics, and a span of time in seconds since the epoch.

    Attributes:
        topics: Which topics.
        begin: From when on.
        end: Until when, exclusive.
    """

    topics: Collection[str]
    begin: float
    end: float


class Past(NamedTuple):
    """What was published in a span of time.

    Attributes:
        events: Oldest first.
        malformed: Why other messages are no events.
    """

    events: list[Event]
    malformed: list[str]


S = TypeVar("S", bound="SpecModel")
K = TypeVar("K", bound="Hashable")


class FeedKind(ABC, Generic[S, K]):
    """A kind of feeds.

    Attributes:
        name: The field in `spec.feed`.
        title: What people call it.
        description: Of the field, for `kubectl explain`.
        spec_model: Of the field's value.
        settings: What the environment sets for it, as `TWITCH_OPERATOR_<NAME>_…`; None: nothing.
        redactions: Regular expression → replacement, for log lines in which its credentials stand.
        loggers: Names of its libraries' loggers, and the least levels that are logged of them.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    description: ClassVar[str]
    spec_model: ClassVar[type[SpecModel]]
    settings: ClassVar[type[Part] | None] = None
    redactions: ClassVar[Mapping[str, str]] = {}
    loggers: ClassVar[Mapping[str, int]] = {}

    @abstractmethod
    def topics(self, spec: S) -> tuple[str, ...]:
        """What a rule listens to: channels, URLs or whatever its events are found by."""

    def secret(self, spec: S) -> SecretNeed | None:
        """The Secret with a rule's credentials; None: it needs none."""
        del spec
        return None

    @abstractmethod
    def key(self, spec: S, secret: Secret | None) -> K:
        """What makes two feeds of this kind the same: rules of which it is equal share one.

        Args:
            spec: The rule's part.
            secret: That of `secret(spec)`, which exists.

        Raises:
            InvalidSecret: The Secret cannot be used.
        """

    def load(self) -> None:
        """Import what feeds need and commands do not; called before the operator runs."""

    @abstractmethod
    def open(self, key: K, settings: Settings, sink: Sink) -> Feed:
        """Make a feed that listens to nothing yet, and tells nothing until this returns."""

    def passes_over(self, spec: S, event: Event) -> Ruling | None:
        """Why a rule does nothing about an event that matches; None: it does something."""
        del spec, event
        return None

    def remedy(self, spec: S, reason: str) -> str | None:
        """What a human must do about a reason of `FeedHealth`; None: it may pass by itself."""
        del spec, reason
        return None

    async def read_past(
        self,
        spec: S,
        key: K,
        settings: Settings,
        span: Span,
        progress: Callable[[int], None],
    ) -> Past:
        """Read what was published; `progress` is called with the number of events so far.

        Raises:
            OperatorError: It cannot be read; the message names the remedy.
        """
        del spec, key, settings, span, progress
        msg = f"{self.title} keeps no history: give files of events"
        raise OperatorError(msg)
