"""The simulated https://api.twitch.tv/helix/extensions: what an extension's backend calls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from controller.sandbox.twitch import extension_tokens
from controller.sandbox.twitch.extensions import Message
from controller.sandbox.twitch.wire import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.sandbox.twitch.extensions import Extension
    from controller.sandbox.twitch.wire import Call
    from controller.sandbox.twitch.world import Twitch

__all__ = ["ROOT", "answer"]

ROOT = "/helix/extensions/"

_MOST_CONTENT = 5 * 1024  # bytes of UTF-8
_MOST_MESSAGE = 5 * 1024
_DEFAULT_DELAY = 300
_CONFIGURATION_CALLS = 20  # within any minute, of each method
_MESSAGES = 100  # a bucket of so many for each client id and channel; one comes back a second
_WHISPER = "whisper-"
_SEGMENTS = ("broadcaster", "developer", "global")


@dataclass(frozen=True, slots=True)
class _Asked:
    """One call of a backend that was let in."""

    twitch: Twitch
    extension: Extension
    claims: dict[str, Any]
    call: Call
    now: float


def answer(twitch: Twitch, call: Call, now: float) -> tuple[int, Any]:
    """Answer one call below `ROOT`.

    Returns:
        The status, and the JSON value of the body; None: it has none.

    Raises:
        Refusal: It is refused.
    """
    if call.method == "POST" and call.path == ROOT + "pubsub/":
        raise Refusal(403, "")  # seen: a slash at the end is not forgiven
    act = _CALLS.get((call.method, call.path.removeprefix(ROOT)))
    if act is None:
        raise Refusal(404, "")
    return act(_let_in(twitch, call, now))


def _let_in(twitch: Twitch, call: Call, now: float) -> _Asked:
    token, client_id = call.token("bearer"), call.headers.get("Client-Id", "")
    if not token:
        raise Refusal(401, "OAuth token is missing")
    if not client_id:
        raise Refusal(401, "Client ID is missing")
    extension = twitch.extensions.find(client_id)
    if call.path == ROOT + "pubsub":
        signers = extension_tokens.signers(twitch.extensions.all(), token, now)
        if signers and extension not in signers:
            raise Refusal(500, "")  # seen, where 401 would be told
    if extension is None:
        raise Refusal(401, "Client ID is not that of an extension")
    return _Asked(twitch, extension, extension_tokens.verify(extension, token, now), call, now)


def _secrets(asked: _Asked) -> tuple[int, Any]:
    _check_id(asked, asked.call.value("extension_id"))
    return 200, _list(asked)


def _create_secret(asked: _Asked) -> tuple[int, Any]:
    _check_id(asked, asked.call.value("extension_id"))
    text = asked.call.value("delay") or str(_DEFAULT_DELAY)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refusal(400, 'The parameter "delay" was malformed')
    least = asked.twitch.options.min_secret_delay
    if int(text) < least:
        raise Refusal(400, f'The parameter "delay" must be at least {least:g} seconds')
    asked.twitch.extensions.create_secret(asked.extension, int(text), asked.now)
    asked.extension.created += 1
    return 200, _list(asked)


def _list(asked: _Asked) -> dict[str, Any]:
    known = [secret for secret in asked.extension.secrets if asked.now < secret.expires]
    secrets = [
        {
            "content": secret.content,
            # Rounded so that no secret counts for a client when it does not for Twitch.
            "active_at": _rfc3339(math.ceil(secret.active)),
            "expires_at": _rfc3339(math.floor(secret.expires)),
        }
        for secret in known
    ]
    return {"data": [{"format_version": 1, "secrets": secrets}]}


def _configurations(asked: _Asked) -> tuple[int, Any]:
    call = asked.call
    _check_id(asked, call.value("extension_id"))
    _take_configuration_call(asked)
    wanted = call.values("segment")
    if not wanted or any(segment not in _SEGMENTS for segment in wanted):
        raise Refusal(400, 'The parameter "segment" must be broadcaster, developer or global')
    broadcaster_id = call.value("broadcaster_id")
    data = []
    for segment in dict.fromkeys(wanted):
        if segment != "global" and not broadcaster_id:
            raise Refusal(400, f'The segment "{segment}" needs the parameter "broadcaster_id"')
        whose = "" if segment == "global" else broadcaster_id
        held = asked.extension.segments.get((segment, whose))
        if held is not None:
            entry = {"segment": segment, "content": held[0], "version": held[1]}
            data.append(entry | ({"broadcaster_id": whose} if whose else {}))
    return 200, {"data": data}


def _set_configuration(asked: _Asked) -> tuple[int, Any]:
    body = asked.call.json()
    _check_id(asked, body.get("extension_id"))
    _take_configuration_call(asked)
    segment, whose = body.get("segment"), body.get("broadcaster_id", "")
    content = body.get("content", "")
    if segment not in _SEGMENTS:
        raise Refusal(400, 'The field "segment" must be broadcaster, developer or global')
    if not isinstance(whose, str):
        raise Refusal(400, 'The field "broadcaster_id" must be a string')
    if (segment == "global") is bool(whose):
        raise Refusal(400, 'The field "broadcaster_id" goes with all segments but "global"')
    former = asked.extension.segments.get((segment, whose), ("", ""))
    version = body.get("version", former[1])
    if not (isinstance(content, str) and isinstance(version, str)):
        raise Refusal(400, 'The fields "content" and "version" must be strings')
    if _size(content) > _MOST_CONTENT:
        raise Refusal(400, "The content is larger than 5 KB")
    asked.extension.segments[segment, whose] = (content, version)
    return 204, None


def _set_required(asked: _Asked) -> tuple[int, Any]:
    body, channel = asked.call.json(), asked.call.value("broadcaster_id")
    _check_id(asked, body.get("extension_id"))
    version, value = body.get("extension_version"), body.get("required_configuration")
    if not channel:
        raise Refusal(400, 'Missing required parameter "broadcaster_id"')
    if not (isinstance(version, str) and version and isinstance(value, str) and value):
        raise Refusal(400, "extension_version and required_configuration must be given")
    asked.extension.required[channel] = (version, value)
    return 204, None


def _pubsub(asked: _Asked) -> tuple[int, Any]:
    body = asked.call.json()
    targets, message = body.get("target"), body.get("message")
    everywhere = body.get("is_global_broadcast", False)
    if type(everywhere) is not bool:
        raise Refusal(400, 'The parameter "is_global_broadcast" must be true or false')
    if not (isinstance(targets, list) and targets and all(map(_is_target, targets))):
        raise Refusal(400, 'The parameter "target" must list broadcast, global or whisper-<id>')
    if not isinstance(message, str) or not message:
        raise Refusal(400, 'Missing required parameter "message"')
    if ("global" in targets or everywhere) and not (everywhere and targets == ["global"]):
        raise Refusal(400, 'is_global_broadcast goes with the target ["global"]')
    channel = "all" if everywhere else body.get("broadcaster_id")
    if not isinstance(channel, str) or not channel:
        raise Refusal(400, 'Missing required parameter "broadcaster_id"')
    _check_permission(asked, channel, targets)
    if _size(message) > _MOST_MESSAGE:
        raise Refusal(422, "The message is larger than 5 KB")
    bucket = (asked.extension.client_id, channel)
    if not asked.twitch.extensions.messages.take(bucket, _MESSAGES, asked.now):
        raise Refusal(429, "Too many messages to this channel")
    for target in targets:
        asked.extension.take(Message(asked.now, channel, target, message))
    return 204, None


def _is_target(value: object) -> bool:
    return isinstance(value, str) and (
        value in ("broadcast", "global") or (value.startswith(_WHISPER) and value != _WHISPER)
    )


def _check_permission(asked: _Asked, channel: str, targets: list[str]) -> None:
    perms = asked.claims.get("pubsub_perms")
    send = perms.get("send") if isinstance(perms, dict) else None
    allowed = send if isinstance(send, list) else []
    if asked.claims.get("channel_id") != channel:
        raise Refusal(403, "channel_id of the JWT is not that of the message")
    if any(target not in allowed for target in targets):
        raise Refusal(403, "pubsub_perms of the JWT do not cover the target")


def _take_configuration_call(asked: _Asked) -> None:
    key = (asked.extension.client_id, asked.call.method)
    if not asked.twitch.extensions.calls.take(key, _CONFIGURATION_CALLS, asked.now):
        raise Refusal(429, f"Too many requests: {_CONFIGURATION_CALLS} a minute")


def _check_id(asked: _Asked, extension_id: object) -> None:
    if not extension_id:
        raise Refusal(400, 'Missing required parameter "extension_id"')
    if extension_id != asked.extension.client_id:
        raise Refusal(401, "extension_id is not that of the JWT")


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _rfc3339(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat().replace("+00:00", "Z")


_CALLS: dict[tuple[str, str], Callable[[_Asked], tuple[int, Any]]] = {
    ("GET", "jwt/secrets"): _secrets,
    ("POST", "jwt/secrets"): _create_secret,
    ("GET", "configurations"): _configurations,
    ("PUT", "configurations"): _set_configuration,
    ("PUT", "required_configuration"): _set_required,
    ("POST", "pubsub"): _pubsub,
}
