"""The arguments of what looks at recordings."""

from __future__ import annotations

import argparse
from datetime import date, time
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from controller.commands.parsers.common import add_output, add_place, new_command

if TYPE_CHECKING:
    from controller.commands.parsers.common import Commands

__all__ = ["add_as_run", "add_backtest"]


def add_backtest(commands: Commands) -> None:
    """Add `backtest`."""
    backtest = new_command(
        commands,
        "backtest",
        "backtest.backtest",
        "what rules would have done with recorded events",
        (
            "Runs TriggerRules over recorded events, on a clock of their own, by the operator's own"
            " code: matching, breaks, cooldown, budgets, quiet hours. The channels count as live"
            " and ready; spec.mode and spec.suspend do not count. An event is a JSON object: a"
            " message as it was published, or an object with message and timetoken (or time) as"
            " PubNub's history has it. They stand one on each line, or in any layout one after"
            " the other or in a list. Exit code: 0 it ran, 1 a file cannot be used, or holds no"
            " event."
        ),
        "-f rule.yaml events.jsonl",
        "-f rules.yaml -f channels.yaml --rule mst3k-splices -o json events.jsonl",
        "-f rule.yaml -n playout --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z",
    )
    backtest.add_argument(
        "-f",
        "--filename",
        dest="files",
        metavar="FILE",
        action="append",
        required=True,
        help="TriggerRules, and their TwitchChannels (default: one with all defaults); repeatable",
    )
    backtest.add_argument("--rule", metavar="NAME", help="only this TriggerRule of the files")
    backtest.add_argument(
        "--time-field",
        metavar="PATH",
        help="where messages without an envelope tell their time (default: the rule's timeField,"
        " else common.timestamp)",
    )
    backtest.add_argument(
        "--from",
        dest="begin",
        type=_instant,
        metavar="INSTANT",
        help="read the feed's history from then on, such as 2026-11-01T00:00:00Z, in place of"
        " files; the keys come from the Secret that the rule names, in the cluster",
    )
    backtest.add_argument(
        "--to", dest="end", type=_instant, metavar="INSTANT", help="until then (default: now)"
    )
    add_place(backtest, of="Secret")
    add_output(backtest)
    backtest.add_argument(
        "events",
        metavar="EVENTS",
        nargs="*",
        help="files of events as JSON; - is the standard input",
    )


def add_as_run(commands: Commands) -> None:
    """Add `asrun`."""
    as_run = new_command(
        commands,
        "asrun",
        "as_run.as_run",
        "what ran on a channel in a broadcast day, from the as-run log",
        (
            "Reads files of the as-run log (or logs that hold its lines), chooses a channel and a"
            " broadcast day, and prints a line for each break and for each ad that was not ours;"
            " what stands in several files counts once. Totals go to standard error. Exit code: 0"
            " read, 1 a file cannot be."
        ),
        "as-run-2026-11-2*.jsonl --channel mst3k --date 2026-11-23 --tz America/New_York"
        " --day-start 06:00 -o csv",
        "- -o table",
    )
    as_run.add_argument(
        "files", metavar="FILE", nargs="+", help="also .gz; - is the standard input"
    )
    as_run.add_argument("--channel", metavar="NAME", help="name, or namespace/name (default: all)")
    as_run.add_argument(
        "--date",
        dest="day",
        type=_date,
        metavar="YYYY-MM-DD",
        help="the broadcast day (default: all)",
    )
    as_run.add_argument(
        "--tz",
        dest="zone",
        type=_zone,
        default="UTC",
        metavar="ZONE",
        help="its time zone (default: UTC)",
    )
    as_run.add_argument(
        "--day-start",
        type=_time,
        default="00:00",
        metavar="HH:MM",
        help="when a broadcast day begins there (default: 00:00)",
    )
    as_run.add_argument(
        "-o", "--output", choices=("csv", "json", "table"), default="csv", help="(default: csv)"
    )


def _instant(text: str) -> float:
    from controller.resources.fields import parse_instant  # noqa: PLC0415

    try:
        return parse_instant(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _date(text: str) -> date:
    try:
        day = date.fromisoformat(text)
        if date(1970, 1, 2) <= day <= date(9000, 1, 1):
            return day
        raise ValueError(text)
    except ValueError:
        msg = f"{text!r} is not a date: write it as 2026-11-23"
        raise argparse.ArgumentTypeError(msg) from None


def _time(text: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError:
        msg = f"{text!r} is not a time of day: write it as 06:00"
        raise argparse.ArgumentTypeError(msg) from None


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, LookupError):
        msg = f"{text!r} is not a time zone: write it as America/New_York or UTC"
        raise argparse.ArgumentTypeError(msg) from None
