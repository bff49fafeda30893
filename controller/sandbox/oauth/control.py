"""The control endpoints of the simulated provider, under `/_sandbox`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from controller.sandbox.faults import CONTROL_PATH, Fault
from controller.sandbox.oauth.tokens import Client, TokenOrder
from controller.sandbox.orders import bad_order, described, order_middleware

if TYPE_CHECKING:
    from controller.sandbox.oauth.provider import Provider

__all__ = ["Control", "refuse_surplus"]

BodyT = TypeVar("BodyT", bound=BaseModel)

_FAULTS = TypeAdapter(list[Fault])


class _Revocation(BaseModel):
    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, Field(min_length=1)] | None = None
    account: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _names_something(self) -> _Revocation:
        if (self.token is None) == (self.account is None):
            msg = "give token or account, one of them"
            raise ValueError(msg)
        return self


class _Rotation(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keep: bool = True


_ENDPOINTS: tuple[tuple[str, str, str, type[BaseModel] | None], ...] = (
    ("GET", "", "This list.", None),
    ("GET", "/clients", "Who may introspect.", None),
    ("POST", "/clients", "Add or replace one.", Client),
    ("GET", "/tokens", "What was issued, by fingerprint.", None),
    ("POST", "/tokens", "Issue one; form is opaque or jwt.", TokenOrder),
    ("POST", "/revoke", "Take back a token, or all of an account.", _Revocation),
    ("POST", "/keys", "Sign JWTs with a new key; keep: false withdraws the others.", _Rotation),
    ("GET", "/requests", "The last requests, oldest first.", None),
    ("DELETE", "/requests", "Forget them.", None),
    ("GET", "/faults", "The faults still to come.", None),
    ("POST", "/faults", "Let requests go wrong: one fault, or a list.", Fault),
    ("DELETE", "/faults", "Take back all faults.", None),
)
refuse_surplus = order_middleware(CONTROL_PATH, _ENDPOINTS)


class Control:
    """Puts the control of a provider on HTTP.

    Args:
        provider: The one to control.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def add_routes(self, app: web.Application) -> None:
        """Put the endpoints on an application."""
        app.add_routes(
            [
                web.get(CONTROL_PATH, self._index),
                web.get(CONTROL_PATH + "/clients", self._clients),
                web.post(CONTROL_PATH + "/clients", self._add_client),
                web.get(CONTROL_PATH + "/tokens", self._tokens),
                web.post(CONTROL_PATH + "/tokens", self._issue),
                web.post(CONTROL_PATH + "/revoke", self._revoke),
                web.post(CONTROL_PATH + "/keys", self._rotate),
                web.get(CONTROL_PATH + "/requests", self._requests),
                web.delete(CONTROL_PATH + "/requests", self._forget),
                web.get(CONTROL_PATH + "/faults", self._faults),
                web.post(CONTROL_PATH + "/faults", self._add_faults),
                web.delete(CONTROL_PATH + "/faults", self._clear_faults),
            ]
        )

    async def _index(self, _request: web.Request) -> web.Response:
        told = {"issuer": self._provider.issuer, "introspection": self._provider.introspection_url}
        endpoints = [described(m, CONTROL_PATH + p, does, body) for m, p, does, body in _ENDPOINTS]
        return web.json_response(
            {"service": "simulated OAuth2 provider", **told, "endpoints": endpoints}
        )

    async def _clients(self, _request: web.Request) -> web.Response:
        return web.json_response(self._provider.clients())

    async def _add_client(self, request: web.Request) -> web.Response:
        client = await _read(Client, request)
        self._provider.add_client(client.client_id, client.client_secret)
        return web.json_response({"client_id": client.client_id})

    async def _tokens(self, _request: web.Request) -> web.Response:
        return web.json_response(self._provider.tokens.listed())

    async def _issue(self, request: web.Request) -> web.Response:
        order = await _read(TokenOrder, request)
        token = self._provider.issue(order)
        return web.json_response(
            {"access_token": token, "token_type": "Bearer", "expires_in": order.lifetime}
        )

    async def _revoke(self, request: web.Request) -> web.Response:
        asked = await _read(_Revocation, request)
        revoked = self._provider.tokens.revoke(token=asked.token, account=asked.account)
        return web.json_response({"revoked": revoked})

    async def _rotate(self, request: web.Request) -> web.Response:
        asked = await _read(_Rotation, request)
        return web.json_response({"kid": self._provider.keys.rotate(keep=asked.keep)})

    async def _requests(self, _request: web.Request) -> web.Response:
        return web.json_response([asdict(seen) for seen in self._provider.requests])

    async def _forget(self, _request: web.Request) -> web.Response:
        self._provider.requests.clear()
        return web.Response(status=204)

    async def _faults(self, _request: web.Request) -> web.Response:
        pending = self._provider.faults.pending()
        return web.json_response([fault.model_dump() for fault in pending])

    async def _add_faults(self, request: web.Request) -> web.Response:
        try:
            text = (await request.read()).strip()
            faults = _FAULTS.validate_json(text if text.startswith(b"[") else b"[%b]" % text)
        except ValidationError as error:
            raise bad_order(error, Fault) from None
        self._provider.faults.add(*faults)
        return await self._faults(request)

    async def _clear_faults(self, _request: web.Request) -> web.Response:
        self._provider.faults.clear()
        return web.Response(status=204)


async def _read(model: type[BodyT], request: web.Request) -> BodyT:
    try:
        return model.model_validate_json(await request.read() or b"{}")
    except ValidationError as error:
        raise bad_order(error, model) from None
