"""What `make e2e` and `make image` say of a machine that lacks something."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from e2e import __main__ as e2e
from e2e import tools
from e2e.tools import MISSING, Failure, Missing, require, run

if TYPE_CHECKING:
    from pathlib import Path


def test_a_missing_program_is_named_with_its_package_and_its_own_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "runc"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(tools, "_SBIN", ())
    require(["runc"], install=False)
    with pytest.raises(Missing, match=re.escape("ctr, ip: not on this machine. Install: apt-get")):
        require(["runc", "ctr", "ip"], install=False)
    assert e2e.main([]) == MISSING
    assert "recommends buildah containerd dnsmasq-base iproute2 iptables" in capsys.readouterr().out


def test_a_program_that_fails_is_told_with_what_it_said() -> None:
    with pytest.raises(Failure, match=r"ended with exit code 3:\nno luck"):
        run("sh", "-c", "echo no luck >&2; exit 3", env=os.environ)
    with pytest.raises(Failure, match="took longer than 0 s"):
        run("sleep", "9", timeout=0.05)
