"""The token Secret: how a channel's grant is written into it, and whose it is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from controller.channels.policies.grant_facts import Device, Grant, Holding
from controller.policies.made_secrets import CHANNEL, CONTENT, MADE_BY_OPERATOR
from controller.resources.common import parse_instant, rfc3339
from controller.sensitive import Sensitive

if TYPE_CHECKING:
    from controller.clients.kube import Secret
    from controller.runtime.resource import Key

__all__ = ["CONTENT", "from_secret", "is_ours", "labels", "to_data"]

_LONGEST_LIFETIME = 366 * 86_400.0
_LONGEST_INTERVAL = 3600.0


def labels(key: Key) -> dict[str, str]:
    """Labels that say whose Secret it is."""
    return {**MADE_BY_OPERATOR, CHANNEL: key.name}


def is_ours(secret: Secret, key: Key) -> bool:
    """Whether the operator made this Secret for this channel."""
    return all(secret.labels.get(name) == value for name, value in labels(key).items())


def to_data(holding: Holding) -> dict[str, Sensitive]:
    """Keys of the Secret and their texts; what there is not has no key."""
    data: dict[str, str] = {}
    if (grant := holding.grant) is not None:
        data |= {
            "access-token": grant.access.reveal(),
            "refresh-token": grant.refresh.reveal(),
            "expires-at": rfc3339(grant.expires_at),
            "lifetime-seconds": f"{grant.lifetime:.0f}",
        }
        if grant.scopes is not None:
            data["scopes"] = " ".join(grant.scopes)
    if grant is not None or holding.input_sha256:
        data["input-sha256"] = holding.input_sha256
    if holding.device is not None:
        data["device-code"] = _write_device(holding.device)
    if holding.revoke_request:
        data["revoke-requested-at"] = holding.revoke_request
    return {key: Sensitive(text) for key, text in data.items()}


def from_secret(secret: Secret) -> Holding:
    """Read back what was written; what cannot be read counts as absent.

    Without a grant that can be read, the fingerprint of the input is not believed either: the input
    is imported anew.
    """
    # As it stood in the annotation, to the letter.
    revoke_request = secret.data.get("revoke-requested-at", b"").decode("utf-8", "replace")
    grant = _grant(secret)
    told = _text(secret, "input-sha256") or ""
    return Holding(
        grant=grant,
        device=_device(secret),
        input_sha256=told if grant is not None or revoke_request else "",
        revoke_request=revoke_request,
    )


def _grant(secret: Secret) -> Grant | None:
    access, refresh = _text(secret, "access-token"), _text(secret, "refresh-token")
    expires_at, lifetime = _text(secret, "expires-at"), _text(secret, "lifetime-seconds")
    scopes = _text(secret, "scopes")
    readable = _text(secret, "input-sha256") is not None and scopes is not None
    if not access or not refresh or not expires_at or lifetime is None or not readable:
        return None
    # A token goes into a header: anything else must not get that far.
    if not (access.isprintable() and refresh.isprintable()):
        return None
    try:
        rfc3339(parse_instant(expires_at))  # what could not be written back is not believed
        return Grant(
            access=Sensitive(access),
            refresh=Sensitive(refresh),
            expires_at=parse_instant(expires_at),
            lifetime=_within(float(lifetime or 0.0), _LONGEST_LIFETIME),
            scopes=tuple((scopes or "").split()) if "scopes" in secret.data else None,
        )
    except ValueError:
        return None


def _text(secret: Secret, key: str) -> str | None:
    """The text under a key, "" where there is none; None: it is not plain text."""
    try:
        return secret.data.get(key, b"").decode("ascii").strip()
    except UnicodeDecodeError:
        return None


def _within(seconds: float, most: float) -> float:
    if not 0.0 <= seconds <= most:
        msg = "not a time that anybody means"
        raise ValueError(msg)
    return seconds


def _write_device(device: Device) -> str:
    """One key holds the whole, so that it is there or is not."""
    return json.dumps(
        {
            "deviceCode": device.code.reveal(),
            "userCode": device.user_code,
            "verificationUri": device.verification_uri,
            "expirationTime": rfc3339(device.expires_at),
            "intervalSeconds": device.interval,
            "clientId": device.client_id,
            "scopes": device.scopes,
        }
    )


def _device(secret: Secret) -> Device | None:
    try:
        found = json.loads(secret.data["device-code"])
        rfc3339(parse_instant(found["expirationTime"]))
        return Device(
            code=Sensitive(str(found["deviceCode"]).encode().decode()),
            user_code=str(found["userCode"]),
            verification_uri=str(found["verificationUri"]),
            expires_at=parse_instant(found["expirationTime"]),
            interval=_within(float(found["intervalSeconds"]), _LONGEST_INTERVAL),
            client_id=str(found["clientId"]),
            scopes=tuple(str(scope) for scope in found["scopes"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None
