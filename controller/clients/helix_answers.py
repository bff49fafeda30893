"""What Helix' answers mean: refusals told apart by status and words, numbers and times read.

Twitch's documents name few of its refusals and none of their words: the words here are those that
were seen. What is not known stays unknown, and is shown as it came.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from controller.clients.http import json_of, shown, text_of
from controller.events import AdSchedule, Answer, AnswerKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from controller.sensitive import Sensitive

__all__ = ["answer_of", "pause_of", "schedule_of"]

_DAY = 86_400
_LONGEST_AD = 180
_YEAR_10000 = 253_402_300_800  # later instants are no dates

_COOLDOWN = re.compile(r"recently r[au]n", re.IGNORECASE)
_SCOPE = re.compile(r"missing scope", re.IGNORECASE)
_NOT_LIVE = re.compile(r"streaming live|not live|offline", re.IGNORECASE)
_NOT_ELIGIBLE = re.compile(r"\b(affiliate|partner)s?\b", re.IGNORECASE)
_LENGTH = re.compile(
    r"missing required parameter(?!.*broadcaster)|(?<!content-)\blength\b",
    re.IGNORECASE | re.DOTALL,
)


def answer_of(response: httpx.Response, access: Sensitive) -> Answer:
    """What the answer to a call for a commercial means.

    Args:
        response: Twitch's.
        access: The token that the call carried, to be hidden in what Twitch said.
    """
    if response.is_success:
        return _accepted(response, access)
    text = text_of(response, access)
    told = f"Twitch answered {response.status_code}" + (text and f": {text}")
    return Answer(_refusal(response, text), told, retry_after=pause_of(response))


def _refusal(response: httpx.Response, text: str) -> AnswerKind:
    status = response.status_code
    if status == 429:
        # Twitch refuses with 429 for the cooldown, too: then there are points left.
        limited = response.headers.get("Ratelimit-Remaining") == "0" and not _COOLDOWN.search(text)
        return AnswerKind.RATE_LIMITED if limited else AnswerKind.COOLDOWN
    if status == 503:
        return AnswerKind.UNAVAILABLE
    if status >= 500:
        return AnswerKind.ERROR
    for statuses, words, kind in _REFUSALS:
        if status in statuses and words.search(text):
            return kind
    return AnswerKind.UNAUTHORIZED if status == 401 else AnswerKind.REFUSED


# In this order: the first that fits tells.
_REFUSALS = (
    ((400, 401, 403), _SCOPE, AnswerKind.SCOPE_MISSING),
    ((400,), _COOLDOWN, AnswerKind.COOLDOWN),
    ((400,), _NOT_LIVE, AnswerKind.NOT_LIVE),
    ((400, 403), _NOT_ELIGIBLE, AnswerKind.NOT_ELIGIBLE),
    # Among them `Missing required parameter "length"`, said of lengths that it did not take.
    ((400,), _LENGTH, AnswerKind.LENGTH_REFUSED),
)


def _accepted(response: httpx.Response, access: Sensitive) -> Answer:
    # A 2xx is acceptance whatever its body holds: the cooldown burns, and a repeat would be wrong.
    try:
        entry = json_of(response)["data"][0]
    except (ValueError, KeyError, IndexError, TypeError):
        entry = None
    if not isinstance(entry, dict):
        entry = {}
    message, length = entry.get("message"), _whole(entry.get("length"))
    return Answer(
        AnswerKind.ACCEPTED,
        shown(message, access) if isinstance(message, str) else "",
        retry_after=_number(entry.get("retry_after"), _DAY),
        # More cannot have been asked for, nor run.
        length=length if length is not None and 0 < length <= _LONGEST_AD else None,
    )


def pause_of(response: httpx.Response) -> float | None:
    """Seconds until a refused call makes sense again; None: Twitch does not say.

    Points that are used up come back at Ratelimit-Reset, else Retry-After counts. Moments are held
    against the answer's own Date, so that this machine's clock does not matter.
    """
    date = _moment(response.headers.get("Date"))
    if response.status_code == 429 and response.headers.get("Ratelimit-Remaining") == "0":
        reset = _number(response.headers.get("Ratelimit-Reset"), _YEAR_10000)
        if reset is not None and date is not None:
            return _number(max(0.0, reset - date), _DAY)
    wanted = response.headers.get("Retry-After")
    seconds, moment = _number(wanted, _DAY), _moment(wanted)
    if seconds is None and moment is not None and date is not None:
        seconds = _number(moment - date, _DAY)
    return seconds or None  # a refusal that lasts no time says nothing


def schedule_of(entry: Mapping[str, Any]) -> AdSchedule:
    """What an entry of GET /channels/ads tells; what is no time or number tells nothing."""
    return AdSchedule(
        last_ad=_instant(entry.get("last_ad_at")),
        next_ad=_instant(entry.get("next_ad_at")),
        duration=_whole(entry.get("duration")) or None,
        snooze_count=_whole(entry.get("snooze_count")),
        preroll_free=_whole(entry.get("preroll_free_time")),
    )


def _number(value: object, most: float) -> float | None:
    """A number from 0 to `most`, be it written as text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= most else None


def _whole(value: object) -> int | None:
    number = _number(value, _DAY)
    return None if number is None else math.floor(number + 0.5)


def _instant(value: object) -> float | None:
    """Unix seconds (0: none), or RFC 3339, as it was documented before ("": none)."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            value = moment.timestamp()
    number = _number(value, _YEAR_10000 - 1)
    return number or None


def _moment(value: str | None) -> float | None:
    """An HTTP date."""
    try:
        moment = parsedate_to_datetime(value or "")
    except (ValueError, TypeError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
