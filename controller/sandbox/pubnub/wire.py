"""What the simulated network says: the JSON of its answers, and the reading of its paths. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from controller.sandbox.pubnub.store import Message

__all__ = [
    "HISTORY_DISABLED",
    "MESSAGE_LIMIT",
    "Raw",
    "channels_of",
    "encode",
    "forbidden",
    "history_v2",
    "history_v3",
    "invalid",
    "message_envelope",
    "read_json",
    "subscribe_answer",
]

MESSAGE_LIMIT = 32 * 1024
"""Bytes of JSON that a publish may carry."""

HISTORY_DISABLED = (
    "Use of the history API requires the Storage & Playback which is not enabled for this "
    "subscribe key. Login to your PubNub Dashboard Account and enable Storage & Playback. "
    "Contact support@pubnub.com if you require further assistance."
)

_REGION = 12
_FLAGS = 514
_SHARD = "2"


@dataclass(frozen=True, slots=True)
class Raw:
    """JSON that goes over the wire as it is: for what Python can neither parse nor write."""

    text: str


def encode(body: Any) -> str:  # noqa: ANN401 - any JSON value, `Raw` included
    """Write JSON without spaces."""
    raws: dict[str, str] = {}

    def place(value: object) -> str:
        if not isinstance(value, Raw):
            msg = f"{type(value).__name__} is not a JSON value"
            raise TypeError(msg)
        name = f"raw-{len(raws)}-{id(raws)}"
        raws[f'"{name}"'] = value.text
        return name

    text = json.dumps(body, separators=(",", ":"), default=place)
    for name, raw in raws.items():
        text = text.replace(name, raw)
    return text


def channels_of(segment: str) -> list[str]:
    """Read a path segment of percent-encoded channels with plain commas between them."""
    return list(dict.fromkeys(unquote(part) for part in segment.split(",") if part))


def read_json(text: bytes) -> Any:  # noqa: ANN401 - any JSON value
    """Read strict JSON; what is nested too deeply for Python is passed on as it is.

    Raises:
        ValueError: It is none; NaN and Infinity, which Python would take, are none either.
    """
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        return Raw(text.decode())


def _no_constant(name: str) -> None:
    msg = f"{name} is not a JSON value"
    raise ValueError(msg)


def message_envelope(subscribe_key: str, message: Message) -> dict[str, Any]:
    """Wrap a message as a subscriber gets it; absent parts are left out."""
    draft = message.draft
    envelope: dict[str, Any] = {
        "a": _SHARD,
        "f": _FLAGS,
        "i": draft.publisher,
        "p": {"t": str(message.timetoken), "r": _REGION},
        "k": subscribe_key,
        "c": message.channel,
        "u": draft.metadata,
        "d": draft.payload,
        "e": draft.kind,
        "cmt": draft.custom_type,
    }
    for optional, none in (("i", ""), ("u", None), ("e", 0), ("cmt", "")):
        if envelope[optional] == none:
            del envelope[optional]
    return envelope


def subscribe_answer(subscribe_key: str, timetoken: int, messages: list[Message]) -> dict[str, Any]:
    """Answer a subscribe call: where to go on, and what there was."""
    return {
        "t": {"t": str(timetoken), "r": _REGION},
        "m": [message_envelope(subscribe_key, message) for message in messages],
    }


def history_v2(messages: list[Message], *, with_timetokens: bool) -> list[Any]:
    """Answer a v2 history call: `[messages, first timetoken, last timetoken]`, 0 for none."""
    items = [
        {"message": each.draft.payload, "timetoken": each.timetoken}
        if with_timetokens
        else each.draft.payload
        for each in messages
    ]
    ends = (messages[0].timetoken, messages[-1].timetoken) if messages else (0, 0)
    return [items, *ends]


def history_v3(channels: dict[str, list[Message]], *, with_types: bool) -> dict[str, Any]:
    """Answer a v3 history call; channels without messages are left out."""

    def item(message: Message) -> dict[str, Any]:
        told = {"message": message.draft.payload, "timetoken": str(message.timetoken)}
        return told | ({"message_type": message.draft.kind or None} if with_types else {})

    found = {
        channel: [item(each) for each in messages]
        for channel, messages in channels.items()
        if messages
    }
    return {"status": 200, "error": False, "error_message": "", "channels": found}


def forbidden(channels: list[str]) -> dict[str, Any]:
    """Refuse access to channels (status 403)."""
    return {
        "message": "Forbidden",
        "payload": {"channels": channels},
        "error": True,
        "service": "Access Manager",
        "status": 403,
    }


def invalid(message: str, service: str = "Access Manager") -> dict[str, Any]:
    """Refuse a request that makes no sense (status 400)."""
    return {"message": message, "error": True, "service": service, "status": 400}
