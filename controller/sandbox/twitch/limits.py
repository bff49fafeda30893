"""Helix' rate limit: a bucket of points per client and user, refilled over a minute. No I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["RateLimiter"]

_REFILL_SECONDS = 60.0


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
        rate = limit / _REFILL_SECONDS
        bucket.points = min(limit, bucket.points + max(0.0, now - bucket.time) * rate)
        bucket.time = now
        allowed = bucket.points >= 1
        if allowed:
            bucket.points -= 1
        return allowed, _headers(limit, bucket.points, now + (limit - bucket.points) / rate)

    def exhaust(self, key: tuple[str, str], until: float) -> None:
        """Refuse all calls until then; the bucket is full afterwards."""
        self._buckets[key] = _Bucket(math.inf, until, until)


def _headers(limit: int, points: float, reset: float) -> dict[str, str]:
    return {
        "Ratelimit-Limit": str(limit),
        "Ratelimit-Remaining": str(int(points)),
        "Ratelimit-Reset": str(math.ceil(reset)),
    }
