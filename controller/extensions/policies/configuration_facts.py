"""An extension's configuration: what is declared, what Twitch has, and what it allows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from controller.backoff import MOST_PAUSE
from controller.policies.clocks import is_ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from controller.resources.extensionapp import ExtensionAppSpec

__all__ = [
    "EMPTY",
    "GLOBAL",
    "REQUIRED",
    "Budget",
    "ConfigurationFacts",
    "Content",
    "Failure",
    "Mark",
    "Seen",
    "Want",
    "found",
    "is_settled",
    "marks",
    "wants",
]

GLOBAL, REQUIRED = "global", "required"

_CALLS = 20  # a minute, of each kind
_MINUTE = 61.0  # seconds; one more, for clocks


@dataclass(frozen=True, slots=True)
class Content:
    """What a segment holds."""

    text: str
    version: str


EMPTY = Content("", "")
"""What a segment holds that Twitch does not have."""


@dataclass(frozen=True, slots=True)
class Want:
    """A segment as it is declared.

    Attributes:
        segment: global, developer or broadcaster.
        channel: Name of the TwitchChannel; None for global.
        broadcaster_id: Of the channel; None for global, and where it is not known yet.
        content: What it should hold.
        enforced: It is set where Twitch has something else, and not only where it has nothing.
    """

    segment: str
    channel: str | None
    broadcaster_id: str | None
    content: Content
    enforced: bool

    @property
    def reachable(self) -> bool:
        """Whether it is known whose segment it is."""
        return self.channel is None or self.broadcaster_id is not None

    @property
    def key(self) -> tuple[str, str | None]:
        """What Twitch calls it."""
        return self.segment, self.broadcaster_id

    @property
    def sha256(self) -> str:
        """What is declared, to see whether that changed."""
        return _sha256(self.segment, self.broadcaster_id, self.content.version, self.content.text)


@dataclass(frozen=True, slots=True)
class Mark:
    """The required configuration of a channel, which Twitch cannot be asked for.

    Attributes:
        client_id: Of the extension.
        channel: Name of the TwitchChannel.
        broadcaster_id: Of the channel; None: not known yet.
        version: Of the extension.
        value: What the extension's console has as required configuration.
    """

    client_id: str
    channel: str
    broadcaster_id: str | None
    version: str
    value: str

    @property
    def sha256(self) -> str:
        """What it is remembered by, once it is set."""
        return _sha256(self.client_id, self.broadcaster_id, self.version, self.value)

    @property
    def key(self) -> tuple[str, str | None]:
        """What its failures are kept by."""
        return REQUIRED, self.broadcaster_id


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at Twitch found.

    Attributes:
        at: When.
        found: By each segment that was asked for; None: Twitch has none.
    """

    at: float
    found: Mapping[str, Content | None]

    def but(self, segment: str, content: Content) -> Seen:
        """The same after a segment was set."""
        return replace(self, found={**self.found, segment: content})

    def without(self, segment: str) -> Seen:
        """The same where a segment must be looked at anew."""
        return replace(self, found={s: c for s, c in self.found.items() if s != segment})


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong last with a segment, and was not mended since.

    Attributes:
        message: For the user.
        at: When.
        passing: It may pass by itself; else Twitch refused.
        of: Fingerprint of the want or mark that was to be set; None: it was a look.
    """

    message: str
    at: float
    passing: bool
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Budget:
    """Calls of one kind: at most 20 a minute, and none while Twitch refuses them.

    Attributes:
        calls: When the last ones were answered: Twitch counted them at some time before.
        closed_until: Twitch asked to wait so long.
    """

    calls: tuple[float, ...] = ()
    closed_until: float = 0.0

    def opens(self, now: float) -> float:
        """From when on there may be another call."""
        recent = self._recent(now)
        free = recent[-_CALLS] + _MINUTE if len(recent) >= _CALLS else now
        return max(free, self._closed(now))

    def spent(self, now: float) -> Budget:
        """The same after a call."""
        return replace(self, calls=(*self._recent(now), now))

    def refused(self, now: float, pause: float | None) -> Budget:
        """The same after Twitch asked to wait; None: it did not say for how long."""
        seconds = MOST_PAUSE if pause is None else min(pause, MOST_PAUSE)
        return replace(self, closed_until=max(self._closed(now), now + seconds))

    def _closed(self, now: float) -> float:
        # No pause is longer: one that seems so is from before the clock was set back.
        return 0.0 if is_ahead(self.closed_until - MOST_PAUSE, now) else self.closed_until

    def _recent(self, now: float) -> tuple[float, ...]:
        # A call of the future is one from before the clock was set back.
        return tuple(at for at in self.calls if now - _MINUTE < at <= now)


@dataclass(frozen=True, slots=True)
class ConfigurationFacts:
    """What is known.

    Attributes:
        wants: The segments, as declared.
        marks: The required configuration, as declared.
        seen: What Twitch has, by broadcaster id (None: global).
        failures: What went wrong last, by the key of the want or mark.
        marked: Fingerprints of the marks that were set, by the channel's name.
        gets: Calls that look.
        puts: Calls that set.
        check_interval: Seconds between two looks.
        jitter: 0..1, steady for the resource.
    """

    wants: tuple[Want, ...]
    marks: tuple[Mark, ...]
    seen: Mapping[str | None, Seen]
    failures: Mapping[tuple[str, str | None], Failure]
    marked: Mapping[str, str]
    gets: Budget
    puts: Budget
    check_interval: float
    jitter: float


def wants(spec: ExtensionAppSpec, broadcaster_of: Callable[[str], str | None]) -> tuple[Want, ...]:
    """The segments that a spec declares.

    Args:
        spec: Of the ExtensionApp.
        broadcaster_of: The broadcaster id of a TwitchChannel by its name; None: not known.
    """
    declared = spec.configuration
    if declared is None:
        return ()
    wanted = []
    if declared.global_ is not None:
        content = Content(declared.global_.content, declared.global_.version)
        wanted.append(Want(GLOBAL, None, None, content, enforced=True))
    for entry in declared.channels:
        name, content = entry.channel_ref.name, Content(entry.content, entry.version)
        wanted.append(Want(entry.segment, name, broadcaster_of(name), content, entry.enforced))
    return tuple(wanted)


def marks(spec: ExtensionAppSpec, wanted: Iterable[Want]) -> tuple[Mark, ...]:
    """The required configuration of the channels that have segments, where a spec declares one."""
    required = spec.required_configuration
    if required is None:
        return ()
    channels = {want.channel: want.broadcaster_id for want in wanted}
    return tuple(
        Mark(spec.client_id, channel, broadcaster_id, spec.version, required.value)
        for channel, broadcaster_id in channels.items()
        if channel is not None
    )


def is_settled(facts: ConfigurationFacts, want: Want) -> bool:
    """Whether Twitch has what is declared, or what is to be left alone."""
    have = found(facts, want)
    return have == want.content or (have not in (None, EMPTY) and not want.enforced)


def found(facts: ConfigurationFacts, want: Want) -> Content | None:
    """What Twitch has in a segment; None: it was not looked at."""
    seen = facts.seen.get(want.broadcaster_id) if want.reachable else None
    if seen is None or want.segment not in seen.found:
        return None
    return seen.found[want.segment] or EMPTY


def _sha256(*parts: str | None) -> str:
    text = "\0".join(part or "" for part in parts)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
