"""The simulators, fresh for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from controller.sandbox.oauth import OAuthSimulator
from controller.sandbox.pubnub import PubNubSimulator
from tests.sandbox.plain import PLAIN, Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def pubnub() -> AsyncIterator[PubNubSimulator]:
    async with PubNubSimulator() as simulator:
        yield simulator


@pytest.fixture
async def oauth() -> AsyncIterator[OAuthSimulator]:
    async with OAuthSimulator() as simulator:
        yield simulator


@pytest.fixture
async def http(pubnub: PubNubSimulator) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks to PubNub."""
    async with httpx.AsyncClient(base_url=pubnub.url, timeout=60, **PLAIN) as client:
        yield client
