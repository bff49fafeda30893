"""The objects that the benchmarks work on, and the messages that their rules wait for. No I/O.

Channel n has the login and the names that end in n. Even ones wait for the splices of the examples,
odd ones for the ad assets with their `when`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = [
    "GROUP",
    "PLURALS",
    "SUBSCRIBE_KEY",
    "VERSION",
    "channel",
    "grant_secret",
    "login",
    "message",
    "name",
    "rule",
    "secret",
    "shared_secrets",
    "topic",
]

Json = dict[str, Any]

GROUP, VERSION = "twitch-operator.dev", "v1alpha1"
PLURALS = ("twitchchannels", "triggerrules")
SUBSCRIBE_KEY = "sub-c-operator"

_MESSAGES = tuple(
    json.loads((Path(__file__).parent.parent / "examples/messages" / file).read_text("utf-8"))
    for file in ("scte35.json", "video.json")
)
_MATCH: tuple[list[Json], ...] = (
    [
        {"field": "msg_type", "equals": "scte35"},
        {"field": "action", "equals": "triggered"},
        {"field": "common.state", "equals": "state_normal"},
        {"field": "data.command_type", "equals": "splice_insert"},
        {"field": "data.splice_insert_type", "in": ["normal_on", "immediate_on"]},
    ],
    [
        {"field": "msg_type", "equals": "video"},
        {"field": "action", "equals": "started"},
        {"field": "data.asset_id", "glob": "Ad_*"},
        {"field": "data.rescue_reason", "equals": "na"},
    ],
)


def name(number: int) -> str:
    """Name of a channel and of its rule."""
    return f"channel-{number:04}"


def login(number: int) -> str:
    """Login of a broadcaster."""
    return f"broadcaster_{number:04}"


def topic(number: int) -> str:
    """Topic with this number."""
    return f"playout.{number:04}"


def channel(number: int) -> Json:
    """A TwitchChannel."""
    spec = {
        "login": login(number),
        "app": {"secretRef": {"name": "twitch-app"}},
        "authorization": {
            "refreshToken": {
                "secretKeyRef": {"name": f"{name(number)}-grant", "key": "refresh-token"}
            }
        },
    }
    return _resource("TwitchChannel", number, spec)


def rule(number: int, topics: int | None = None) -> Json:
    """The TriggerRule of a channel.

    Args:
        number: Of the channel.
        topics: So many topics carry the messages of all channels; None: each has one of its own.
    """
    match = list(_MATCH[number % 2])
    if topics is not None:
        match.append({"field": "data.feed_code", "equals": name(number)})
        heard = topic(number % topics)
    else:
        heard = topic(number)
    spec: Json = {
        "channelRef": {"name": name(number)},
        "feed": {"pubnub": {"secretRef": {"name": "playout-pubnub"}, "topics": [heard]}},
        "match": match,
        "action": {"commercial": {"lengthField": "data.duration_sec"}},
    }
    if number % 2:
        spec["when"] = "event.data.duration_sec >= 10.0"
    return _resource("TriggerRule", number, spec)


def secret(secret_name: str, **values: str) -> Json:
    """A Secret; `_` in a key stands for `-`."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret_name},
        "stringData": {key.replace("_", "-"): value for key, value in values.items()},
    }


def grant_secret(number: int, refresh_token: str) -> Json:
    """The Secret with the consent of a channel."""
    return secret(f"{name(number)}-grant", refresh_token=refresh_token)


def shared_secrets(client_id: str, client_secret: str) -> list[Json]:
    """The Secrets that all channels or rules share."""
    return [
        secret("twitch-app", client_id=client_id, client_secret=client_secret),
        secret("playout-pubnub", subscribe_key=SUBSCRIBE_KEY),
    ]


def message(number: int, length: int, cue_id: str, now: float) -> Json:
    """A message that the rule of a channel matches.

    Args:
        number: Of the channel.
        length: Seconds of the commercial that it leads to.
        cue_id: Its identity.
        now: Seconds since the epoch.
    """
    sample = _MESSAGES[number % 2]
    return {
        **sample,
        "common": {**sample["common"], "unique_id": cue_id, "timestamp": now},
        "data": {**sample["data"], "duration_sec": length + 0.1, "feed_code": name(number)},
    }


def _resource(kind: str, number: int, spec: Json) -> Json:
    version = f"{GROUP}/{VERSION}"
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": name(number)},
        "spec": spec,
    }
