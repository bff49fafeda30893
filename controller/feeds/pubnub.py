"""PubNub → events; beside `pubnub_client` the one file that knows the SDK.

The SDK's own subscribe loop loses or repeats messages in ways that a listener cannot see: after a
reconnect messages come twice, an exception in a callback ends it silently, it gives up for good
after some minutes. So only the SDK's single request is used, and the loop is `Poller`.

Contract: https://www.pubnub.com/docs/sdks/rest-api
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pubnub.crypto import LegacyCryptoModule
from pubnub.pnconfiguration import PNConfiguration

from controller.events import Event
from controller.feeds.health import FeedHealth
from controller.feeds.polling import Poller
from controller.feeds.pubnub_client import PubNubConnection
from controller.rules.payloads import Refusal, parse_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from controller.sensitive import Sensitive
    from controller.settings import Settings

__all__ = ["PubNubFeed", "PubNubKeys"]

logger = logging.getLogger(__name__)

_TICKS = 10_000_000  # of a timetoken, a second
_KEPT_PER_TOPIC = 100  # messages that the network keeps for a subscriber
_KEPT_TOPICS = 100  # that are not listened to any more
_MAX_PATH = 6000  # characters of topics in one request
_QUEUE = 10_000
_CLOCKS_AGREE = 0.5  # seconds; less is the network's latency
_MESSAGE = 0


@dataclass(frozen=True, slots=True)
class PubNubKeys:
    """A key set: what makes two feeds the same feed."""

    subscribe_key: Sensitive
    auth_key: Sensitive | None = None
    cipher_key: Sensitive | None = None


class PubNubFeed:
    """One listener for one key set, whatever number of rules share it.

    Args:
        keys: The key set.
        settings: Origin, TLS and timeouts.
        on_health: Called when the health changes.
        on_malformed: Called with the reason for each message that is no event.

    Attributes:
        events: What was heard, oldest first; bounded: a full queue holds the position back.
    """

    def __init__(
        self,
        keys: PubNubKeys,
        settings: Settings,
        on_health: Callable[[], None],
        on_malformed: Callable[[str], None],
    ) -> None:
        self._on_health = on_health
        self._on_malformed = on_malformed
        self._keys = keys
        self._settings = settings
        self._cipher = _cipher(keys.cipher_key) if keys.cipher_key is not None else None
        self._pollers: list[Poller] = []
        self._connections: list[PubNubConnection] = []
        self._seen: dict[str, OrderedDict[int, None]] = {}
        self.events: asyncio.Queue[Event] = asyncio.Queue(_QUEUE)

    @property
    def health(self) -> FeedHealth:
        """The worst of its requests."""
        return self._worst([poller for poller in self._pollers if poller.topics])

    def health_of(self, topics: Iterable[str]) -> FeedHealth:
        """The worst of the requests that listen to these topics; others are not their matter."""
        wanted = set(topics)
        return self._worst([p for p in self._pollers if not wanted.isdisjoint(p.topics)])

    @staticmethod
    def _worst(pollers: Sequence[Poller]) -> FeedHealth:
        states = [poller.health for poller in pollers]
        if not states:
            return FeedHealth(None, "Connecting", "no topic yet")
        return min(states, key=lambda h: {False: 0, None: 1, True: 2}[h.connected])

    @property
    def denied(self) -> frozenset[str]:
        """Topics that PubNub refuses while it grants others of the key set."""
        return frozenset().union(*(poller.denied for poller in self._pollers))

    @property
    def last_poll(self) -> float | None:
        """When the request that is longest without an answer was last answered."""
        polls = [poller.last_poll for poller in self._pollers if poller.topics]
        answered = [at for at in polls if at is not None]
        return min(answered) if answered and len(answered) == len(polls) else None

    @property
    def alive(self) -> bool:
        """Whether all its loops run."""
        return all(poller.alive for poller in self._pollers)

    def set_topics(self, windows: Mapping[str, float]) -> None:
        """Listen to these topics from now on, without a gap for those that stay.

        Args:
            windows: Topic → seconds before now from which it is heard when it is new.
        """
        self._forget(windows.keys())
        left = dict(windows)
        shares = [
            {topic: left.pop(topic) for topic in poller.topics if topic in left}
            for poller in self._pollers
        ]
        room = [_MAX_PATH - _length(share) for share in shares]
        for topic, window in sorted(left.items()):
            length = _length([topic])
            place = next((i for i, free in enumerate(room) if free >= length), len(room))
            if place == len(room):
                shares.append({})
                room.append(_MAX_PATH)
                self._pollers.append(self._new_poller())
            shares[place][topic] = window
            room[place] -= length
        for poller, share in zip(self._pollers, shares, strict=True):
            poller.set_topics(share)

    async def close(self) -> None:
        """Stop, and give the connections back."""
        await asyncio.gather(*(poller.close() for poller in self._pollers))
        await asyncio.gather(*(connection.close() for connection in self._connections))

    def _new_poller(self) -> Poller:
        connection = PubNubConnection(self._keys, self._settings)
        self._connections.append(connection)
        cut_after = self._settings.subscribe_timeout
        return Poller(
            connection.subscribe, self._take, self._on_health, ticks=_TICKS, cut_after=cut_after
        )

    async def _take(self, messages: Sequence[Any], ahead: float) -> None:
        received = time.monotonic()
        # Ages are told by this machine's clock: where it is off, PubNub's times are moved to it.
        shift = ahead if abs(ahead) >= _CLOCKS_AGREE else 0.0
        for message in messages:
            try:
                event = self._event(message, received, shift)
            except Exception:
                # A fault of ours with one message must not hold the others back.
                logger.exception("a message was not understood")
                self._on_malformed("an internal fault")
                continue
            if event is not None:
                await self.events.put(event)

    def _event(self, message: Any, received: float, shift: float) -> Event | None:  # noqa: ANN401 - JSON
        """Turn one message into an event; anything else is counted and dropped."""
        try:
            topic, ticks = str(message["c"]), int(message["p"]["t"])
            payload, kind = message["d"], int(message.get("e") or _MESSAGE)
            published = ticks / _TICKS - shift
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
            self._on_malformed("the envelope is not PubNub's")
            return None
        if kind != _MESSAGE or not self._is_new(topic, ticks):
            return None
        parsed = parse_payload(self._decrypted(payload))
        if isinstance(parsed, Refusal):
            self._on_malformed(f"on topic {topic}: {parsed.reason}")
            return None
        return Event(topic, str(ticks), published, received, parsed)

    def _decrypted(self, payload: Any) -> Any:  # noqa: ANN401 - JSON
        if self._cipher is None:
            return payload
        try:
            return self._cipher.decrypt(payload)
        except Exception:  # noqa: BLE001 - the SDK's ciphers raise whatever their libraries do
            # None is no JSON object, and so counted as malformed; the exception may quote text.
            return None

    def _is_new(self, topic: str, ticks: int) -> bool:
        """Whether a message was not heard before; by topic, so that a busy one drowns no other."""
        seen = self._seen.setdefault(topic, OrderedDict())
        if ticks in seen:
            return False
        seen[ticks] = None
        while len(seen) > 2 * _KEPT_PER_TOPIC:
            seen.popitem(last=False)
        return True

    def _forget(self, topics: Collection[str]) -> None:
        """Drop what was heard on topics of the past, but for some that may come back."""
        gone = [topic for topic in self._seen if topic not in topics]
        for topic in gone[:-_KEPT_TOPICS]:
            del self._seen[topic]


def _cipher(key: Sensitive) -> Any:  # noqa: ANN401 - the SDK is not typed
    """Reads both forms of encrypted messages: with the SDK's header and, of older SDKs, without."""
    configuration = PNConfiguration()
    configuration.cipher_key = key.reveal()
    return LegacyCryptoModule(configuration)


def _length(topics: Iterable[str]) -> int:
    return sum(len(quote(topic)) + 1 for topic in topics)
