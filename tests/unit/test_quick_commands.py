"""`--help` and completion answer at once: nothing heavy is imported before a command runs."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
import controller.__main__
print(*{name.partition(".")[0] for name in sys.modules})
"""
HEAVY = {"aiohttp", "fastapi", "httpx", "kopf", "kubernetes", "pubnub", "pydantic", "rich", "yaml"}


def test_the_command_line_is_parsed_without_what_the_commands_need() -> None:
    loaded = subprocess.check_output([sys.executable, "-c", CODE], text=True)
    assert not HEAVY & set(loaded.split())
