"""One connection to PubNub: single requests of the SDK's, and what their failures mean.

What the SDK was seen to do, and is met here: its own subscribe loop needs a stand-in to stay away;
keys go into the query as they are; cancelling a request in the instant of its answer loses a
connection of its pool for good; building its TLS context blocks for a tenth of a second; it reads
an answer of any size; one message that Python's parser does not take spoils the whole answer.
"""

from __future__ import annotations

import asyncio
import json
import time
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import httpx
from pubnub.endpoints.endpoint import Endpoint
from pubnub.endpoints.fetch_messages import FetchMessages
from pubnub.endpoints.pubsub.subscribe import Subscribe
from pubnub.exceptions import PubNubException
from pubnub.pnconfiguration import PNConfiguration
from pubnub.pubnub_asyncio import PubNubAsyncio
from pubnub.request_handlers.async_httpx import (
    AsyncHttpxRequestHandler,
    PubNubAsyncHTTPTransport,
)

from controller.clients.faults import in_words
from controller.errors import TransientError
from controller.feeds.pubnub.answers import ITEM, MAX_ANSWER, split
from controller.feeds.pubnub.exchange import AccessDenied, AnswerTooLarge, Batch
from controller.feeds.pubnub.history import Page
from controller.feeds.pubnub.spec import PubNubSettings
from controller.feeds.turns import in_turns
from controller.rules.payloads import Refusal

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from controller.feeds.pace import Pace
    from controller.feeds.pubnub.keys import PubNubKeys
    from controller.settings import Settings

__all__ = ["PubNubConnection"]

_CONNECT_TIMEOUT = 10
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
        self._configuration = _configuration(keys, settings)
        self._client = _client(self._configuration)
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
        request = _Subscribe(self._client, channels=sorted(topics), timetoken=str(position))
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
        request = _FetchMessages(
            self._client,
            channels=[topic],
            start=before,
            end=after + 1,
            count=_PAGE,
            include_message_type=True,
        )
        return await self._ask(request, self._page, topic)

    async def _ask(
        self, request: _Unparsed, read: Callable[[bytes, str], Awaitable[T]], topic: str = ""
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
                messages.append(value)
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
        old, self._client = self._client, _client(self._configuration)
        self._cancelled = 0
        await old.stop()


class _Unparsed(Endpoint):  # type: ignore[misc]
    """A request of the SDK's, with an answer that is not parsed."""

    def non_json_response(self) -> bool:
        return True

    def create_response(self, _response: httpx.Response, body: bytes) -> bytes:
        return body


class _Subscribe(_Unparsed, Subscribe):  # type: ignore[misc]
    """Long poll."""


class _FetchMessages(_Unparsed, FetchMessages):  # type: ignore[misc]
    """History."""


class _NoSubscriptions:
    """Stands where the SDK keeps its own subscribe loop."""

    def __init__(self, _pubnub: object) -> None:
        pass

    def get_custom_params(self) -> dict[str, str]:
        return {}

    def stop(self) -> None:
        pass


class _Transport(PubNubAsyncHTTPTransport):  # type: ignore[misc]
    """Reads no more of an answer than `MAX_ANSWER`; none is compressed, so that this is all."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = "identity"
        response: httpx.Response = await super().handle_async_request(request)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.aclose()
            msg = "PubNub answered compressed, though that was not asked for"
            raise TransientError(msg)
        response.stream = _Bounded(response.stream)
        return response


class _Bounded(httpx.AsyncByteStream):
    def __init__(self, stream: Any) -> None:  # noqa: ANN401 - httpx types it as either kind
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_ANSWER
        async for part in self._stream:
            left -= len(part)
            if left < 0:
                msg = f"an answer of PubNub is larger than {MAX_ANSWER // 1024} KiB"
                raise AnswerTooLarge(msg)
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


class _SharedContext(AsyncHttpxRequestHandler):  # type: ignore[misc]
    """The SDK's request handler, with one TLS context for all clients."""

    def __init__(self, pubnub: PubNubAsyncio) -> None:
        self.pubnub = pubnub
        secure = pubnub.config.ssl
        self._connector = _Transport(
            verify=_tls_context() if secure else False,
            http2=secure,
            limits=httpx.Limits(max_connections=10, keepalive_expiry=30),
        )


@cache
def _tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _client(configuration: PNConfiguration) -> PubNubAsyncio:
    return PubNubAsyncio(
        configuration,
        subscription_manager=_NoSubscriptions,
        custom_request_handler=_SharedContext,
    )


def _configuration(keys: PubNubKeys, settings: Settings) -> PNConfiguration:
    configuration = PNConfiguration()
    configuration.disable_config_locking = False
    configuration.subscribe_key = keys.subscribe_key.reveal()
    configuration.uuid = "twitch-operator"
    own = settings.part(PubNubSettings)
    configuration.origin, configuration.ssl = own.origin, own.tls
    configuration.connect_timeout = _CONNECT_TIMEOUT
    configuration.subscribe_request_timeout = int(settings.subscribe_timeout) + _CONNECT_TIMEOUT
    if keys.auth_key is not None:
        configuration.auth_key = quote(keys.auth_key.reveal(), safe="")
    return configuration


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
