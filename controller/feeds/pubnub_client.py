"""One connection to PubNub: single requests of the SDK's, and what their failures mean.

What the SDK was seen to do, and is met here: its own subscribe loop needs a stand-in to stay away;
keys go into the query as they are; cancelling a request in the instant of its answer loses a
connection of its pool for good; building its TLS context blocks for a tenth of a second; one
message that Python's parser does not take spoils the whole answer, and the same one ever again.
"""

from __future__ import annotations

import asyncio
import json
import re
from functools import cache, partial
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

from controller.errors import TransientError
from controller.feeds.exchange import AccessDenied, Batch
from controller.feeds.history import Page

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from controller.feeds.pubnub import PubNubKeys
    from controller.settings import Settings

__all__ = ["PubNubConnection"]

_CONNECT_TIMEOUT = 10
_MOST_CANCELLED = 20
_PAGE = 100  # messages; PubNub gives no more at once
_MOST_DIGITS = 400  # the largest double has 309
_DEEPEST = 64  # levels of an answer; an event has at most 32
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]', re.DOTALL)

T = TypeVar("T")


class PubNubConnection:
    """Asks for messages; replaces its client when that may have lost connections."""

    def __init__(self, keys: PubNubKeys, settings: Settings) -> None:
        self._configuration = _configuration(keys, settings)
        self._client = _client(self._configuration)
        self._cancelled = 0

    async def subscribe(self, topics: frozenset[str], position: int, region: str | None) -> Batch:
        """One request for what came after a position.

        Raises:
            AccessDenied: The access manager refuses.
            TransientError: Anything else.
        """
        if self._cancelled >= _MOST_CANCELLED:
            await self._replace()
        request = _Subscribe(self._client, channels=sorted(topics), timetoken=str(position))
        if region is not None:
            request.region(region)
        return await self._ask(request, _batch)

    async def history(self, topic: str, after: int, before: int) -> Page:
        """One request for the newest messages of a topic between two positions, both exclusive.

        Raises:
            AccessDenied: The access manager refuses, or the key set has no history.
            TransientError: Anything else.
        """
        request = _FetchMessages(
            self._client,
            channels=[topic],
            start=before,
            end=after + 1,
            count=_PAGE,
            include_message_type=True,
        )
        return await self._ask(request, partial(_page, topic))

    async def _ask(self, request: _Unparsed, read: Callable[[Any], T]) -> T:
        try:
            return read(_read(await request.result()))
        except asyncio.CancelledError:
            self._cancelled += 1
            raise
        except PubNubException as error:
            raise _failure(error) from None
        except Exception as error:  # noqa: BLE001 - the SDK lets anything through
            # httpx, TLS and JSON errors; the request's URL, which they may quote, holds the keys.
            # Others may use the client as yet: the next poll gets another one.
            self._cancelled = _MOST_CANCELLED
            msg = f"PubNub did not answer as it should: {type(error).__name__}"
            raise TransientError(msg) from None

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


class _SharedContext(AsyncHttpxRequestHandler):  # type: ignore[misc]
    """The SDK's request handler, with one TLS context for all clients."""

    def __init__(self, pubnub: PubNubAsyncio) -> None:
        self.pubnub = pubnub
        secure = pubnub.config.ssl
        self._connector = PubNubAsyncHTTPTransport(
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
    configuration.origin = settings.pubnub_origin
    configuration.ssl = settings.pubnub_tls
    configuration.connect_timeout = _CONNECT_TIMEOUT
    configuration.subscribe_request_timeout = int(settings.subscribe_timeout) + _CONNECT_TIMEOUT
    if keys.auth_key is not None:
        configuration.auth_key = quote(keys.auth_key.reveal(), safe="")
    return configuration


def _read(body: bytes) -> Any:  # noqa: ANN401 - JSON
    """Parse an answer; what Python does not take of a message is made what it takes."""
    try:
        return json.loads(body, parse_int=_whole)
    except RecursionError:
        return json.loads(_flattened(body), parse_int=_whole)


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _flattened(body: bytes) -> bytes:
    """Put null in the place of what is nested deeper than `_DEEPEST`."""
    kept: list[bytes] = []
    depth = start = 0
    for token in _TOKEN.finditer(body):
        if token[0] in (b"[", b"{"):
            depth += 1
            if depth == _DEEPEST + 1:
                kept += body[start : token.start()], b"null"
        elif token[0] in (b"]", b"}"):
            if depth == _DEEPEST + 1:
                start = token.end()
            depth -= 1
    return b"".join((*kept, body[start:]))


def _batch(answer: Any) -> Batch:  # noqa: ANN401 - JSON
    token = answer["t"]
    region, messages = token.get("r"), answer.get("m") or []
    if not isinstance(messages, list):
        msg = "the messages are no list"
        raise TypeError(msg)
    return Batch(int(token["t"]), None if region is None else str(region), messages)


def _page(topic: str, answer: Any) -> Page:  # noqa: ANN401 - JSON
    """Read a part of the history, in the shape in which polls bring messages."""
    messages = [message for found in answer["channels"].values() for message in found]
    found = [
        (
            int(each["timetoken"]),
            {
                "c": topic,
                "p": {"t": each["timetoken"]},
                "d": each["message"],
                "e": each.get("message_type"),
            },
        )
        for each in messages
    ]
    return Page(found, more=len(found) >= _PAGE or "more" in answer)


def _failure(error: PubNubException) -> TransientError:
    status = error.get_status_code()
    if status == 403:
        return AccessDenied("PubNub refuses the keys or a topic (403)", _forbidden(error))
    return TransientError(f"PubNub answered {status}" if status else "PubNub did not answer")


def _forbidden(error: PubNubException) -> frozenset[str]:
    """Topics that a 403 names; none where it names none, or cannot be read."""
    try:
        channels = json.loads(error._errormsg)["payload"]["channels"]  # noqa: SLF001 - no other way
        return frozenset(channel for channel in channels if isinstance(channel, str))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return frozenset()
