"""An extension's shared secrets: which one signs, which verify, and how a Secret holds them.

The operator writes them, the gateway and everybody who mounts the Secret read them: both sides
are here. Contract: https://dev.twitch.tv/docs/extensions/building/#signing-the-jwt
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from controller.resources.common import parse_instant, rfc3339
from controller.resources.kind import GROUP
from controller.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "CURRENT",
    "MARGIN",
    "NEXT",
    "PREVIOUS",
    "REVOKED_FOR",
    "SECRETS_JSON",
    "SharedSecret",
    "decode",
    "encode",
    "key_of",
    "next_change",
    "pending_of",
    "previous_of",
    "signing_secret",
    "verifying_secrets",
]

CURRENT, NEXT, PREVIOUS, SECRETS_JSON = "current", "next", "previous", "secrets.json"

MARGIN = 2.0
"""Seconds after its activation from which on a new secret signs: Twitch's clock may be behind."""

REVOKED_FOR = f"{GROUP}/revoked-for"
"""Annotation of the target Secret: the request to revoke whose marks it has."""

_LEAST_KEY = 1  # bytes


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """One shared secret.

    Attributes:
        content: Base64 text, as Twitch gives it.
        active: From when on it counts, seconds since the epoch.
        expires: Until when it counts.
        revoked: It was taken out of service: it verifies nothing, though Twitch may still take
            what is signed with it.
    """

    content: Sensitive
    active: float
    expires: float
    revoked: bool = False

    @property
    def fingerprint(self) -> str:
        """What it is called where it must not be shown."""
        return self.content.sha256()[:12]

    def counts(self, now: float) -> bool:
        """Whether it is active and has not expired."""
        return self.active <= now < self.expires


def key_of(content: Sensitive) -> bytes | None:
    """The bytes that sign; None: the text is not base64.

    Twitch writes the standard alphabet; missing padding is forgiven.
    """
    text = content.reveal().strip()
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) >= _LEAST_KEY else None


def signing_secret(secrets: Iterable[SharedSecret], now: float) -> SharedSecret | None:
    """The secret to sign with: of those that are active, the one that expires last.

    One that is active for less than `MARGIN` waits while another counts. A revoked one signs where
    there is no other: Twitch takes it until the new one is active.

    Args:
        secrets: All that are known.
        now: The present time.
    """
    usable = [secret for secret in secrets if secret.counts(now)]
    if not usable:
        return None
    settled = [secret for secret in usable if secret.active + MARGIN <= now] or usable
    return max(settled, key=lambda secret: (not secret.revoked, secret.expires, secret.active))


def pending_of(secrets: Iterable[SharedSecret], now: float) -> SharedSecret | None:
    """The newest secret that does not sign yet because it was not, or has just become, active."""
    known = tuple(secrets)
    current = signing_secret(known, now)
    waiting = [
        s
        for s in known
        if now < s.active + MARGIN and now < s.expires and not s.revoked and s != current
    ]
    return max(waiting, key=lambda secret: secret.active, default=None)


def previous_of(secrets: Iterable[SharedSecret], now: float) -> SharedSecret | None:
    """The secret that signed before the present one, while it is good for verifying."""
    known = tuple(secrets)
    current = signing_secret(known, now)
    if current is None:
        return None
    former = [
        s for s in verifying_secrets(known, now) if s != current and s.active <= current.active
    ]
    return max(former, key=lambda secret: (secret.active, secret.expires), default=None)


def verifying_secrets(secrets: Iterable[SharedSecret], now: float) -> tuple[SharedSecret, ...]:
    """The secrets to verify with: all that have not expired and were not revoked."""
    return tuple(s for s in secrets if now < s.expires and not s.revoked)


def next_change(secrets: Iterable[SharedSecret], now: float) -> float | None:
    """When the keys of the Secret are next others than now; None: they stay."""
    moments = [
        moment
        for secret in secrets
        for moment in (secret.active, secret.active + MARGIN, secret.expires)
        if moment > now
    ]
    return min(moments, default=None)


def encode(secrets: Iterable[SharedSecret], now: float) -> dict[str, Sensitive]:
    """The keys of the target Secret at a moment; what there is not has no key.

    Args:
        secrets: All that are known; those that have expired are left out.
        now: The present time.
    """
    known = sorted((s for s in secrets if now < s.expires), key=lambda s: -s.active)
    data = {SECRETS_JSON: Sensitive(json.dumps({"secrets": [_entry(s) for s in known]}, indent=1))}
    for key, secret in (
        (CURRENT, signing_secret(known, now)),
        (NEXT, pending_of(known, now)),
        (PREVIOUS, previous_of(known, now)),
    ):
        if secret is not None:
            data[key] = secret.content
    return data


def decode(data: Mapping[str, bytes]) -> tuple[SharedSecret, ...]:
    """Read the target Secret; what cannot be read counts as absent."""
    try:
        entries = json.loads(data.get(SECRETS_JSON, b"{}"))["secrets"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()
    if not isinstance(entries, list):
        return ()
    read = (_secret(entry) for entry in entries if isinstance(entry, dict))
    return tuple(secret for secret in read if secret is not None)


def _entry(secret: SharedSecret) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "content": secret.content.reveal(),
        "activeTime": rfc3339(secret.active),
        "expirationTime": rfc3339(secret.expires),
    }
    return entry | {"revoked": True} if secret.revoked else entry


def _secret(entry: Mapping[str, Any]) -> SharedSecret | None:
    content = entry.get("content")
    if not isinstance(content, str) or key_of(Sensitive(content)) is None:
        return None
    try:
        active, expires = parse_instant(entry["activeTime"]), parse_instant(entry["expirationTime"])
    except (KeyError, TypeError, ValueError):
        return None
    return SharedSecret(Sensitive(content), active, expires, entry.get("revoked") is True)
