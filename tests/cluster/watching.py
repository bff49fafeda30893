"""A watch of the API server: no version of an object is missed, as a look now and then would."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

__all__ = ["watching"]


@asynccontextmanager
async def watching(
    kubeconfig: Path, path: str, take: Callable[[dict[str, Any]], None], **query: str
) -> AsyncIterator[None]:
    """Hand on each version of each object below a path of the API server."""
    config = json.loads(await asyncio.to_thread(kubeconfig.read_text))
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()

    begun = asyncio.Event()

    async def watch() -> None:
        async with aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {user['token']}"},
            timeout=aiohttp.ClientTimeout(total=None),
            read_bufsize=2**20,
        ) as session:
            trust = ssl.create_default_context(cadata=authority)
            whole, status = {"watch": "1", **query}, 429
            while status == 429:  # a CRD is new, and its storage is being made
                await asyncio.sleep(0.1)
                async with session.get(cluster["server"] + path, params=whole, ssl=trust) as answer:
                    if (status := answer.status) == 200:
                        begun.set()
                        async for line in answer.content:
                            take(json.loads(line)["object"])
        pytest.fail(f"the watch ended ({status}): something may have been missed")

    task = asyncio.get_running_loop().create_task(watch())
    try:
        async with asyncio.timeout(20):
            await begun.wait()
        yield
        assert not task.done(), task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
