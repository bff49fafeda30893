"""Token buckets: how much may be sent now, and when the rest."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["Buckets"]

K = TypeVar("K", bound="Hashable")

_ROUNDING = 1e-6  # seconds; sums of floats are not exact


class Buckets(Generic[K]):
    """A bucket for each key, full at first.

    Args:
        capacity: Tokens in a full bucket.
        rate: Tokens that come back each second.
        most: Buckets that are kept; beyond, the least recently used is forgotten, which is full
            then.
    """

    def __init__(self, capacity: float = 100, rate: float = 1.0, most: int = 10_000) -> None:
        self._drained = capacity / rate  # seconds after which an empty bucket is full
        self._token = 1 / rate  # seconds in which a token comes back
        self._most = most
        self._full_at: OrderedDict[K, float] = OrderedDict()

    def take(self, key: K, now: float) -> float:
        """Take a token, if there is one.

        Args:
            key: Of the bucket.
            now: Seconds on any clock: where it is set back, the bucket is empty at the worst.

        Returns:
            0: it was taken. Else seconds until there will be one, and nothing was taken.
        """
        full_at = min(max(self._full_at.get(key, now), now), now + self._drained)
        wait = full_at + self._token - now - self._drained
        if wait > _ROUNDING:
            self._keep(key, full_at)
            return wait
        self._keep(key, full_at + self._token)
        return 0.0

    def drain(self, key: K, now: float) -> None:
        """Empty a bucket: the service that it stands for says that there is nothing left."""
        self._keep(key, now + self._drained)

    def __len__(self) -> int:
        return len(self._full_at)

    def _keep(self, key: K, full_at: float) -> None:
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
