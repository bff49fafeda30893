"""A second operator beside the first, on one machine."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from controller.commands.other_operators import say_who_is_beside

if TYPE_CHECKING:
    from pathlib import Path

HOST = "https://127.0.0.1:6443"
OTHER = """
import asyncio, logging, sys
from controller.commands.other_operators import say_who_is_beside

async def run():
    async with say_who_is_beside(sys.argv[2], tuple(sys.argv[3:]), {"XDG_CACHE_HOME": sys.argv[1]}):
        pass

logging.basicConfig(level=logging.INFO, format="%(message)s")
asyncio.run(run())
"""


def told(folder: Path, host: str, *namespaces: str) -> str:
    """What an operator says that starts beside this process."""
    command = [sys.executable, "-c", OTHER, str(folder), host, *namespaces]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60
    ).stderr.strip()


@pytest.mark.parametrize(
    ("first", "second", "what"),
    [
        ((), (), "these namespaces"),
        ((), ("play",), "these namespaces"),
        (("play",), (), "these namespaces"),
        (("play", "news"), ("news", "sport"), "namespace news"),
        (("play",), ("news",), None),
    ],
)
async def test_a_second_operator_says_that_it_is_not_alone(
    tmp_path: Path, first: tuple[str, ...], second: tuple[str, ...], what: str | None
) -> None:
    async with say_who_is_beside(HOST, first, {"XDG_CACHE_HOME": str(tmp_path)}):
        said = told(tmp_path, HOST, *second)
        assert told(tmp_path, "https://other", *second) == ""
    if what is None:
        assert said == ""
    else:
        assert f"serves {what} too, at {HOST}: " in said
        assert "WATCH_NAMESPACES" in said
    assert told(tmp_path, HOST, *second) == ""


async def test_where_no_file_can_be_written_the_operator_runs_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "twitch-operator").write_text("in the way")
    with caplog.at_level("DEBUG"):
        async with say_who_is_beside(HOST, (), {"XDG_CACHE_HOME": str(tmp_path)}):
            pass
    [record] = caplog.records
    assert record.levelname == "DEBUG"
