"""Shares of a resource over time, such as CPU: who has taken more than its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from controller.policies.buckets import Buckets

if TYPE_CHECKING:
    from collections.abc import Hashable
    from collections.abc import Set as AbstractSet

__all__ = ["Shares"]

K = TypeVar("K", bound="Hashable")


class Shares(Generic[K]):
    """A debt for each key, which is paid back at a constant rate.

    Args:
        rate: What a key may take each second, for ever.
        burst: What it may owe before it is over its share.
        most: Debts that are kept; beyond, the least recently charged is forgiven.
    """

    def __init__(self, rate: float, burst: float, most: int = 10_000) -> None:
        self._buckets: Buckets[K] = Buckets(burst, rate, most)
        self._half = burst / rate / 2  # seconds in which half of what it may owe is paid back
        self._over: set[K] = set()

    def charge(self, key: K, amount: float, now: float) -> None:
        """Add to a debt.

        Args:
            key: Who took it.
            amount: How much.
            now: Seconds on any clock that does not go back.
        """
        bucket = self._buckets.use(key)
        bucket.spend(now, amount)
        if bucket.wait(now, 0.0) > 0.0:
            self._over.add(key)

    def over(self, now: float) -> AbstractSet[K]:
        """Return who is over its share, until half of what it may owe is paid back."""
        if self._over:
            self._over = {key for key in self._over if self.debt(key, now) > self._half}
        return self._over

    def debt(self, key: K, now: float) -> float:
        """Return in how many seconds a debt is paid back."""
        return self._buckets.until_full(key, now)
