"""Messages of PubNub's wire → events; with `pubnub_client` one of the files that know the SDK."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pubnub.crypto import LegacyCryptoModule
from pubnub.pnconfiguration import PNConfiguration

from controller.events import Event
from controller.rules.payloads import Refusal, parse_payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.sensitive import Sensitive

__all__ = ["TICKS", "Decoder"]

TICKS = 10_000_000
"""Units of a timetoken in a second."""

_MESSAGE = 0


class Decoder:
    """Reads the messages of one key set.

    Args:
        cipher_key: Of the key set, if its messages are encrypted.
    """

    def __init__(self, cipher_key: Sensitive | None) -> None:
        self._cipher = _cipher(cipher_key) if cipher_key is not None else None

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
            it is no event.
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
        parsed = parse_payload(self._decrypted(payload))
        if isinstance(parsed, Refusal):
            return Refusal(f"on topic {topic}: {parsed.reason}")
        return Event(topic, str(ticks), published, received, parsed)

    def _decrypted(self, payload: Any) -> Any:  # noqa: ANN401 - JSON
        if self._cipher is None:
            return payload
        try:
            return self._cipher.decrypt(payload)
        except Exception:  # noqa: BLE001 - the SDK's ciphers raise whatever their libraries do
            # None is no JSON object, and so counted as malformed; the exception may quote text.
            return None


def _cipher(key: Sensitive) -> Any:  # noqa: ANN401 - the SDK is not typed
    """Reads both forms of encrypted messages: with the SDK's header and, of older SDKs, without."""
    configuration = PNConfiguration()
    configuration.cipher_key = key.reveal()
    return LegacyCryptoModule(configuration)
