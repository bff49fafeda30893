"""The command line; wiring only."""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from controller.durations import parse_duration
from controller.errors import OperatorError
from controller.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    # argparse has no public name for what add_subparsers returns.
    Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001

__all__ = ["kubectl_main", "main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command of `twitch-operator`; returns the exit code."""
    return _run_command(_parser(), argv)


def kubectl_main(argv: Sequence[str] | None = None) -> int:
    """Run a command of `kubectl twitch`; returns the exit code."""
    return _run_command(_kubectl_parser(), argv)


def _run_command(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    arguments = parser.parse_args(argv)
    try:
        result: int = arguments.command(arguments)
    except (OperatorError, SettingsError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return 130
    return result


def _parser() -> argparse.ArgumentParser:
    text = "Turns playout cues into Twitch commercials of the right length, at once."
    parser, commands = _new_parser("twitch-operator", text)

    run = commands.add_parser("run", help="run the operator against a cluster")
    run.add_argument("--context", help="context of the kubeconfig (default: the current one)")
    run.set_defaults(command=_run)

    crds = commands.add_parser("crds", help="print the CRDs, or write them to a folder")
    crds.add_argument("--output-dir", type=Path, help="write one file for each kind into DIR")
    crds.set_defaults(command=_crds)

    _add_authorize(commands)
    _add_revoke(commands)
    _add_demo(commands)
    _add_sandbox(commands)
    return parser


def _kubectl_parser() -> argparse.ArgumentParser:
    text = "What the broadcasters of TwitchChannels consent to: begun, and ended."
    parser, commands = _new_parser("kubectl twitch", text)
    _add_authorize(commands)
    _add_revoke(commands)
    return parser


def _new_parser(prog: str, description: str) -> tuple[argparse.ArgumentParser, Commands]:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=description,
        epilog="Settings come from the environment: see docs/settings.md.",
    )
    version = importlib.metadata.version("twitch-operator")
    parser.add_argument("--version", action="version", version=f"%(prog)s {version}")
    return parser, parser.add_subparsers(title="commands", required=True, metavar="COMMAND")


def _add_authorize(commands: Commands) -> None:
    authorize = commands.add_parser(
        "authorize",
        help="let the broadcaster of a channel consent, in a browser",
        description=(
            "Opens Twitch's consent page, hands what comes of it to the operator through the"
            " Secret that spec.authorization names, and waits until the channel is Ready. For a"
            " deviceCode it shows the code to type. Exit code: 0 authorized, 1 not, 130"
            " interrupted."
        ),
        epilog="example: %(prog)s mst3k -n playout",
    )
    _add_channel(authorize, wait="for the consent, and then for the operator", timeout="5m")
    authorize.add_argument(
        "--no-browser", action="store_true", help="only print the address of the consent page"
    )
    authorize.add_argument(
        "--redirect-uri",
        metavar="URI",
        help="as the application registered it, for a channel with a refreshToken (default: "
        "http://localhost:3000/auth/twitch/callback)",
    )
    authorize.set_defaults(command=_authorize)


def _add_revoke(commands: Commands) -> None:
    revoke = commands.add_parser(
        "revoke",
        help="end the grant of a channel at Twitch",
        description=(
            "Asks the operator to revoke the channel's grant at Twitch, and waits until it has. No"
            " commercial runs on the channel until its broadcaster consents anew. Exit code: 0"
            " revoked, 1 not, 130 interrupted."
        ),
        epilog="example: %(prog)s mst3k -n playout",
    )
    _add_channel(revoke, wait="for the operator", timeout="1m")
    revoke.set_defaults(command=_revoke)


def _add_channel(parser: argparse.ArgumentParser, *, wait: str, timeout: str) -> None:
    parser.add_argument("name", metavar="NAME", help="of the TwitchChannel")
    parser.add_argument("-n", "--namespace", help="of the channel (default: the context's)")
    parser.add_argument("--context", help="context of the kubeconfig (default: the current one)")
    parser.add_argument(
        "--timeout",
        type=_duration,
        default=timeout,
        metavar="DURATION",
        help=f"how long to wait {wait} (default: {timeout})",
    )


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


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


def _crds(arguments: argparse.Namespace) -> int:
    from controller.commands.crds import write_crds  # noqa: PLC0415

    return write_crds(arguments.output_dir)


def _authorize(arguments: argparse.Namespace) -> int:
    from controller.commands.authorize import Wishes, authorize  # noqa: PLC0415

    wishes = Wishes(
        name=arguments.name,
        namespace=arguments.namespace,
        context=arguments.context,
        use_browser=not arguments.no_browser,
        redirect_uri=arguments.redirect_uri,
        timeout=arguments.timeout,
    )
    return authorize(wishes)


def _revoke(arguments: argparse.Namespace) -> int:
    from controller.commands.revoke import revoke  # noqa: PLC0415

    return revoke(arguments.name, arguments.namespace, arguments.context, arguments.timeout)


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
