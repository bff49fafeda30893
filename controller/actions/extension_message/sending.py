"""Sends one message by extension PubSub, at most once."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.clients.extensions import NoAnswer, NotSent
from controller.errors import OperatorError
from controller.events import Ruling, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.clients.extension_jwt import Extension, Perms
    from controller.clients.extensions import Extensions, UpstreamAnswer

__all__ = ["OutboundMessage", "Sent", "send_message"]

_TRIES = 2  # the second only where the first did not leave
_PAUSE = 0.5
_UNAVAILABLE = 503
_SHOWN = 300
_JWT = re.compile(r"eyJ[\w-]+(?:\.[\w-]*)*")


@dataclass(frozen=True, slots=True)
class OutboundMessage:
    """A message that is ready to be sent.

    Attributes:
        extension: Who sends.
        perms: To whom.
        text: The envelope.
        what: Tells what it is, without its content.
    """

    extension: Extension
    perms: Perms
    text: str
    what: str


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of it.

    Attributes:
        ruling: For the user.
        called_at: When the first call was made, on the monotonic clock; None: none was.
        left: Whether it may have left; else one that repeats it may be sent.
        limited: Twitch takes no more for the moment.
    """

    ruling: Ruling
    called_at: float | None
    left: bool = True
    limited: bool = False


async def send_message(
    extensions: Extensions, letter: OutboundMessage, held: Callable[[], Ruling | None]
) -> Sent:
    """Send a message.

    Args:
        extensions: Twitch.
        letter: The message.
        held: Asked right before each call: why it must not be made any more.
    """
    called_at: float | None = None
    lost = ""
    for number in range(_TRIES):
        if number:
            await asyncio.sleep(_PAUSE)
        ruling = held()
        if ruling is not None:
            return Sent(ruling, called_at, left=False)
        called_at = called_at or time.monotonic()
        try:
            answer = await extensions.send(letter.extension, letter.perms, letter.text)
        except NotSent as error:
            lost = str(error)
        except NoAnswer as error:
            detail = f"{error}; whether the message arrived is not known, and it is not repeated"
            return Sent(Ruling(Verdict.UNKNOWN, detail), called_at)
        except OperatorError as error:
            return Sent(Ruling(Verdict.FAILED, str(error)), called_at, left=False)
        else:
            return _sent(answer, letter.what, called_at)
    return Sent(Ruling(Verdict.FAILED, f"{lost}, {_TRIES} times"), called_at, left=False)


def _sent(answer: UpstreamAnswer, what: str, called_at: float) -> Sent:
    if answer.accepted:
        return Sent(Ruling(Verdict.FIRED, what), called_at)
    told = f"Twitch answered {answer.status}" + _words(answer.content)
    if answer.status == 429:
        return Sent(Ruling(Verdict.BUDGET_SPENT, told), called_at, left=False, limited=True)
    if answer.status >= 500 and answer.status != _UNAVAILABLE:
        detail = f"{told}; whether the message arrived is not known, and it is not repeated"
        return Sent(Ruling(Verdict.UNKNOWN, detail), called_at)
    return Sent(Ruling(Verdict.FAILED, told), called_at)


def _words(content: str) -> str:
    """Twitch's own words, shortened; a token that they might quote is left out."""
    try:
        message = json.loads(content)["message"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    if not isinstance(message, str) or not message:
        return ""
    words = "".join(char for char in _JWT.sub("***", message) if char.isprintable())
    return f": {words[:_SHOWN]}"
