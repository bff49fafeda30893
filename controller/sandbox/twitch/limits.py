"""Twitch's rate limits. No I/O and no clock.

Helix has a bucket of points per client and user, refilled over a minute; the calls of extensions
have limits of their own.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from dataclasses import dataclass

__all__ = ["Buckets", "RateLimiter", "Windows"]

_MINUTE = 60.0
_MOST_KEYS = 10_000  # the one that was used least recently is forgotten first


@dataclass(slots=True)
class _Bucket:
    points: float
    time: float
    closed_until: float = 0.0


class RateLimiter:
    """One bucket per key, made full at its first use; every call costs one point."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def take(self, key: tuple[str, str], limit: int, now: float) -> tuple[bool, dict[str, str]]:
        """Pay for one call.

        Args:
            key: Client id and user id ("" for an app token).
            limit: Points of a full bucket.
            now: Seconds since the epoch.

        Returns:
            Whether there was a point left, and the `Ratelimit-*` headers. `Ratelimit-Reset` is
            the second at which the bucket would be full again.
        """
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(limit, now)
        if now < bucket.closed_until:
            return False, _headers(limit, 0, bucket.closed_until)
        rate = limit / _MINUTE
        bucket.points = min(limit, bucket.points + max(0.0, now - bucket.time) * rate)
        bucket.time = now
        allowed = bucket.points >= 1
        if allowed:
            bucket.points -= 1
        return allowed, _headers(limit, bucket.points, now + (limit - bucket.points) / rate)

    def exhaust(self, key: tuple[str, str], until: float) -> None:
        """Refuse all calls until then; the bucket is full afterwards."""
        self._buckets[key] = _Bucket(math.inf, until, until)


class Buckets:
    """A bucket for each key, full at its first use; one comes back each second."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, key: tuple[str, str], size: int, now: float) -> bool:
        """Take one out of a bucket that holds `size`; False: it is empty."""
        left, since = self._buckets.pop(key, (float(size), now))
        left = min(size, left + max(0.0, now - since))
        taken = left >= 1
        self._buckets[key] = (left - 1 if taken else left, now)
        if len(self._buckets) > _MOST_KEYS:
            self._buckets.popitem(last=False)
        return taken


class Windows:
    """So many calls for each key within any minute; those that are refused do not count."""

    def __init__(self) -> None:
        self._windows: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def take(self, key: tuple[str, str], limit: int, now: float) -> bool:
        """Count a call; False: there were `limit` within the last minute."""
        calls = self._windows.pop(key, deque())
        while calls and calls[0] <= now - _MINUTE:
            calls.popleft()
        taken = len(calls) < limit
        if taken:
            calls.append(now)
        self._windows[key] = calls
        if len(self._windows) > _MOST_KEYS:
            self._windows.popitem(last=False)
        return taken


def _headers(limit: int, points: float, reset: float) -> dict[str, str]:
    return {
        "Ratelimit-Limit": str(limit),
        "Ratelimit-Remaining": str(int(points)),
        "Ratelimit-Reset": str(math.ceil(reset)),
    }
