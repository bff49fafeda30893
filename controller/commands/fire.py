"""`kubectl twitch fire`: a commercial by hand, which the operator runs as it runs a rule's."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from controller.commands.cluster import no_operator, run_in_cluster
from controller.commands.show.firing import find_outcome, fire_value, remedy
from controller.commands.terminal import say
from controller.durations import format_duration
from controller.errors import OperatorError
from controller.resources.common import find_condition, rfc3339
from controller.resources.kind import FIRE_REQUESTED
from controller.resources.twitchchannel import TWITCH_CHANNEL, TwitchChannelStatus

if TYPE_CHECKING:
    from controller.commands.cluster import Cluster

__all__ = ["fire"]


def fire(
    name: str, length: int, namespace: str | None, context: str | None, timeout: float
) -> None:
    """Have a commercial run.

    Args:
        name: Of the TwitchChannel.
        length: Whole seconds.
        namespace: None: that of the context.
        context: Of the kubeconfig; None: the current one.
        timeout: Seconds to wait for the operator.

    Raises:
        OperatorError: It did not run, as far as is known; the message names the remedy.
    """

    async def work(cluster: Cluster) -> str:
        return await _fire(cluster, name, length, cluster.namespace(namespace), timeout)

    say(run_in_cluster(context, work))


async def _fire(cluster: Cluster, name: str, length: int, namespace: str, patience: float) -> str:
    async def read() -> TwitchChannelStatus:
        found = await cluster.get(TWITCH_CHANNEL, namespace, name)
        return TwitchChannelStatus.from_status(found.get("status") or {})

    await read()  # a name that was mistyped is told with those that there are
    value = fire_value(rfc3339(time.time()), length)
    await cluster.annotate(TWITCH_CHANNEL, namespace, name, {FIRE_REQUESTED: value})
    status, _ = await cluster.until(read, lambda found: find_outcome(found, value), patience)
    outcome = find_outcome(status, value)
    if outcome is None:
        raise OperatorError(_silence(status, value, namespace, patience))
    told = f"{outcome.verdict}: {outcome.detail}".removesuffix(": ")
    if not outcome.ran:
        place = f"{name} -n {namespace}"
        raise OperatorError(f"{told} - {remedy(outcome.verdict, status, place)}")
    return f"twitchchannel/{name}: {told}"


def _silence(status: TwitchChannelStatus, value: str, namespace: str, patience: float) -> str:
    within = format_duration(patience)
    if status.last_handled_fire_at == value:
        told = status.last_fire
        waits = f": {told.verdict}: {told.detail or ''}" if told is not None else ""
        return f"not decided within {within}{waits} - kubectl describe tch tells the outcome"
    ready = find_condition(status.conditions, "Ready")
    before = f". The status is of before: {ready.reason}: {ready.message}" if ready else ""
    return no_operator(namespace, within) + before
