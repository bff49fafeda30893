"""The conditions of a resource that are not as they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.resources.common import find_condition

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.resources.common import Condition

__all__ = ["lines", "not_fine"]

_FINE = {
    "Ready": "True",
    "FeedConnected": "True",
    "Authorized": "True",
    "SecretsCurrent": "True",
    "ConfigurationSynced": "True",
    "GatewayConfigured": "True",
    "Live": "True",
    "ClockSkew": "False",
    "AdsManagerScheduled": "False",
    "Suspended": "False",
    "Reconciling": "False",
    "Stalled": "False",
}


def not_fine(conditions: Iterable[Condition]) -> list[Condition]:
    """Return those that keep something from working, the summary first; each message once."""
    found: list[Condition] = []
    for kind, fine in _FINE.items():
        condition = find_condition(conditions, kind)
        if condition is None or condition.status == fine:
            continue
        told = {(each.reason, each.message) for each in found}
        if (condition.reason, condition.message) not in told:
            found.append(condition)
    return found


def lines(conditions: Iterable[Condition]) -> list[str]:
    """Write conditions, such as `Ready=False  SecretNotFound: create Secret playout`."""
    return [
        f"{each.type}={each.status}  {each.reason}" + (f": {each.message}" if each.message else "")
        for each in conditions
    ]
