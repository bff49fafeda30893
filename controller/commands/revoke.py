"""`twitch-operator revoke`: the end of a grant, carried out by the operator."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import TYPE_CHECKING

from controller.commands.consent.channel import open_channel
from controller.commands.consent.outcomes import Request, judge_revocation
from controller.commands.terminal import say
from controller.logs import set_up_logging
from controller.resources.kind import REVOKE_REQUESTED_AT
from controller.settings import Settings

if TYPE_CHECKING:
    from controller.commands.consent.channel import Channel

__all__ = ["revoke"]


def revoke(name: str, namespace: str | None, context: str | None, timeout: float) -> None:
    """Have the grant of a channel ended at Twitch.

    Args:
        name: Of the TwitchChannel.
        namespace: None: that of the context.
        context: Of the kubeconfig; None: the current one.
        timeout: Seconds to wait for the operator.

    Raises:
        OperatorError: It is not, as far as is known; the message names the remedy.
    """
    settings = Settings.from_environment(os.environ)
    set_up_logging(settings.log_level, settings.log_format)
    say(asyncio.run(_revoke(name, namespace, context, timeout)))


async def _revoke(name: str, namespace: str | None, context: str | None, patience: float) -> str:
    async with open_channel(name, namespace, context) as channel:
        before = channel.status.conditions
        request = Request(name, await channel.ask(REVOKE_REQUESTED_AT), before=before)
        say(f"Waiting for the operator to revoke it, in namespace {channel.namespace}.")
        done = await channel.wait(partial(judge_revocation, request=request), patience)
        return f"{done}.\n{_what_now(channel)}"


def _what_now(channel: Channel) -> str:
    place = f"-n {channel.namespace} {channel.name}"
    told = (
        "No commercial runs on the channel until its broadcaster consents again:"
        f"\n  kubectl twitch authorize {place}"
    )
    given = channel.spec.authorization.refresh_token
    if given is None:
        return told
    secret, key = given.secret_key_ref.name, given.secret_key_ref.key
    remove = f'[{{"op": "remove", "path": "/data/{key}"}}]'
    return (
        f"{told}\nSecret {secret} may still hold the former refresh token; to delete it:"
        f"\n  kubectl patch secret {secret} -n {channel.namespace} --type=json -p '{remove}'"
    )
