"""Shell completion: `completion SHELL`, and what kubectl asks of its plugins."""

from __future__ import annotations

import io
import os
import shlex
import sys
from typing import TYPE_CHECKING

import argcomplete
from argcomplete.completers import BaseCompleter
from argcomplete.finders import CompletionFinder
from argcomplete.shell_integration import shellcode

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

__all__ = ["answer_kubectl", "answer_shell", "print_completion"]

_PROGRAMS = ("twitch-operator", "kubectl-twitch")
# Directives of kubectl (of cobra): what the shell does with the candidates.
_FILES_IF_NONE, _NO_FILES = 0, 4


class _Nothing(BaseCompleter):
    """Leaves the values of arguments to the shell, which completes files."""

    def __call__(self, **_: object) -> list[str]:
        return []


def print_completion(shell: str) -> None:
    """Print the code for `bash`, `zsh` or `fish`."""
    sys.stdout.write(f"{shellcode(_PROGRAMS, shell=shell)}\n")


def answer_shell(parser: argparse.ArgumentParser) -> None:
    """Where that code runs the program, write the candidates to it and end the process."""
    argcomplete.autocomplete(parser, always_complete_options=False, default_completer=_Nothing())


def answer_kubectl(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """Print the candidates for the last of the arguments, as kubectl 1.26 and newer reads them.

    A line is a candidate, or a candidate, a tab and what it does; the last line is a colon and a
    directive. See "Extend kubectl with plugins", kubernetes.io.

    Args:
        parser: Of `kubectl twitch`.
        arguments: What was typed after `kubectl twitch`; the last may be empty.

    Returns:
        The exit code.
    """
    *before, begun = arguments or [""]
    line = f"{shlex.join(['kubectl-twitch', *before])} {begun}"
    os.environ.update(
        {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_DFS": "\t",
         "COMP_LINE": line, "COMP_POINT": str(len(line))}
    )  # fmt: skip
    found = io.StringIO()
    CompletionFinder()(
        parser,
        always_complete_options=False,
        exit_method=lambda _code: None,
        output_stream=found,
        append_space=False,
        default_completer=_Nothing(),
    )
    candidates = found.getvalue()
    directive = f":{_NO_FILES if candidates else _FILES_IF_NONE}\n"
    sys.stdout.write(f"{candidates}\n{directive}" if candidates else directive)
    return 0
