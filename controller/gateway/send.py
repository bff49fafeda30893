"""POST /send/: a message from somebody with a bearer token to the viewers of their channel."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002

from controller.clients.extension_jwt import Perms
from controller.gateway.answers import Refusal, answer, channel_not_allowed, not_ready, unauthorized
from controller.gateway.bodies import envelope_of, read_body
from controller.gateway.providers import InvalidToken, ProviderUnavailable
from controller.gateway.request_context import CHANNEL, request_context
from controller.gateway.upstream import MAX_CONTENT, calling, signer_of
from controller.policies.buckets import Buckets

if TYPE_CHECKING:
    from controller.clients.extensions import Extensions
    from controller.gateway.authorizer import Authorizer
    from controller.gateway.catalog import Catalog, Endpoint
    from controller.gateway.metrics import GatewayMetrics
    from controller.gateway.providers import Principal, Provider
    from controller.gateway.request_context import RequestContext

__all__ = ["Sending"]

logger = logging.getLogger(__name__)

_TRY_AGAIN = 5.0  # seconds; where a provider that is down does not say


class Sending:
    """Answers /send/.

    Args:
        catalog: What is served.
        authorizer: Knows whose a bearer token is.
        extensions: Calls Twitch.
        metrics: Are kept.
    """

    def __init__(
        self,
        catalog: Catalog,
        authorizer: Authorizer,
        extensions: Extensions,
        metrics: GatewayMetrics,
    ) -> None:
        self._catalog = catalog
        self._authorizer = authorizer
        self._extensions = extensions
        self._metrics = metrics
        # Twitch has a bucket for each client id and channel: 100 messages, and one more a second.
        self._buckets: Buckets[tuple[str, str]] = Buckets()

    async def answer(self, request: Request) -> Response:
        """Check in the order of the contract, then send.

        Raises:
            Refusal: A check failed, or Twitch did.
            ClientDisconnect: The client has gone before its request was read.
        """
        context = request_context(request)
        principal = await self._principal(context)
        channel = context.required(CHANNEL)
        if principal is not None and channel not in principal.channels:
            raise channel_not_allowed(channel, principal.channels)
        served = context.extension()
        message = envelope_of(await read_body(request))
        return await self._send(served, channel, message)

    async def _principal(self, context: RequestContext) -> Principal | None:
        """Whose the bearer token is; None: there is nobody to ask who may see it.

        A token is shown to the provider of the extension that the request names. One that names
        an extension that is not served is refused for that by a later check.

        Raises:
            Refusal: Nobody's; or it is not known at present.
        """
        token = context.bearer()
        if token is None:
            raise unauthorized("A bearer token is required.")
        context.wait_for_catalog()
        if context.served is not None:
            provider = context.served.oauth
            if provider is None:
                raise unauthorized("No OAuth2 provider is configured for the extension.")
        else:
            provider = None if context.client_id else self._catalog.lone_provider()
        return None if provider is None else await self._authorize(provider, token, context)

    async def _authorize(
        self, provider: Provider, token: str, context: RequestContext
    ) -> Principal:
        results = self._metrics.authorizations
        try:
            principal = await self._authorizer.authorize(provider, token)
        except InvalidToken:
            results.labels("Refused").inc()
            raise unauthorized("The bearer token is not valid.") from None
        except ProviderUnavailable as error:
            results.labels("Unavailable").inc()
            logger.warning("%s: bearer tokens cannot be checked: %s", context.label, error)
            raise not_ready(
                "authorization_unavailable",
                "The OAuth2 provider cannot be asked at present.",
                error.retry_after or _TRY_AGAIN,
            ) from None
        results.labels("Accepted").inc()
        return principal

    async def _send(self, served: Endpoint, channel: str, message: str) -> Response:
        signer = signer_of(served)
        bucket = (served.client_id, channel)
        wait = self._buckets.use(bucket).take(time.monotonic())
        if wait > 0:
            raise _rate_limited(wait)
        with calling(self._metrics, "pubsub"):
            told = await self._extensions.send(signer, Perms(channel, "broadcast"), message)
        if told.status == 429:
            self._buckets.use(bucket).drain(time.monotonic())
        return answer(
            200 if told.accepted else 502,
            {
                "status": told.status,
                "content_type": told.content_type,
                "content": told.content[:MAX_CONTENT],
            },
        )


def _rate_limited(wait: float) -> Refusal:
    seconds = max(1, math.ceil(wait))
    return Refusal(
        429,
        {
            "error": "rate_limited",
            "detail": "Twitch takes 100 messages of an extension for a channel, and one more each"
            f" second: the next in {seconds} s.",
        },
        {"Retry-After": str(seconds)},
    )
