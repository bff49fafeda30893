"""`twitch-operator demo`, end to end, as a newcomer runs it; its output goes through a pipe."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
PATIENCE = 240.0  # seconds for all of it; it takes about thirty
QUICK = 60.0  # seconds for any ending; it takes about one


class Demo:
    """The demo as a process, and what it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.printed = ""

    def until(self, pattern: str) -> str:
        """Read on until a line matches; returns what the pattern's group found."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed += line
            if found := re.search(pattern, line):
                return found[1]
        pytest.fail(f"it ended before it printed {pattern}:\n{self.printed}")

    def end(self, how: signal.Signals | None = None) -> int:
        """Wait for its end, which `how` may bring about; returns the exit code."""
        if how is not None:
            self.process.send_signal(how)
        began = time.monotonic()
        self.printed += self.process.communicate()[0]
        assert how is None or time.monotonic() - began < QUICK
        return self.process.returncode


@contextmanager
def demo(*options: str) -> Iterator[Demo]:
    with subprocess.Popen(
        [sys.executable, "-m", "controller", "demo", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        try:
            yield Demo(process)
        finally:
            watchdog.cancel()
            process.kill()


def gone(*paths: str, operator: int) -> bool:
    """Whether within a reasonable time no process and no folder is left."""
    deadline = time.monotonic() + QUICK
    while True:
        listed = subprocess.check_output(["ps", "-axww", "-o", "pid=,stat=,args="], text=True)
        alive = [line.split(maxsplit=2) for line in listed.splitlines()]
        if not any(
            int(pid) == operator or any(path in command for path in paths)
            for pid, state, command in alive
            if not state.startswith("Z")
        ) and not any(Path(path).exists() for path in paths):
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)


def started(run: Demo) -> tuple[str, int]:
    """Read on until the operator runs; returns the demo's folder and the operator's process."""
    told = run.until(r"^(process \d+, log .*)/operator.log$")
    process, folder = told.removeprefix("process ").split(", log ")
    assert Path(folder).is_dir()
    return folder, int(process)


def test_one_demo_fires_one_commercial_on_each_channel_and_proves_it() -> None:
    with demo("--once") as run:
        folder, operator = started(run)
        code = run.end()
    assert code == 0, run.printed
    assert "\x1b" not in run.printed
    assert [line for line in run.printed.splitlines() if line[:1] in ("✓", "✗")] == [
        "✓ 2 TwitchChannels, 2 TriggerRules, 1 ExtensionApp, all Ready",
        "✓ Twitch was asked for 1 commercial on mst3k: 125 s",
        "✓ Twitch was asked for 1 commercial on mst3k_eu: 125 s",
        *re.findall(
            r"✓ TwitchChannel \S+: (?:Fired|Confirmed), 125 s, again in 4\d\d s", run.printed
        ),
        *re.findall(r"✓ TriggerRule \S+: (?:Fired|Confirmed), commercial of 125 s .*", run.printed),
        *re.findall(r"✓ TwitchChannel mst3k: consented anew \d+ s after .*", run.printed),
        *re.findall(r"✓ the extension's secret: current was \w{12} and is \w{12}, .*", run.printed),
        "✓ Twitch got 2 messages of the extension: Island, Mountain",
        "✓ the operator's log has no error",
        "✓ the gateway's log has no error",
    ]
    assert run.printed.count("✓") == 12
    _, _, got = run.printed.partition("$ kubectl get twitchchannels,triggerrules\n")
    assert re.search(r"/mst3k-eu +True +True +\d+s +125 +(?:\d+s +)?20\S+Z +Succeeded\n", got)
    assert re.search(r"/mst3k-splices +True +True +mst3k +\d+s +Fired +1 +0 +0 +Succeeded\n", got)
    _, _, broken = got.partition("changes the password")
    assert re.search(r"^mst3k +False .* AuthorizationRevoked$", broken, re.MULTILINE)
    assert "again: kubectl twitch authorize -n default mst3k\n" in broken
    _, _, healed = broken.partition("$ twitch-operator authorize mst3k --no-browser")
    assert "twitchchannel/mst3k is Ready: authorized by mst3k\n" in healed
    assert re.search(r"^mst3k +True .* Succeeded$", healed, re.MULTILINE)
    _, _, extension = healed.partition("&& twitch-operator gateway\n")
    assert re.search(r"^\$ curl \S+/send/ \\$", extension, re.MULTILINE)
    assert gone(folder, operator=operator)


def test_a_demo_that_stays_shows_what_becomes_of_a_message_of_ones_own() -> None:
    with demo() as run:
        folder, operator = started(run)
        url = run.until(r"^curl (http://\S+/publish/\S+) -d '$")
        body = run.until(r"^(\{.*)$") + run.until(r"^( .*)'$")
        run.until(r"^(CHANNEL +READY +LIVE +LAST-RUN +LENGTH +CONFIRMED +NEXT-OK +REASON)$")
        run.until(r"^(RULE +READY +FEED +LAST-CUE +VERDICT +FIRED +SKIPPED +REASON)$")
        run.until(r"^(EXTENSION +READY +SECRETS +CONFIG +ROTATED +NEXT-ROTATION +REASON)$")
        httpx.post(url, content=body).raise_for_status()
        run.until(r"^mst3k-eu-ad-assets .* (SameBreak) +1 +1 +Succeeded$")
        code = run.end(signal.SIGINT)
    assert code == 0
    assert run.printed.endswith("Ending.\n")
    assert "twitchchannel/mst3k is Ready: authorized by mst3k\n" in run.printed
    _, _, hints = run.printed.partition("All of it stays up")
    # Where the programs and the demo's folder are is up to the machine.
    ours = [line for line in hints.splitlines() if folder not in line]
    assert [line for line in ours if len(line) > 80] == []
    assert gone(folder, operator=operator)


def test_an_operator_that_dies_is_told_with_the_end_of_its_log() -> None:
    with demo() as run:
        folder, operator = started(run)
        os.kill(operator, signal.SIGKILL)
        code = run.end()
    assert code == 1
    assert "the operator was killed by signal 9; the end of its log:\n" in run.printed
    assert gone(folder, operator=operator)
