"""The PubNub SDK, reduced to single requests.

What it does wrong, and is met here: its own subscribe loop needs a stand-in to stay away; keys go
into the query as they are; building its TLS context blocks for a tenth of a second; it reads an
answer of any size.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
from pubnub.endpoints.endpoint import Endpoint
from pubnub.endpoints.fetch_messages import FetchMessages
from pubnub.endpoints.pubsub.subscribe import Subscribe
from pubnub.pnconfiguration import PNConfiguration
from pubnub.pubnub_asyncio import PubNubAsyncio
from pubnub.request_handlers.async_httpx import (
    AsyncHttpxRequestHandler,
    PubNubAsyncHTTPTransport,
)

from controller.errors import TransientError
from controller.feeds.pubnub.answers import MAX_ANSWER
from controller.feeds.pubnub.exchange import AnswerTooLarge
from controller.feeds.pubnub.spec import PubNubSettings

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from controller.feeds.pubnub.keys import PubNubKeys
    from controller.settings import Settings

__all__ = [
    "HistoryRequest",
    "SubscribeRequest",
    "Unparsed",
    "new_client",
    "new_configuration",
]

_CONNECT_TIMEOUT = 10


class Unparsed(Endpoint):  # type: ignore[misc]
    """A request of the SDK's, with an answer that is not parsed."""

    def non_json_response(self) -> bool:
        """Do not parse."""
        return True

    def create_response(self, _response: httpx.Response, body: bytes) -> bytes:
        """Return the body."""
        return body


class SubscribeRequest(Unparsed, Subscribe):  # type: ignore[misc]
    """Long poll."""


class HistoryRequest(Unparsed, FetchMessages):  # type: ignore[misc]
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


def new_client(configuration: PNConfiguration) -> PubNubAsyncio:
    """Make a client that listens to nothing by itself."""
    return PubNubAsyncio(
        configuration,
        subscription_manager=_NoSubscriptions,
        custom_request_handler=_SharedContext,
    )


def new_configuration(keys: PubNubKeys, settings: Settings) -> PNConfiguration:
    """Return what the SDK must know."""
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
