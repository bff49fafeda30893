"""Checks signatures in threads, so that the event loop goes on meanwhile."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from controller.gateway.providers import ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from controller.gateway.providers import Provider

__all__ = ["MOST_TOKENS", "Verifications"]

MOST_TOKENS = 64
"""Of one provider, that are checked or wait for it; more are answered 503."""

_THREADS = 2
_TRY_AGAIN = 1.0  # seconds

_Result = TypeVar("_Result")


class _Line:
    """The tokens of one provider."""

    def __init__(self) -> None:
        self.tokens = 0
        self.turn = asyncio.Lock()


class Verifications:
    """Runs checks, one at a time for each provider.

    Each provider has at most one check in the queue of the threads: a flood of forged tokens for
    one delays the tokens of another by one check, not by all that wait.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, "verify-token")
        self._lines: dict[Provider, _Line] = {}

    async def run(self, provider: Provider, check: Callable[[], _Result]) -> _Result:
        """Call `check` in a thread; what it raises is raised here.

        Raises:
            ProviderUnavailable: Too many tokens of this provider wait.
        """
        with self._place(provider) as line:
            async with line.turn:
                return await asyncio.get_running_loop().run_in_executor(self._threads, check)

    @contextmanager
    def _place(self, provider: Provider) -> Iterator[_Line]:
        line = self._lines.setdefault(provider, _Line())
        if line.tokens >= MOST_TOKENS:
            msg = f"{MOST_TOKENS} tokens of {provider.issuer} already wait to be verified"
            raise ProviderUnavailable(msg, _TRY_AGAIN)
        line.tokens += 1
        try:
            yield line
        finally:
            line.tokens -= 1
            if not line.tokens:
                del self._lines[provider]
