"""The command line; wiring only."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
from typing import TYPE_CHECKING

from controller.commands.parsers import grants, operation, processes, recorded
from controller.commands.parsers.common import run_command
from controller.displayable import displayable_lines
from controller.errors import OperatorError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from controller.commands.parsers.common import Commands

__all__ = ["build_kubectl_parser", "build_parser", "kubectl_complete", "kubectl_main", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command of `twitch-operator`; returns the exit code."""
    return _run_command(build_parser(), argv)


def kubectl_main(argv: Sequence[str] | None = None) -> int:
    """Run a command of `kubectl twitch`; returns the exit code."""
    return _run_command(build_kubectl_parser(), argv)


def kubectl_complete(argv: Sequence[str] | None = None) -> int:
    """Tell kubectl how a command of `kubectl twitch` may go on; returns the exit code."""
    from controller.commands.completion import answer_kubectl  # noqa: PLC0415

    return answer_kubectl(build_kubectl_parser(), sys.argv[1:] if argv is None else argv)


def _run_command(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    if "_ARGCOMPLETE" in os.environ:
        from controller.commands.completion import answer_shell  # noqa: PLC0415

        answer_shell(parser)
    arguments = parser.parse_args(argv)
    if "function" not in arguments:
        parser.print_help()
        return 0
    # Specs, settings and log lines are read by what the kinds of feeds register.
    import controller.feeds.registry  # noqa: F401, PLC0415 - completion need not wait for it

    try:
        return run_command(arguments)
    except (OperatorError, SettingsError) as error:
        print(f"{parser.prog}: {displayable_lines(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `twitch-operator`."""
    text = "Turns playout cues into Twitch commercials of the right length, at once."
    parser, commands = _new_parser("twitch-operator", text)
    processes.add_run(commands)
    processes.add_gateway(commands)
    processes.add_crds(commands)
    _add_shared(commands)
    recorded.add_backtest(commands)
    recorded.add_as_run(commands)
    processes.add_demo(commands)
    processes.add_sandbox(commands)
    return parser


def build_kubectl_parser() -> argparse.ArgumentParser:
    """Return the parser of `kubectl twitch`."""
    text = (
        "What is asked and done about TwitchChannels, TriggerRules and ExtensionApps, day by day."
    )
    parser, commands = _new_parser("kubectl twitch", text)
    _add_shared(commands)
    return parser


def _add_shared(commands: Commands) -> None:
    """What both programs have."""
    grants.add_authorize(commands)
    grants.add_revoke(commands)
    grants.add_revoke_secrets(commands)
    operation.add_explain(commands)
    operation.add_timeline(commands)
    operation.add_fire(commands)
    operation.add_pause(commands)
    operation.add_resume(commands)
    processes.add_completion(commands)


def _new_parser(prog: str, description: str) -> tuple[argparse.ArgumentParser, Commands]:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog="Settings are environment variables: see the page Settings of the documentation.",
    )
    version = importlib.metadata.version("twitch-operator")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version}")
    return parser, parser.add_subparsers(title="commands", metavar="COMMAND")


if __name__ == "__main__":
    sys.exit(main())
