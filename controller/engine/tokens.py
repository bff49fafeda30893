"""The token Secret: how a grant is written into it, and whose it is."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from controller.policies.grants import Blocked, Grant
from controller.resources.common import parse_instant, rfc3339
from controller.resources.kind import GROUP, VERSION
from controller.sensitive import Sensitive

if TYPE_CHECKING:
    from controller.clients.kube import Secret
    from controller.engine.resource import Key

__all__ = [
    "client_rejected",
    "foreign",
    "from_secret",
    "is_ours",
    "jitter",
    "labels",
    "missing",
    "owner",
    "to_data",
]

_MANAGED_BY = "app.kubernetes.io/managed-by"
_CHANNEL = "twitch-operator.dev/channel"
_OPERATOR = "twitch-operator"


def labels(key: Key) -> dict[str, str]:
    """Labels that say whose Secret it is."""
    return {_MANAGED_BY: _OPERATOR, _CHANNEL: key.name}


def is_ours(secret: Secret, key: Key) -> bool:
    """Whether the operator made this Secret for this channel."""
    return all(secret.labels.get(name) == value for name, value in labels(key).items())


def owner(key: Key, uid: str) -> dict[str, object]:
    """Owner reference: the Secret goes with its channel."""
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": key.kind, "name": key.name, "uid": uid}


def to_data(grant: Grant) -> dict[str, Sensitive]:
    """Keys of the Secret and their texts."""
    return {
        "access-token": grant.access,
        "refresh-token": grant.refresh,
        "expires-at": Sensitive(rfc3339(grant.expires_at)),
        "lifetime-seconds": Sensitive(f"{grant.lifetime:.0f}"),
        "scopes": Sensitive(" ".join(grant.scopes)),
        "input-sha256": Sensitive(grant.input_sha256),
    }


def from_secret(secret: Secret) -> Grant | None:
    """Read a grant back; None where it cannot be read: then the input is imported anew."""

    def text(key: str) -> str:
        # A token goes into a header: anything else must not get that far.
        return secret.data[key].decode("ascii").strip()

    try:
        for credential in (text("access-token"), text("refresh-token")):
            if not credential or not credential.isprintable():
                return None
        return Grant(
            access=Sensitive(text("access-token")),
            refresh=Sensitive(text("refresh-token")),
            expires_at=parse_instant(text("expires-at")),
            lifetime=float(text("lifetime-seconds")) if "lifetime-seconds" in secret.data else 0.0,
            scopes=tuple(text("scopes").split()) if "scopes" in secret.data else (),
            input_sha256=text("input-sha256") if "input-sha256" in secret.data else "",
        )
    except (KeyError, ValueError):
        return None


def jitter(uid: str) -> float:
    """0..1, steady for a resource: spreads what would fall due together."""
    return int.from_bytes(hashlib.sha256(uid.encode()).digest()[:4]) / 2**32


def missing(field: str, name: str, keys: str) -> Blocked:
    """A Secret that is not there yet."""
    message = f"{field}: Secret {name} does not exist; create it with the key(s) {keys}"
    return Blocked("SecretNotFound", message, human=False)


def foreign(name: str) -> Blocked:
    """A Secret of the token Secret's name that the operator did not make."""
    message = (
        f"spec.token.secretName: Secret {name} exists and was not made by the operator for this"
        " channel; it is not touched: delete it, or set another secretName in a new TwitchChannel"
    )
    return Blocked("Conflict", message, human=True)


def client_rejected(told: str, name: str) -> Blocked:
    """Twitch refuses the application."""
    message = f"{told}. Correct client-id and client-secret in Secret {name} (spec.app.secretRef)"
    return Blocked("ClientRejected", message, human=True)
