"""OAuth providers of extensions, their logins, and which counts when."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controller.sensitive import Sensitive
from tests.simulated.gateway_learning import (
    PROVIDER,
    ApiServer,
    learning,
    status,
)
from tests.simulated.harness import eventually

OAUTH = {"introspectionUrl": PROVIDER, "secretRef": {"name": "login"}}
LOGIN = {"client-id": "gateway", "client-secret": "s3cret-of-the-gateway"}
ALLOWED = {"twitch-operator.dev/allowed-host": "id.example.com"}


async def test_a_provider_is_known_with_its_login() -> None:
    api = ApiServer()
    api.put_app("deck", gateway={"oauth": {**OAUTH, "channelsClaim": "channels"}})
    api.put_secret("login", LOGIN, annotations=ALLOWED)
    async with learning(api) as known:
        provider = known.found("client-deck").oauth
        assert provider is not None
        assert provider.problem is None
        assert provider.introspection_url == PROVIDER
        assert (provider.client_id, provider.channels_claim) == ("gateway", "channels")
        assert provider.client_secret == Sensitive("s3cret-of-the-gateway")
        assert known.catalog.lone_provider() == provider


@pytest.mark.parametrize(
    ("annotations", "told"),
    [({}, "kubectl annotate secret login"), ({next(iter(ALLOWED)): "elsewhere"}, "is not sent to")],
)
async def test_a_login_is_not_sent_where_its_secret_does_not_allow_it(
    annotations: dict[str, str], told: str
) -> None:
    api = ApiServer()
    api.put_app("deck", gateway={"oauth": OAUTH})
    api.put_secret("login", LOGIN, annotations=annotations)
    async with learning(api) as known:
        provider = known.found("client-deck").oauth
        assert provider is not None
        assert told in str(provider.problem)
        assert provider.client_secret is None


async def test_a_secret_that_the_operator_made_is_sent_to_no_provider() -> None:
    api = ApiServer()
    api.put_app("deck", gateway={"oauth": OAUTH})
    made = {"app.kubernetes.io/managed-by": "twitch-operator"}
    api.put_secret("login", LOGIN, made, ALLOWED)
    async with learning(api) as known:
        provider = known.found("client-deck").oauth
        assert provider is not None
        assert provider.client_secret is None
        assert "Secret login was made by the operator" in (provider.problem or "")


async def test_a_login_that_arrives_later_heals_it() -> None:
    api = ApiServer()
    api.put_app("deck", gateway={"oauth": OAUTH})
    async with learning(api) as known:
        provider = known.found("client-deck").oauth
        assert provider is not None
        assert "login" in str(provider.problem)
        api.put_secret("login", LOGIN, annotations=ALLOWED)
        await eventually(
            lambda: (now := known.found("client-deck").oauth) is not None and now.problem is None
        )


ELSEWHERE = "https://id.example.com/other"


@pytest.mark.parametrize("trouble", ["away", "forbidden"])
@pytest.mark.parametrize(
    ("before", "after", "asked"),
    [
        (OAUTH, {**OAUTH, "introspectionUrl": ELSEWHERE}, ELSEWHERE),
        (OAUTH, {**OAUTH, "secretRef": {"name": "other"}}, PROVIDER),
    ],
)
async def test_a_changed_provider_counts_at_once_and_waits_for_its_login(
    trouble: str, before: dict[str, Any], after: dict[str, Any], asked: str
) -> None:
    api = ApiServer()
    api.put_app("deck", gateway={"oauth": before})
    for name in ("login", "other"):
        api.put_secret(name, LOGIN, annotations=ALLOWED)
    async with learning(api) as known:
        was = known.found("client-deck").oauth
        assert was is not None
        api.away = trouble == "away"
        api.refused = {"login", "other"}
        known.tell("deck", gateway={"oauth": after})
        provider = known.found("client-deck").oauth
        assert provider is not None
        assert provider.introspection_url == asked
        assert provider.client_secret is None
        assert "was not read yet" in str(provider.problem)
        await eventually(lambda: "cannot be read" in str(known.problem("client-deck")))
        known.tell("deck", gateway={"oauth": before})  # back again: its login is still at hand
        assert known.found("client-deck").oauth == was
        api.away, api.refused = False, set()
        known.tell("deck", gateway={"oauth": after})
        await eventually(lambda: known.problem("client-deck") is None)


async def test_another_issuer_audience_or_claim_counts_at_once_without_any_secret() -> None:
    api = ApiServer()
    first = {"issuer": "https://one.example.com", "audience": "gateway"}
    api.put_app("deck", gateway={"oauth": first})
    async with learning(api) as known:
        api.away = True
        for change in (
            {"audience": "other"},
            {"issuer": "https://two.example.com"},
            {"channelsClaim": "channels"},
        ):
            known.tell("deck", gateway={"oauth": first | change})
            provider = known.found("client-deck").oauth
            assert provider is not None
            assert provider.problem is None
            told = {
                "issuer": provider.issuer,
                "audience": provider.audience,
                "channelsClaim": provider.channels_claim,
            }
            assert told == {"channelsClaim": "twitch_channels"} | first | change


async def test_a_login_that_cannot_be_read_any_more_serves_on() -> None:
    api = ApiServer()
    api.put_app("deck", gateway={"oauth": OAUTH})
    api.put_secret("login", LOGIN, annotations=ALLOWED)
    async with learning(api) as known:
        was = known.found("client-deck").oauth
        api.refused = {"login"}
        before = len(api.asked)
        known.tell("deck", status=status("True", "Succeeded"))
        await eventually(lambda: "login" in api.asked[before:])
        await asyncio.sleep(0.1)
        assert known.found("client-deck").oauth == was


async def test_a_provider_is_alone_only_where_every_extension_has_it_served_or_not() -> None:
    api = ApiServer()
    api.put_secret("login", LOGIN, annotations=ALLOWED)
    api.put_app("deck", gateway={"oauth": OAUTH})
    api.put_app("dice", gateway={"oauth": OAUTH})
    async with learning(api) as known:
        assert known.catalog.lone_provider() == known.found("client-deck").oauth
        for other in (
            {"oauth": {"issuer": "https://other.example.com"}},
            {},
            {"oauth": OAUTH, "enabled": False},
            None,
            {"oauth": "broken"},
        ):
            known.tell("dice", gateway=other)
            await eventually(lambda: known.catalog.lone_provider() is None)
            known.tell("dice", gateway={"oauth": OAUTH})
            await eventually(known.catalog.lone_provider)
