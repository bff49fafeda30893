"""What a simulated OAuth2 provider knows: its clients, tokens and keys, and who asked what."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from controller.sandbox.faults import FaultPlan
from controller.sandbox.oauth.keys import SigningKeys
from controller.sandbox.oauth.tokens import TokenOrder, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["HOST", "INTROSPECTION_PATH", "Provider", "Seen"]

HOST = "127.0.0.1"
INTROSPECTION_PATH = "/oauth2/introspect"


@dataclass(slots=True)
class Seen:
    """A request that reached the provider.

    Attributes:
        time: When it came, seconds since the epoch.
        method: Such as POST.
        path: Without the query.
        client: Who logged in by HTTP Basic, rightly or not; empty: nobody.
        token: Fingerprint of the token that was asked about; empty: none was.
        status: Of the answer; None while there is none.
    """

    time: float
    method: str
    path: str
    client: str
    token: str
    status: int | None = None


class Provider:
    """A provider, wherever it is served.

    Args:
        clock: Seconds since the epoch.
        port: At which it is served.
        remember: How many requests `requests` holds, the newest ones.
    """

    def __init__(self, clock: Callable[[], float], port: int, remember: int) -> None:
        self.keys = SigningKeys()
        self.tokens = Tokens(self.keys, clock)
        self.faults = FaultPlan()
        self.requests: deque[Seen] = deque(maxlen=remember)
        self._clock = clock
        self._secrets: dict[str, str] = {}
        self._port = port

    @property
    def url(self) -> str:
        """The base of all addresses."""
        return f"http://{HOST}:{self._port}"

    @property
    def issuer(self) -> str:
        """The claim iss of its tokens; discovery is below it."""
        return self.url

    @property
    def introspection_url(self) -> str:
        """Where a token is asked about."""
        return f"{self.url}{INTROSPECTION_PATH}"

    def add_client(self, client_id: str, client_secret: str) -> None:
        """Let somebody introspect; a known one gets this secret in place of its former."""
        self._secrets[client_id] = client_secret

    def clients(self) -> list[str]:
        """The ids of those who may introspect."""
        return list(self._secrets)

    def knows(self, client_id: str, client_secret: str) -> bool:
        """Whether these are a client's id and secret."""
        return bool(client_id) and self._secrets.get(client_id) == client_secret

    def token(
        self,
        account: str = "account",
        *,
        channels: Iterable[str] | None = (),
        lifetime: float | None = 3600,
        form: Literal["opaque", "jwt"] = "opaque",
        audience: str | None = None,
        claims: Mapping[str, Any] | None = None,
    ) -> str:
        """Issue an access token; the arguments are those of `TokenOrder`."""
        order = TokenOrder(
            account=account,
            channels=None if channels is None else tuple(channels),
            lifetime=lifetime,
            form=form,
            audience=audience,
            claims=dict(claims or {}),
        )
        return self.issue(order)

    def issue(self, order: TokenOrder) -> str:
        """Issue an access token."""
        return self.tokens.issue(order, self.issuer)

    def revoke(self, *, token: str | None = None, account: str | None = None) -> int:
        """Take back one token, or all of an account; returns how many were good before.

        A JWT that was taken back still verifies: only introspection tells.
        """
        return self.tokens.revoke(token=token, account=account)
