"""Twitch Helix: users, streams and their keys, commercials and the ad schedule.

Contract: https://dev.twitch.tv/docs/api/reference/ ; where Twitch was seen to do otherwise, the
code follows what was seen and says so.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpx

from controller.clients.http import json_of, shown, text_of
from controller.errors import RateLimited, TransientError
from controller.events import Answer, AnswerKind
from controller.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from controller.settings import Settings

__all__ = ["MAX_IDS", "Credential", "Helix", "Unauthorized", "User"]

MAX_IDS = 100
"""So many ids fit into one call of `streams`."""


class Unauthorized(TransientError):
    """401: a dead token, a missing scope or an id mismatch; a refresh cures only the first."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a call is signed with."""

    client_id: str
    access: Sensitive

    def headers(self) -> dict[str, str]:
        """The two headers of every Helix call."""
        return {"Client-Id": self.client_id, "Authorization": f"Bearer {self.access.reveal()}"}


@dataclass(frozen=True, slots=True)
class User:
    """A Twitch user; `broadcaster_type` is empty for neither affiliate nor partner."""

    id: str
    login: str
    display_name: str
    broadcaster_type: str


class Helix:
    """The calls; every failure but a commercial's own refusal raises.

    Args:
        http: Makes them.
        settings: Where Twitch is, and how patient to be.
        on_commercial: Called when a call for a commercial begins, and when it ends.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        settings: Settings,
        on_commercial: Callable[[], None] = lambda: None,
    ) -> None:
        self._http = http
        self._on_commercial = on_commercial
        self._base = settings.helix_url
        self._timeout = settings.call_timeout
        self._commercials = self._base + "/channels/commercial"

    async def own_user(self, credential: Credential) -> User:
        """The user whose token this is.

        Raises:
            Unauthorized: The token is refused.
            TransientError: Anything that may pass.
        """
        data = await self._get("/users", credential, [])
        try:
            user = data[0]
            return User(
                id=str(user["id"]),
                login=str(user["login"]),
                display_name=str(user.get("display_name") or user["login"]),
                broadcaster_type=str(user.get("broadcaster_type") or ""),
            )
        except (IndexError, KeyError, TypeError, AttributeError) as error:
            msg = "Twitch's answer to GET /users lacks the user"
            raise TransientError(msg) from error

    async def live_user_ids(self, credential: Credential, user_ids: Sequence[str]) -> set[str]:
        """Those of at most `MAX_IDS` users who are live."""
        query = [("user_id", one) for one in user_ids] + [("first", str(MAX_IDS))]
        streams = await self._get("/streams", credential, query)
        return {str(s.get("user_id")) for s in _objects(streams) if s.get("type") == "live"}

    async def last_ad_at(self, credential: Credential, broadcaster_id: str) -> float | None:
        """When the last ad began; None: none that Twitch tells of.

        Needs the scope channel:read:ads.
        """
        data = await self._get("/channels/ads", credential, [("broadcaster_id", broadcaster_id)])
        for entry in _objects(data):
            return _instant(entry.get("last_ad_at"))
        return None

    async def stream_key(self, credential: Credential, broadcaster_id: str) -> Sensitive:
        """What the broadcaster's encoder streams with.

        Needs the scope channel:read:stream_key.

        Raises:
            Unauthorized: The token is refused, lacks the scope, or is another broadcaster's.
            TransientError: Anything that may pass.
        """
        query = [("broadcaster_id", broadcaster_id)]
        for entry in _objects(await self._get("/streams/key", credential, query)):
            key = entry.get("stream_key")
            # It becomes a line in an encoder's configuration.
            if isinstance(key, str) and key and key.isascii() and key.isprintable():
                return Sensitive(key)
        msg = "Twitch's answer to GET /streams/key lacks the key"
        raise TransientError(msg)

    async def start_commercial(
        self, credential: Credential, broadcaster_id: str, length: int
    ) -> Answer:
        """Ask for a commercial of `length` whole seconds; never raises for what Twitch answers."""
        self._on_commercial()
        try:
            return await self._start_commercial(credential, broadcaster_id, length)
        finally:
            self._on_commercial()

    async def _start_commercial(
        self, credential: Credential, broadcaster_id: str, length: int
    ) -> Answer:
        body = {"broadcaster_id": broadcaster_id, "length": length}
        try:
            # httpx bounds each phase; a peer that drips its answer is bounded here.
            async with asyncio.timeout(self._timeout):
                response = await self._http.post(
                    self._commercials, headers=credential.headers(), json=body
                )
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return Answer(AnswerKind.NOT_SENT, f"Twitch was not reached: {type(error).__name__}")
        except (httpx.HTTPError, TimeoutError) as error:
            return Answer(AnswerKind.NO_ANSWER, f"Twitch did not answer: {type(error).__name__}")
        return _commercial_answer(response, credential.access)

    async def _get(
        self, path: str, credential: Credential, query: list[tuple[str, str]]
    ) -> list[Any]:
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._http.get(
                    self._base + path, headers=credential.headers(), params=tuple(query)
                )
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
            msg = f"Twitch did not answer GET {path}: {type(error).__name__}"
            raise TransientError(msg) from error
        text = text_of(response, credential.access)
        told = f"Twitch answered GET {path} with {response.status_code}" + (text and f": {text}")
        if response.status_code == 401:
            raise Unauthorized(told)
        if response.status_code == 429:
            raise RateLimited(told, retry_after=_until_reset(response))
        if response.status_code != 200:
            raise TransientError(told)
        try:
            data = json_of(response)["data"]
        except (ValueError, KeyError, TypeError) as error:
            msg = f"Twitch's answer to GET {path} has no data"
            raise TransientError(msg) from error
        return data if isinstance(data, list) else []


def _commercial_answer(response: httpx.Response, access: Sensitive) -> Answer:
    status, text = response.status_code, text_of(response, access)
    lower = text.lower()
    if response.is_success:
        return _accepted(response, access)
    told = f"Twitch answered {status}: {text}" if text else f"Twitch answered {status}"
    if status == 429 and response.headers.get("Ratelimit-Remaining") == "0":
        return Answer(AnswerKind.RATE_LIMITED, told, retry_after=_until_reset(response))
    if status == 429 or (status == 400 and "recently ran" in lower):
        return Answer(AnswerKind.COOLDOWN, told)
    if status == 400 and "streaming live" in lower:
        return Answer(AnswerKind.NOT_LIVE, told)
    if status == 401:
        scope = "missing scope" in lower
        return Answer(AnswerKind.SCOPE_MISSING if scope else AnswerKind.UNAUTHORIZED, told)
    if status >= 500:
        return Answer(AnswerKind.NO_ANSWER, told)
    return Answer(AnswerKind.REFUSED, told)


def _accepted(response: httpx.Response, access: Sensitive) -> Answer:
    # A 2xx is acceptance whatever its body holds: the cooldown burns, and a repeat would be wrong.
    try:
        entry = json_of(response)["data"][0]
    except (ValueError, KeyError, IndexError, TypeError):
        entry = {}
    if not isinstance(entry, dict):
        entry = {}
    message, retry_after = entry.get("message"), entry.get("retry_after")
    return Answer(
        AnswerKind.ACCEPTED,
        shown(message, access) if isinstance(message, str) else "",
        retry_after=_number(retry_after),
    )


def _number(value: object) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number and 0 <= value <= 86_400 else None  # type: ignore[arg-type,operator]


def _until_reset(response: httpx.Response) -> float | None:
    # Both moments are Twitch's own, so that this machine's clock does not matter.
    try:
        reset = float(response.headers["Ratelimit-Reset"])
        date = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError):
        return None
    return max(0.0, reset - date.timestamp())


def _objects(data: Iterable[Any]) -> list[dict[str, Any]]:
    return [entry for entry in data if isinstance(entry, dict)]


def _instant(value: object) -> float | None:
    """Unix seconds (0: none), or RFC 3339, as it was documented before."""
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return _positive(value)
        return moment.timestamp() if moment.tzinfo else None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return _positive(value) if number else None  # type: ignore[arg-type]


def _positive(value: float | str) -> float | None:
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if 0 < number < math.inf else None
