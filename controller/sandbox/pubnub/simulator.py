"""A simulated PubNub on loopback, for the demo, the tests and users' own CI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.sandbox.pubnub.control import Control, refuse_surplus
from controller.sandbox.pubnub.server import PubNubServer

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["PubNubSimulator"]


class PubNubSimulator(PubNubServer):
    """A network that is controlled over HTTP, too.

    `async with PubNubSimulator() as pubnub: … pubnub.origin`; the arguments are its base's.
    """

    def _application(self) -> web.Application:
        app = super()._application()
        control = Control(self)
        control.add_routes(app)
        app.middlewares.append(refuse_surplus)
        app.on_cleanup.append(control.stop)
        return app
