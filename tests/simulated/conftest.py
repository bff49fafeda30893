"""The simulated services, fresh for each test, and the HTTP client that speaks to Twitch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from controller.clients.helix import Credential, Helix
from controller.clients.http import new_http_client
from controller.clients.identity import Identity
from controller.feeds.pubnub import denied_topics, polling
from controller.sandbox.pubnub import PubNubSimulator
from controller.sandbox.twitch import TwitchSimulator
from controller.sensitive import Sensitive
from controller.settings import Settings
from tests.simulated.harness import PATIENCE, hurried

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from controller.clients.http import HttpClient


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let feeds try again soon, where a test is not about how long they wait."""
    monkeypatch.setattr(polling, "_MOST_PAUSE", 0.05)
    monkeypatch.setattr(polling, "MOST_PAUSE_DENIED", 0.05)
    monkeypatch.setattr(denied_topics, "MOST_PAUSE", 0.05)


@pytest.fixture
async def pubnub() -> AsyncIterator[PubNubSimulator]:
    async with PubNubSimulator() as simulator:
        yield simulator


@pytest.fixture
async def twitch() -> AsyncIterator[TwitchSimulator]:
    async with TwitchSimulator() as simulator:
        simulator.add_app("client", "client-secret-0123456789")
        simulator.add_broadcaster("mst3k")
        yield simulator


@pytest.fixture
def settings(twitch: TwitchSimulator) -> Settings:
    return Settings(
        helix_url=twitch.helix_url,
        identity_url=twitch.identity_url,
        call_timeout=PATIENCE,  # `hurried` is for tests of the limit itself
        identity_timeout=PATIENCE,
    )


@pytest.fixture
async def http(settings: Settings) -> AsyncIterator[HttpClient]:
    async with new_http_client(settings) as client:
        yield client


@pytest.fixture
def helix(http: HttpClient, settings: Settings) -> Helix:
    return Helix(http, settings)


@pytest.fixture
def hasty(http: HttpClient, settings: Settings) -> Helix:
    return Helix(http, hurried(settings))


@pytest.fixture
def credential(twitch: TwitchSimulator) -> Credential:
    return Credential("client", Sensitive(twitch.consent("mst3k", "client").access_token))


@pytest.fixture
def identity(http: HttpClient, settings: Settings) -> Identity:
    return Identity(http, settings)
