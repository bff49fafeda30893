"""The arguments of what is asked and done while commercials run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from controller.commands.parsers.common import (
    add_channel,
    add_output,
    add_place,
    add_timeout,
    duration,
    new_command,
)

if TYPE_CHECKING:
    from controller.commands.parsers.common import Commands

__all__ = ["add_explain", "add_fire", "add_pause", "add_resume", "add_timeline"]

_LONGEST = 180


def add_explain(commands: Commands) -> None:
    """Add `explain`."""
    explain = new_command(
        commands,
        "explain",
        "explain.explain",
        "why a rule did what it did, or what it would do with an event",
        (
            "Shows the last decisions of a TriggerRule, what keeps it from working, and which event"
            " came nearest to matching. With --event it holds recorded events against the rule,"
            " test by test, by the operator's own code; with -f too it needs no cluster. Exit code:"
            " 0 explained, 1 not."
        ),
        "mst3k-ad-assets -n playout",
        "mst3k-ad-assets -n playout --event message.json",
        "-f rule.yaml -f channel.yaml --event messages.jsonl -o json",
    )
    explain.add_argument("name", metavar="RULE", nargs="?", help="name of the TriggerRule")
    add_place(explain, of="rule")
    explain.add_argument(
        "--event",
        metavar="FILE",
        help="a message as JSON, or one on each line; - is the standard input",
    )
    explain.add_argument(
        "-f",
        "--filename",
        dest="files",
        metavar="FILE",
        action="append",
        default=[],
        help="take the rule (and its TwitchChannels) from this file, not a cluster; repeatable",
    )
    add_output(explain)


def add_timeline(commands: Commands) -> None:
    """Add `timeline`."""
    timeline = new_command(
        commands,
        "timeline",
        "timeline.show_timeline",
        "on-air breaks of a channel beside its commercials",
        (
            "Sets what the statuses of a TwitchChannel and of its TriggerRules remember side by"
            " side, oldest first: at most 20 calls, and 10 decisions of each rule. Files of the"
            " as-run log reach back further. Exit code: 0 shown, 1 not."
        ),
        "mst3k -n playout",
        "mst3k -n playout --since 72h --as-run /var/log/as-run/2026-11-2*.jsonl",
    )
    timeline.add_argument("name", metavar="CHANNEL", help="name of the TwitchChannel")
    add_place(timeline, of="channel")
    timeline.add_argument(
        "--since",
        type=duration,
        default="24h",
        metavar="DURATION",
        help="how far to look back (default: 24h)",
    )
    timeline.add_argument(
        "--as-run", metavar="FILE", nargs="+", default=[], help="files of the as-run log"
    )
    add_output(timeline)


def add_fire(commands: Commands) -> None:
    """Add `fire`."""
    fire = new_command(
        commands,
        "fire",
        "fire.fire",
        "run a commercial by hand",
        (
            "Asks the operator for a commercial on a TwitchChannel, now. It passes the channel's"
            " cooldown, budget and quiet hours as any cue does, and needs the right to patch the"
            " TwitchChannel. Exit code: 0 Twitch accepted it, 1 it did not run (the message says"
            " why, and what to do), 130 interrupted."
        ),
        "mst3k -n playout --length 90s",
    )
    add_channel(fire, wait="for the operator", timeout="45s")
    fire.add_argument(
        "--length",
        type=_length,
        default="60s",
        metavar="DURATION",
        help=f"whole seconds from 1s to {_LONGEST}s (default: 60s)",
    )


def add_pause(commands: Commands) -> None:
    """Add `pause`."""
    pause = new_command(
        commands,
        "pause",
        "pause.pause",
        "hold the commercials of channels, or of all channels",
        (
            "Sets an annotation on TwitchChannels that the operator looks at right before each call"
            " to Twitch. Without names: at once on all of all namespaces, or of one (-n). A"
            " commercial that runs already runs on, and a channel that is made later is not paused."
            " Who paused a channel, when and why is in its condition Ready. Exit code: 0"
            " all are paused, 1 not all, or the operator did not confirm all."
        ),
        "",
        "mst3k mst3k-eu -n playout --reason 'wrong feed on air'",
    )
    _add_channels(pause)
    pause.add_argument(
        "--reason", metavar="TEXT", default="", help="why; the condition Ready tells it"
    )
    pause.set_defaults(resume=False)


def add_resume(commands: Commands) -> None:
    """Add `resume`."""
    resume = new_command(
        commands,
        "resume",
        "pause.pause",
        "let paused channels go on",
        (
            "Removes what `pause` has set. Without names: of the paused channels of all namespaces,"
            " or of one (-n); where more than one is paused, it names them and asks back, unless"
            " --all is given. Cues that came meanwhile are not made up for. Exit code: 0 all go on,"
            " 1 not all, or the operator did not confirm all."
        ),
        "mst3k -n playout",
        "--all",
    )
    _add_channels(resume)
    resume.set_defaults(resume=True, reason="")


def _add_channels(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "names", metavar="CHANNEL", nargs="*", default=[], help="names of TwitchChannels"
    )
    which.add_argument(
        "--all", action="store_true", dest="sure", help="all channels of the cluster, or of -n"
    )
    parser.add_argument(
        "-n",
        "--namespace",
        help="of the channels (default: the context's for names, all namespaces without)",
    )
    parser.add_argument("--context", help="context of the kubeconfig (default: the current one)")
    wait = "until the operator confirms it; 0s: not at all"
    add_timeout(parser, wait=wait, timeout="10s", option="--wait")


def _length(text: str) -> int:
    length = duration(text)
    if not 1 <= length <= _LONGEST or length % 1:
        msg = f"{text!r} is not a length: write whole seconds from 1s to {_LONGEST}s, such as 90s"
        raise argparse.ArgumentTypeError(msg)
    return int(length)
