"""Which Secrets the operator made, and for which resource.

A reference in a spec (an application, a consent, feed keys, a bootstrap secret, an OAuth login) is
for a Secret of the user. Without this check, a TwitchChannel could name the token Secret of another
one and take its grant.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from controller.resources.kind import GROUP

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["CHANNEL", "CLIENT_ID_OF", "CONTENT", "EXTENSION", "MADE_BY_OPERATOR", "SecretMarks"]

MADE_BY_OPERATOR = {"app.kubernetes.io/managed-by": "twitch-operator"}
"""Label of every Secret that the operator makes."""

CHANNEL = f"{GROUP}/channel"
"""Label: the TwitchChannel whose tokens or stream key the Secret holds."""

EXTENSION = f"{GROUP}/extension"
"""Label: the ExtensionApp whose shared secrets the Secret holds."""

CONTENT = f"{GROUP}/content"
"""Label that tells a Secret of something else from the token Secret, which has none."""

CLIENT_ID_OF = f"{GROUP}/client-id"
"""Annotation of the target Secret: the client id of the extension whose secrets it holds."""

_TOKEN_KEYS = frozenset({"input-sha256", "device-code"})


@dataclass(frozen=True, slots=True)
class SecretMarks:
    """What tells of a Secret who made it, and for whom.

    Attributes:
        labels: Its labels.
        annotations: Its annotations.
        keys: Keys of its data.
        owner_versions: `apiVersion` of its owners.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str] = field(default_factory=dict)
    keys: Collection[str] = ()
    owner_versions: Collection[str] = ()

    def refusal(self, name: str) -> str | None:
        """Why a reference may not name this Secret; None: it may.

        A tool or a user may remove the labels. What the operator alone writes (annotation, keys,
        owner) marks a Secret, too.

        Args:
            name: Of the Secret.
        """
        labels = self.labels
        channel, extension = labels.get(CHANNEL), labels.get(EXTENSION)
        if MADE_BY_OPERATOR.items() <= labels.items():
            held = "data of its own"
            if channel is not None:
                what = "stream key" if CONTENT in labels else "tokens"
                held = f"the {what} of TwitchChannel {channel}"
            elif extension is not None:
                held = f"the shared secrets of ExtensionApp {extension}"
        elif CLIENT_ID_OF in self.annotations:
            held = "the shared secrets of an ExtensionApp"
        elif not _TOKEN_KEYS.isdisjoint(self.keys):
            held = "the tokens of a TwitchChannel"
        elif any(version.startswith(f"{GROUP}/") for version in self.owner_versions):
            held = "what the operator keeps for another resource"
        else:
            return None
        return (
            f"Secret {name} was made by the operator and holds {held}: no reference may name it;"
            " name a Secret of your own"
        )
