"""An aiohttp application in the place of an API server, for clients that are told where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from aiohttp.test_utils import TestServer
from kubernetes.aio.client.configuration import Configuration

if TYPE_CHECKING:
    from aiohttp import web


class LocalApi:
    """Serves the application while it is entered."""

    def __init__(self, app: web.Application) -> None:
        self._server = TestServer(app)

    async def __aenter__(self) -> Self:
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.close()

    async def load(self) -> Configuration:
        configuration = Configuration()
        configuration.host = str(self._server.make_url("")).rstrip("/")
        return configuration
