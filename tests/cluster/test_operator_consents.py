"""Ways into a channel and out of it: codes, device codes, revocation, pauses."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import pytest_asyncio

from controller.sandbox.twitch import Fault
from tests.cluster.kubectl import conditions, eventually, summary
from tests.cluster.manifests import message, secret
from tests.cluster.operator_harness import CLIENT_ID, SCOPES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.cluster.operator_harness import Operator, Site, Station

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

FINE, WARNED = ("True", "False", "False"), ("True", "False", "True")
WAITING, A_HUMAN = ("False", "True", "False"), ("False", "False", "True")
REDIRECT = "http://localhost:3000/auth/twitch/callback"
OTHER_REDIRECT = "http://localhost:3000/elsewhere"
DEVICE: dict[str, Any] = {"authorization": {"deviceCode": {}}}
WISH = "twitch-operator.dev/revokeRequestedAt"


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def operator(site: Site) -> Operator:
    site.twitch.add_app(
        "web", "the-secret-of-the-web-application", redirect_uris=(REDIRECT, OTHER_REDIRECT)
    )
    await site.kubectl.apply(
        secret("web", client_id="web", client_secret="the-secret-of-the-web-application")
    )
    return await site.start_operator()


def by_code(station: Station, redirect_uri: str = REDIRECT) -> dict[str, Any]:
    ref = {"name": f"{station.name}-code", "key": "code"}
    way = {"authorizationCode": {"secretKeyRef": ref, "redirectUri": redirect_uri}}
    return station.channel(app={"secretRef": {"name": "web"}}, authorization=way)


async def code(site: Site, login: str, redirect_uri: str = REDIRECT) -> str:
    """What the browser brings back when the broadcaster says yes."""
    query = {
        "response_type": "code", "client_id": "web", "redirect_uri": redirect_uri,
        "scope": " ".join(SCOPES), "login": login,
    }  # fmt: skip
    async with httpx.AsyncClient(trust_env=False, verify=False) as browser:
        answer = await browser.get(f"{site.twitch.identity_url}/authorize", params=query)
    return httpx.URL(answer.headers["Location"]).params["code"]


async def hand_in(site: Site, station: Station, the_code: str) -> None:
    await site.kubectl.apply(secret(f"{station.name}-code", code=the_code))


async def eventually_holds(site: Site, station: Station) -> None:
    """Wait until the token Secret has tokens (again)."""
    for _ in range(100):
        if "access-token" in await stored(site, station):
            return
        await asyncio.sleep(0.2)
    raise AssertionError(await stored(site, station))


def exchanges(site: Site, the_code: str) -> int:
    return sum(call.form().get("code") == the_code for call in site.twitch.calls("POST"))


async def stored(site: Site, station: Station) -> dict[str, str]:
    found = await site.kubectl.get("secret", f"{station.name}-twitch-token")
    return {k: base64.b64decode(v).decode() for k, v in found.get("data", {}).items()}


async def authorization(site: Site, station: Station) -> dict[str, Any]:
    status = await site.kubectl.status("tch", station.name)
    found: dict[str, Any] = status.get("authorization", {})
    return found


async def shown_code(site: Site, station: Station, but: str = "") -> str:
    """The user code that the status shows, other than `but`."""
    status = await site.kubectl.until(
        "tch",
        station.name,
        lambda s: s.get("authorization", {}).get("userCode", but) not in ("", but),
    )
    return str(status["authorization"]["userCode"])


async def request(site: Site, station: Station, annotation: str, value: str) -> None:
    marks = {"metadata": {"annotations": {annotation: value}}}
    await site.kubectl.patch("tch", station.name, marks)


# Authorization codes


async def test_a_code_is_exchanged_once_also_after_a_restart(
    site: Site, operator: Operator
) -> None:
    station = site.new_station("coder")
    await site.kubectl.apply(by_code(station))
    found = await station.until_reason("SecretNotFound")
    assert summary(found) == WAITING
    assert "run kubectl twitch authorize -n" in found["Ready"]["message"]
    given = await code(site, "coder")
    await hand_in(site, station, given)
    await site.kubectl.ready("tch/coder")
    await request(site, station, "twitch-operator.dev/requestedAt", "now")
    await site.kubectl.until("tch", "coder", lambda s: s.get("lastHandledReconcileAt") == "now")
    assert exchanges(site, given) == 1
    again = await code(site, "coder")
    await hand_in(site, station, again)
    await eventually(lambda: exchanges(site, again) == 1)
    assert given not in operator.log


async def test_a_used_code_is_told_apart_from_a_wrong_redirect_uri(site: Site) -> None:
    station = site.new_station("misdirected")
    await hand_in(site, station, await code(site, "misdirected"))
    await site.kubectl.apply(by_code(station, OTHER_REDIRECT))
    found = await station.until_reason("ClientRejected")
    assert summary(found) == A_HUMAN
    assert "authorizationCode.redirectUri" in found["Ready"]["message"]
    await site.kubectl.apply(by_code(station))  # the code itself was good
    await site.kubectl.ready("tch/misdirected")

    used = site.new_station("latecomer")
    given = await code(site, "latecomer")
    await hand_in(site, used, given)
    site.twitch.logins.trade_code(site.twitch.grants.named_app("web"), given, REDIRECT, 0.0)
    await site.kubectl.apply(by_code(used))
    found = await used.until_reason("AuthorizationRevoked")
    assert "The code was used before" in found["Ready"]["message"]
    await asyncio.sleep(0)
    await hand_in(site, used, await code(site, "latecomer"))
    await site.kubectl.ready("tch/latecomer")
    assert exchanges(site, given) == 1


# Device codes


async def test_a_broadcaster_types_a_code(site: Site) -> None:
    station = site.new_station("typist")
    await site.kubectl.apply(station.channel(**DEVICE))
    user_code = await shown_code(site, station)
    found = await station.until_reason("AuthorizationPending")
    assert summary(found) == WAITING
    told = await authorization(site, station)
    assert told["verificationUri"] in found["Ready"]["message"]
    assert user_code in found["Ready"]["message"]
    assert told["userCodeExpirationTime"] in found["Ready"]["message"]
    assert set(await stored(site, station)) == {"device-code"}
    site.twitch.approve_device(user_code, "typist")
    await site.kubectl.ready("tch/typist")
    assert "userCode" not in await authorization(site, station)
    assert "device-code" not in await stored(site, station)


async def test_a_restart_keeps_the_code_that_is_shown(site: Site) -> None:
    station = site.new_station("patient")
    await site.kubectl.apply(station.channel(**DEVICE))
    user_code = await shown_code(site, station)
    await site.operators[-1].kill()
    await site.start_operator()
    site.twitch.approve_device(user_code, "patient")
    await site.kubectl.ready("tch/patient")


async def test_a_new_code_is_shown_when_one_is_of_no_use(site: Site) -> None:
    station = site.new_station("slow")
    await site.kubectl.apply(station.channel(**DEVICE))
    first = await shown_code(site, station)
    for device in list(site.twitch.logins._devices.values()):
        if device.user_code == first:
            device.expires = 0.0
    second = await shown_code(site, station, but=first)
    await site.kubectl.apply(station.channel(**DEVICE, scopes=[*SCOPES, "channel:manage:ads"]))
    third = await shown_code(site, station, but=second)
    site.twitch.approve_device(third, "slow")
    await site.kubectl.ready("tch/slow")
    assert "channel:manage:ads" in (await authorization(site, station))["scopes"]


async def test_a_code_is_offered_while_a_grant_lacks_what_is_asked_for(site: Site) -> None:
    station = site.new_station("wider")
    await site.kubectl.apply(station.channel(**DEVICE))
    site.twitch.approve_device(await shown_code(site, station), "wider")
    await site.kubectl.ready("tch/wider")
    await site.kubectl.apply(station.channel(**DEVICE, streamKeySecretName="wider-key"))
    await site.kubectl.until("tch", "wider", lambda s: "StreamKeySynced" in conditions(s))
    user_code = await shown_code(site, station)
    found = await station.until_reason("ScopeMissing")
    assert "channel:read:stream_key" in found["Ready"]["message"]
    assert found["Authorized"]["status"] == "True"
    site.twitch.approve_device(user_code, "wider")
    await site.kubectl.until("tch", "wider", lambda s: summary(conditions(s)) == FINE, within=60)
    made = await site.kubectl.get("secret", "wider-key")
    assert set(made["data"]) == {"stream-key"}


async def test_the_code_of_somebody_else_is_a_mismatch_and_another_is_shown(site: Site) -> None:
    site.new_station("somebody_else")
    station = site.new_station("rightful")
    await site.kubectl.apply(station.channel(**DEVICE, login="rightful"))
    first = await shown_code(site, station)
    site.twitch.approve_device(first, "somebody_else")
    found = await station.until_reason("LoginMismatch")
    assert summary(found) == A_HUMAN
    second = await shown_code(site, station, but=first)
    site.twitch.approve_device(second, "rightful")
    await site.kubectl.until("tch", "rightful", lambda s: summary(conditions(s)) == FINE, within=60)


async def test_the_consent_of_somebody_else_takes_no_good_grants_place(site: Site) -> None:
    site.new_station("intruder")
    station = await site.prepare("owner")
    await site.kubectl.apply(station.channel(login="owner"), station.rule())
    await site.kubectl.ready("tch/owner", "trule/owner")
    theirs = site.twitch.consent("intruder", CLIENT_ID, SCOPES)
    await site.kubectl.apply(secret("owner-grant", refresh_token=theirs.refresh_token))
    for told in ("it is of intruder, and spec.login is owner", "Invalid refresh token"):
        status = await site.kubectl.until(
            "tch", "owner", lambda s: conditions(s)["Ready"]["reason"] == "InputRefused"
        )
        found = conditions(status)
        assert summary(found) == WARNED
        assert told in found["Ready"]["message"]
        await site.operators[-1].kill()
        await site.start_operator()
        await request(site, station, "twitch-operator.dev/requestedAt", "again")
        await site.kubectl.until(
            "tch", "owner", lambda s: s.get("lastHandledReconcileAt") == "again"
        )
    station.publish(message())
    assert await station.verdicts() == ["Fired"]
    await station.consent()
    await site.kubectl.until("tch", "owner", lambda s: summary(conditions(s)) == FINE)


async def test_a_renamed_broadcaster_goes_on_and_spec_login_is_to_be_corrected(site: Site) -> None:
    station = await site.prepare("formerly")
    await site.kubectl.apply(station.channel(login="formerly"), station.rule())
    await site.kubectl.ready("tch/formerly", "trule/formerly")
    await site.operators[-1].kill()
    site.twitch.rename("formerly", "lately")
    operator = await site.start_operator()
    found = await station.until_reason("LoginChanged")
    assert summary(found) == WARNED
    assert "correct spec.login to lately" in found["Ready"]["message"]
    await eventually(lambda: "formerly: LoginChanged: authorized by lately" in operator.log)
    station.publish(message())
    assert await station.verdicts() == ["Fired"]
    theirs = site.new_station("formerly").grant()  # who has the free login now is a stranger
    await site.kubectl.apply(theirs)
    found = await station.until_reason("InputRefused")
    assert "another user, who has the login formerly" in found["Ready"]["message"]
    await site.kubectl.apply(
        replace(station, login="lately", other_name="formerly").grant(),
        station.channel(login="lately"),
    )
    await site.kubectl.until("tch", "formerly", lambda s: summary(conditions(s)) == FINE)
    status = (await site.kubectl.get("tch", "formerly"))["status"]
    assert status["broadcaster"]["matchedLogin"] == "lately"


# Ends


async def test_commercials_run_on_while_the_access_token_outlives_its_grant(site: Site) -> None:
    station = await site.add_station("outlived")
    site.twitch.order_fault(
        Fault(path="/oauth2/token", login="outlived", status=400,
              body=json.dumps({"status": 400, "message": "Invalid refresh token"}))
    )  # fmt: skip
    lifetime, site.twitch.options.token_lifetime = site.twitch.options.token_lifetime, 60
    try:
        await station.consent()
        await eventually(lambda: station.refreshes >= 2)
    finally:
        site.twitch.options.token_lifetime = lifetime
    status = await site.kubectl.until(
        "tch", "outlived", lambda s: conditions(s)["Authorized"]["reason"] == "InputRefused"
    )
    assert summary(conditions(status)) == WARNED
    station.publish(message())
    assert await station.verdicts() == ["Fired"]


async def test_whoever_leaves_is_revoked_at_twitch_and_comes_back_by_a_new_consent(
    site: Site,
) -> None:
    station = await site.add_station("leaver")
    access = (await stored(site, station))["access-token"]
    await request(site, station, WISH, "one day, at \u2615")
    status = await site.kubectl.until(
        "tch", "leaver", lambda s: s.get("lastHandledRevokeAt") == "one day, at \u2615"
    )
    found = await station.until_reason("AuthorizationRevoked")
    assert summary(found) == A_HUMAN
    assert "revokeRequestedAt" in found["Ready"]["message"]
    assert status["broadcaster"]["login"] == "leaver"
    assert site.twitch.grants.access(access, 0.0) is None
    assert set(await stored(site, station)) == {"input-sha256", "revoke-requested-at"}
    calls = station.calls("/oauth2/revoke")
    station.publish(message())
    assert await station.verdicts() == ["ChannelNotReady"]
    await site.operators[-1].kill()
    await site.start_operator()
    await station.until_reason("AuthorizationRevoked")
    await station.consent()
    await site.kubectl.ready("tch/leaver")
    await site.kubectl(
        "patch", "secret", "leaver-twitch-token", "--type=merge", "-p", '{"data": null}'
    )
    await eventually_holds(site, station)
    await site.operators[-1].kill()
    await site.kubectl("delete", "secret", "leaver-twitch-token")
    await site.start_operator()
    # The tokens are lost with their Secret; the old wish is not carried out a second time.
    await station.consent()
    await site.kubectl.ready("tch/leaver")
    assert station.calls("/oauth2/revoke") == calls


async def test_a_device_that_left_is_asked_anew_only_when_somebody_says_so(site: Site) -> None:
    station = site.new_station("gone")
    await site.kubectl.apply(station.channel(**DEVICE))
    first = await shown_code(site, station)
    site.twitch.approve_device(first, "gone")
    await site.kubectl.ready("tch/gone")
    await request(site, station, WISH, "today")
    await station.until_reason("AuthorizationRevoked")
    assert "userCode" not in await authorization(site, station)
    await request(site, station, "twitch-operator.dev/requestedAt", "today")
    site.twitch.approve_device(await shown_code(site, station, but=first), "gone")
    await site.kubectl.ready("tch/gone")


async def test_twitch_being_away_holds_a_leave_up_but_nothing_is_signed_any_more(
    site: Site,
) -> None:
    station = await site.add_station("held")
    fault = site.twitch.order_fault(
        Fault(path="/oauth2/revoke", login="held", status=503, times=None)
    )
    await request(site, station, WISH, "today")
    await station.until_reason("TransientError")
    station.publish(message())
    assert await station.verdicts() == ["ChannelNotReady"]
    site.twitch.clear_faults(fault)
    await station.until_reason("AuthorizationRevoked")


async def test_a_pause_stops_calls_and_keeps_the_grant_alive(site: Site) -> None:
    station = await site.add_station("paused")
    await site.kubectl.apply(station.channel(suspend=True))
    await station.until_reason("Suspended")
    refreshes = station.refreshes
    site.twitch.expire_access_tokens("paused")
    await request(site, station, "twitch-operator.dev/requestedAt", "now")
    await eventually(lambda: station.refreshes == refreshes + 1)
    found = conditions(await site.kubectl.status("tch", "paused"))
    assert found["Authorized"]["status"] == "True"
    assert station.commercials == []


async def test_a_new_client_secret_is_not_missed_while_the_access_token_lives(
    site: Site,
) -> None:
    site.twitch.add_app("outdated", "the-outdated-client-secret")
    station = site.new_station("modern")
    await station.consent("outdated")
    await site.kubectl.apply(
        secret("outdated", client_id="outdated", client_secret="the-outdated-client-secret"),
        station.channel(app={"secretRef": {"name": "outdated"}}),
        station.rule(),
    )
    await site.kubectl.ready("tch/modern", "trule/modern")
    renewed = site.twitch.regenerate_client_secret("outdated")
    await station.consent("outdated")  # a new input cannot be exchanged with the old secret
    await site.kubectl.until(
        "tch", "modern", lambda s: conditions(s)["Authorized"]["reason"] == "Expiring"
    )
    station.publish(message())
    assert await station.verdicts() == ["Fired"]
    await site.kubectl.apply(secret("outdated", client_id="outdated", client_secret=renewed))
    await site.kubectl.until("tch", "modern", lambda s: summary(conditions(s)) == FINE)


async def test_a_change_of_the_application_asks_for_a_consent_to_the_new_one(site: Site) -> None:
    station = await site.add_station("moving")
    await site.kubectl.apply(station.channel(app={"secretRef": {"name": "web"}}))
    found = await station.until_reason("AuthorizationRevoked")
    assert "another application than client-id" in found["Ready"]["message"]
    await station.consent("web")
    await site.kubectl.ready("tch/moving")


async def test_the_older_channel_of_a_broadcaster_keeps_it_over_a_restart(site: Site) -> None:
    older = await site.add_station("contested")
    younger = older.renamed("contested-too")
    await asyncio.sleep(1.1)  # ages are told in whole seconds
    await site.kubectl.apply(younger.grant(), younger.channel(), younger.rule())
    before = (await younger.until_reason("Conflict"))["Ready"]
    await site.operators[-1].kill()
    site.twitch.order_fault(Fault(path="/oauth2/validate", login="contested", status=503, times=2))
    await site.start_operator()
    await site.kubectl.ready("tch/contested")
    after = (await younger.until_reason("Conflict"))["Ready"]
    assert after["lastTransitionTime"] == before["lastTransitionTime"]  # it never was Ready


def events_of(found: list[dict[str, Any]], name: str) -> Iterable[dict[str, Any]]:
    about = {"kind": "TwitchChannel", "name": name}
    return [each for each in found if about.items() <= each["regarding"].items()]


async def test_each_transition_is_an_event(site: Site) -> None:
    station = await site.add_station("eventful")
    site.twitch.change_password("eventful")
    await request(site, station, "twitch-operator.dev/requestedAt", "now")
    await station.until_reason("AuthorizationRevoked")
    await station.consent()
    await site.kubectl.ready("tch/eventful")

    async def reasons() -> list[tuple[str, str]]:
        listed = await site.kubectl.list("event")
        return [(each["type"], each["reason"]) for each in events_of(listed, "eventful")]

    wanted = {("Normal", "Authorized"), ("Warning", "AuthorizationRevoked")}
    for _ in range(100):
        found = await reasons()
        if wanted <= set(found):
            break
        await asyncio.sleep(0.2)
    assert sorted(set(found)) == sorted(wanted)
    assert len(found) == len(set(found))
    assert CLIENT_ID not in str(found)
