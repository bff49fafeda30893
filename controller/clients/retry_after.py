"""How long Twitch asks to wait: the one place where Retry-After and Ratelimit-Reset are read.

Whoever waits has a bound of its own: a minute for what keeps a grant alive, the life of a cue for a
commercial.
"""

from __future__ import annotations

import re
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

__all__ = ["LONGEST_PAUSE", "ahead_of", "moment_of", "pause_of"]

LONGEST_PAUSE = 86_400.0
"""Seconds that a longer pause counts as: by then somebody has looked."""

# RFC 9110 has whole seconds; servers were seen to send fractions. ASCII only: str.isdigit is true
# of characters that are no numbers to float.
_CLOCKS_AGREE = 5.0
_SECONDS = re.compile(r"[0-9]{1,30}(\.[0-9]{1,30})?")


def pause_of(response: httpx.Response) -> float | None:
    """Seconds until a refused call makes sense again, as the answer's headers say.

    Points that are used up come back at Ratelimit-Reset, else Retry-After counts. Moments are held
    against the answer's own Date, so that this machine's clock does not matter. Only a date in
    Retry-After of an answer without a Date is held against it: better than no pause at all.

    Returns:
        More than 0 and at most `LONGEST_PAUSE`; 0 where the moment is over already; None where
        Twitch does not say.
    """
    headers, date = response.headers, moment_of(response.headers.get("Date", ""))
    if response.status_code == 429 and headers.get("Ratelimit-Remaining", "").strip() == "0":
        reset = _seconds(headers.get("Ratelimit-Reset", ""))
        if reset is not None and date is not None:
            return min(max(0.0, reset - date), LONGEST_PAUSE)
    wanted = headers.get("Retry-After", "")
    # A header that came twice is joined by a comma, and the longer of the two is meant.
    told = [pause for text in wanted.split(",") if (pause := _seconds(text))]
    moment = moment_of(wanted)
    if not told and moment is not None:
        told = [moment - (time.time() if date is None else date)]
    pause = max(told, default=0.0)
    return min(pause, LONGEST_PAUSE) if pause > 0 else None  # one that lasts no time says nothing


def ahead_of(response: httpx.Response) -> float:
    """Seconds by which this machine's clock is ahead of the answer's Date; 0 where they agree.

    A Date tells whole seconds, and the answer was on its way.
    """
    date = moment_of(response.headers.get("Date", ""))
    ahead = time.time() - date if date is not None else 0.0
    return ahead if abs(ahead) > _CLOCKS_AGREE else 0.0


def _seconds(text: str) -> float | None:
    """A number of seconds; None for anything else."""
    text = text.strip(" \t")
    return float(text) if _SECONDS.fullmatch(text) else None


def moment_of(text: str) -> float | None:
    """An HTTP date, in seconds since the epoch; None: it is none."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
