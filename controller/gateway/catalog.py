"""What the gateway serves: the extensions, by client id.

Only memory: a request is answered from here, without a call to the API server.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.gateway.providers import Provider
    from controller.policies.extension_secrets import SharedSecret
    from controller.runtime.resource import Key

__all__ = ["Catalog", "Endpoint"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An extension that is served.

    Attributes:
        key: Of its ExtensionApp.
        client_id: Of the extension.
        owner_id: User id of its owner.
        version: The one that is declared.
        secrets: All shared secrets that are known; which sign and verify depends on the time, and
            on their marks. Without any, it is not ready.
        required_configuration: What marks a channel as configured; None: nothing is to be set.
        oauth: Who vouches for the bearer tokens of /send/; None: nobody, and nobody is let in.
        allowed_origins: Origins whose scripts may call, in small letters.
    """

    key: Key
    client_id: str
    owner_id: str
    version: str
    secrets: tuple[SharedSecret, ...] = field(default=(), repr=False)
    required_configuration: str | None = None
    oauth: Provider | None = None
    allowed_origins: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """What metrics and logs call it: namespace/name."""
        return self.key.path


class Catalog:
    """Finds what is served.

    Args:
        served: To begin with.

    Attributes:
        ready: Whether all extensions that there were at the start are known.
        unserved: How many ExtensionApps are known beside those that are served.
    """

    def __init__(self, served: Iterable[Endpoint] = ()) -> None:
        self._served: dict[str, Endpoint] = {}
        self._providers: Counter[Provider | None] = Counter()
        self._origins: Counter[str] = Counter()
        self.ready = False
        self.unserved = 0
        self.replace(served)

    @property
    def count(self) -> int:
        """How many are served."""
        return len(self._served)

    def find(self, client_id: str) -> Endpoint | None:
        """The extension with a client id; None: it is not served."""
        return self._served.get(client_id)

    def lone_provider(self) -> Provider | None:
        """The provider that may see a token of a request that names no extension.

        None, unless it vouches for every ExtensionApp there is, served or not: the token might be
        one of another's.
        """
        if self.unserved or len(self._providers) != 1:
            return None
        (provider,) = self._providers
        return provider

    def allows_origin(self, origin: str) -> bool:
        """Whether scripts of an origin may call any of the extensions."""
        return origin in self._origins

    def replace(self, served: Iterable[Endpoint]) -> None:
        """Serve these from now on, and nothing else; each client id once."""
        # Requests run in the same loop: none sees half of it.
        for client_id in list(self._served):
            self.put(client_id, None)
        for each in served:
            self.put(each.client_id, each)

    def put(self, client_id: str, served: Endpoint | None) -> None:
        """Serve this from now on for a client id; None: nothing."""
        before = self._served.pop(client_id, None)
        if served is not None:
            self._served[client_id] = served
            self._providers[served.oauth] += 1
            self._origins.update(served.allowed_origins)
        if before is not None:
            _less(self._providers, (before.oauth,))
            _less(self._origins, before.allowed_origins)


def _less(counter: Counter[T], items: Iterable[T]) -> None:
    for item in items:
        counter[item] -= 1
        if not counter[item]:
            del counter[item]
