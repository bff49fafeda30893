"""The CPU that rules take, and who has taken more than a share of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.triggers.policies.shares import Shares

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.runtime.resource import Key
    from controller.triggers.meter import Meter

__all__ = ["Accounts"]

# Seconds of CPU that a namespace, and a rule, may take each second, and at once beyond that, before
# its events wait behind those of others.
_SHARE, _BURST = 0.1, 0.5
_LITTLE = 20e-6  # seconds that are not worth to be noted for a rule


class Accounts:
    """Accounts of all rules and namespaces.

    Args:
        meter: Tells the time.
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._spent: dict[str, float] = {}
        self._by_namespace: Shares[str] = Shares(_SHARE, _BURST)
        self._by_rule: Shares[Key] = Shares(_SHARE, _BURST)

    def took(self, key: Key, seconds: float) -> None:
        """Note what a rule took; its namespace is charged with the next `charge`."""
        self._spent[key.namespace] = self._spent.get(key.namespace, 0.0) + seconds
        if seconds > _LITTLE:
            self._by_rule.charge(key, seconds, self._meter.wall())

    def charge(self) -> None:
        """Charge the namespaces with what their rules took."""
        now = self._meter.wall()
        for namespace, seconds in self._spent.items():
            self._by_namespace.charge(namespace, seconds, now)
        self._spent.clear()

    def over(self, keys: Iterable[Key]) -> set[Key]:
        """Return the rules that are over their share, or whose namespace is."""
        now = self._meter.wall()
        namespaces, rules = self._by_namespace.over(now), self._by_rule.over(now)
        if not namespaces and not rules:
            return set()
        return {key for key in keys if key.namespace in namespaces or key in rules}

    def debt(self, namespace: str) -> float:
        """How much a namespace is over its share."""
        return self._by_namespace.debt(namespace, self._meter.wall())
