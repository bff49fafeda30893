"""What channels tell the other kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.arbiter.steps import CueRecord
    from controller.channels.channel import Channel
    from controller.events import Verdict

__all__ = [
    "ChannelChanged",
    "ChannelDeclared",
    "ChannelRemoved",
    "CommercialCalled",
    "CommercialSettled",
]


@dataclass(frozen=True, slots=True)
class ChannelDeclared:
    """A TwitchChannel came, or its user changed it."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class ChannelChanged:
    """What is known of a channel may have changed: whether it is ready, whose it is."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class ChannelRemoved:
    """A TwitchChannel is gone."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class CommercialCalled:
    """Twitch was asked for a commercial; `verdict` is what came of it."""

    channel: Channel
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class CommercialSettled:
    """Twitch told whether a commercial ran, of which only the call was known."""

    channel: Channel
    record: CueRecord
