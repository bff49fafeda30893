"""`authorize` on a terminal of a machine without a browser, such as one that is reached by ssh."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = """
import asyncio, sys
from controller.commands.consent.browser import ask_in_browser
from controller.commands.consent.redirects import parse_redirect
redirect = parse_redirect(sys.argv[1])
code = asyncio.run(
    ask_in_browser("https://id.example/authorize", redirect, "s", use_browser=True, patience=60)
)
print("code", code.reveal())
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def until(terminal: int, words: str) -> str:
    """Read until these words were printed, or all was."""
    seen = ""
    while words not in seen:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # the other side was closed
            break
        if not data:
            break
        seen += data.decode()
    return seen


def test_the_address_of_another_machines_browser_can_be_pasted() -> None:
    uri = f"http://localhost:{free_port()}/callback"
    master, slave = pty.openpty()
    # Nothing on PATH is a browser.
    environment = {"PATH": "/nowhere", "HOME": "/nowhere"}
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, uri],
        cwd=ROOT, env=environment, stdin=slave, stdout=slave, stderr=slave,
    ) as process:  # fmt: skip
        os.close(slave)
        try:
            asked = until(master, f"{uri}?")
            assert "https://id.example/authorize" in asked
            assert "No browser was found on this machine." in asked
            assert "Or paste the address" in asked
            os.write(master, f"{uri}?code=abc&state=s\n".encode())
            assert "code abc" in until(master, "code abc")
            assert process.wait(60) == 0
        finally:
            process.kill()
            os.close(master)
