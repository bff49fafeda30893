"""The command line; wiring only."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from controller.commands.parsers.common import new_command
from controller.commands.parsers.grants import add_authorize, add_revoke, add_revoke_secrets
from controller.commands.parsers.operation import (
    add_explain,
    add_fire,
    add_pause,
    add_resume,
    add_timeline,
)
from controller.commands.parsers.recorded import add_as_run, add_backtest
from controller.displayable import displayable_lines
from controller.errors import OperatorError
from controller.settings import SettingsError

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
    try:
        result: int = arguments.command(arguments)
    except (OperatorError, SettingsError) as error:
        print(f"{parser.prog}: {displayable_lines(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130
    return result


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of `twitch-operator`."""
    text = "Turns playout cues into Twitch commercials of the right length, at once."
    parser, commands = _new_parser("twitch-operator", text)

    run = commands.add_parser("run", help="run the operator against a cluster")
    run.add_argument("--context", help="context of the kubeconfig (default: the current one)")
    run.set_defaults(command=_run)

    _add_gateway(commands)

    crds = commands.add_parser("crds", help="print the CRDs, or write them to a folder")
    crds.add_argument("--output-dir", type=Path, help="write one file for each kind into DIR")
    crds.set_defaults(command=_crds)

    _add_shared(commands)
    add_backtest(commands)
    add_as_run(commands)
    _add_demo(commands)
    _add_sandbox(commands)
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
    add_authorize(commands)
    add_revoke(commands)
    add_revoke_secrets(commands)
    add_explain(commands)
    add_timeline(commands)
    add_fire(commands)
    add_pause(commands)
    add_resume(commands)
    _add_completion(commands)


def _new_parser(prog: str, description: str) -> tuple[argparse.ArgumentParser, Commands]:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog="Settings are environment variables: see the page Settings of the documentation.",
    )
    version = importlib.metadata.version("twitch-operator")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version}")

    def show_help(_: argparse.Namespace) -> int:
        parser.print_help()
        return 0

    parser.set_defaults(command=show_help)
    return parser, parser.add_subparsers(title="commands", metavar="COMMAND")


def _add_completion(commands: Commands) -> None:
    completion = new_command(
        commands,
        "completion",
        "the code by which a shell completes commands and options",
        (
            "Prints the code by which a shell completes twitch-operator and kubectl-twitch. kubectl"
            " completes kubectl twitch by its own code: see kubectl completion --help."
        ),
        "bash > ~/.local/share/bash-completion/completions/twitch-operator",
        "zsh > ~/.zsh/completions/_twitch-operator",
        "fish > ~/.config/fish/completions/twitch-operator.fish",
    )
    completion.add_argument("shell", choices=("bash", "zsh", "fish"), help="whose code")
    completion.set_defaults(command=_completion)


def _add_gateway(commands: Commands) -> None:
    text = "serve the backend of the extensions that are declared: /send/ and /setup/"
    gateway = commands.add_parser("gateway", help=text, description=f"{text[0].upper()}{text[1:]}.")
    gateway.add_argument("--context", help="context of the kubeconfig (default: the current one)")
    gateway.set_defaults(command=_gateway)


def _add_demo(commands: Commands) -> None:
    text = "watch it work, on this machine: a real API server, simulated Twitch and PubNub"
    demo = commands.add_parser("demo", help=text, description=f"{text[0].upper()}{text[1:]}.")
    demo.add_argument("--once", action="store_true", help="check the outcome and end: 0 or 1")
    demo.set_defaults(command=_demo)


def _add_sandbox(commands: Commands) -> None:
    text = "an API server, simulated Twitch and PubNub on this machine, to try your own rules with"
    sandbox = commands.add_parser("sandbox", help=text, description=f"{text[0].upper()}{text[1:]}.")
    sandbox.add_argument(
        "--kubeconfig", type=Path, help="use this cluster in place of an API server of its own"
    )
    sandbox.add_argument("--context", help="of that kubeconfig (default: its current one)")
    sandbox.add_argument(
        "--folder", type=Path, help="keep the API server's data in FOLDER, for the next start"
    )
    sandbox.add_argument(
        "--env-file",
        type=Path,
        metavar="FILE",
        help="write the variables to export into FILE, as soon as all is ready",
    )
    sandbox.set_defaults(command=_sandbox)


# Each command imports what it needs when it is used: `crds` need not wait for a Kubernetes client.


def _run(arguments: argparse.Namespace) -> int:
    from controller.commands.run import run_operator  # noqa: PLC0415

    return run_operator(arguments.context)


def _gateway(arguments: argparse.Namespace) -> int:
    from controller.commands.gateway import run_gateway  # noqa: PLC0415

    return run_gateway(arguments.context)


def _crds(arguments: argparse.Namespace) -> int:
    from controller.commands.crds import write_crds  # noqa: PLC0415

    return write_crds(arguments.output_dir)


def _completion(arguments: argparse.Namespace) -> int:
    from controller.commands.completion import print_completion  # noqa: PLC0415

    return print_completion(arguments.shell)


def _demo(arguments: argparse.Namespace) -> int:
    from controller.commands.demo import run_demo  # noqa: PLC0415

    return run_demo(once=arguments.once)


def _sandbox(arguments: argparse.Namespace) -> int:
    from controller.commands.sandbox import run_sandbox  # noqa: PLC0415

    return run_sandbox(
        kubeconfig=arguments.kubeconfig,
        context=arguments.context,
        folder=arguments.folder,
        env_file=arguments.env_file,
    )


if __name__ == "__main__":
    sys.exit(main())
