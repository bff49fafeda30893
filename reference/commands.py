"""The page of the commands: their own help."""

from __future__ import annotations

import argparse
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from controller.__main__ import build_kubectl_parser, build_parser

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["commands_page"]

_WIDTH = "92"
_INTRODUCTION = """# Commands

`twitch-operator` has all commands. `kubectl twitch` has those marked below; there, write
`kubectl twitch` in place of `twitch-operator`. [commands.md](../commands.md) shows how to use them.
"""


def commands_page() -> str:
    """Return the page."""
    shared = _commands(build_kubectl_parser())
    parts = [_INTRODUCTION]
    with _fixed_width():
        for name, parser in _commands(build_parser()).items():
            note = "\n\nAlso: `kubectl twitch " + name + "`." if name in shared else ""
            parts.append(f"## {name}{note}\n\n```text\n{parser.format_help()}```")
    return "\n\n".join(parts) + "\n"


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:  # noqa: SLF001 - argparse has no public list of them
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            found |= action.choices
    return found


@contextmanager
def _fixed_width() -> Iterator[None]:
    """Let argparse fold its lines as on a terminal of a certain width."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = _WIDTH
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
