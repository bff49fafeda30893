"""Twitch's extension endpoints: secrets, configuration, PubSub.

Contract: https://dev.twitch.tv/docs/api/reference/#create-extension-secret and its neighbours.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from controller.clients.extension_jwt import sign
from controller.clients.helix import Unauthorized
from controller.clients.http import json_of, text_of
from controller.clients.network_errors import in_words
from controller.clients.retry_after import pause_of
from controller.errors import NotLeading, PermanentError, RateLimited, TransientError
from controller.policies.extension_secrets import SharedSecret, key_of
from controller.resources.common import parse_instant
from controller.sensitive import Sensitive

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from controller.clients.extension_jwt import Extension, Perms
    from controller.settings import Settings

__all__ = [
    "ExtensionRefused",
    "Extensions",
    "NoAnswer",
    "NotSent",
    "SegmentContent",
    "UpstreamAnswer",
]


class ExtensionRefused(PermanentError):
    """Twitch refuses a call for a reason that a repeat does not cure."""


class NotSent(TransientError):
    """The connection failed before the request left: nothing can have come of it.

    Attributes:
        timed_out: The time was up; else the connection was refused.
    """

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class NoAnswer(TransientError):
    """The request may have left, and no answer came: what came of it is open.

    Attributes:
        timed_out: The time was up; else the connection broke.
    """

    def __init__(self, message: str, *, timed_out: bool) -> None:
        super().__init__(message)
        self.timed_out = timed_out


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """What Twitch answered, whatever it was.

    Attributes:
        status: HTTP status.
        content_type: Of the body; "" where it has none.
        content: The body as text.
        retry_after: Seconds until a refused call makes sense again, where Twitch tells.
    """

    status: int
    content_type: str
    content: str
    retry_after: float | None = None

    @property
    def accepted(self) -> bool:
        """Whether it is 200 or 204."""
        return self.status in (200, 204)


@dataclass(frozen=True, slots=True)
class SegmentContent:
    """What Twitch has in a configuration segment; `version` is "" where it tells none."""

    content: str
    version: str


class Extensions:
    """The calls.

    Args:
        http: Makes them.
        settings: Where Twitch is, and how patient to be.
    """

    def __init__(self, http: httpx.AsyncClient, settings: Settings) -> None:
        self._http = http
        self._timeout = settings.call_timeout
        self._base = settings.helix_url + "/extensions"
        self._pubsub = self._base + "/pubsub"

    async def secrets(self, extension: Extension) -> tuple[SharedSecret, ...]:
        """All shared secrets that Twitch knows.

        Raises:
            Unauthorized: Twitch does not take the secret that signs, or does not let it make this
                call: which of the two, only another call tells.
            TransientError: Anything that may pass.
            ExtensionRefused: Anything else.
        """
        query = {"extension_id": extension.client_id}
        return _secrets_of(await self._json("GET", "/jwt/secrets", extension, query))

    async def create_secret(self, extension: Extension, delay: float) -> tuple[SharedSecret, ...]:
        """Make a new shared secret, which retires the others within one hour.

        Args:
            extension: Who signs.
            delay: Whole seconds until the new one is active.

        Returns:
            All secrets, the new one among them.

        Raises:
            NoAnswer: Whether it was made is open: look before the next try.
            Unauthorized: As `secrets`.
            TransientError: Anything that may pass; nothing was made where it is `NotSent`.
            ExtensionRefused: Anything else.
        """
        query = {"extension_id": extension.client_id, "delay": str(round(delay))}
        return _secrets_of(await self._json("POST", "/jwt/secrets", extension, query))

    async def configuration(
        self, extension: Extension, segments: Iterable[str], broadcaster_id: str | None
    ) -> dict[str, SegmentContent]:
        """What Twitch has in configuration segments; those that are empty are absent.

        Args:
            extension: Who asks.
            segments: global alone, or developer and broadcaster of one channel.
            broadcaster_id: The channel; None for global.

        Raises:
            OperatorError: As `secrets`.
        """
        query: list[tuple[str, str]] = [("extension_id", extension.client_id)]
        if broadcaster_id is not None:
            query.append(("broadcaster_id", broadcaster_id))
        query += [("segment", segment) for segment in segments]
        data = await self._json("GET", "/configurations", extension, query)
        found = {}
        for entry in data:
            content = entry.get("content")
            if isinstance(content, str) and isinstance(entry.get("segment"), str):
                version = entry.get("version")
                text = version if isinstance(version, str) else ""
                found[str(entry["segment"])] = SegmentContent(content, text)
        return found

    async def set_configuration(
        self,
        extension: Extension,
        segment: str,
        broadcaster_id: str | None,
        wanted: SegmentContent,
    ) -> None:
        """Set a configuration segment; the same again does no harm.

        Raises:
            OperatorError: As `secrets`.
        """
        body: dict[str, str] = {
            "extension_id": extension.client_id,
            "segment": segment,
            "content": wanted.content,
            "version": wanted.version,
        }
        if broadcaster_id is not None:
            body["broadcaster_id"] = broadcaster_id
        response = await self._call("PUT", "/configurations", extension, {}, body)
        _check(response, f"PUT /extensions/configurations ({segment})")

    async def set_required_configuration(
        self, extension: Extension, broadcaster_id: str, version: str, value: str
    ) -> UpstreamAnswer:
        """Mark a channel as configured; the same again does no harm.

        Args:
            extension: Who asks.
            broadcaster_id: The channel.
            version: Of the extension.
            value: What the extension's console has as required configuration.

        Returns:
            Whatever Twitch answered; 204 is success.

        Raises:
            NotSent: Nothing was set.
            NoAnswer: It may have been set.
        """
        body = {
            "extension_id": extension.client_id,
            "extension_version": version,
            "required_configuration": value,
        }
        query = {"broadcaster_id": broadcaster_id}
        return _upstream(await self._call("PUT", "/required_configuration", extension, query, body))

    async def send(self, extension: Extension, perms: Perms, message: str) -> UpstreamAnswer:
        """Send a message by extension PubSub.

        Args:
            extension: Who sends.
            perms: To whom.
            message: At most 5 KB of UTF-8.

        Returns:
            Whatever Twitch answered; 204 is success.

        Raises:
            NotSent: It did not leave.
            NoAnswer: It may have arrived.
        """
        everywhere = perms.send == "global"
        body: dict[str, object] = {"target": [perms.send], "message": message}
        if everywhere:
            body["is_global_broadcast"] = True
        else:
            body["broadcaster_id"] = perms.channel_id
            body["is_global_broadcast"] = False
        return _upstream(await self._call("POST", "/pubsub", extension, {}, body, perms))

    async def _json(
        self,
        method: str,
        path: str,
        extension: Extension,
        query: Any,  # noqa: ANN401 - httpx' own
    ) -> list[dict[str, Any]]:
        response = await self._call(method, path, extension, query, None)
        _check(response, f"{method} /extensions{path}")
        try:
            data = json_of(response)["data"]
        except (ValueError, KeyError, TypeError) as error:
            msg = f"Twitch's answer to {method} /extensions{path} has no data"
            raise TransientError(msg) from error
        return (
            [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []
        )

    async def _call(
        self,
        method: str,
        path: str,
        extension: Extension,
        query: Any,  # noqa: ANN401 - httpx' own
        body: Mapping[str, object] | None,
        perms: Perms | None = None,
    ) -> httpx.Response:
        token = sign(extension, time.time(), perms)
        headers = {"Authorization": f"Bearer {token}", "Client-Id": extension.client_id}
        try:
            async with asyncio.timeout(self._timeout):
                return await self._http.request(
                    method, self._base + path, params=query or None, headers=headers, json=body
                )
        except NotLeading as error:
            msg = f"Twitch was not called: {error}"
            raise NotSent(msg) from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            msg = f"Twitch was not reached: {in_words(error)}"
            raise NotSent(msg, timed_out=isinstance(error, httpx.TimeoutException)) from error
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, TimeoutError) as error:
            msg = f"Twitch did not answer {method} /extensions{path}: {in_words(error)}"
            timed_out = isinstance(error, TimeoutError | httpx.TimeoutException)
            raise NoAnswer(msg, timed_out=timed_out) from error


def _check(response: httpx.Response, what: str) -> None:
    """Raise for all but success."""
    if response.is_success:
        return
    text = text_of(response, _sent_in(response))
    told = f"Twitch answered {what} with {response.status_code}" + (text and f": {text}")
    if response.status_code in (401, 403):
        raise Unauthorized(told)
    if response.status_code == 429:
        raise RateLimited(told, retry_after=pause_of(response))
    if response.status_code >= 500:
        raise TransientError(told, retry_after=pause_of(response))
    raise ExtensionRefused(told)


def _sent_in(response: httpx.Response) -> Sensitive:
    """The JWT of the call that this is the answer to."""
    return Sensitive(response.request.headers["Authorization"].removeprefix("Bearer "))


def _upstream(response: httpx.Response) -> UpstreamAnswer:
    return UpstreamAnswer(
        response.status_code,
        response.headers.get("Content-Type", ""),
        # Whatever charset it claims; and without the JWT, should it quote that.
        response.content.decode(errors="replace").replace(_sent_in(response).reveal(), "***"),
        pause_of(response) if response.status_code == 429 else None,
    )


def _secrets_of(data: Iterable[Mapping[str, Any]]) -> tuple[SharedSecret, ...]:
    """Read a list of secrets.

    Raises:
        TransientError: There is none: Twitch always has the secret that signed.
    """
    found = [
        secret
        for entry in data
        for one in _objects(entry.get("secrets"))
        if (secret := _secret_of(one)) is not None
    ]
    if not found:
        msg = "Twitch's answer has no secrets of the extension"
        raise TransientError(msg)
    return tuple(found)


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _secret_of(entry: Mapping[str, Any]) -> SharedSecret | None:
    content = entry.get("content")
    if not isinstance(content, str) or key_of(Sensitive(content)) is None:
        return None
    try:
        active, expires = parse_instant(entry["active_at"]), parse_instant(entry["expires_at"])
    except (KeyError, TypeError, ValueError):
        return None
    return SharedSecret(Sensitive(content), active, expires)
