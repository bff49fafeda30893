"""Key sets of PubNub, as Secrets hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.clients.secrets import text_of_key
from controller.errors import InvalidSecret
from controller.feeds.pubnub.feed import PubNubKeys
from controller.policies.problems import Blocked, missing_secret

if TYPE_CHECKING:
    from controller.clients.kube import Secret
    from controller.sensitive import Sensitive

__all__ = ["read"]

_FIELD = "spec.feed.pubnub.secretRef"


def read(
    secret: Secret | None, name: str, namespace: str
) -> tuple[PubNubKeys | None, Blocked | None]:
    """Return the key set, or why there is none.

    Args:
        secret: The Secret; None: there is none.
        name: Its name.
        namespace: Its namespace.
    """
    if secret is None:
        return None, missing_secret(_FIELD, name, namespace, "subscribe-key")

    def optional(key: str) -> Sensitive | None:
        return text_of_key(secret, name, key) if key in secret.data else None

    try:
        return (
            PubNubKeys(
                subscribe_key=text_of_key(secret, name, "subscribe-key"),
                auth_key=optional("auth-key"),
                cipher_key=optional("cipher-key"),
            ),
            None,
        )
    except InvalidSecret as error:
        return None, Blocked("InvalidSecret", f"{_FIELD}: {error}", human=True)
