"""The operator against another server of the same contract: no habit of the simulator is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.cluster.kubectl import conditions, eventually, summary
from tests.cluster.manifests import channel, message, rule, secret
from tests.cluster.operator_harness import SCOPES
from tests.other_twitch import CALLBACK, OtherTwitch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.cluster.operator_harness import Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

APP, SECRET = "an-application-elsewhere", "the-secret-of-that-application"
ANNOTATE = ("annotate", "--overwrite", "tch")


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=[{"rotates": True}, {"rotates": False}],
    ids=["rotating", "keeping"],
)
async def twitch(site: Site, request: pytest.FixtureRequest) -> AsyncIterator[OtherTwitch]:
    async with OtherTwitch(**request.param) as twitch:
        twitch.add_app(APP, SECRET)
        await site.kubectl.apply(secret("elsewhere", client_id=APP, client_secret=SECRET))
        operator = await site.start_operator(
            HELIX_URL=twitch.helix_url, IDENTITY_URL=twitch.identity_url
        )
        yield twitch
        await operator.end()


def named(twitch: OtherTwitch, name: str) -> str:
    """A broadcaster of its own for each of the servers, and the name of its resources."""
    login = f"{name}{'r' if twitch.rotates else 'k'}"
    twitch.add_broadcaster(login)
    return login


def elsewhere(name: str, **spec: object) -> dict[str, Any]:
    return channel(name, app={"secretRef": {"name": "elsewhere"}}, **spec)


def refreshes(twitch: OtherTwitch) -> int:
    return sum(call.kind == "refresh_token" for call in twitch.token_calls)


async def consent(site: Site, twitch: OtherTwitch, login: str) -> None:
    token = twitch.consent(login, APP, SCOPES).refresh_token
    await site.kubectl.apply(secret(f"{login}-grant", refresh_token=token))


async def test_a_cue_fires_through_expiry_and_a_changed_password(
    site: Site, twitch: OtherTwitch
) -> None:
    login = named(twitch, "elsewhere")
    await consent(site, twitch, login)
    await site.kubectl.apply(elsewhere(login), rule(login))
    await site.kubectl.ready(f"tch/{login}", f"trule/{login}")
    twitch.expire_access_tokens()
    site.pubnub.publish(login, message(), subscribe_key=site.subscribe_key)
    status = await site.kubectl.until_path("trule", login, "counts.matched=1")
    assert [each["verdict"] for each in status["recentDecisions"]] == ["Fired"]
    assert [each.length for each in twitch.commercials if each.login == login] == [125]
    twitch.change_password(login)
    await site.kubectl(*ANNOTATE, login, "twitch-operator.dev/requestedAt=changed")
    found = await site.kubectl.until_reason("tch", login, "AuthorizationRevoked")
    assert summary(found) == ("False", "False", "True")
    calls = refreshes(twitch)
    await consent(site, twitch, login)
    await site.kubectl.ready(f"tch/{login}")
    assert refreshes(twitch) == calls + 1


async def test_a_code_is_exchanged_once(site: Site, twitch: OtherTwitch) -> None:
    login = named(twitch, "coded")
    code = twitch.code(login, APP, SCOPES)
    ref = {"name": f"{login}-code", "key": "code"}
    way = {"authorizationCode": {"secretKeyRef": ref, "redirectUri": CALLBACK}}
    await site.kubectl.apply(
        secret(f"{login}-code", code=code), elsewhere(login, authorization=way)
    )
    await site.kubectl.ready(f"tch/{login}")
    kinds = [call.kind for call in twitch.token_calls if call.login == login]
    assert kinds.count("authorization_code") == 1
    await site.kubectl(*ANNOTATE, login, "twitch-operator.dev/revokeRequestedAt=today")
    await site.kubectl.until_reason("tch", login, "AuthorizationRevoked")


async def test_a_device_code_is_typed(site: Site, twitch: OtherTwitch) -> None:
    login = named(twitch, "typed")
    await site.kubectl.apply(elsewhere(login, authorization={"deviceCode": {}}))
    status = await site.kubectl.until_path("tch", login, "authorization.userCode")
    twitch.approve(status["authorization"]["userCode"], login)
    await site.kubectl.ready(f"tch/{login}")
    await eventually(lambda: any(call.kind.endswith("device_code") for call in twitch.token_calls))
    found = conditions(await site.kubectl.status("tch", login))
    assert found["Authorized"]["message"] == f"authorized by {login}"
