"""Which rights a ServiceAccount has, and which of them it used, by the API server's audit log."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.chart.helm import Manifest

__all__ = ["Audit", "granted"]

Right = tuple[str, str]
"""Such as `("get", "secrets")` or `("patch", "triggerrules.twitch-operator.dev/status")`."""


@dataclass
class Audit:
    """What was asked of the API server since this was made.

    Args:
        file: The audit log.
    """

    file: Path

    def __post_init__(self) -> None:
        self._begin = self.file.stat().st_size

    def used(self, account: str) -> set[Right]:
        """The rights that a Role or ClusterRole of the chart gave to a request.

        Args:
            account: Such as `twitch:tw-twitch-operator`.
        """
        allowed = (each for each in self._of(account) if _decision(each) == "allow")
        return {_right(each) for each in allowed if "twitch-operator" in _reason(each)}

    def missing(self, account: str) -> set[Right]:
        """What was refused for the lack of a right."""
        return {_right(each) for each in self._of(account) if _decision(each) == "forbid"}

    def _of(self, account: str) -> Iterable[Manifest]:
        with self.file.open("rb") as log:
            log.seek(self._begin)
            events = [json.loads(line) for line in log]
        user = f"system:serviceaccount:{account}"
        found = [each for each in events if each["user"]["username"] == user]
        assert found, f"{account} asked nothing"
        return found


def granted(roles: Iterable[Manifest]) -> set[Right]:
    """The rights that Roles or ClusterRoles give."""
    return {
        (verb, _name(group, resource))
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _right(event: Manifest) -> Right:
    about = event.get("objectRef", {})
    resource, sub = about.get("resource", event["requestURI"]), about.get("subresource")
    name = f"{resource}/{sub}" if sub else resource
    return event["verb"], _name(about.get("apiGroup", ""), name)


def _name(group: str, resource: str) -> str:
    """As kubectl writes it: `events.events.k8s.io`."""
    main, slash, sub = resource.partition("/")
    return (f"{main}.{group}" if group else main) + slash + sub


def _decision(event: Manifest) -> str:
    return str(event["annotations"].get("authorization.k8s.io/decision", ""))


def _reason(event: Manifest) -> str:
    return str(event["annotations"].get("authorization.k8s.io/reason", ""))
