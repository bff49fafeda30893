"""POST /setup/: a broadcaster finished the setup of the extension in its own front end."""

from __future__ import annotations

import json
import re
import time
from typing import TYPE_CHECKING

from starlette.requests import Request  # noqa: TC002 - FastAPI reads the annotations
from starlette.responses import Response  # noqa: TC002

from controller.gateway.answers import Refusal, answer, channel_not_allowed
from controller.gateway.helper_jwt import BadHelperToken, read_helper_token
from controller.gateway.request_context import CHANNEL, VERSION, request_context
from controller.gateway.upstream import MAX_CONTENT, calling, signer_of

if TYPE_CHECKING:
    from controller.clients.extension_jwt import Extension
    from controller.clients.extensions import Extensions, UpstreamAnswer
    from controller.gateway.catalog import Endpoint
    from controller.gateway.helper_jwt import Viewer
    from controller.gateway.metrics import GatewayMetrics

__all__ = ["Setup"]

_VERSION = re.compile(r"[A-Za-z0-9._+-]{1,32}")


class Setup:
    """Answers /setup/.

    Args:
        extensions: Calls Twitch.
        metrics: Are kept.
    """

    def __init__(self, extensions: Extensions, metrics: GatewayMetrics) -> None:
        self._extensions = extensions
        self._metrics = metrics

    async def answer(self, request: Request) -> Response:
        """Check in the order of the contract, then mark the channel as configured.

        Raises:
            Refusal: A check failed, or Twitch did.
        """
        context = request_context(request)
        token = context.bearer()
        if token is None:
            raise _forbidden("invalid_authorization", "A JWT of Twitch's helper is required.")
        context.wait_for_catalog()
        served = context.extension()
        signer = signer_of(served)
        viewer = _broadcaster(token, served)
        channel = context.required(CHANNEL)
        if channel != viewer.channel_id:
            raise channel_not_allowed(channel, [viewer.channel_id])
        version = context.required(VERSION)
        if not _VERSION.fullmatch(version):
            raise Refusal(400, {"detail": f"Invalid {VERSION} header"})
        if served.required_configuration is not None:
            await self._set(signer, channel, version, served.required_configuration)
        return answer(200, {})

    async def _set(self, signer: Extension, channel: str, version: str, value: str) -> None:
        with calling(self._metrics, "required_configuration"):
            told = await self._extensions.set_required_configuration(
                signer, channel, version, value
            )
        if not 200 <= told.status <= 299:
            raise _unexpected(told)


def _broadcaster(token: str, served: Endpoint) -> Viewer:
    """The broadcaster that a token shows.

    Raises:
        Refusal: It shows nobody, or somebody else.
    """
    try:
        viewer = read_helper_token(token, served.secrets, time.time())
    except BadHelperToken as error:
        raise _forbidden(error.error, error.detail) from None
    if viewer.role != "broadcaster":
        raise _forbidden("unauthorized_role", "Only the broadcaster may do this.")
    if not viewer.linked or not viewer.user_id:
        raise _forbidden(
            "account_not_linked",
            "The broadcaster does not share their identity with the extension.",
        )
    return viewer


def _forbidden(error: str, detail: str) -> Refusal:
    return Refusal(403, {"error": error, "detail": detail})


def _unexpected(told: UpstreamAnswer) -> Refusal:
    return Refusal(
        502,
        {
            "error": "bad_upstream",
            "detail": "Unexpected response from Twitch API.",
            "upstream_status_code": told.status,
            "upstream_data": _data_of(told.content[:MAX_CONTENT]),
        },
    )


def _data_of(content: str) -> object:
    """What Twitch said, as an object where it is one."""
    try:
        data = json.loads(content)
        json.dumps(data, allow_nan=False)  # which it may not be, though Python could read it
    except (ValueError, RecursionError):
        return content
    return data if isinstance(data, dict) else content
