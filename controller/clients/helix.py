"""Twitch Helix: users, streams and their keys, commercials and the ad schedule.

Contract: https://dev.twitch.tv/docs/api/reference/ ; where Twitch was seen to do otherwise, the
code follows what was seen and says so.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from controller.clients.helix_answers import answer_of, lacks_scope, schedule_of
from controller.clients.http import json_of, text_of
from controller.clients.network_errors import in_words
from controller.clients.retry_after import ahead_of, pause_of
from controller.clients.transport import Sending
from controller.errors import NotLeading, RateLimited, TransientError
from controller.events import AdSchedule, Answer, AnswerKind
from controller.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from controller.settings import Settings

__all__ = ["MAX_IDS", "Credential", "Helix", "Unauthorized", "User"]

MAX_IDS = 100
"""So many ids fit into one call of `streams`."""


class Unauthorized(TransientError):
    """A dead token, a missing scope or an id mismatch; a refresh cures only the first."""


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

    async def ad_schedule(self, credential: Credential, broadcaster_id: str) -> AdSchedule:
        """What Twitch tells of the channel's ads: the last one, and the next that it means to run.

        Needs the scope channel:read:ads. Its instants are on this machine's clock.

        Raises:
            Unauthorized: The token is refused, lacks the scope, or is another broadcaster's.
            TransientError: Anything that may pass.
        """
        path, query = "/channels/ads", [("broadcaster_id", broadcaster_id)]
        response = await self._answer(path, credential, query)
        for entry in _objects(_data(response, path)):
            return schedule_of(entry, ahead_of(response))
        return AdSchedule()

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
        sending = Sending()
        try:
            # httpx bounds each phase; a peer that drips its answer is bounded here.
            async with asyncio.timeout(self._timeout):
                response = await self._http.post(
                    self._commercials,
                    headers=credential.headers(),
                    json=body,
                    extensions={"sending": sending},
                )
        except NotLeading as error:
            return Answer(AnswerKind.NOT_SENT, f"Twitch was not called: {error}")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
            name = in_words(error)
            if sending.begun:
                return Answer(AnswerKind.NO_ANSWER, f"Twitch did not answer: {name}")
            return Answer(AnswerKind.NOT_SENT, f"Twitch was not reached: {name}")
        return answer_of(response, credential.access)

    async def _get(
        self, path: str, credential: Credential, query: list[tuple[str, str]]
    ) -> list[Any]:
        return _data(await self._answer(path, credential, query), path)

    async def _answer(
        self, path: str, credential: Credential, query: list[tuple[str, str]]
    ) -> httpx.Response:
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._http.get(
                    self._base + path, headers=credential.headers(), params=tuple(query)
                )
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
            msg = f"Twitch did not answer GET {path}: {in_words(error)}"
            raise TransientError(msg) from error
        text = text_of(response, credential.access)
        told = f"Twitch answered GET {path} with {response.status_code}" + (text and f": {text}")
        if response.status_code == 401 or lacks_scope(response, text):
            raise Unauthorized(told)
        if response.status_code == 429:
            raise RateLimited(told, retry_after=pause_of(response))
        if response.status_code != 200:
            raise TransientError(told, retry_after=pause_of(response))
        return response


def _data(response: httpx.Response, path: str) -> list[Any]:
    try:
        data = json_of(response)["data"]
    except (ValueError, KeyError, TypeError) as error:
        msg = f"Twitch's answer to GET {path} has no data"
        raise TransientError(msg) from error
    return data if isinstance(data, list) else []


def _objects(data: Iterable[Any]) -> list[dict[str, Any]]:
    return [entry for entry in data if isinstance(entry, dict)]
