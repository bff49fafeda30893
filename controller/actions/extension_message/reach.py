"""Whether messages of an extension can go to a channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.policies.findings import Finding
from controller.policies.pausing import paused_message

if TYPE_CHECKING:
    from controller.channels.channel import Channel

__all__ = ["reachable"]

_REACHABLE = Finding("Ready", "True", "Succeeded", "")


def reachable(channel: Channel, *, everywhere: bool) -> Finding:
    """Whether messages of an extension can go to a channel; it need not be live, nor eligible.

    Args:
        channel: The channel.
        everywhere: They go to all channels, and this one is but named.
    """
    if channel.stopped:
        return Finding("Ready", "False", "ChannelNotFound", "it was deleted")
    if channel.spec is None:
        return Finding("Ready", "False", "InvalidSpec", channel.ready.message, human=True)
    if channel.suspended:
        return Finding("Ready", "False", "Suspended", "spec.suspend is true: nothing is sent to it")
    if channel.pause is not None:
        key = channel.resource.key
        told = paused_message(channel.pause, key.name, key.namespace, what="messages")
        return Finding("Ready", "False", "Paused", told)
    if channel.conflict is not None:
        message = f"TwitchChannel {channel.conflict} has this broadcaster: delete one of the two"
        return Finding("Ready", "False", "Conflict", message, human=True)
    if not everywhere and channel.broadcaster_id is None:
        ready = channel.ready
        message = f"its broadcaster is not known ({ready.reason}: {ready.message})"
        return Finding("Ready", "False", "ChannelNotReady", message, ready.human)
    return _REACHABLE
