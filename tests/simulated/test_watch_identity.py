"""The watch of a process whose user has no name, as in a container."""

from __future__ import annotations

import pwd
from typing import TYPE_CHECKING, NoReturn

from controller.handlers.watch import Watch
from controller.resources.schema import KINDS

if TYPE_CHECKING:
    import pytest


def test_kopf_starts_although_its_user_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless(user: int) -> NoReturn:
        msg = f"getpwuid(): uid not found: {user}"
        raise KeyError(msg)

    def configuration() -> NoReturn:
        raise AssertionError

    monkeypatch.setattr(pwd, "getpwuid", nameless)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "POD_ID"):
        monkeypatch.delenv(name, raising=False)
    watch = Watch(lambda *_: None, configuration, lambda: None, namespaces=("a",), kinds=KINDS)
    watch._kopf_stop.set()  # it ends as soon as it has begun
    assert watch._run_kopf() == "the watch ended by itself"
