"""Growing pauses between tries."""

from __future__ import annotations

__all__ = ["MOST_PAUSE", "backoff"]

MOST_PAUSE = 60.0
"""Seconds after which what failed is tried again, however long an answer asks to wait.

Twitch's limits are per minute, and a grant, once lost, costs a broadcaster's consent.
"""


def backoff(
    failures: int, jitter: float, first: float = 1.0, most: float = MOST_PAUSE, factor: float = 2.0
) -> float:
    """Seconds to wait after so many failures in a row.

    Args:
        failures: 1 for the first failure.
        jitter: 0..1, to spread those who failed together.
        first: Seconds after the first failure.
        most: Never longer than this.
        factor: Growth from one to the next.
    """
    # The exponent is capped so that a month of failures does not overflow.
    pause = min(most, first * factor ** min(max(failures - 1, 0), 32))
    return pause * (0.75 + 0.5 * jitter)
