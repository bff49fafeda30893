"""What a message of extension PubSub carries: the same from a rule as from the gateway.

Contract: https://dev.twitch.tv/docs/api/reference/#send-extension-pubsub-message
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from controller.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LIMIT", "EnvelopeTooLarge", "InvalidEnvelope", "envelope"]

LIMIT = 5120
"""Bytes of UTF-8 that Twitch takes, of the whole envelope."""


class InvalidEnvelope(PermanentError):
    """Something that JSON cannot carry, such as NaN or half a surrogate pair."""


class EnvelopeTooLarge(PermanentError):
    """More than Twitch takes.

    Attributes:
        size: Bytes of UTF-8 of the whole envelope.
        limit: Bytes that Twitch takes.
    """

    def __init__(self, size: int, limit: int = LIMIT) -> None:
        super().__init__(
            f"the message is {size} bytes of UTF-8 with its envelope, and Twitch takes {limit}:"
            " send less data"
        )
        self.size = size
        self.limit = limit


# Made once: json.dumps with options makes an encoder for each call.
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def envelope(
    type: str,  # noqa: A002 - the name of the field
    data: Mapping[str, Any],
    version: int,
) -> str:
    """Write the message that an extension's front ends get, as compact JSON.

    Args:
        type: Tells the front end what the message is.
        data: What it carries.
        version: Of the message's form.

    Raises:
        EnvelopeTooLarge: It has more than `LIMIT` bytes of UTF-8.
        InvalidEnvelope: It cannot be written as JSON, or not as UTF-8.
    """
    try:
        text = _encode({"type": type, "data": data, "version": version})
        size = len(text) if text.isascii() else len(text.encode())
    except RecursionError:
        msg = "the message is nested too deep: send flatter data"
        raise InvalidEnvelope(msg) from None
    except UnicodeEncodeError:
        msg = "the message holds half a surrogate pair, which UTF-8 cannot carry: send whole"
        raise InvalidEnvelope(f"{msg} characters") from None
    except (ValueError, TypeError):
        msg = "the message holds what JSON cannot carry, such as NaN, an infinity or bytes"
        raise InvalidEnvelope(msg) from None
    if size > LIMIT:
        raise EnvelopeTooLarge(size)
    return text
