"""Messages of PubNub's wire → events; with `client` and `sdk` what knows the SDK.

Publishers encrypt in three ways: with a header that names the way (the SDKs since 2023), and before
that without one, with an initialization vector (IV) that is random and stands in front, or with one
that is always the same. Read with the wrong IV, a text lacks its first 16 characters or begins with
garbage, and is not a JSON object then: so whichever way makes one is the right one.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from pubnub.crypto import LegacyCryptoModule
from pubnub.pnconfiguration import PNConfiguration

from controller.events import Event
from controller.feeds.pubnub.decryption import Tally, Undecrypted
from controller.rules.payloads import Refusal, parse_payload, strict_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from controller.sensitive import Sensitive

__all__ = ["TICKS", "Decoder"]

TICKS = 10_000_000
"""Units of a timetoken in a second."""

_MESSAGE = 0
_BLOCK = 16  # bytes of AES
_HEADER = b"PNED"


class Decoder:
    """Reads the messages of one key set.

    Args:
        cipher_key: Of the key set, if its messages are encrypted.
        on_decryption: Called with a topic when none, some or all of its last messages could be
            decrypted, and that changed.

    Attributes:
        undecrypted: What could not be decrypted.
    """

    def __init__(
        self, cipher_key: Sensitive | None, on_decryption: Callable[[str], None] = lambda _: None
    ) -> None:
        self._ciphers = (
            [_cipher(cipher_key, random_iv=each) for each in (True, False)]
            if (cipher_key is not None)
            else []
        )
        self._on_decryption = on_decryption
        self.undecrypted = Tally()

    def event(
        self,
        message: Any,  # noqa: ANN401 - JSON
        received: float,
        shift: float,
        is_new: Callable[[str, int], bool],
    ) -> Event | Refusal | None:
        """Turn one message into an event.

        Args:
            message: As it came over the wire; a refusal where it could not be read.
            received: When, on the monotonic clock.
            shift: Seconds by which PubNub's clock is ahead of this machine's.
            is_new: Asked with topic and timetoken.

        Returns:
            None: it was heard before, or is no message but a signal, a file or the like. A refusal:
            it is not an event.
        """
        if isinstance(message, Refusal):
            return message
        try:
            topic, ticks = str(message["c"]), int(message["p"]["t"])
            payload, kind = message["d"], int(message.get("e") or _MESSAGE)
            published = ticks / TICKS - shift
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            return Refusal("the envelope is not PubNub's")
        if kind != _MESSAGE or not is_new(topic, ticks):
            return None
        parsed = self._decrypted(payload) if self._ciphers else _plain(payload)
        failure = parsed if isinstance(parsed, Undecrypted) else None
        if self.undecrypted.note(topic, failure):
            self._on_decryption(topic)
        if isinstance(parsed, Refusal):
            return Refusal(f"on topic {topic}: {parsed.reason}")
        return Event(topic, str(ticks), published, received, parsed)

    def _decrypted(self, payload: Any) -> Mapping[str, Any] | Refusal:  # noqa: ANN401 - JSON
        data = _bytes_of(payload)
        if data is None:
            return Undecrypted("it is not encrypted")
        refused: Refusal = Undecrypted("it was encrypted with another key")
        for cipher in self._ciphers:
            try:
                value = strict_json(cipher.decrypt_file(data))
            except Exception:  # noqa: BLE001, S112 - the SDK's ciphers raise whatever they like
                continue  # garbage: it was encrypted in the other way, or with another key
            parsed = parse_payload(value)
            if not isinstance(parsed, Refusal):
                return parsed
            refused = parsed
        return refused


def _plain(payload: Any) -> Mapping[str, Any] | Refusal:  # noqa: ANN401 - JSON
    parsed = payload if isinstance(payload, Refusal) else parse_payload(payload)
    if isinstance(parsed, Refusal) and isinstance(payload, str):
        data = _bytes_of(payload)
        if data and (data.startswith(_HEADER) or not len(data) % _BLOCK):
            return Undecrypted("it looks encrypted, and the Secret has no cipher-key")
    return parsed


def _bytes_of(payload: Any) -> bytes | None:  # noqa: ANN401 - JSON
    """Read what may be encrypted; None: it cannot be."""
    try:
        return base64.b64decode(payload, validate=True) if isinstance(payload, str) else None
    except (binascii.Error, ValueError):
        return None


def _cipher(key: Sensitive, *, random_iv: bool) -> Any:  # noqa: ANN401 - the SDK is not typed
    """Reads messages with the SDK's header, and those without by one of the two forms of IV."""
    configuration = PNConfiguration()
    configuration.cipher_key = key.reveal()
    configuration.use_random_initialization_vector = random_iv
    return LegacyCryptoModule(configuration)
