"""The JWTs with which an extension's backend calls Twitch (HS256).

Contract: https://dev.twitch.tv/docs/extensions/building/#signing-the-jwt
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jwt

from controller.errors import PermanentError
from controller.policies.extension_secrets import key_of

if TYPE_CHECKING:
    from controller.sensitive import Sensitive

__all__ = ["LIFETIME", "Extension", "InvalidExtensionSecret", "Perms", "sign"]

# Twitch makes the secrets: their length is not ours to judge.
warnings.filterwarnings("ignore", category=jwt.InsecureKeyLengthWarning)

LIFETIME = 120
"""Seconds that a JWT lives: enough for clocks that drift apart."""


class InvalidExtensionSecret(PermanentError):
    """A shared secret that is not base64 text."""


@dataclass(frozen=True, slots=True)
class Extension:
    """Who calls.

    Attributes:
        client_id: Of the extension.
        owner_id: User id of its owner.
        secret: The shared secret that signs, base64 text as Twitch gives it.
    """

    client_id: str
    owner_id: str
    secret: Sensitive


@dataclass(frozen=True, slots=True)
class Perms:
    """To whom a message of extension PubSub may go.

    Attributes:
        channel_id: The channel; `all` for a global message.
        send: broadcast, global, or whisper-<opaque id>.
    """

    channel_id: str
    send: str


def sign(extension: Extension, now: float, perms: Perms | None = None) -> str:
    """Make a JWT.

    Args:
        extension: Who signs.
        now: The present time.
        perms: For a message; None for the other calls.

    Raises:
        InvalidExtensionSecret: The secret is not base64 text.
    """
    key = key_of(extension.secret)
    if key is None:
        msg = "the shared secret is not a base64 string: copy it again from the extension's console"
        raise InvalidExtensionSecret(msg)
    claims: dict[str, object] = {
        "exp": int(now) + LIFETIME,
        "user_id": extension.owner_id,
        "role": "external",
    }
    if perms is not None:
        claims |= {"channel_id": perms.channel_id, "pubsub_perms": {"send": [perms.send]}}
    return jwt.encode(claims, key, algorithm="HS256")
