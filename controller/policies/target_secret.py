"""Whose a target Secret is: of which ExtensionApp, and of which extension.

It may hold the last secret that Twitch takes. So what is not certainly the ExtensionApp's own is
left alone, and nobody is told to delete it without a word about what would be lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.policies.made_secrets import CLIENT_ID_OF, EXTENSION, MADE_BY_OPERATOR
from controller.policies.problems import Blocked

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CLIENT_ID_OF", "foreign_target", "is_target", "target_labels"]

_FIELD = "spec.secret.targetSecretName"


def target_labels(extension: str) -> dict[str, str]:
    """Labels of the target Secret that the operator makes for an ExtensionApp."""
    return {**MADE_BY_OPERATOR, EXTENSION: extension}


def is_target(
    labels: Mapping[str, str], annotations: Mapping[str, str], extension: str, client_id: str
) -> bool:
    """Whether a Secret holds the secrets of this ExtensionApp, and of its extension.

    Args:
        labels: Of the Secret; they are the operator's, or somebody's who hands the Secret over.
        annotations: Of the Secret; they tell whose secrets it holds.
        extension: Name of the ExtensionApp.
        client_id: Of its extension: a former one of that name may have had another.
    """
    labelled = all(labels.get(name) == text for name, text in target_labels(extension).items())
    return labelled and annotations.get(CLIENT_ID_OF) == client_id


def foreign_target(  # noqa: PLR0913 - what it depends on
    secret: str,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    *,
    namespace: str,
    extension: str,
    client_id: str,
    holds_secrets: bool,
) -> Blocked | None:
    """Why a Secret is not written; None: it is the ExtensionApp's own.

    Args:
        secret: Name of the Secret.
        labels: Of the Secret.
        annotations: Of the Secret.
        namespace: Of both.
        extension: Name of the ExtensionApp.
        client_id: Of its extension.
        holds_secrets: Whether the Secret holds secrets of an extension, as the operator writes
            them.
    """
    if is_target(labels, annotations, extension, client_id):
        return None
    elsewhere = "recreate the ExtensionApp with another targetSecretName"
    other_id, other = annotations.get(CLIENT_ID_OF, client_id), labels.get(EXTENSION)
    if other_id != client_id:
        message = (
            f"{_FIELD}: Secret {secret} holds the secrets of another extension, clientId"
            f" {other_id}, maybe the last that Twitch takes; it is not touched: {elsewhere}, or"
            " delete the Secret if that extension is given up"
        )
    elif holds_secrets:
        whose = f" (but as that of {other})" if other not in (None, extension) else ""
        message = (
            f"{_FIELD}: Secret {secret} is not marked as this ExtensionApp's{whose}; it is not"
            " touched, because it may hold the last secret that Twitch takes. If it holds this"
            " extension's secrets, hand it over:"
            f" {_hand_over(f'secret {secret} -n {namespace}', extension, client_id)};"
            f" else {elsewhere}"
        )
    else:
        message = (
            f"{_FIELD}: Secret {secret} exists, was not made by the operator and holds no extension"
            f" secrets; it is not touched: {elsewhere}, or delete the Secret if it is not needed"
        )
    return Blocked("Conflict", message, human=True)


def _hand_over(secret: str, extension: str, client_id: str) -> str:
    marks = " ".join(f"{name}={text}" for name, text in target_labels(extension).items())
    label = f"kubectl label {secret} --overwrite {marks}"
    return f"{label} && kubectl annotate {secret} --overwrite {CLIENT_ID_OF}={client_id}"
