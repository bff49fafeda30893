"""The command line; wiring only."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from pathlib import Path

from controller.errors import OperatorError
from controller.settings import SettingsError

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        result: int = arguments.command(arguments)
    except (OperatorError, SettingsError) as error:
        print(f"twitch-operator: {error}", file=sys.stderr)
        return 1
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="twitch-operator",
        description="Turns playout cues into Twitch commercials of the right length, at once.",
        epilog="Settings come from the environment: see docs/settings.md.",
    )
    version = importlib.metadata.version("twitch-operator")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run the operator against a cluster")
    run.add_argument("--context", help="context of the kubeconfig (default: the current one)")
    run.set_defaults(command=_run)

    crds = commands.add_parser("crds", help="print the CRDs, or write them to a folder")
    crds.add_argument("--output-dir", type=Path, help="write one file for each kind into DIR")
    crds.set_defaults(command=_crds)
    return parser


# Each command imports what it needs when it is used: `crds` need not wait for a Kubernetes client.


def _run(arguments: argparse.Namespace) -> int:
    from controller.commands.run import run_operator  # noqa: PLC0415

    return run_operator(arguments.context)


def _crds(arguments: argparse.Namespace) -> int:
    from controller.commands.crds import write_crds  # noqa: PLC0415

    return write_crds(arguments.output_dir)


if __name__ == "__main__":
    sys.exit(main())
