"""JWTs of an issuer: its keys by OpenID Connect discovery, and what a token has to show."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

import jwt

from controller.clients.fetch import FetchFailed, FetchForbidden
from controller.gateway.claims import account_of, expiry_of
from controller.gateway.keys import ALGORITHMS, find_key, read_keys
from controller.gateway.providers import InvalidToken, ProviderUnavailable
from controller.gateway.verifications import Verifications

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.clients.fetch import Fetcher
    from controller.gateway.keys import SigningKey
    from controller.gateway.providers import Principal, Provider

__all__ = ["Issuers"]

_KEEP = 600.0  # seconds that keys count
_FRESH = 300.0  # seconds after which they are read again, while they count on
_SPACING = 30.0  # seconds between two looks for a key that is not known
_RETRY = 1.0  # seconds between two tries to have any keys at all
_LEEWAY = 30.0  # seconds that an issuer's clock may be ahead
_MOST_ISSUERS = 256
_DISCOVERY = "/.well-known/openid-configuration"


class _Keys:
    """The keys of one issuer; instants are those of the clock of `Issuers`."""

    def __init__(self) -> None:
        self.all: tuple[SigningKey, ...] = ()
        self.read_at = -math.inf
        self.tried_at = -math.inf
        self.reading: asyncio.Task[None] | None = None


class Issuers:
    """Knows the keys of issuers.

    Args:
        fetcher: Reads them.
        clock: Gives seconds that never go back.
    """

    def __init__(self, fetcher: Fetcher, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._keys: OrderedDict[str, _Keys] = OrderedDict()
        self._verifications = Verifications()

    async def verify(self, provider: Provider, token: str, now: float) -> Principal:
        """Find out whose a token is.

        Args:
            provider: One with an issuer.
            token: As the client sent it.
            now: Seconds since the epoch.

        Raises:
            InvalidToken: The issuer did not make it, or not for this, or its time is over.
            ProviderUnavailable: The issuer's keys cannot be read, or too many tokens wait.
        """
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise InvalidToken from None
        name, algorithm = header.get("kid", ""), header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise InvalidToken
        key = await self._key(provider.issuer or "", name, algorithm)
        claims = await self._verifications.run(
            provider, partial(_claims, token, key, algorithm, provider)
        )
        expires = expiry_of(claims)
        if expires is None or expires <= now:
            raise InvalidToken
        return account_of(claims, provider.channels_claim, expires)

    async def _key(self, issuer: str, name: str, algorithm: str) -> SigningKey:
        keys, now = self._of(issuer), self._clock()
        good = now < keys.read_at + _KEEP
        key = find_key(keys.all, name, algorithm) if good else None
        if key is not None:
            if now >= max(keys.read_at + _FRESH, keys.tried_at + _SPACING):
                self._read(issuer, keys)  # nobody waits for it
            return key
        next_try = keys.tried_at + (_SPACING if good else _RETRY)
        if keys.reading is None and now < next_try:
            if keys.read_at == keys.tried_at:
                raise InvalidToken
            msg = "spec.gateway.oauth.issuer: its keys could not be read a moment ago"
            raise ProviderUnavailable(msg, next_try - now)
        # A client that goes away takes the answer from nobody else.
        await asyncio.shield(self._read(issuer, keys))
        key = find_key(keys.all, name, algorithm)
        if key is None:
            raise InvalidToken
        return key

    def _of(self, issuer: str) -> _Keys:
        keys = self._keys.setdefault(issuer, _Keys())
        self._keys.move_to_end(issuer)
        if len(self._keys) > _MOST_ISSUERS:
            self._keys.popitem(last=False)
        return keys

    def _read(self, issuer: str, keys: _Keys) -> asyncio.Task[None]:
        """Read the keys; those who come meanwhile share it."""

        async def read() -> None:
            found = await self._fetch(issuer)
            keys.all, keys.read_at = found, keys.tried_at

        def done(task: asyncio.Task[None]) -> None:
            keys.reading = None
            if not task.cancelled():
                task.exception()  # whoever waits gets it; where nobody does, it is no news

        if keys.reading is None:
            keys.tried_at = self._clock()
            keys.reading = asyncio.get_running_loop().create_task(read())
            keys.reading.add_done_callback(done)
        return keys.reading

    async def _fetch(self, issuer: str) -> tuple[SigningKey, ...]:
        found = await self._object(issuer.rstrip("/") + _DISCOVERY)
        if found.get("issuer") != issuer or not isinstance(found.get("jwks_uri"), str):
            msg = f"spec.gateway.oauth.issuer: the discovery document is not one of {issuer}"
            raise ProviderUnavailable(msg)
        entries = (await self._object(found["jwks_uri"])).get("keys")
        keys = read_keys(entries) if isinstance(entries, list) else ()
        if not keys:
            msg = f"spec.gateway.oauth.issuer: {issuer} has no usable key"
            raise ProviderUnavailable(msg)
        return keys

    async def _object(self, url: str) -> dict[str, Any]:
        try:
            fetched = await self._fetcher.get(url)
        except (FetchFailed, FetchForbidden) as error:
            raise ProviderUnavailable(f"spec.gateway.oauth.issuer: {error}") from error
        try:
            value = json.loads(fetched.body) if fetched.status == 200 else None
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            msg = f"spec.gateway.oauth.issuer: it answered {fetched.status}, or no JSON object"
            raise ProviderUnavailable(msg)
        return value


def _claims(token: str, key: SigningKey, algorithm: str, provider: Provider) -> dict[str, Any]:
    options: Any = {
        "require": ["exp", "iss"] + (["aud"] if provider.audience is not None else []),
        "verify_aud": provider.audience is not None,
        "verify_exp": False,  # done without leeway
        "verify_sub": False,  # nothing is made of them: issuers that use numbers are let be
        "verify_jti": False,
    }
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=[algorithm],
            issuer=provider.issuer,
            audience=provider.audience,
            leeway=_LEEWAY,
            options=options,
        )
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise InvalidToken from None
    return claims
