"""Channels, rules and extensions as tables, made from their statuses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from controller.sandbox.demo.outcome import condition, epoch

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["tables"]

_GOOD, _BAD = ("True", "Fired", "Confirmed"), ("False", "Failed")
_STYLES = dict.fromkeys(_GOOD, "green") | dict.fromkeys(_BAD, "red") | {"Unknown": "yellow"}
_CHANNEL = ("CHANNEL", "READY", "LIVE", "LAST-RUN", "LENGTH", "CONFIRMED", "NEXT-OK", "REASON")
_RULE = (
    # The most that 80 columns hold; kubectl shows CHANNEL and FAILED, too.
    *("RULE", "READY", "FEED", "LAST-CUE", "VERDICT", "FIRED", "SKIPPED", "REASON"),
)
_EXTENSION = ("EXTENSION", "READY", "SECRETS", "CONFIG", "ROTATED", "NEXT-ROTATION", "REASON")

Resource = dict[str, Any]


def tables(resources: Sequence[Resource], now: float | None) -> Group:
    """Draw a table of the TwitchChannels, one of the TriggerRules and one of the ExtensionApps.

    Args:
        resources: As kubectl gives them.
        now: Seconds since the epoch: instants are shown as distances from it. None: as the time
            of day in UTC, which does not change by itself.
    """
    channels, rules, extensions = _table(*_CHANNEL), _table(*_RULE), _table(*_EXTENSION)
    for each in resources:
        if each["kind"] == "TwitchChannel":
            channels.add_row(*_channel(each, now))
        elif each["kind"] == "TriggerRule":
            rules.add_row(*_rule(each, now))
        else:
            extensions.add_row(*_extension(each, now))
    return Group(channels, Text(), rules, Text(), extensions)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _channel(channel: Resource, now: float | None) -> list[Text]:
    ran = channel.get("status", {}).get("commercials", {})
    length = ran.get("lastLengthSeconds")
    return [
        Text(channel["metadata"]["name"]),
        _status(channel, "Ready"),
        _status(channel, "Live"),
        _when(ran.get("lastStartTime"), now),
        Text(f"{length} s" if length else ""),
        _when(ran.get("lastConfirmedTime"), now),
        _when(ran.get("nextEligibleTime"), now),
        Text(condition(channel, "Ready").get("reason", "")),
    ]


def _rule(rule: Resource, now: float | None) -> list[Text]:
    status = rule.get("status", {})
    verdict = next((each["verdict"] for each in status.get("recentDecisions", ())), "")
    counts = status.get("counts", {})
    return [
        Text(rule["metadata"]["name"]),
        _status(rule, "Ready"),
        _status(rule, "FeedConnected"),
        _when(status.get("lastEventTime"), now),
        Text(verdict, _STYLES.get(verdict, "yellow")),
        Text(str(counts.get("fired", ""))),
        Text(str(counts.get("skipped", ""))),
        Text(condition(rule, "Ready").get("reason", "")),
    ]


def _extension(extension: Resource, now: float | None) -> list[Text]:
    status = extension.get("status", {})
    return [
        Text(extension["metadata"]["name"]),
        _status(extension, "Ready"),
        _status(extension, "SecretsCurrent"),
        _status(extension, "ConfigurationSynced"),
        _when(status.get("lastRotationTime"), now),
        _when(status.get("nextRotationTime"), now),
        Text(condition(extension, "Ready").get("reason", "")),
    ]


def _status(resource: Resource, kind: str) -> Text:
    status = condition(resource, kind).get("status", "")
    return Text(status, _STYLES.get(status, ""))


def _when(instant: str | None, now: float | None) -> Text:
    at = epoch(instant)
    if at is None:
        return Text()
    if now is None:
        return Text(f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}Z")
    minutes, seconds = divmod(abs(round(at - now)), 60)
    distance = f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"
    if at > now:
        return Text(f"in {distance}", "yellow")
    return Text(f"{distance} ago")
