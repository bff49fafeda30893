"""Notices another operator on this machine that serves the same namespaces of the same cluster."""

from __future__ import annotations

import fcntl
import hashlib
import logging
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from controller.folders import cache_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

__all__ = ["say_who_is_beside"]

logger = logging.getLogger(__name__)

_TOLD = (
    "another twitch-operator runs on this machine and serves %s too, at %s: both call Twitch for"
    " each cue, and both write the statuses; stop one, or give each its own WATCH_NAMESPACES"
)


@asynccontextmanager
async def say_who_is_beside(
    host: str, namespaces: tuple[str, ...], environment: Mapping[str, str]
) -> AsyncIterator[None]:
    """Warn where another operator runs beside this one, and be noticed by the next.

    One file is locked, at a place for each namespace and one for all of them: whoever serves all
    namespaces has the latter alone, whoever serves some shares it. The kernel lets go when the
    process ends, however it does. Where no file can be written, as in a Pod, nobody is noticed.

    Args:
        host: URL of the API server.
        namespaces: That are served; none: all.
        environment: XDG_CACHE_HOME says where the file is.
    """
    places = [("", fcntl.LOCK_SH if namespaces else fcntl.LOCK_EX)]
    places += [(namespace, fcntl.LOCK_EX) for namespace in sorted(set(namespaces))]
    with ExitStack() as stack:
        try:
            folder = cache_folder(environment)
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((folder / "running").open("a+"))
            for namespace, lock in places:
                digest = hashlib.sha256(f"{host} {namespace}".encode()).digest()
                place = int.from_bytes(digest[:7])  # within a file's largest offset
                try:
                    fcntl.lockf(file, lock | fcntl.LOCK_NB, 1, place)
                except (BlockingIOError, PermissionError):  # as the system has it
                    logger.warning(
                        _TOLD, f"namespace {namespace}" if namespace else "these namespaces", host
                    )
                    break
        except (OSError, RuntimeError) as error:
            logger.debug("an operator beside this one is not noticed: %s", error)
        yield
