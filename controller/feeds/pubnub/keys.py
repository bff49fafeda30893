"""Key sets of PubNub, as Secrets hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.clients.secret_values import text_of_key

if TYPE_CHECKING:
    from controller.clients.kube import Secret
    from controller.sensitive import Sensitive

__all__ = ["PubNubKeys"]


@dataclass(frozen=True, slots=True)
class PubNubKeys:
    """A key set: what makes two feeds the same feed."""

    subscribe_key: Sensitive
    auth_key: Sensitive | None = None
    cipher_key: Sensitive | None = None

    @classmethod
    def read(cls, secret: Secret, name: str) -> PubNubKeys:
        """Read a key set from the Secret of this name.

        Raises:
            InvalidSecret: It lacks a key, or holds what is not text.
        """

        def optional(key: str) -> Sensitive | None:
            return text_of_key(secret, name, key) if key in secret.data else None

        return cls(
            subscribe_key=text_of_key(secret, name, "subscribe-key"),
            auth_key=optional("auth-key"),
            cipher_key=optional("cipher-key"),
        )
