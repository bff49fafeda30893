"""What makes a model a kind of the Kubernetes API: names, columns, rules of the whole object."""

from dataclasses import dataclass

from controller.resources.common import SpecModel, StatusModel
from controller.resources.fields import Rule

__all__ = [
    "ALLOWED_HOST",
    "FIRE_REQUESTED",
    "GROUP",
    "PAUSED",
    "REQUESTED_AT",
    "REVOKE_REQUESTED_AT",
    "VERSION",
    "Column",
    "Kind",
]

GROUP = "twitch-operator.dev"
VERSION = "v1alpha1"

REQUESTED_AT = f"{GROUP}/requestedAt"
"""Annotation: each new value asks to reconcile now; status.lastHandledReconcileAt answers."""

REVOKE_REQUESTED_AT = f"{GROUP}/revokeRequestedAt"
"""Annotation: each new value asks to end the grant of a channel, or to take the secrets of an
extension out of service; status.lastHandledRevokeAt answers."""

ALLOWED_HOST = f"{GROUP}/allowed-host"
"""Annotation of a Secret: the one host to which it may be sent, where a resource has the URL."""

FIRE_REQUESTED = f"{GROUP}/fireRequested"
"""Annotation of a channel: each new value, `<RFC 3339 instant>/<duration>`, asks for a commercial;
status.lastHandledFireAt answers."""

PAUSED = f"{GROUP}/paused"
"""Annotation of a channel: while it is there, and not `false`, nothing is called for."""


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`.

    Attributes:
        name: Its heading, in capitals.
        path: JSONPath of its value. Instants are of type date (shown as an age) where they are
            past, and string where they may lie ahead: a future date prints as `<invalid>`.
        type: Of the value: string, integer, date.
        wide: Shown with `-o wide` only.
    """

    name: str
    path: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True)
class Kind:
    """One kind of resource.

    Attributes:
        name: As in `kind:`, such as TwitchChannel.
        plural: As in URLs.
        short: What `kubectl get` takes instead.
        description: First paragraph of `kubectl explain`.
        spec: Model of its spec.
        status: Model of its status.
        columns: What `kubectl get` shows.
        rules: Of the whole object, which alone see metadata.name.
    """

    name: str
    plural: str
    short: str
    description: str
    spec: type[SpecModel]
    status: type[StatusModel]
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()
