"""The official SDK, unchanged, against the simulated network."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from pubnub.callbacks import SubscribeCallback
from pubnub.endpoints.presence.heartbeat import Heartbeat
from pubnub.endpoints.presence.leave import Leave
from pubnub.endpoints.pubsub.subscribe import Subscribe
from pubnub.enums import PNStatusCategory
from pubnub.exceptions import PubNubException
from pubnub.pnconfiguration import PNConfiguration
from pubnub.pubnub_asyncio import PubNubAsyncio

from controller.sandbox.pubnub import SUBSCRIBE_KEY, KeySet, PubNubSimulator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Listener(SubscribeCallback):  # type: ignore[misc]  # the SDK is not typed
    def __init__(self) -> None:
        self.messages: asyncio.Queue[Any] = asyncio.Queue()

    def status(self, _pubnub: object, _status: object) -> None:
        pass

    def message(self, _pubnub: object, message: object) -> None:
        self.messages.put_nowait(message)

    def presence(self, _pubnub: object, _presence: object) -> None:
        pass


@asynccontextmanager
async def sdk(pubnub: PubNubSimulator, **options: object) -> AsyncIterator[PubNubAsyncio]:
    config = PNConfiguration()
    config.subscribe_key = SUBSCRIBE_KEY
    config.publish_key = "pub-c-test"
    config.user_id = "test"
    config.origin = pubnub.origin
    config.ssl = False
    config.disable_config_locking = False  # otherwise the SDK warns about its own default
    for name, value in options.items():
        setattr(config, name, value)
    client = PubNubAsyncio(config)
    try:
        yield client
    finally:
        await client.stop()
        # Each client makes an event loop that it neither runs nor closes: a ResourceWarning.
        client._subscription_manager.loop.close()


async def subscribed(client: PubNubAsyncio, pubnub: PubNubSimulator, *channels: str) -> Listener:
    listener = Listener()
    client.add_listener(listener)
    client.subscribe().channels(list(channels)).execute()
    await pubnub.wait_for_polls(1)
    return listener


async def test_a_listener_gets_what_another_client_publishes(pubnub: PubNubSimulator) -> None:
    async with asyncio.timeout(60), sdk(pubnub) as client, sdk(pubnub) as publisher:
        listener = await subscribed(client, pubnub, "mst3k.playout", "other,channel")
        for n in range(3):
            channel = "other,channel" if n == 1 else "mst3k.playout"
            sent = await publisher.publish().channel(channel).message({"n": n}).future()
            got = await listener.messages.get()
            assert (got.channel, got.message) == (channel, {"n": n})
            assert got.timetoken == int(sent.result.timetoken)
            await pubnub.wait_for_polls(1)
        assert listener.messages.empty()
        client.unsubscribe_all()
        await pubnub.wait_for_polls(0)


async def test_a_listener_goes_on_after_its_poll_was_dropped(pubnub: PubNubSimulator) -> None:
    async with asyncio.timeout(60), sdk(pubnub, reconnection_interval=1) as client:
        listener = await subscribed(client, pubnub, "a")
        pubnub.drop_polls()
        await pubnub.wait_for_polls(0)
        pubnub.publish("a", "meanwhile")
        assert (await listener.messages.get()).message == "meanwhile"
        client.unsubscribe_all()


@pytest.mark.parametrize("use_post", [False, True])
async def test_a_publish_by_get_and_by_post_arrives_whole(
    pubnub: PubNubSimulator, use_post: bool
) -> None:
    payload = {"text": "a/b?c=ü&d %+#", "number": 125.0, "none": None, "big": "x" * 20_000}
    async with sdk(pubnub) as client:
        await client.publish().channel("a").message(payload).use_post(use_post).future()
        answer = await Subscribe(client).channels("a").timetoken(1).result()
    assert answer["m"][0]["d"] == payload


async def test_history_is_fetched(pubnub: PubNubSimulator) -> None:
    tokens = [pubnub.publish("a", {"n": n}) for n in range(3)]
    async with sdk(pubnub) as client:
        fetched = await client.fetch_messages().channels("a").count(2).end(tokens[0]).future()
    found = fetched.result.channels["a"]
    assert [(each.message, int(each.timetoken)) for each in found] == [
        ({"n": 1}, tokens[1]),
        ({"n": 2}, tokens[2]),
    ]


async def test_the_time_a_heartbeat_and_a_leave_are_answered(pubnub: PubNubSimulator) -> None:
    async with sdk(pubnub) as client:
        now = await client.time().future()
        beat = await Heartbeat(client).channels("a").future()
        leave = await Leave(client).channels("a").future()
    assert len(str(int(now.result))) == 17
    assert beat.result is True
    assert leave.result["action"] == "leave"


async def test_a_refused_client_sees_access_denied(pubnub: PubNubSimulator) -> None:
    pubnub.access.put(KeySet(subscribe_key=SUBSCRIBE_KEY, auth_key="right"))
    async with sdk(pubnub, auth_key="wrong") as client, sdk(pubnub, auth_key="right") as friend:
        with pytest.raises(PubNubException) as refusal:
            await Subscribe(client).channels("a").timetoken(0).result()
        assert (await friend.publish().channel("a").message(1).future()).result is not None
    assert refusal.value.status.category == PNStatusCategory.PNAccessDeniedCategory
    assert refusal.value.get_status_code() == 403
