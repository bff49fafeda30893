"""Extensions as Twitch knows them: secrets, configuration, PubSub. Without I/O or clock.

Instants are seconds since the epoch.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from controller.sandbox.twitch.limits import Buckets, Windows
from controller.sandbox.twitch.wire import Refusal

if TYPE_CHECKING:
    from controller.sandbox.twitch.options import Options

__all__ = ["Extension", "Extensions", "Message", "SharedSecret", "State"]

_CENTURY = 100 * 365.25 * 86_400
_MESSAGES = 1000
_SECRETS = 1000  # far more than can be alive
_KEY_BYTES = 32

State = Literal["Pending", "Active", "Retiring", "Expired"]


@dataclass(slots=True)
class SharedSecret:
    """A shared secret.

    Attributes:
        content: Base64 text.
        active: From when on it counts.
        expires: Until when it counts.
    """

    content: str = field(repr=False)
    active: float
    expires: float

    @property
    def key(self) -> bytes:
        """The bytes that sign."""
        return base64.b64decode(self.content)

    @property
    def fingerprint(self) -> str:
        """What it is called where it must not be shown."""
        return hashlib.sha256(self.content.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Message:
    """A message of extension PubSub that was taken.

    Attributes:
        time: When.
        channel: Id of the channel; `all` for a global one.
        target: broadcast, global or whisper-<opaque id>.
        message: As it was sent.
    """

    time: float
    channel: str
    target: str
    message: str


@dataclass(slots=True)
class Extension:
    """An extension.

    Attributes:
        client_id: Its client id.
        owner_id: User id of its owner.
        secrets: All that were not deleted, oldest first.
        created: How many secrets were made by API.
        messages: The last that were taken, oldest first.
        received: How many there were in all.
        segments: (segment, broadcaster id or "") → content and version.
        required: Broadcaster id → extension version and required configuration.
    """

    client_id: str
    owner_id: str
    secrets: list[SharedSecret]
    created: int = 0
    messages: deque[Message] = field(default_factory=lambda: deque(maxlen=_MESSAGES))
    received: int = 0
    segments: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    required: dict[str, tuple[str, str]] = field(default_factory=dict)

    def signers(self, now: float) -> list[SharedSecret]:
        """The secrets that are active, newest first."""
        active = [one for one in self.secrets if one.active <= now < one.expires]
        return sorted(active, key=lambda secret: secret.active)[::-1]

    def state(self, secret: SharedSecret, now: float) -> State:
        """What one of its secrets is good for; of those that count, only the newest is Active."""
        if now >= secret.expires:
            return "Expired"
        if now < secret.active:
            return "Pending"
        return "Active" if secret is self.signers(now)[0] else "Retiring"

    def take(self, message: Message) -> None:
        """Keep a message, and count it."""
        self.messages.append(message)
        self.received += 1


class Extensions:
    """All extensions.

    Args:
        options: How Twitch behaves.

    Attributes:
        messages: The limit of messages, by client id and channel.
        calls: The limit of configuration calls, by client id and HTTP method.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._by_id: dict[str, Extension] = {}
        self.messages = Buckets()
        self.calls = Windows()

    def all(self) -> list[Extension]:
        """Every extension, in the order they came."""
        return list(self._by_id.values())

    def find(self, client_id: str) -> Extension | None:
        """The extension with this client id, if there is one."""
        return self._by_id.get(client_id)

    def named(self, client_id: str) -> Extension:
        """The extension with this client id.

        Raises:
            Refusal: 404, there is none.
        """
        extension = self._by_id.get(client_id)
        if extension is None:
            msg = f"no extension {client_id!r}: add it first (POST /_sandbox/extensions)"
            raise Refusal(404, msg)
        return extension

    def add(self, client_id: str, owner_id: str, content: str | None, now: float) -> Extension:
        """Add an extension whose first secret is active.

        Raises:
            Refusal: 409, there is one already; 400, the secret is not base64 text.
        """
        if client_id in self._by_id:
            raise Refusal(409, f"extension {client_id!r} exists already")
        if content is not None:
            _check_base64(content)
        # What is told of instants is whole seconds: this one counts already, however it is rounded.
        first = SharedSecret(content or _new_content(), float(int(now)), now + _CENTURY)
        extension = Extension(client_id, owner_id, [first])
        self._by_id[client_id] = extension
        return extension

    def create_secret(self, extension: Extension, delay: float, now: float) -> SharedSecret:
        """Make a secret, and retire all others; any delay will do."""
        for secret in extension.secrets:
            secret.expires = min(secret.expires, now + self._options.secret_retirement)
        active = now + delay if delay else float(int(now))
        made = SharedSecret(_new_content(), active, now + delay + _CENTURY)
        extension.secrets[:] = [*extension.secrets[1 - _SECRETS :], made]
        return made

    def delete_secret(self, extension: Extension, fingerprint: str) -> None:
        """Delete a secret at once, as the console can.

        Raises:
            Refusal: 404, there is none with this fingerprint.
        """
        kept = [secret for secret in extension.secrets if secret.fingerprint != fingerprint]
        if len(kept) == len(extension.secrets):
            raise Refusal(404, f"extension {extension.client_id} has no secret {fingerprint}")
        extension.secrets[:] = kept


def _new_content() -> str:
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def _check_base64(content: str) -> None:
    try:
        empty = not base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        empty = True
    if empty:
        raise Refusal(400, "secret must be base64 text, as the console gives it")
