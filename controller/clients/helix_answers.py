"""What Helix' answers mean: refusals told apart by status and words, numbers and times read.

Twitch's documents name few of its refusals and none of their words: the words here are those that
were seen. What is not known stays unknown, and is shown as it came.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from controller.clients.http import json_of, shown, text_of
from controller.clients.retry_after import LONGEST_PAUSE, pause_of
from controller.events import AdSchedule, Answer, AnswerKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    import httpx

    from controller.sensitive import Sensitive

__all__ = ["answer_of", "lacks_scope", "schedule_of"]

_LONGEST_AD = 180
_COOLDOWN_SECONDS = 480.0
_YEAR_10000 = 253_402_300_800  # later instants are no dates

_RAN = (
    r"recently r[au]n|\br[au]n recently|cool(ing)?[ -]?down"
    r"|\b(commercial|ad)( break)?( is)?( already)? (in progress|running)"
)
_COOLDOWN_NAMED = re.compile(_RAN, re.IGNORECASE)
_IN = r"\b(?:wait(?: [a-z]+){0,3}|again (?:in|after))"  # before how long it is
_COOLDOWN = re.compile(rf"{_RAN}|try( it)? again later|too soon|{_IN} [0-9]", re.IGNORECASE)
_TOLD = re.compile(
    rf"{_IN} (?:([0-9]{{1,4}}) ?m(?:in(?:ute)?s?)?(?![a-z]))?,?(?: and)? ?"
    r"(?:([0-9]{1,4}) ?s(?:ec(?:ond)?s?)?\b)?",
    re.IGNORECASE,
)
_SCOPE = re.compile(r"missing( \w+)? scope", re.IGNORECASE)
_SCOPE_STATUSES = (400, 401, 403)
_OTHER_USER = re.compile(
    r"(?=.*\bbroadcaster[_ ]id\b)(?=.*\buser[_ ]id\b).*\bmatch", re.IGNORECASE | re.DOTALL
)
_ON_AIR = r"(live|online|streaming|broadcasting)\b"
_NOT_LIVE = re.compile(
    rf"streaming live|(\bnot|n't)( \w+)? {_ON_AIR}|must be( \w+)? {_ON_AIR}"
    r"|\boff[ -]?(line|air)\b|\bno (live )?stream\b",
    re.IGNORECASE,
)
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
    kind, pause = _refusal(response, text), pause_of(response)
    if kind is AnswerKind.COOLDOWN:
        # A header anybody on the way may have set.
        pause = _told_pause(text) if pause is None else min(pause, _COOLDOWN_SECONDS)
    return Answer(kind, told, retry_after=pause)


def lacks_scope(response: httpx.Response, text: str) -> bool:
    """Whether a refusal, whose words are `text`, says that the token lacks a scope."""
    return response.status_code in _SCOPE_STATUSES and bool(_SCOPE.search(text))


def _refusal(response: httpx.Response, text: str) -> AnswerKind:
    no_points = response.status_code == 429 and response.headers.get("Ratelimit-Remaining") == "0"
    if no_points and not _COOLDOWN_NAMED.search(text):
        return AnswerKind.RATE_LIMITED
    return _kind_of(response.status_code, text)


def _kind_of(status: int, text: str) -> AnswerKind:
    if status == 503:
        return AnswerKind.UNAVAILABLE
    if status >= 500:
        return AnswerKind.ERROR
    for statuses, words, kind in _REFUSALS:
        if status in statuses and words.search(text):
            return kind
    # Twitch refuses with 429 for the cooldown, too: then there are points left.
    bare = {401: AnswerKind.UNAUTHORIZED, 429: AnswerKind.COOLDOWN}
    return bare.get(status, AnswerKind.REFUSED)


def _told_pause(text: str) -> float | None:
    """Seconds that words tell to wait; None: they tell no time."""
    found = _TOLD.search(text)
    minutes, seconds = found.groups("0") if found is not None else ("0", "0")
    return min(60.0 * int(minutes) + int(seconds), _COOLDOWN_SECONDS) or None


# In this order: the first that fits tells. What none fits, the ad schedule decides.
_REFUSALS = (
    (_SCOPE_STATUSES, _SCOPE, AnswerKind.SCOPE_MISSING),
    ((400, 401, 403), _OTHER_USER, AnswerKind.OTHER_USER),
    ((400, 403, 429), _COOLDOWN, AnswerKind.COOLDOWN),
    ((400, 403, 429), _NOT_LIVE, AnswerKind.NOT_LIVE),
    ((400, 403, 429), _NOT_ELIGIBLE, AnswerKind.NOT_ELIGIBLE),
    # Among them `Missing required parameter "length"`, said of lengths that it did not take.
    ((400, 429), _LENGTH, AnswerKind.LENGTH_REFUSED),
)


def _accepted(response: httpx.Response, access: Sensitive) -> Answer:
    # A 2xx with an entry is acceptance: the cooldown burns, and a repeat would be wrong. Except
    # where it says itself that nothing runs: Twitch was seen to refuse like that.
    entry, listed = _entry_of(response)
    told, length = entry.get("message"), _whole(entry.get("length"))
    message = shown(told, access) if isinstance(told, str) else ""
    retry_after = _number(entry.get("retry_after"), LONGEST_PAUSE)
    pause = retry_after or _told_pause(message)
    said = f"Twitch answered {response.status_code}, and started nothing"
    said += message and f": {message}"
    if length == 0 or (length is None and _COOLDOWN.search(message)):
        return Answer(AnswerKind.COOLDOWN, said, retry_after=pause)
    if not listed and length is None:
        # A refusal under the wrong status of HTTP may have the right one in its body.
        status = _whole(entry.get("status")) or 0
        kind = _kind_of(status if status >= 400 else 400, message)
        if status >= 400 or kind is not AnswerKind.REFUSED:
            return Answer(kind, said, retry_after=pause)
        # It may have run all the same: the ad schedule decides, as for an answer that was lost.
        unclear = f"Twitch answered {response.status_code} with a body that is not understood"
        return Answer(AnswerKind.NO_ANSWER, unclear + (message and f": {message}"))
    return Answer(
        AnswerKind.ACCEPTED,
        message,
        retry_after=retry_after,
        # More cannot have been asked for, nor run.
        length=length if length is not None and length <= _LONGEST_AD else None,
    )


def _entry_of(response: httpx.Response) -> tuple[dict[str, Any], bool]:
    """What tells of the commercial, and whether it stands where the contract has it: in a list."""
    try:
        body = json_of(response)
    except ValueError:
        body = None
    data = body.get("data") if isinstance(body, dict) else None
    if isinstance(data, list) and data and isinstance(data[0], dict):
        return data[0], True
    return next((found for found in (data, body) if isinstance(found, dict)), {}), False


def schedule_of(entry: Mapping[str, Any], ahead: float = 0.0) -> AdSchedule:
    """What an entry of GET /channels/ads tells; what is no time or number tells nothing.

    Args:
        entry: Of the answer.
        ahead: Seconds by which this machine's clock is ahead of Twitch's.
    """
    last_ad, next_ad = _instant(entry.get("last_ad_at")), _instant(entry.get("next_ad_at"))
    return AdSchedule(
        last_ad=last_ad + ahead if last_ad is not None else None,
        next_ad=next_ad + ahead if next_ad is not None else None,
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
    number = _number(value, LONGEST_PAUSE)
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
