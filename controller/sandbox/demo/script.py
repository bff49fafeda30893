"""How the demo speaks: numbered steps, the very commands, what they answered."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Script"]

_WIDTH = 80


class Script:
    """Writes what a newcomer reads.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self._steps = 0

    def say(self, text: str = "", style: str = "") -> None:
        """Write text; a long line is never broken here, so that it can be copied whole."""
        self.console.print(Text(text, style), soft_wrap=True)

    def step(self, text: str) -> None:
        """Announce the next step."""
        self._steps += 1
        self.say(f"\n{self._steps}. {text}", "bold")

    def command(self, text: str) -> None:
        """Show a command that does what is done now."""
        self.say(f"$ {text}", "cyan")

    def curl(self, url: str, body: str = "") -> None:
        """Show an HTTP call as a command; a long one is broken where a shell allows it.

        Args:
            url: Of the call.
            body: Quoted for a shell; empty: a GET.
        """
        text = f"curl {url} -d {body}" if body else f"curl {url}"
        if body and len("$ " + text) > _WIDTH:
            text = f"curl {url} \\\n    -d {body}"
        self.command(text)

    def output(self, text: str) -> None:
        """Show what came of it, whole: a remedy stands at the end of its line."""
        if text := text.rstrip():
            self.say(text, "dim")

    def check(self, text: str, *, holds: bool) -> None:
        """Show something that was checked."""
        mark, style = ("✓", "green") if holds else ("✗", "bold red")
        self.console.print(Text(f"{mark} ", style) + Text(text), soft_wrap=True)

    def error(self, text: str) -> None:
        """Tell on standard error what ended the demo."""
        self.say()
        sys.stderr.write(f"twitch-operator demo: {text}\n")
