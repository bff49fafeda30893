"""The client for extensions at a server with the contract, and none of the simulator's habits."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from controller.clients.extension_jwt import Extension, Perms
from controller.clients.extensions import (
    ExtensionRefused,
    Extensions,
    NoAnswer,
    NotSent,
    SegmentContent,
)
from controller.clients.helix import Unauthorized
from controller.clients.http import new_http_client
from controller.errors import RateLimited, TransientError
from controller.extensions.configuration import ConfigurationManager
from controller.policies.extension_secrets import signing_secret
from controller.resources.extensionapp import EXTENSION, ExtensionAppSpec
from controller.runtime.resource import Key
from controller.sensitive import Sensitive
from controller.settings import Settings
from tests.other_extensions import OtherExtensions
from tests.simulated.harness import PATIENCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.other_extensions import OtherExtension, Trouble

CLIENT_ID, OWNER = "d72hk844mgvex3kbfhrgjtdoeqrh0t", "27419011"
CHANNEL = "1111"


@pytest.fixture
async def other() -> AsyncIterator[OtherExtensions]:
    async with OtherExtensions() as server:
        server.add_extension(CLIENT_ID, OWNER)
        yield server


@pytest.fixture
def settings(other: OtherExtensions) -> Settings:
    return Settings(helix_url=other.helix_url, call_timeout=PATIENCE)


@pytest.fixture
async def extensions(settings: Settings) -> AsyncIterator[Extensions]:
    async with new_http_client(settings) as http:
        yield Extensions(http, settings)


@pytest.fixture
def mine(other: OtherExtensions) -> OtherExtension:
    return other.extension(CLIENT_ID)


@pytest.fixture
def signer(mine: OtherExtension) -> Extension:
    return Extension(CLIENT_ID, OWNER, Sensitive(mine.keys[0].text))


async def test_secrets_are_read_in_whatever_order_and_form_they_come(
    other: OtherExtensions, extensions: Extensions, signer: Extension, mine: OtherExtension
) -> None:
    await extensions.create_secret(signer, 300)
    by_text = {key.text: key for key in mine.keys}
    for _ in range(4):
        told = await extensions.secrets(signer)
        assert {secret.content.reveal() for secret in told} == by_text.keys()
        for secret in told:
            key = by_text[secret.content.reveal()]
            assert secret.active == pytest.approx(key.active, abs=1e-3)
            assert secret.expires == pytest.approx(key.ends, abs=1e-3)
        current = signing_secret(told, time.time())
        assert current is not None
        assert current.content == signer.secret
    assert other.wrong == []


async def test_a_secret_is_made_with_its_delay_and_retires_the_others(
    other: OtherExtensions, extensions: Extensions, signer: Extension, mine: OtherExtension
) -> None:
    told = await extensions.create_secret(signer, 600)
    old, new = mine.keys
    assert {secret.content.reveal() for secret in told} == {old.text, new.text}
    assert new.active == pytest.approx(time.time() + 600, abs=5)
    assert old.ends == pytest.approx(time.time() + 2400, abs=5)
    with pytest.raises(ExtensionRefused):
        await extensions.create_secret(signer, 299)
    pending = replace(signer, secret=Sensitive(new.text))
    with pytest.raises(Unauthorized):
        await extensions.secrets(pending)
    other.delete_all(CLIENT_ID)
    with pytest.raises(Unauthorized):
        await extensions.create_secret(signer, 300)
    assert len(mine.made) == 1


async def test_it_is_told_apart_whether_a_secret_can_have_been_made(
    other: OtherExtensions, extensions: Extensions, signer: Extension, mine: OtherExtension
) -> None:
    table: list[tuple[Trouble, type[Exception], int]] = [
        ("down", TransientError, 0),
        ("lost", NoAnswer, 0),
        ("lost-done", NoAnswer, 1),
        ("error-done", TransientError, 1),
        ("garbled", TransientError, 1),
    ]
    for trouble, error, count in table:
        before = len(mine.made)
        other.spoil(CLIENT_ID, "make", trouble)
        with pytest.raises(error) as raised:
            await extensions.create_secret(signer, 300)
        assert not isinstance(raised.value, NotSent), trouble
        assert len(mine.made) == before + count, trouble


async def test_messages_reach_whom_they_are_for_until_there_are_too_many(
    other: OtherExtensions, extensions: Extensions, signer: Extension, mine: OtherExtension
) -> None:
    everybody, viewer = Perms("all", "global"), Perms(CHANNEL, "whisper-U123")
    for perms in (Perms(CHANNEL, "broadcast"), viewer, everybody):
        assert (await extensions.send(signer, perms, "{}")).accepted
    assert [(each.channel, each.target) for each in mine.arrived] == [
        (CHANNEL, "broadcast"), (CHANNEL, "whisper-U123"), ("all", "global"),
    ]  # fmt: skip
    assert (await extensions.send(signer, viewer, "é" * 2561)).status == 422
    for _ in range(110):
        told = await extensions.send(signer, viewer, "{}")
    assert (told.status, told.accepted) == (429, False)
    assert other.wrong == []


async def test_configuration_is_kept_as_declared_and_nothing_is_set_twice(
    other: OtherExtensions, extensions: Extensions, signer: Extension, mine: OtherExtension
) -> None:
    channels = [
        {"channelRef": {"name": "mst3k"}, "segment": segment, "content": "mine", "version": "1"}
        for segment in ("developer", "broadcaster")
    ]
    spec = ExtensionAppSpec.from_spec(
        {
            "clientId": CLIENT_ID,
            "ownerId": OWNER,
            "version": "1.3.0",
            "secret": {
                "bootstrapSecretRef": {"name": "bootstrap", "key": "secret"},
                "targetSecretName": "secrets",
            },
            "requiredConfiguration": {"value": "COMPLETE"},
            "configuration": {"global": {"content": '{"ä": 1}'}, "channels": channels},
        }
    )
    mine.segments["broadcaster", CHANNEL] = {"content": "theirs", "version": "9"}
    settings = Settings(helix_url=other.helix_url, call_timeout=PATIENCE)
    keeper = ConfigurationManager(Key(EXTENSION, "tv", "deck"), extensions, settings)
    await keeper.reconcile(spec, signer, lambda _name: CHANNEL)
    assert mine.segments == {
        ("global", ""): {"content": '{"ä": 1}', "version": ""},
        ("developer", CHANNEL): {"content": "mine", "version": "1"},
        ("broadcaster", CHANNEL): {"content": "theirs", "version": "9"},
    }
    assert mine.required == {CHANNEL: ("1.3.0", "COMPLETE")}
    assert keeper.finding is not None
    assert keeper.finding.status == "True"
    # Another process looks, and finds all as it should be.
    again = ConfigurationManager(
        Key(EXTENSION, "tv", "deck"), extensions, settings, keeper.segments()
    )
    before = [call.kind for call in other.calls]
    await again.reconcile(spec, signer, lambda _name: CHANNEL)
    assert {call.kind for call in other.calls[len(before) :]} == {"read"}
    # What drifted is set anew, and nothing else.
    mine.segments["developer", CHANNEL]["content"] = "drifted"
    again.recheck()
    await again.reconcile(spec, signer, lambda _name: CHANNEL)
    assert mine.segments["developer", CHANNEL]["content"] == "mine"
    assert [call.kind for call in other.calls].count("write") == before.count("write") + 1
    assert other.wrong == []


async def test_twenty_calls_a_minute_are_what_twitch_takes(
    extensions: Extensions, signer: Extension
) -> None:
    wanted = SegmentContent("x", "1")
    for _ in range(20):
        await extensions.set_configuration(signer, "global", None, wanted)
    with pytest.raises(RateLimited):
        await extensions.set_configuration(signer, "global", None, wanted)
    found = await extensions.configuration(signer, ["global"], None)
    assert found == {"global": wanted}
