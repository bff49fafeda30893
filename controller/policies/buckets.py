"""Token buckets: how much may be taken now, and when the rest."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Bucket", "Buckets"]

K = TypeVar("K", bound="Hashable")

_ROUNDING = 1e-6  # seconds; sums of floats are not exact


class Bucket:
    """Fills at a steady rate; what is spent beyond its content is a debt.

    Instants are seconds on any clock.

    Args:
        capacity: Tokens in a full bucket; it is full at first.
        rate: Tokens that come back each second.
    """

    __slots__ = ("_fills_in", "_full_at", "_rate")

    def __init__(self, capacity: float, rate: float) -> None:
        self._rate = rate
        self._fills_in = capacity / rate  # seconds, from empty
        self._full_at = -math.inf

    def until_full(self, now: float) -> float:
        """Seconds until it is full."""
        return max(0.0, self._full_at - now)

    def wait(self, now: float, tokens: float = 1.0) -> float:
        """Seconds until so many tokens are in it; with 0: until it has no debt."""
        return max(0.0, self.until_full(now) + tokens / self._rate - self._fills_in)

    def spend(self, now: float, tokens: float = 1.0) -> None:
        """Take tokens, also those that are not in it."""
        self._full_at = max(self._full_at, now) + tokens / self._rate

    def take(self, now: float) -> float:
        """Take a token, if there is one; where the clock was set back, it is empty at the worst.

        Returns:
            0: it was taken. Else seconds until there will be one, and nothing was taken.
        """
        self._full_at = min(self._full_at, now + self._fills_in)
        wait = self.wait(now)
        if wait > _ROUNDING:
            return wait
        self.spend(now)
        return 0.0

    def drain(self, now: float) -> None:
        """Empty it: the service that it stands for says that there is nothing left."""
        self._full_at = now + self._fills_in


class Buckets(Generic[K]):
    """A bucket for each key.

    Args:
        capacity: Tokens in a full bucket.
        rate: Tokens that come back each second.
        most: Buckets that are kept; beyond, the least recently used is forgotten, which is full
            then.
    """

    def __init__(self, capacity: float = 100, rate: float = 1.0, most: int = 10_000) -> None:
        self._capacity = capacity
        self._rate = rate
        self._most = most
        self._buckets: OrderedDict[K, Bucket] = OrderedDict()

    def use(self, key: K) -> Bucket:
        """The bucket of a key, which counts as used now."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._capacity, self._rate)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return bucket

    def until_full(self, key: K, now: float) -> float:
        """Seconds until the bucket of a key is full."""
        bucket = self._buckets.get(key)
        return bucket.until_full(now) if bucket is not None else 0.0

    def __len__(self) -> int:
        return len(self._buckets)
