"""Values of Secrets as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.errors import InvalidSecret
from controller.policies.made_secrets import SecretMarks
from controller.sensitive import Sensitive

if TYPE_CHECKING:
    from controller.clients.kube import Secret

__all__ = ["marks_of", "text_of_key"]


def text_of_key(secret: Secret, name: str, key: str) -> Sensitive:
    """Return the text under a key of a Secret that a user gave, without white space around it.

    Raises:
        InvalidSecret: The Secret is one that the operator made, or the key is absent, empty or
            holds bytes that are not text.
    """
    refusal = marks_of(secret).refusal(name)
    if refusal is not None:
        raise InvalidSecret(refusal)
    data = secret.data.get(key)
    if data is None:
        msg = f"Secret {name} has no key {key}: add it"
        raise InvalidSecret(msg)
    try:
        text = data.decode().strip()
    except UnicodeDecodeError:
        text = ""
    if not text or not text.isascii() or not text.isprintable():
        msg = f"Secret {name}: the value of the key {key} is empty or not plain text: replace it"
        raise InvalidSecret(msg)
    return Sensitive(text)


def marks_of(secret: Secret) -> SecretMarks:
    """What tells who made a Secret."""
    versions = [str(owner.get("apiVersion", "")) for owner in secret.owners]
    return SecretMarks(secret.labels, secret.annotations, tuple(secret.data), versions)
