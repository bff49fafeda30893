"""The browser flow: from the consent page to the code that it sends the browser back with."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from controller.commands.consent.listener import listen
from controller.commands.consent.redirects import Denied, Granted, Stray, read_answer
from controller.commands.terminal import (
    can_type,
    on_lines,
    open_browser,
    say,
)
from controller.durations import format_duration
from controller.errors import OperatorError

if TYPE_CHECKING:
    from controller.commands.consent.redirects import Answer, Redirect
    from controller.sensitive import Sensitive

__all__ = ["ask_in_browser"]


async def ask_in_browser(
    url: str, redirect: Redirect, state: str, *, use_browser: bool, patience: float
) -> Sensitive:
    """Let the broadcaster consent.

    Args:
        url: Of the consent page.
        redirect: Where the browser is sent afterwards.
        state: That of the URL.
        use_browser: Open one; else the address is only printed.
        patience: Seconds that the broadcaster has.

    Returns:
        The authorization code.

    Raises:
        OperatorError: There was no consent, or the port is taken; the message says what to do.
    """
    desk = _Desk(state)
    async with AsyncExitStack() as stack:
        if redirect.addresses:
            await stack.enter_async_context(listen(redirect, desk.take))
        say(f"Let the broadcaster open this address, sign in, and consent:\n\n  {url}\n")
        if redirect.addresses:
            say(f"Waiting for the browser to come to {redirect.uri}; Ctrl-C ends it.")
        if use_browser and not open_browser(url):
            say("No browser was found on this machine.")
        # A browser on another machine does not come here: its address can be brought by hand.
        if not redirect.addresses or can_type():
            or_paste = "Or paste" if redirect.addresses else "Then paste here"
            say(f"{or_paste} the address that the browser was sent to: {redirect.uri}?…")
            on_lines(lambda line: desk.take_line(line, alone=not redirect.addresses))
        try:
            async with asyncio.timeout(patience):
                return await desk.code
        except TimeoutError:
            msg = f"no consent came within {format_duration(patience)}: run the command again"
            raise OperatorError(msg) from None


class _Desk:
    """Takes answers, from wherever they come, until one is the right one."""

    def __init__(self, state: str) -> None:
        self._state = state
        self.code: asyncio.Future[Sensitive] = asyncio.get_running_loop().create_future()

    def take(self, query: str) -> Answer:
        """Take the query of an address that a browser was sent to."""
        answer = read_answer(query, self._state)
        if self.code.done():
            return answer
        match answer:
            case Granted(code):
                self.code.set_result(code)
            case Denied(told):
                msg = f"Twitch gave no consent: {told}"
                self.code.set_exception(OperatorError(msg))
            case Stray(why):
                say(f"{why[0].upper()}{why[1:]}.")
        return answer

    def take_line(self, line: str | None, *, alone: bool) -> None:
        """Take what was typed; None: nothing more comes, which ends it where nothing else may."""
        if line is not None and line.strip():
            self.take(_query_of(line.strip()))
        elif line is None and alone and not self.code.done():
            msg = "no address was pasted: run the command again, in a terminal"
            self.code.set_exception(OperatorError(msg))


def _query_of(address: str) -> str:
    try:
        return urlsplit(address).query
    except ValueError:
        return ""
