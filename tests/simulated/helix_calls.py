"""What the tests of the Helix client share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from controller.clients.helix import Credential, Helix
    from controller.events import Answer
    from controller.sandbox.twitch import TwitchSimulator


def short(body: object) -> str:
    return repr(body)[:50]


def channel(twitch: TwitchSimulator) -> str:
    return twitch.channels.named("mst3k").id


async def start(
    helix: Helix, credential: Credential, twitch: TwitchSimulator, length: int = 125
) -> Answer:
    return await helix.start_commercial(credential, channel(twitch), length)


STRANGE: list[Any] = [
    "", "no JSON", "null", "[]", "5", {}, {"data": None}, {"data": []}, {"data": 5},
    {"data": ["x"]}, {"data": [{}]}, {"data": [{"retry_after": "soon", "message": 5}]},
    {"data": [{"retry_after": True}]}, {"data": [{"retry_after": -1}]},
    '{"data": [{"retry_after": NaN}]}', '{"data": [{"retry_after": 1e999}]}',
    {"data": {"retry_after": 480}}, '{"data": [', "[" * 5000 + "]" * 5000, "[" * 5000,
    '{"data": [{"retry_after": ' + "9" * 5000 + "}]}",
]  # fmt: skip
