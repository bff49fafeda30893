"""A credential that cannot be printed by accident."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import pprint
import traceback

import pytest

from controller.channels.policies.grant_facts import Device, Grant, Holding, Input
from controller.channels.policies.grant_plan import Import
from controller.clients.helix import Credential
from controller.clients.identity import Application, Tokens
from controller.feeds.pubnub.keys import PubNubKeys
from controller.sensitive import Sensitive

SECRET = "abcdef0123456789abcdef"
IT = Sensitive(SECRET)
GRANT = Grant(IT, IT, expires_at=1.0, lifetime=1.0, scopes=())
DEVICE = Device(IT, "ABCD", "https://x", 1.0, 5.0, "id", ())


@pytest.mark.parametrize(
    "printed",
    [
        str(IT),
        repr(IT),
        f"{IT}",
        f"{IT!r:>40}",
        f"{IT:>40}",
        f"{IT:}",
        "%s %r" % (IT, IT),  # noqa: UP031 - what loggers do
        "{} {!r}".format(IT, IT),  # noqa: UP032 - what older code does
        ascii(IT),
        str([IT]),
        str({"token": IT, IT: 1}),
        pprint.pformat({"token": IT}),
    ],
)
def test_it_prints_as_stars_whatever_prints_it(printed: str) -> None:
    assert "***" in printed
    assert SECRET not in printed


@pytest.mark.parametrize(
    "holder",
    [
        Application("id", IT),
        Tokens(IT, IT, 1.0, ()),
        Credential("id", IT),
        GRANT,
        DEVICE,
        Holding(GRANT, DEVICE),
        Input(IT),
        Import(Input(IT)),
        PubNubKeys(IT, IT, IT),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_what_holds_it_prints_without_it(holder: object) -> None:
    assert "***" in repr(holder)
    assert SECRET not in repr(holder)
    assert SECRET not in str(holder)


def test_it_is_neither_pickled_nor_copied_nor_written_as_json() -> None:
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(IT)
    with pytest.raises(TypeError, match="never pickled"):
        copy.deepcopy(IT)
    with pytest.raises(TypeError):
        json.dumps({"token": IT})
    with pytest.raises(TypeError):
        dataclasses.asdict(GRANT)


def test_a_traceback_that_shows_locals_does_not_show_it() -> None:
    def fail(token: Sensitive) -> None:
        msg = f"cannot use {token}"
        raise ValueError(msg)

    try:
        fail(IT)
    except ValueError as error:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert SECRET not in "".join(told.format())


def test_it_is_compared_and_hashed_by_value() -> None:
    same, other = Sensitive("".join(SECRET)), Sensitive("x")
    assert same == IT
    assert other != IT
    assert SECRET != IT
    assert {IT: 1}[same] == 1
    assert bool(IT)
    assert not Sensitive("")


def test_its_value_is_there_for_who_asks() -> None:
    assert IT.reveal() == SECRET
    assert Sensitive("abc").sha256() == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
