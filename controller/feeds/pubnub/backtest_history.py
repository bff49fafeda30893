"""A topic's past: what PubNub's history has of it, for backtests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.feeds.base import Past
from controller.feeds.pubnub.answers import UNREADABLE
from controller.feeds.pubnub.client import PubNubConnection
from controller.feeds.pubnub.messages import TICKS, Decoder
from controller.rules.payloads import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.events import Event
    from controller.feeds.base import Span
    from controller.feeds.pubnub.keys import PubNubKeys
    from controller.settings import Settings

__all__ = ["read_past"]


async def read_past(
    keys: PubNubKeys,
    settings: Settings,
    span: Span,
    on_page: Callable[[int], None],
) -> Past:
    """Read all messages of topics between two instants.

    Args:
        keys: The key set.
        settings: Where PubNub is, and how patient to be.
        span: Which topics, from when until when.
        on_page: Called with the number of messages so far.

    Raises:
        TransientError: The history could not be read; the keys may lack the right, or the key set
            Message Persistence.
    """
    connection, decoder = PubNubConnection(keys, settings), Decoder(keys.cipher_key)
    events: list[Event] = []
    refused: list[str] = []
    try:
        for topic in span.topics:
            after, before = int(span.begin * TICKS) - 1, int(span.end * TICKS)
            while True:
                page = await connection.history(topic, after, before)
                for _, message in page.messages:
                    event = decoder.event(message, 0.0, 0.0, lambda _topic, _ticks: True)
                    if isinstance(event, Refusal):
                        refused.append(event.reason)
                    elif event is not None:
                        events.append(event)
                refused += [UNREADABLE.reason] * page.unreadable
                on_page(len(events))
                oldest = min((ticks for ticks, _ in page.messages), default=after)
                if not page.more or oldest <= after:
                    break
                before = oldest
    finally:
        await connection.close()
    return Past(sorted(events, key=lambda event: event.published), refused)
