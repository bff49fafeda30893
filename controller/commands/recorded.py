"""Recorded events: JSON, as a playout system, PubNub's history or a log keep them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from controller.commands.files import json_values
from controller.errors import OperatorError
from controller.events import Event
from controller.resources.common import parse_instant
from controller.rules.payloads import Refusal, parse_payload
from controller.rules.times import event_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from controller.rules.fieldpath import FieldPath

__all__ = [
    "DEFAULT_TIME_FIELD",
    "Recording",
    "Unrecognised",
    "listed",
    "read_events",
    "read_recording",
]

DEFAULT_TIME_FIELD = "common.timestamp"

_TICKS = 10_000_000  # of a timetoken in a second
_LATEST = 253_402_300_799  # the end of the year 9999
_MOST_TOLD = 10


class Unrecognised(NamedTuple):
    """Something that is not an event.

    Attributes:
        file: Where it stands; "": in a feed's history.
        line: The line at which it begins, from 1; 0: in a feed's history.
        reason: Why it is none.
    """

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.reason}" if self.file else self.reason


@dataclass(slots=True)
class Recording:
    """What files hold.

    Attributes:
        events: In the order of time.
        malformed: What is not an event.
    """

    events: list[Event] = field(default_factory=list)
    malformed: list[Unrecognised] = field(default_factory=list)


def read_recording(files: Iterable[tuple[str, str]], time_field: FieldPath) -> Recording:
    """Read events that have a time.

    Args:
        files: Name and text of each; see `json_values`. A value is a message as it was published,
            or one within an envelope: with `message` beside `timetoken` (as PubNub's history has
            it) or `time`, and `channel` or `topic` if they are known.
        time_field: Where a message without an envelope tells its time.

    Raises:
        OperatorError: A file holds no event; the message says what it holds.
    """
    recording, number = Recording(), 0
    for file, text in files:
        before, unknown = len(recording.events), len(recording.malformed)
        for line, value in json_values(text):
            number += 1
            event = _event(value, number, time_field)
            if isinstance(event, Refusal):
                recording.malformed.append(Unrecognised(file, line, event.reason))
            else:
                recording.events.append(event)
        if len(recording.events) == before:
            raise _no_event(file, text, recording.malformed[unknown:])
    recording.events.sort(key=lambda event: event.published)
    return recording


def read_events(file: str, text: str) -> list[Mapping[str, Any] | Refusal]:
    """Read events, whatever their time.

    Returns:
        Each, or why it is none, with its line.

    Raises:
        OperatorError: There is no event in it; the message says what is.
    """
    found: list[Mapping[str, Any] | Refusal] = []
    malformed = []
    for line, value in json_values(text):
        payload = _payload(value)
        if isinstance(payload, Refusal):
            malformed.append(Unrecognised(file, line, payload.reason))
            payload = Refusal(f"line {line}: {payload.reason}")
        found.append(payload)
    if len(found) == len(malformed):
        raise _no_event(file, text, malformed)
    return found


def listed(malformed: Sequence[Unrecognised]) -> list[str]:
    """Tell what is not an event, and no more of it than anybody reads."""
    more = len(malformed) - _MOST_TOLD
    told = [str(each) for each in malformed[:_MOST_TOLD]]
    return [*told, f"and {more} more"] if more > 0 else told


def _no_event(file: str, text: str, malformed: Sequence[Unrecognised]) -> OperatorError:
    if not malformed:
        what = "a list without events" if text.strip() else "empty"
        return OperatorError(f"{file}: it is {what}, and must hold events as JSON")
    return OperatorError("\n  ".join([f"{file}: there is no event in it", *listed(malformed)]))


def _payload(value: Any | Refusal) -> Mapping[str, Any] | Refusal:  # noqa: ANN401 - JSON
    if isinstance(value, Refusal):
        return value
    return parse_payload(value["message"] if _is_envelope(value) else value)


def _event(value: Any | Refusal, number: int, time_field: FieldPath) -> Event | Refusal:  # noqa: ANN401 - JSON
    payload = _payload(value)
    if isinstance(payload, Refusal):
        return payload
    envelope = value if isinstance(value, dict) and _is_envelope(value) else {}
    published = _published(envelope) if envelope else event_time(time_field, payload, 0.0)
    if isinstance(published, Refusal):
        if envelope:
            return published
        return Refusal(f"{published.reason} (--time-field says where the time stands)")
    topic = str(envelope.get("channel") or envelope.get("topic") or "")
    identity = str(envelope.get("timetoken") or f"event-{number}")
    return Event(topic, identity, published, published, payload)


def _is_envelope(told: object) -> bool:
    return isinstance(told, dict) and "message" in told and ("timetoken" in told or "time" in told)


def _published(envelope: Mapping[str, Any]) -> float | Refusal:
    token, at = envelope.get("timetoken"), envelope.get("time")
    try:
        if token is not None:
            seconds = int(token) / _TICKS
        else:
            seconds = parse_instant(at) if isinstance(at, str) else float(at)  # type: ignore[arg-type]
        if 0 < seconds < _LATEST:  # nor NaN
            return seconds
        return Refusal("its time lies outside of what a clock shows")
    except (TypeError, ValueError, OverflowError):
        told = "timetoken is not a whole number" if token is not None else "time is not an instant"
        return Refusal(
            f"{told}: it is seconds since 1970, or RFC 3339 such as 2021-01-29T09:26:33Z"
        )
