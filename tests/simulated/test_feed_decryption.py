"""Messages that the official SDK encrypts, in each way that it has had, and others."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pubnub.crypto import AesCbcCryptoModule, LegacyCryptoModule
from pubnub.pnconfiguration import PNConfiguration
from pubnub.pubnub_asyncio import PubNubAsyncio

from controller.feeds.pubnub.decryption import LAST
from controller.feeds.pubnub.keys import PubNubKeys
from controller.sandbox.pubnub import SUBSCRIBE_KEY
from controller.sensitive import Sensitive
from tests.simulated.harness import KEYS, eventually, listening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from controller.sandbox.pubnub import PubNubSimulator

RIGHT = PubNubKeys(Sensitive(SUBSCRIBE_KEY), cipher_key=Sensitive("right"))
WAYS = ["header", "random IV", "static IV"]
PAYLOADS: list[dict[str, Any]] = [
    {"n": 1},
    {},
    {"text": "ü" * 40, "big": 17641443219876543},
    {"aaaaaaaaa": {"b": 1}},  # its end, without the first 16 bytes, is nearly an object
    {"a": '{"b": "{'},
    {"x": "y" * 20_000},
]


def configured(key: str, way: str) -> PNConfiguration:
    configuration = PNConfiguration()
    configuration.disable_config_locking = False
    configuration.subscribe_key = SUBSCRIBE_KEY
    configuration.publish_key = "pub-c-test"
    configuration.user_id = "test"
    configuration.ssl = False
    configuration.cipher_key = key
    configuration.use_random_initialization_vector = way != "static IV"
    module = AesCbcCryptoModule if way == "header" else LegacyCryptoModule
    configuration.crypto_module = module(configuration)
    return configuration


@asynccontextmanager
async def publisher(pubnub: PubNubSimulator, key: str, way: str) -> AsyncIterator[PubNubAsyncio]:
    """The official SDK as a publisher with a cipher key."""
    configuration = configured(key, way)
    configuration.origin = pubnub.origin
    client = PubNubAsyncio(configuration)
    try:
        yield client
    finally:
        await client.stop()
        client._subscription_manager.loop.close()


def encrypted(key: str, way: str, text: str = '{"n": 1}') -> Any:  # noqa: ANN401 - not typed
    return configured(key, way).crypto_module.encrypt(text)


@pytest.mark.parametrize("way", WAYS)
async def test_what_the_sdk_publishes_encrypted_is_read(pubnub: PubNubSimulator, way: str) -> None:
    async with (
        publisher(pubnub, "right", way) as sdk,
        listening(pubnub, "a", keys=RIGHT) as hearing,
    ):
        for payload in PAYLOADS:
            await sdk.publish().channel("a").message(payload).use_post(True).future()
        assert await hearing.payloads(len(PAYLOADS)) == PAYLOADS
        assert hearing.malformed == []
        assert hearing.reasons() == ["Succeeded"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_wrong_cipher_key_is_told_until_messages_can_be_decrypted_again(
    pubnub: PubNubSimulator, way: str
) -> None:
    async with listening(pubnub, "a", "b", keys=RIGHT) as hearing:
        pubnub.publish("a", encrypted("wrong", way))
        await eventually(lambda: hearing.feed.health_of(["a"]).reason == "DecryptionFailed")
        health = hearing.feed.health_of(["a"])
        assert health.connected is False
        assert health.message == (
            "the last message on topic a could not be decrypted (it was encrypted with another key)"
        )
        assert hearing.feed.health_of(["b"]).reason == "Succeeded"
        pubnub.publish("a", encrypted("right", way))
        await hearing.take(1)
        health = hearing.feed.health_of(["a"])
        assert health.connected is True
        assert health.message.startswith("connected; 1 of the last 2 messages on topic a")
        for _ in range(LAST):
            pubnub.publish("a", encrypted("right", way))
        await hearing.take(LAST)
        assert hearing.feed.health_of(["a"]).reason == "Succeeded"
        assert hearing.reasons() == ["Succeeded", "DecryptionFailed", "Succeeded"]


@pytest.mark.parametrize("payload", [{"plain": True}, "plain", "", 5, None])
async def test_what_is_not_encrypted_is_refused_where_a_cipher_key_is_set(
    pubnub: PubNubSimulator, payload: object
) -> None:
    async with listening(pubnub, "a", keys=RIGHT) as hearing:
        pubnub.publish("a", payload)
        pubnub.publish("a", encrypted("right", "header"))
        assert await hearing.payloads(1) == [{"n": 1}]
        assert len(hearing.malformed) == 1
        assert hearing.feed.health_of(["a"]).reason == "DecryptionFailed"


@pytest.mark.parametrize("way", WAYS)
async def test_encrypted_messages_without_a_cipher_key_are_told(
    pubnub: PubNubSimulator, way: str
) -> None:
    async with listening(pubnub, "a", keys=KEYS) as hearing:
        pubnub.publish("a", encrypted("any", way))
        await eventually(lambda: hearing.feed.health_of(["a"]).reason == "DecryptionFailed")
        assert "the Secret has no cipher-key" in hearing.feed.health_of(["a"]).message


async def test_text_that_is_no_event_is_not_taken_for_encrypted(pubnub: PubNubSimulator) -> None:
    async with listening(pubnub, "a") as hearing:
        for text in ("hello", "", "SGVsbG8=", "not base64!"):
            pubnub.publish("a", text)
        pubnub.publish("a", {"n": 1})
        await hearing.take(1)
        assert len(hearing.malformed) == 4
        assert hearing.reasons() == ["Succeeded"]


async def test_an_encrypted_value_that_is_no_object_was_decrypted(pubnub: PubNubSimulator) -> None:
    async with listening(pubnub, "a", keys=RIGHT) as hearing:
        for way in WAYS:
            pubnub.publish("a", encrypted("right", way, "[1, 2]"))
        pubnub.publish("a", encrypted("right", "header"))
        await hearing.take(1)
        assert hearing.malformed == ["on topic a: not a JSON object but a list of 2"] * 3
        assert hearing.reasons() == ["Succeeded"]
