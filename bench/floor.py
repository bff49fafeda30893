"""The floor of the latency: the bare script that somebody would write without an operator.

PubNub's SDK in its normal use, one HTTP client, and for each message a call. It knows its channels
and tokens by heart, checks next to nothing, remembers nothing and tells nobody. Run by `latency`;
reads from its input, as JSON: `origin`, `subscribe_key`, `helix_url`, `client_id`, `topics` and
`channels` (feed code → [broadcaster id, access token]).
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httpx
from pubnub.callbacks import SubscribeCallback
from pubnub.enums import PNStatusCategory
from pubnub.pnconfiguration import PNConfiguration
from pubnub.pubnub_asyncio import PubNubAsyncio

from bench.processes import run_until_end_of_input

__all__: list[str] = []


class _Listener(SubscribeCallback):  # type: ignore[misc]
    def __init__(self, configuration: dict[str, Any], http: httpx.AsyncClient) -> None:
        self._url = configuration["helix_url"] + "/channels/commercial"
        self._client_id = configuration["client_id"]
        self._channels = configuration["channels"]
        self._http = http
        self._tasks: set[asyncio.Task[None]] = set()
        self.connected = asyncio.Event()

    def status(self, _pubnub: PubNubAsyncio, status: Any) -> None:  # noqa: ANN401 - the SDK's own
        if status.category == PNStatusCategory.PNConnectedCategory:
            self.connected.set()

    def presence(self, _pubnub: PubNubAsyncio, _presence: object) -> None:
        pass

    def message(self, _pubnub: PubNubAsyncio, event: Any) -> None:  # noqa: ANN401 - the SDK's own
        if event.message["action"] in {"triggered", "started"}:
            task = asyncio.get_running_loop().create_task(self._call(event))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _call(self, event: Any) -> None:  # noqa: ANN401 - the SDK's own
        data = event.message["data"]
        broadcaster_id, token = self._channels[data["feed_code"]]
        length = int(data["duration_sec"] + 0.5)
        response = await self._http.post(
            self._url,
            headers={"Client-Id": self._client_id, "Authorization": f"Bearer {token}"},
            json={"broadcaster_id": broadcaster_id, "length": length},
        )
        response.raise_for_status()


async def _main() -> None:
    configuration = json.loads(sys.stdin.readline())
    sdk = PNConfiguration()
    sdk.subscribe_key = configuration["subscribe_key"]
    sdk.uuid = "floor"
    sdk.origin = configuration["origin"]
    sdk.ssl = False
    async with httpx.AsyncClient() as http:
        pubnub = PubNubAsyncio(sdk)
        listener = _Listener(configuration, http)
        pubnub.add_listener(listener)
        pubnub.subscribe().channels(configuration["topics"]).execute()
        await listener.connected.wait()
        print("{}", flush=True)
        await run_until_end_of_input()
        await pubnub.stop()


if __name__ == "__main__":
    asyncio.run(_main())
