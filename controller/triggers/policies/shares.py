"""Shares of a resource over time, such as CPU: who has taken more than its own."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

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
        self._rate = rate
        self._burst = burst / rate  # seconds in which it is paid back
        self._most = most
        self._paid_at: OrderedDict[K, float] = OrderedDict()
        self._over: set[K] = set()

    def charge(self, key: K, amount: float, now: float) -> None:
        """Add to a debt.

        Args:
            key: Who took it.
            amount: How much.
            now: Seconds on any clock that does not go back.
        """
        paid_at = max(self._paid_at.get(key, now), now) + amount / self._rate
        self._paid_at[key] = paid_at
        self._paid_at.move_to_end(key)
        if paid_at - now > self._burst:
            self._over.add(key)
        while len(self._paid_at) > self._most:
            self._over.discard(self._paid_at.popitem(last=False)[0])

    def over(self, now: float) -> AbstractSet[K]:
        """Return who is over its share, until half of what it may owe is paid back."""
        if self._over:
            self._over = {key for key in self._over if self.debt(key, now) > self._burst / 2}
        return self._over

    def debt(self, key: K, now: float) -> float:
        """Return in how many seconds a debt is paid back."""
        return max(0.0, self._paid_at.get(key, now) - now)
