"""One connection to PubNub: single requests of the SDK's, and what their failures mean.

What the SDK does wrong, and is met here: cancelling a request in the instant of its answer loses a
connection of its pool for good, and one message that Python's parser does not take spoils the whole
answer. See `sdk` for the rest.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, TypeVar

from pubnub.exceptions import PubNubException

from controller.clients.network_errors import in_words
from controller.errors import TransientError
from controller.feeds.pubnub.answers import ITEM, MAX_ANSWER, split
from controller.feeds.pubnub.exchange import AccessDenied, AnswerTooLarge, Batch
from controller.feeds.pubnub.gaps import Page
from controller.feeds.pubnub.sdk import (
    HistoryRequest,
    SubscribeRequest,
    new_client,
    new_configuration,
)
from controller.feeds.turns import in_turns
from controller.rules.payloads import Refusal, parse_payload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from controller.feeds.pace import Pace
    from controller.feeds.pubnub.keys import PubNubKeys
    from controller.feeds.pubnub.sdk import Unparsed
    from controller.settings import Settings

__all__ = ["PubNubConnection"]

_MOST_CANCELLED = 20
_PAGE = 100  # messages; PubNub gives no more at once

T = TypeVar("T")


class PubNubConnection:
    """Asks for messages; replaces its client when that may have lost connections.

    Args:
        keys: The key set.
        settings: Origin, TLS and timeouts.
        pace: Told what came; None: it may be any amount.
    """

    def __init__(self, keys: PubNubKeys, settings: Settings, pace: Pace | None = None) -> None:
        self._pace = pace
        self._configuration = new_configuration(keys, settings)
        self._client = new_client(self._configuration)
        self._cancelled = 0

    async def subscribe(self, topics: frozenset[str], position: int, region: str | None) -> Batch:
        """One request for what came after a position.

        Raises:
            AccessDenied: The access manager refuses.
            AnswerTooLarge: More came than is read.
            TransientError: Anything else.
        """
        if self._cancelled >= _MOST_CANCELLED:
            await self._replace()
        request = SubscribeRequest(self._client, channels=sorted(topics), timetoken=str(position))
        if region is not None:
            request.region(region)
        return await self._ask(request, self._batch)

    async def history(self, topic: str, after: int, before: int) -> Page:
        """One request for the newest messages of a topic between two positions, both exclusive.

        Raises:
            AccessDenied: The access manager refuses, or the key set has no history.
            TransientError: Anything else.
        """
        if self._pace is not None and self._pace.wait(time.monotonic()):
            msg = "the key set brings too much at once for that"
            raise TransientError(msg)
        request = HistoryRequest(
            self._client,
            channels=[topic],
            start=before,
            end=after + 1,
            count=_PAGE,
            include_message_type=True,
        )
        return await self._ask(request, self._page, topic)

    async def _ask(
        self, request: Unparsed, read: Callable[[bytes, str], Awaitable[T]], topic: str = ""
    ) -> T:
        try:
            return await read(await request.result(), topic)
        except asyncio.CancelledError:
            self._cancelled += 1
            raise
        except TransientError as error:
            if isinstance(error, AnswerTooLarge):
                self._spend(MAX_ANSWER, 0)
            raise
        except PubNubException as error:
            raise _failure(error) from None
        except Exception as error:  # noqa: BLE001 - the SDK lets anything through
            # httpx, TLS and JSON errors; the request's URL, which they may quote, holds the keys.
            # Others may use the client as yet: the next poll gets another one.
            self._cancelled = _MOST_CANCELLED
            msg = f"PubNub did not answer as it should: {in_words(error)}"
            raise TransientError(msg) from None

    async def _batch(self, body: bytes, _topic: str) -> Batch:
        token: Any = None
        messages: list[Any] = []
        async for path, value in in_turns(split(_text(body), levels=1)):
            if path == ("t",):
                token = value
            elif path == ("m", ITEM):
                messages.append(_without_refused(value))
            elif path == ("m",) and value is not None:
                msg = "the messages are not a list"
                raise TypeError(msg)
        self._spend(len(body), len(messages))
        region = token.get("r")
        return Batch(int(token["t"]), None if region is None else str(region), messages)

    async def _page(self, body: bytes, topic: str) -> Page:
        """Read a part of the history, in the shape in which polls bring messages."""
        found: list[tuple[int, Any]] = []
        unreadable, more = 0, False
        async for path, value in in_turns(split(_text(body), levels=2)):
            if path[:1] == ("more",):
                more = True
            elif (path == ("channels",) and value is not None) or (path == ("error",) and value):
                msg = "no history"
                raise TypeError(msg)
            elif path[:1] != ("channels",) or path[2:] != (ITEM,):
                continue
            elif isinstance(value, Refusal):
                unreadable += 1
            else:
                place, kind = value["timetoken"], value.get("message_type")
                wire = {"c": topic, "p": {"t": place}, "d": value["message"], "e": kind}
                found.append((int(place), wire))
        count = len(found) + unreadable
        self._spend(len(body), count)
        return Page(found, more or count >= _PAGE, unreadable)

    def _spend(self, size: int, messages: int) -> None:
        if self._pace is not None:
            self._pace.spend(size, messages, time.monotonic())

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.stop()

    async def _replace(self) -> None:
        old, self._client = self._client, new_client(self._configuration)
        self._cancelled = 0
        await old.stop()


def _without_refused(message: Any) -> Any:  # noqa: ANN401 - JSON
    """Drop a payload that is refused: a hundred hold a million lists for the garbage collector."""
    payload = message.get("d") if isinstance(message, dict) else None
    parsed = parse_payload(payload) if isinstance(payload, dict) else None
    return message | {"d": parsed} if isinstance(parsed, Refusal) else message


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8", "surrogatepass")  # as Python's parser does
    except UnicodeDecodeError:
        return body.decode("utf-8", "replace")  # strange bytes in one message spoil no other


def _failure(error: PubNubException) -> TransientError:
    status = error.get_status_code()
    if status == 403:
        return AccessDenied("PubNub refuses the keys or a topic (403)", _forbidden(error))
    if status == 400 and "subscribe key" in str(error._errormsg).lower():  # noqa: SLF001 - no other
        return AccessDenied("PubNub does not know the subscribe key (400)", frozenset())
    return TransientError(f"PubNub answered {status}" if status else "PubNub did not answer")


def _forbidden(error: PubNubException) -> frozenset[str]:
    """Topics that a 403 names; none where it names none, or cannot be read."""
    try:
        channels = json.loads(error._errormsg)["payload"]["channels"]  # noqa: SLF001 - no other way
        return frozenset(channel for channel in channels if isinstance(channel, str))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return frozenset()
