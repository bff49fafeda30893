"""What the user sees, and what the user types."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import webbrowser
from contextlib import suppress
from typing import TYPE_CHECKING

from controller.displayable import displayable_lines

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["agrees", "can_type", "on_lines", "open_browser", "say"]


def say(text: str) -> None:
    """Print, at once."""
    sys.stdout.write(displayable_lines(text) + "\n")
    sys.stdout.flush()


def can_type() -> bool:
    """Whether somebody sits there."""
    return sys.stdin is not None and sys.stdin.isatty()


async def agrees(question: str) -> bool:
    """Ask the user; whatever is not yes is no."""
    sys.stdout.write(displayable_lines(question) + " [y/N] ")
    sys.stdout.flush()
    typed: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    def take(line: str | None) -> None:
        if not typed.done():
            typed.set_result(line)

    on_lines(take)
    return (await typed or "").strip().lower() in ("y", "yes")


def open_browser(url: str) -> bool:
    """Open an address in the user's browser, as the variable BROWSER says; whether there is one.

    In a thread: some browsers come back only when they are closed.
    """
    if not url.startswith(("https://", "http://")):
        return False
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    _in_background(lambda: browser.open(url))
    return True


def on_lines(call: Callable[[str | None], object]) -> None:
    """Have each line that is typed handed to the running event loop; None: there are no more."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        rest = b""
        # Not sys.stdin: its lock, held by a waiting thread, would disturb the end of the process.
        while data := os.read(0, 4096):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                loop.call_soon_threadsafe(call, line.decode(errors="replace"))
        if rest:
            loop.call_soon_threadsafe(call, rest.decode(errors="replace"))
        loop.call_soon_threadsafe(call, None)

    _in_background(read)


def _in_background(work: Callable[[], object]) -> None:
    def run() -> None:
        with suppress(OSError, RuntimeError):  # nobody waits for it any more
            work()

    threading.Thread(target=run, daemon=True).start()
