"""What several commands take."""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias

from controller.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Commands",
    "add_channel",
    "add_output",
    "add_place",
    "add_timeout",
    "duration",
    "new_command",
    "run_command",
]

# argparse has no public name for what add_subparsers returns.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001


def new_command(
    commands: Commands, name: str, function: str, summary: str, description: str, *examples: str
) -> argparse.ArgumentParser:
    """Add a command.

    Args:
        commands: To which it is added.
        name: Its name.
        function: That runs it, as `run_command` finds it.
        summary: Of a line, in the list of commands.
        description: Above the arguments.
        examples: Arguments that are given as examples.
    """
    word = "example: " if len(examples) == 1 else "examples:\n"
    lines = [f"%(prog)s {each}".rstrip() for each in examples]
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=word + "\n".join(lines if len(lines) == 1 else [f"  {line}" for line in lines]),
        formatter_class=_Layout,
    )
    parser.set_defaults(function=function)
    return parser


def run_command(arguments: argparse.Namespace) -> int:
    """Import the command's module, which nothing else does, and run the command.

    A module with a class `Options` takes the arguments as one of those, any other one by one.

    Returns:
        The exit code: what the command returns; 0 where it returns nothing.
    """
    given = vars(arguments)
    place, _, name = given.pop("function").rpartition(".")
    module = import_module(f"controller.commands.{place}")
    function: Callable[..., int | None] = getattr(module, name)
    options = getattr(module, "Options", None)
    return (function(options(**given)) if options else function(**given)) or 0


class _Layout(argparse.HelpFormatter):
    """Keeps the lines of examples apart."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("examples:"):
            return text
        return super()._fill_text(text, width, indent)


def add_place(parser: argparse.ArgumentParser, *, of: str) -> None:
    """Let the user choose where.

    Args:
        parser: Of the command.
        of: What is in the namespace.
    """
    parser.add_argument("-n", "--namespace", help=f"of the {of} (default: the context's)")
    parser.add_argument("--context", help="context of the kubeconfig (default: the current one)")


def add_channel(parser: argparse.ArgumentParser, *, wait: str, timeout: str) -> None:
    """Let the user choose a channel, and say how long is waited.

    Args:
        parser: Of the command.
        wait: For what is waited.
        timeout: The default.
    """
    parser.add_argument("name", metavar="NAME", help="of the TwitchChannel")
    add_place(parser, of="channel")
    add_timeout(parser, wait=wait, timeout=timeout)


def add_timeout(
    parser: argparse.ArgumentParser, *, wait: str, timeout: str, option: str = "--timeout"
) -> None:
    """Let the user say how long is waited.

    Args:
        parser: Of the command.
        wait: For what.
        timeout: The default.
        option: Its name.
    """
    parser.add_argument(
        option,
        type=duration,
        default=timeout,
        metavar="DURATION",
        help=f"how long to wait {wait} (default: {timeout})",
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """Let the user choose between a table and JSON."""
    parser.add_argument(
        "-o",
        "--output",
        choices=("table", "json"),
        default="table",
        help="table for people (the default), json for programs",
    )


def duration(text: str) -> float:
    """Read a duration, in seconds."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
