"""What the engine keeps of a resource as the API server holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from controller.resources.common import parse_instant
from controller.resources.kind import REQUESTED_AT, REVOKE_REQUESTED_AT
from controller.resources.triggerrule import TRIGGER_RULE
from controller.resources.twitchchannel import TWITCH_CHANNEL

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CHANNEL", "PLURALS", "RULE", "Key", "Kind", "Resource"]

Kind = Literal["TwitchChannel", "TriggerRule"]

CHANNEL: Literal["TwitchChannel"] = "TwitchChannel"
RULE: Literal["TriggerRule"] = "TriggerRule"

PLURALS: dict[Kind, str] = {CHANNEL: TWITCH_CHANNEL.plural, RULE: TRIGGER_RULE.plural}
"""The kinds as they stand in URLs."""


class Key(NamedTuple):
    """Names a resource."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Resource:
    """One state of a resource.

    Attributes:
        key: Its name.
        uid: Tells it from another of the same name.
        generation: Grows with each change of the spec.
        created: When it was made, in whole seconds, on the API server's clock.
        requested_at: Value of the annotation that asks for a reconciliation now.
        spec: As stored.
        status: As stored.
        revoke_requested_at: Value of the annotation that asks to end the grant.
    """

    key: Key
    uid: str
    generation: int
    created: float
    requested_at: str | None
    spec: Mapping[str, Any]
    status: Mapping[str, Any]
    revoke_requested_at: str | None = None

    @property
    def asks(self) -> tuple[int, str | None, str | None]:
        """What its user wants: where this is the same, there is nothing new to do."""
        return self.generation, self.requested_at, self.revoke_requested_at

    @classmethod
    def from_body(cls, kind: Kind, body: Mapping[str, Any]) -> Resource:
        """Read what a list or a watch delivered."""
        meta = body["metadata"]
        annotations = meta.get("annotations") or {}
        return cls(
            key=Key(kind, meta["namespace"], meta["name"]),
            uid=meta["uid"],
            generation=int(meta.get("generation") or 0),
            created=parse_instant(meta["creationTimestamp"]),
            requested_at=annotations.get(REQUESTED_AT),
            revoke_requested_at=annotations.get(REVOKE_REQUESTED_AT),
            spec=dict(body.get("spec") or {}),
            status=dict(body.get("status") or {}),
        )
