"""One request, as far as the gateway looks at it, and what it found out meanwhile."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from controller.gateway.answers import Refusal, not_ready, quoted

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Scope

    from controller.gateway.catalog import Catalog, Endpoint

__all__ = ["CHANNEL", "CLIENT_ID", "UNKNOWN", "VERSION", "RequestContext", "request_context"]

CHANNEL = "X-Twitch-User-Id"
CLIENT_ID = "X-Twitch-Client-Id"
VERSION = "X-Twitch-Extension-Version"

UNKNOWN = "unknown"
"""What metrics and logs call an extension that is not served."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_ROUTES = {"/send": "/send/", "/setup": "/setup/"}
_IN_SCOPE = "twitch_operator.exchange"
_SOON = 1.0  # seconds


class RequestContext:
    """One request.

    Args:
        scope: The request, as ASGI has it.
        catalog: Finds the extension.

    Attributes:
        route: /send/, /setup/ or other.
        request_id: The client's, or a new one.
        client_id: Of the extension, as the client says; "" where it does not.
        served: The extension, if it is served.
        status: Of the answer; 0 until it begins.
    """

    __slots__ = ("_catalog", "_headers", "client_id", "request_id", "route", "served", "status")

    def __init__(self, scope: Scope, catalog: Catalog) -> None:
        # Where a header comes twice, the first counts.
        self._headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        self._catalog = catalog
        self.route = _ROUTES.get(scope["path"].removesuffix("/"), "other")
        wanted = self.header("X-Request-Id")
        self.request_id = wanted if _REQUEST_ID.fullmatch(wanted) else uuid.uuid4().hex
        self.client_id = self.header(CLIENT_ID)
        self.served: Endpoint | None = catalog.find(self.client_id) if self.client_id else None
        self.status = 0
        scope[_IN_SCOPE] = self

    def header(self, name: str) -> str:
        """A header's value; "" where it is missing or blank."""
        value = self._headers.get(name.lower().encode())
        return value.decode("latin-1").strip() if value else ""

    def required(self, name: str) -> str:
        """A header's value.

        Raises:
            Refusal: It is missing or blank.
        """
        value = self.header(name)
        if not value:
            raise Refusal(400, {"detail": f"Missing {name} header"})
        return value

    def bearer(self) -> str | None:
        """The bearer token; None: there is none."""
        scheme, _, token = self.header("Authorization").partition(" ")
        token = token.strip()
        return token if scheme.lower() == "bearer" and token and " " not in token else None

    def extension(self) -> Endpoint:
        """The extension that the request is for.

        Raises:
            Refusal: The client does not say, or it is not served.
        """
        if self.served is None:
            client_id = self.required(CLIENT_ID)
            raise Refusal(400, {"detail": f"Invalid Twitch Client ID: {quoted(client_id)}"})
        return self.served

    def wait_for_catalog(self) -> None:
        """See to it that an extension counts as unknown only where all are known.

        Raises:
            Refusal: The gateway has just been started.
        """
        if self.served is None and self.client_id and not self._catalog.ready:
            raise not_ready("extension_not_ready", "The gateway is starting.", _SOON)

    @property
    def label(self) -> str:
        """What metrics and logs call the extension: those that are not served have one name."""
        return self.served.label if self.served is not None else UNKNOWN

    @property
    def still_served(self) -> bool:
        """Whether the catalog has the same ExtensionApp as when the request came in."""
        found = self._catalog.find(self.client_id)
        return found is not None and self.served is not None and found.key == self.served.key


def request_context(request: Request) -> RequestContext:
    """What was made of a request when it came in."""
    context = request.scope[_IN_SCOPE]
    assert isinstance(context, RequestContext)  # noqa: S101 - set by the middleware, for each request
    return context
