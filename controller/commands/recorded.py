"""Recorded events: lines of JSON, as a playout system, PubNub's history or a log keep them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from controller.events import Event
from controller.resources.common import parse_instant
from controller.rules.payloads import Refusal, parse_payload, strict_json
from controller.rules.times import event_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controller.rules.fieldpath import FieldPath

__all__ = ["DEFAULT_TIME_FIELD", "Recording", "read_recording"]

DEFAULT_TIME_FIELD = "common.timestamp"

_TICKS = 10_000_000  # of a timetoken in a second
_LATEST = 253_402_300_799  # the end of the year 9999


@dataclass(slots=True)
class Recording:
    """What a file holds.

    Attributes:
        events: In the order of time.
        lines: How many there were that are not blank.
        malformed: Of those that are no events: their number in the file, and why.
    """

    events: list[Event] = field(default_factory=list)
    lines: int = 0
    malformed: list[tuple[int, str]] = field(default_factory=list)


def read_recording(lines: Iterable[str], time_field: FieldPath) -> Recording:
    """Read events.

    Args:
        lines: Each a JSON object: a message as it was published, or one within an envelope: with
            `message` beside `timetoken` (as PubNub's history has it) or `time`, and `channel` or
            `topic` if they are known.
        time_field: Where a message without an envelope tells its time.
    """
    recording = Recording()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        recording.lines += 1
        event = _event(line, number, time_field)
        if isinstance(event, Refusal):
            recording.malformed.append((number, event.reason))
        else:
            recording.events.append(event)
    recording.events.sort(key=lambda event: event.published)
    return recording


def _event(line: str, number: int, time_field: FieldPath) -> Event | Refusal:
    try:
        told = strict_json(line)
    except ValueError as error:
        return Refusal(f"not JSON: {error}")
    envelope: Mapping[str, Any] = told if _is_envelope(told) else {}
    payload = parse_payload(envelope.get("message", told))
    if isinstance(payload, Refusal):
        return payload
    published = _published(envelope) if envelope else event_time(time_field, payload, 0.0)
    if isinstance(published, Refusal):
        if envelope:
            return published
        return Refusal(f"{published.reason} (--time-field says where the time stands)")
    topic = str(envelope.get("channel") or envelope.get("topic") or "")
    identity = str(envelope.get("timetoken") or f"line-{number}")
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
        told = "timetoken is no whole number" if token is not None else "time is no instant"
        return Refusal(
            f"{told}: it is seconds since 1970, or RFC 3339 such as 2021-01-29T09:26:33Z"
        )
