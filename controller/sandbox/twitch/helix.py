"""The simulated https://api.twitch.tv/helix: users, streams and keys, commercials, the ad schedule.

Errors are `{"error": "Unauthorized", "status": 401, "message": "…"}`; every answer carries the
`Ratelimit-*` headers, but for those to calls of extensions, which have limits of their own.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from controller.sandbox.twitch import extension_calls
from controller.sandbox.twitch.wire import Answer, Refusal, json_answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.sandbox.twitch.grants import Access
    from controller.sandbox.twitch.state import Broadcaster
    from controller.sandbox.twitch.wire import Call
    from controller.sandbox.twitch.world import Twitch

__all__ = ["handle"]

_MOST_NAMES = 100
_PAGE = 20


def handle(twitch: Twitch, call: Call, now: float) -> Answer:
    """Answer one call to /helix/…."""
    headers: dict[str, str] = {}
    try:
        if call.path.startswith(extension_calls.ROOT):  # which cost no points
            status, value = extension_calls.answer(twitch, call, now)
            return Answer(status) if value is None else json_answer(status, value)
        access = twitch.grants.access(call.token("bearer"), now)
        # Calls without a living token share one bucket, so that made-up names fill no memory.
        key = (access.grant.app.client_id, access.grant.user_id) if access else ("", "")
        allowed, headers = twitch.limits.take(key, twitch.options.rate_limit, now)
        if not allowed:
            raise Refusal(429, "Too many requests: wait until Ratelimit-Reset")
        endpoint = _ENDPOINTS.get((call.method, call.path))
        if endpoint is None:
            raise Refusal(404, "")
        return json_answer(200, endpoint(twitch, call, _checked(call, access), now), headers)
    except Refusal as refusal:
        status = HTTPStatus(refusal.status)
        body = {"error": status.phrase, "status": status.value, "message": refusal.message}
        return json_answer(status, body, headers)


def _checked(call: Call, access: Access | None) -> Access:
    client_id = call.headers.get("Client-Id", "")
    if not call.token("bearer"):
        raise Refusal(401, "OAuth token is missing")
    if not client_id:
        raise Refusal(401, "Client ID is missing")
    if access is None:
        raise Refusal(401, "Invalid OAuth token")
    if access.grant.app.client_id != client_id:
        raise Refusal(401, "Client ID and OAuth token do not match")
    return access


def _users(twitch: Twitch, call: Call, access: Access, now: float) -> dict[str, Any]:  # noqa: ARG001
    ids, logins = call.values("id"), call.values("login")
    if len(ids) + len(logins) > _MOST_NAMES:
        raise Refusal(400, "The number of id and login query parameters must be at most 100.")
    if not ids and not logins:
        if not access.grant.user_id:
            raise Refusal(400, "Must provide an ID, Login or OAuth Token")
        ids = [access.grant.user_id]
    return {"data": [_user(user) for user in _named(twitch, ids, logins)]}


def _user(user: Broadcaster) -> dict[str, Any]:
    return {
        "id": user.id,
        "login": user.login,
        "display_name": user.display_name,
        "type": "",
        "broadcaster_type": user.type,
        "description": "",
        "profile_image_url": "",
        "offline_image_url": "",
        "view_count": 0,
        "created_at": _rfc3339(user.created),
    }


def _streams(twitch: Twitch, call: Call, access: Access, now: float) -> dict[str, Any]:  # noqa: ARG001
    """Who is live, in pages of `first` (20 unless told, even where 100 ids were asked for)."""
    ids, logins = call.values("user_id"), call.values("user_login")
    if len(ids) > _MOST_NAMES or len(logins) > _MOST_NAMES:
        raise Refusal(400, "At most 100 user_id and 100 user_login query parameters are allowed.")
    first = _number(call, "first", _PAGE)
    if not 1 <= first <= _MOST_NAMES:
        raise Refusal(400, 'The parameter "first" was malformed: the value must be 1 to 100')
    start = _number(call, "after", 0)
    asked = _named(twitch, ids, logins) if ids or logins else twitch.channels.all()
    live = [user for user in asked if user.live_since is not None]
    end = start + first
    pagination = {"cursor": str(end)} if end < len(live) else {}
    return {"data": [_stream(user) for user in live[start:end]], "pagination": pagination}


def _stream(user: Broadcaster) -> dict[str, Any]:
    return {
        "id": user.stream_id,
        "user_id": user.id,
        "user_login": user.login,
        "user_name": user.display_name,
        "game_id": "",
        "game_name": "",
        "type": "live",
        "title": "",
        "tags": [],
        "viewer_count": 1,
        "started_at": _rfc3339(user.live_since or 0),
        "language": "en",
        "thumbnail_url": "",
        "tag_ids": [],
        "is_mature": False,
    }


def _start_commercial(twitch: Twitch, call: Call, access: Access, now: float) -> dict[str, Any]:
    grant = access.grant
    if not grant.user_id:
        raise Refusal(401, "Missing User OAUTH Token")
    _need_scope(access, "channel:edit:commercial")
    body = call.json()
    broadcaster_id, length = body.get("broadcaster_id"), body.get("length")
    if not isinstance(broadcaster_id, str) or not broadcaster_id:
        raise Refusal(400, 'Missing required parameter "broadcaster_id"')
    if broadcaster_id != grant.user_id:
        if twitch.options.dialect == "api":
            raise Refusal(401, _MISMATCH)
        raise Refusal(400, "broadcaster_id and user_id do not match.")
    # JSON's 125.0, "125" and true are no integers to Twitch.
    if type(length) is not int:
        raise Refusal(400, 'Missing required parameter "length"')
    broadcaster = twitch.channels.by_id(broadcaster_id)
    if broadcaster is None:
        raise Refusal(404, "")
    return {"data": [asdict(twitch.ads.request(broadcaster, length, now))]}


_MISMATCH = "The ID in broadcaster_id must match the user ID found in the request's OAuth token."


def _ads(twitch: Twitch, call: Call, access: Access, now: float) -> dict[str, Any]:
    broadcaster_id, scope = call.value("broadcaster_id"), "channel:read:ads"
    if not broadcaster_id:
        raise Refusal(400, 'Missing required parameter "broadcaster_id"')
    if access.grant.user_id:
        _need_scope(access, scope)
        if broadcaster_id != access.grant.user_id:
            raise Refusal(401, _MISMATCH)
    elif not twitch.grants.has_consent(access.grant.app, broadcaster_id, scope):
        raise Refusal(401, f"Missing scope: {scope}")
    broadcaster = twitch.channels.by_id(broadcaster_id)
    if broadcaster is None:
        raise Refusal(404, "")
    twitch.ads.catch_up(broadcaster, now)
    live = broadcaster.live_since is not None
    rfc3339 = twitch.options.ad_times == "rfc3339"

    def instant(time: float | None) -> int | str:
        if time is None or not live:
            return "" if rfc3339 else 0
        return _rfc3339(time) if rfc3339 else int(time)

    data = {
        "snooze_count": broadcaster.snooze_count,
        "snooze_refresh_at": instant(broadcaster.snooze_refresh),
        "next_ad_at": instant(broadcaster.next_ad),
        "duration": broadcaster.next_ad_length,
        "last_ad_at": instant(broadcaster.last_ad),
        "preroll_free_time": broadcaster.preroll_free_time(now),
    }
    return {"data": [data]}


def _stream_key(twitch: Twitch, call: Call, access: Access, now: float) -> dict[str, Any]:  # noqa: ARG001
    if not access.grant.user_id:
        raise Refusal(401, "Missing User OAUTH Token")
    _need_scope(access, "channel:read:stream_key")
    broadcaster_id = call.value("broadcaster_id")
    if not broadcaster_id:
        raise Refusal(400, 'Missing required parameter "broadcaster_id"')
    if broadcaster_id != access.grant.user_id:
        raise Refusal(401, _MISMATCH)
    broadcaster = twitch.channels.by_id(broadcaster_id)
    if broadcaster is None:
        raise Refusal(404, "")
    return {"data": [{"stream_key": broadcaster.stream_key}]}


def _need_scope(access: Access, scope: str) -> None:
    if scope not in access.grant.scopes:
        raise Refusal(401, f"Missing scope: {scope}")


def _named(twitch: Twitch, ids: list[str], logins: list[str]) -> list[Broadcaster]:
    found = [twitch.channels.by_id(name) for name in ids]
    found += [twitch.channels.by_login(name) for name in logins]
    return list({user.id: user for user in found if user is not None}.values())


def _number(call: Call, name: str, default: int) -> int:
    text = call.value(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refusal(400, f'The parameter "{name}" was malformed')
    return int(text)


def _rfc3339(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_ENDPOINTS: dict[tuple[str, str], Callable[[Twitch, Call, Access, float], dict[str, Any]]] = {
    ("GET", "/helix/channels/ads"): _ads,
    ("GET", "/helix/streams"): _streams,
    ("GET", "/helix/streams/key"): _stream_key,
    ("GET", "/helix/users"): _users,
    ("POST", "/helix/channels/commercial"): _start_commercial,
}
