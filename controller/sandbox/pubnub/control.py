"""The control endpoints of the simulated network, under `/_sandbox`."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from controller.sandbox.faults import CONTROL_PATH, Fault
from controller.sandbox.orders import bad_order, described, order_middleware
from controller.sandbox.pubnub.access import KeySet

if TYPE_CHECKING:
    from controller.sandbox.pubnub.server import PubNubServer

__all__ = ["Control", "refuse_surplus"]

_FAULTS = TypeAdapter(list[Fault])


class _Refusal(BaseModel):
    model_config = ConfigDict(extra="forbid")

    seconds: float = Field(gt=0, le=3600)


_ENDPOINTS: tuple[tuple[str, str, str, type[BaseModel] | None], ...] = (
    ("GET", "", "This list.", None),
    ("GET", "/counters", "Open polls, subscribes and messages by subscribe key.", None),
    ("GET", "/requests", "The last requests, oldest first.", None),
    ("DELETE", "/requests", "Forget them.", None),
    ("GET", "/faults", "The faults still to come.", None),
    ("POST", "/faults", "Let requests go wrong: one fault, or a list.", Fault),
    ("DELETE", "/faults", "Take back all faults.", None),
    ("POST", "/keys", "Add or replace a key set; PUT does the same.", KeySet),
    ("POST", "/history", "Switch message persistence on; ?key= names a subscribe key.", None),
    ("DELETE", "/history", "Switch it off: history is refused.", None),
    ("POST", "/drop-polls", "Close the connections of all open long polls.", None),
    ("POST", "/silence", "Accept requests and never answer.", None),
    ("DELETE", "/silence", "Answer again.", None),
    ("POST", "/refuse", "Refuse connections for a while.", _Refusal),
)
refuse_surplus = order_middleware(
    CONTROL_PATH,
    (*_ENDPOINTS, ("PUT", "/keys", "", KeySet)),
    {("POST", "/history", "key"), ("DELETE", "/history", "key")},
)


class Control:
    """Puts the control of a simulator on HTTP.

    Args:
        simulator: The one to control.
    """

    def __init__(self, simulator: PubNubServer) -> None:
        self._simulator = simulator
        self._pause: asyncio.Task[None] | None = None

    def add_routes(self, app: web.Application) -> None:
        """Put the endpoints on an application."""
        app.add_routes(
            [
                web.get(CONTROL_PATH, self._index),
                web.get(CONTROL_PATH + "/counters", self._counters),
                web.get(CONTROL_PATH + "/requests", self._requests),
                web.delete(CONTROL_PATH + "/requests", self._forget),
                web.get(CONTROL_PATH + "/faults", self._faults),
                web.post(CONTROL_PATH + "/faults", self._add_faults),
                web.delete(CONTROL_PATH + "/faults", self._clear_faults),
                web.post(CONTROL_PATH + "/keys", self._put_keys),
                web.put(CONTROL_PATH + "/keys", self._put_keys),
                web.post(CONTROL_PATH + "/history", self._history),
                web.delete(CONTROL_PATH + "/history", self._history),
                web.post(CONTROL_PATH + "/drop-polls", self._drop_polls),
                web.post(CONTROL_PATH + "/silence", self._silence),
                web.delete(CONTROL_PATH + "/silence", self._speak),
                web.post(CONTROL_PATH + "/refuse", self._refuse),
            ]
        )

    async def stop(self, _app: web.Application) -> None:
        """End a pause that still runs."""
        if self._pause is not None:
            self._pause.cancel()

    async def _index(self, _request: web.Request) -> web.Response:
        origin = self._simulator.origin
        endpoints = [described(m, CONTROL_PATH + p, does, body) for m, p, does, body in _ENDPOINTS]
        return web.json_response(
            {"service": "simulated PubNub", "origin": origin, "endpoints": endpoints}
        )

    async def _counters(self, _request: web.Request) -> web.Response:
        return web.json_response(self._simulator.counters())

    async def _requests(self, _request: web.Request) -> web.Response:
        return web.json_response([asdict(seen) for seen in self._simulator.requests])

    async def _forget(self, _request: web.Request) -> web.Response:
        self._simulator.requests.clear()
        return web.Response(status=204)

    async def _faults(self, _request: web.Request) -> web.Response:
        pending = self._simulator.faults.pending()
        return web.json_response([fault.model_dump() for fault in pending])

    async def _add_faults(self, request: web.Request) -> web.Response:
        try:
            text = (await request.read()).strip()
            faults = _FAULTS.validate_json(text if text.startswith(b"[") else b"[%b]" % text)
        except ValidationError as error:
            raise bad_order(error, Fault) from None
        self._simulator.faults.add(*faults)
        return await self._faults(request)

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self._simulator.faults.clear()
        return web.Response(status=204)

    async def _put_keys(self, request: web.Request) -> web.Response:
        try:
            keys = KeySet.model_validate_json(await request.read())
        except ValidationError as error:
            raise bad_order(error, KeySet) from None
        self._simulator.access.put(keys)
        return web.json_response(keys.model_dump())

    async def _history(self, request: web.Request) -> web.Response:
        on = request.method == "POST"
        if "key" in request.query:
            self._simulator.persist(request.query["key"], history=on)
        else:
            self._simulator.persist(history=on)
        return web.Response(status=204)

    async def _drop_polls(self, _request: web.Request) -> web.Response:
        return web.json_response({"dropped": self._simulator.drop_polls()})

    async def _silence(self, _request: web.Request) -> web.Response:
        self._simulator.silence()
        return web.Response(status=204)

    async def _speak(self, _request: web.Request) -> web.Response:
        self._simulator.speak()
        return web.Response(status=204)

    async def _refuse(self, request: web.Request) -> web.Response:
        try:
            asked = _Refusal.model_validate_json(await request.read())
        except ValidationError as error:
            raise bad_order(error, _Refusal) from None
        if self._pause is not None:
            self._pause.cancel()
        response = web.Response(status=202)
        await response.prepare(request)
        await response.write_eof()  # answered before the connection goes
        self._pause = asyncio.create_task(self._refuse_for(asked.seconds))
        return response

    async def _refuse_for(self, seconds: float) -> None:
        await self._simulator.refuse()
        await asyncio.sleep(seconds)
        await self._simulator.accept()
