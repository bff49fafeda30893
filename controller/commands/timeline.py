"""`kubectl twitch timeline`: what was on air, and what ran on Twitch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from controller.commands.as_run import read_entries
from controller.commands.cluster import Forbidden, run_in_cluster
from controller.commands.show.text import to_json
from controller.commands.show.timeline import (
    RuleStatus,
    as_run_row,
    next_times,
    rows_from_statuses,
    timeline,
    timeline_for_people,
    timeline_for_programs,
)
from controller.commands.terminal import say
from controller.durations import format_duration
from controller.errors import OperatorError
from controller.resources.common import rfc3339
from controller.resources.triggerrule import TRIGGER_RULE, TriggerRuleStatus
from controller.resources.twitchchannel import TWITCH_CHANNEL, TwitchChannelStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controller.commands.cluster import Cluster
    from controller.commands.show.timeline import Row

__all__ = ["Options", "show_timeline"]


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for.

    Attributes:
        name: Of the TwitchChannel.
        namespace: None: that of the context.
        context: Of the kubeconfig; None: the current one.
        since: Seconds to look back.
        as_run: Files of the as-run log, which reach back further than the status.
        output: json, or table.
    """

    name: str
    namespace: str | None
    context: str | None
    since: float
    as_run: Sequence[str]
    output: str


def show_timeline(options: Options) -> None:
    """Print the breaks of a channel beside its commercials.

    Raises:
        OperatorError: The channel or a file cannot be read.
    """

    async def work(cluster: Cluster) -> str:
        return await _timeline(cluster, cluster.namespace(options.namespace), options)

    say(run_in_cluster(options.context, work))


async def _timeline(cluster: Cluster, namespace: str, options: Options) -> str:
    channel = await cluster.get(TWITCH_CHANNEL, namespace, options.name)
    status = TwitchChannelStatus.from_status(channel.get("status") or {})
    rules, notes = await _rules(cluster, namespace)
    now = time.time()
    recorded = [
        row for file in options.as_run for row in _read_as_run(file, options.name, namespace)
    ]
    told = rows_from_statuses(options.name, status, rules)
    rows = timeline(told, recorded, now - options.since)
    if options.output != "json":
        empty = f"no break, and no ad, within {format_duration(options.since)}"
        table = timeline_for_people(rows) if rows else empty
        return "\n".join([table, "", *next_times(status, now), *notes])
    ran, schedule = status.commercials, status.ad_schedule
    eligible = ran.next_eligible_time if ran is not None else None
    planned = schedule.next_ad_time if schedule is not None else None
    return to_json(
        {
            "namespace": namespace,
            "channel": options.name,
            "breaks": timeline_for_programs(rows),
            "nextEligibleTime": None if eligible is None else rfc3339(eligible),
            "nextAdTime": None if planned is None else rfc3339(planned),
            "notes": notes,
        }
    )


async def _rules(cluster: Cluster, namespace: str) -> tuple[list[RuleStatus], list[str]]:
    try:
        found = await cluster.list_all(TRIGGER_RULE, namespace)
    except Forbidden as error:
        return [], [f"what rules decided without a call is missing: {error}"]
    rules = [
        RuleStatus(
            rule["metadata"]["name"],
            (rule["spec"].get("channelRef") or {}).get("name"),
            TriggerRuleStatus.from_status(rule.get("status") or {}),
        )
        for rule in found
        if "extensionMessage" not in (rule["spec"].get("action") or {})  # they speak of no break
    ]
    return rules, []


def _read_as_run(file: str, channel: str, namespace: str) -> list[Row]:
    rows = []
    for number, entry in read_entries(file):
        if entry.get("channel") != channel or entry.get("namespace", namespace) != namespace:
            continue
        try:
            row = as_run_row(entry)
        except ValueError as error:
            msg = f"{file}, line {number} is none of the as-run log: {error}"
            raise OperatorError(msg) from None
        if row is not None:
            rows.append(row)
    return rows
