"""The grant of a channel: how it is kept, how it ends, and how a new consent heals it."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from controller.resources.common import parse_instant
from controller.sandbox.twitch import Fault
from tests.cluster.kubectl import conditions, eventually, summary
from tests.cluster.manifests import channel, message, secret
from tests.cluster.operator_harness import CLIENT_ID

if TYPE_CHECKING:
    from tests.cluster.operator_harness import Operator, Site

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

WAITING = ("False", "True", "False")
A_HUMAN = ("False", "False", "True")


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def operator(site: Site) -> Operator:
    return await site.start_operator()


async def test_the_token_secret_is_made_with_its_keys_and_labels_and_no_owner(site: Site) -> None:
    await site.add_station("keeper")
    made = await site.kubectl.get("secret", "keeper-twitch-token")
    assert made["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "twitch-operator",
        "twitch-operator.dev/channel": "keeper",
    }
    assert "ownerReferences" not in made["metadata"]
    assert set(made["data"]) == {
        "access-token", "refresh-token", "expires-at", "lifetime-seconds", "scopes", "input-sha256",
    }  # fmt: skip
    scopes = base64.b64decode(made["data"]["scopes"]).decode()
    assert scopes == "channel:edit:commercial channel:read:ads"


@pytest.mark.parametrize("public", [False, True], ids=["confidential", "public"])
async def test_another_channels_tokens_are_no_input(site: Site, public: bool) -> None:
    name = "victim-public" if public else "victim"
    client = {"client_id": f"app-of-{name}"}
    site.twitch.add_app(client["client_id"], None if public else "its-client-secret")
    station, app = site.new_station(name.replace("-", "_")), {"secretRef": {"name": f"{name}-app"}}
    secrets = client if public else client | {"client_secret": "its-client-secret"}
    await site.kubectl.apply(
        secret(f"{name}-app", **secrets),
        station.grant(client["client_id"]),
        station.channel(app=app),
        station.rule(),
    )
    await site.kubectl.ready(f"tch/{name}", f"trule/{name}")
    before = await site.kubectl.get("secret", f"{name}-twitch-token")
    reference = {"name": f"{name}-twitch-token", "key": "refresh-token"}
    way = {"refreshToken": {"secretKeyRef": reference}}
    thief = channel(f"thief-of-{name}", app=app, authorization=way)
    await site.kubectl.apply(thief)
    found = await site.kubectl.until_reason("tch", f"thief-of-{name}", "InvalidSecret")
    assert summary(found) == A_HUMAN
    assert found["Ready"]["message"] == (
        f"spec.authorization.refreshToken.secretKeyRef: Secret {name}-twitch-token was made by the"
        f" operator and holds the tokens of TwitchChannel {name}: no reference may name it;"
        " name a Secret of your own"
    )
    request = {"twitch-operator.dev/revokeRequestedAt": "2026-11-29T04:00:00Z"}
    thief["metadata"]["annotations"] = request
    await site.kubectl.apply(thief)
    await site.kubectl.until_path(
        "tch", f"thief-of-{name}", f"lastHandledRevokeAt={request.popitem()[1]}"
    )
    station.publish(message())
    assert await station.verdicts() == ["Fired"]
    after = await site.kubectl.get("secret", f"{name}-twitch-token")
    assert after["data"] == before["data"]
    assert not site.twitch.calls(path="/oauth2/revoke", login=station.login)


async def test_a_dead_refresh_token_is_told_and_a_new_consent_heals(site: Site) -> None:
    station = await site.prepare("dead")
    site.twitch.change_password("dead")
    await site.kubectl.apply(station.channel())
    found = await station.until_reason("AuthorizationRevoked")
    assert summary(found) == A_HUMAN
    assert "consent again: kubectl twitch authorize" in found["Ready"]["message"]
    assert station.refreshes == 1
    await station.consent()
    await site.kubectl.ready("tch/dead")


async def test_a_grant_refused_without_a_reason_is_dead_the_third_time(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.twitch.options, "dead_grant", "Invalid grant")
    station = await site.prepare("unexplained")
    site.twitch.change_password("unexplained")
    await site.kubectl.apply(station.channel())
    found = await station.until_reason("AuthorizationRevoked")
    assert summary(found) == A_HUMAN
    assert "Twitch answered 400: Invalid grant. " in found["Ready"]["message"]
    assert station.refreshes == 3
    await station.consent()
    await site.kubectl.ready("tch/unexplained")
    refused = {"status": 400, "message": "Invalid grant"}
    login, path = station.login, "/oauth2/token"
    site.twitch.order_fault(Fault(path=path, login=login, status=400, body=refused, times=2))
    site.twitch.expire_access_tokens(login)
    await site.kubectl("annotate", "tch", login, "twitch-operator.dev/requestedAt=now")
    await site.kubectl.until_path("tch", login, "lastHandledReconcileAt=now")
    await site.kubectl.ready("tch/unexplained")
    assert station.refreshes == 7


async def test_a_grant_that_ends_while_it_is_used_is_told_and_a_new_consent_heals(
    site: Site,
) -> None:
    station = await site.add_station("ends")
    site.twitch.change_password("ends")
    station.publish(message())
    assert await station.verdicts() == ["Failed"]
    found = await station.until_reason("AuthorizationRevoked")
    assert summary(found) == A_HUMAN
    await station.consent()
    await site.kubectl.ready("tch/ends", "trule/ends")
    station.publish(message())
    assert await station.verdicts(2) == ["Failed", "Fired"]


async def test_a_refused_access_token_is_refreshed_once_and_the_cue_still_fires(
    site: Site,
) -> None:
    station = await site.add_station("expired")
    site.twitch.expire_access_tokens("expired")
    station.publish(message())
    assert await station.verdicts() == ["Fired"]
    assert station.refreshes == 2
    assert len(station.commercials) == 1


async def test_a_regenerated_client_secret_is_told_and_the_new_one_heals(site: Site) -> None:
    site.twitch.add_app("another-application", "the-first-client-secret")
    station = site.new_station("regenerated")
    await station.consent("another-application")
    app = {"client_id": "another-application"}
    await site.kubectl.apply(
        secret("another-app", client_secret="the-first-client-secret", **app),
        station.channel(app={"secretRef": {"name": "another-app"}}),
        station.rule(),
    )
    await site.kubectl.ready("tch/regenerated", "trule/regenerated")
    renewed = site.twitch.regenerate_client_secret("another-application")
    site.twitch.expire_access_tokens("regenerated")
    station.publish(message())
    assert await station.verdicts() == ["Failed"]
    found = await station.until_reason("ClientRejected")
    assert summary(found) == A_HUMAN
    assert "Correct client-id and client-secret in Secret another-app" in found["Ready"]["message"]
    await site.kubectl.apply(secret("another-app", client_secret=renewed, **app))
    await site.kubectl.ready("tch/regenerated", "trule/regenerated")
    station.publish(message())
    assert await station.verdicts(2) == ["Failed", "Fired"]


async def test_a_wrong_client_secret_costs_no_refresh_token(site: Site) -> None:
    site.twitch.add_app("mistyped-application", "the-correct-client-secret")
    station = site.new_station("mistyped")
    await station.consent("mistyped-application")
    app = {"client_id": "mistyped-application"}
    await site.kubectl.apply(
        secret("mistyped-app", client_secret="a-mistyped-client-secret", **app),
        station.channel(app={"secretRef": {"name": "mistyped-app"}}),
    )
    assert summary(await station.until_reason("ClientRejected")) == A_HUMAN
    await site.kubectl.apply(
        secret("mistyped-app", client_secret="the-correct-client-secret", **app)
    )
    await site.kubectl.ready("tch/mistyped")
    changed = (
        f"TwitchChannel {site.namespace}/mistyped: Secret mistyped-app (spec.app.secretRef) has"
    )
    lines = [line for line in site.operators[-1].log.splitlines() if changed in line]
    assert [line.split()[2] for line in lines] == ["WARNING"], lines


async def test_a_grant_without_the_commercial_scope_is_scope_missing(site: Site) -> None:
    station = await site.prepare("scopeless", scopes=["channel:read:ads"])
    await site.kubectl.apply(station.channel())
    found = await station.until_reason("ScopeMissing")
    assert summary(found) == A_HUMAN
    assert "lacks the scope channel:edit:commercial" in found["Ready"]["message"]
    await station.consent()
    await site.kubectl.ready("tch/scopeless")


async def test_a_new_consent_without_scopes_inherits_none(site: Site) -> None:
    station = await site.add_station("disrobed")
    await station.consent(scopes=[])
    found = await station.until_reason("ScopeMissing")
    assert summary(found) == A_HUMAN
    status = (await site.kubectl.get("tch", "disrobed"))["status"]
    assert status["authorization"].get("scopes", []) == []
    await station.consent()
    await site.kubectl.ready("tch/disrobed")


async def test_a_new_consent_is_not_judged_before_it_is_validated(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = await site.add_station("unheard")
    monkeypatch.setattr(site.twitch.options, "scope_in_token", False)
    path, told = "/oauth2/validate", {"status": 503, "message": "away"}
    fault = site.twitch.order_fault(
        Fault(path=path, login="unheard", status=503, body=told, times=None)
    )
    await station.consent()
    found = await station.until_reason("AuthorizationPending")
    assert summary(found) == WAITING
    assert "Twitch answered 503: away" in found["Ready"]["message"]
    site.twitch.clear_faults(fault)
    await site.kubectl.ready("tch/unheard")


async def test_the_commercial_scope_alone_is_ready_and_says_what_cannot_be_confirmed(
    site: Site,
) -> None:
    station = await site.prepare("half", scopes=["channel:edit:commercial"])
    await site.kubectl.apply(station.channel(), station.rule())
    await site.kubectl.ready("tch/half", "trule/half")
    told = (await station.until_reason("Succeeded"))["Ready"]["message"]
    assert "without the scope channel:read:ads it cannot be confirmed" in told
    station.publish(message())
    assert await station.verdicts() == ["Fired"]


async def test_a_grant_of_somebody_else_is_a_login_mismatch(site: Site) -> None:
    station = await site.prepare("somebody")
    await site.kubectl.apply(station.channel(login="somebody_else"))
    found = await station.until_reason("LoginMismatch")
    assert summary(found) == A_HUMAN
    assert "the grant is of somebody, spec.login is somebody_else" in found["Ready"]["message"]
    await site.kubectl.apply(station.channel(login="somebody"))
    await site.kubectl.ready("tch/somebody")


async def test_a_broadcaster_belongs_to_the_older_channel_until_that_is_deleted(
    site: Site,
) -> None:
    older = await site.add_station("rivals")
    younger = older.renamed("younger")
    made = (await site.kubectl.get("tch", "rivals"))["metadata"]["creationTimestamp"]
    # The API server tells when something was made in whole seconds.
    await eventually(lambda: time.time() >= parse_instant(made) + 1)
    await site.kubectl.apply(younger.grant(), younger.channel(), younger.rule())
    found = await younger.until_reason("Conflict")
    assert summary(found) == A_HUMAN
    assert f"TwitchChannel {site.namespace}/rivals has this" in found["Ready"]["message"]
    younger.publish(message())
    assert await younger.verdicts() == ["ChannelNotReady"]
    assert older.calls() == 0
    await site.kubectl("delete", "tch", "rivals")
    await site.kubectl.ready("tch/younger", "trule/younger")
    younger.publish(message())
    assert await younger.verdicts(2) == ["ChannelNotReady", "Fired"]


async def test_a_foreign_secret_is_left_untouched_and_told(site: Site) -> None:
    station, name = await site.prepare("foreign"), "foreign-twitch-token"
    await site.kubectl.apply(secret(name, access_token="of somebody else"))
    before = await site.kubectl.get("secret", name)
    await site.kubectl.apply(station.channel())
    found = await station.until_reason("Conflict")
    assert summary(found) == A_HUMAN
    assert f"Secret {name} exists and was not made by the operator" in found["Ready"]["message"]
    assert await site.kubectl.get("secret", name) == before
    assert station.refreshes == 0
    await site.kubectl("delete", "secret", name)
    await site.kubectl.ready("tch/foreign")


async def test_a_retained_secret_is_adopted_by_the_same_channel_without_a_token_call(
    site: Site,
) -> None:
    station = await site.add_station("retained")
    await site.kubectl("delete", "tch", "retained")
    await site.kubectl.until_reason("trule", "retained", "ChannelNotFound")
    await site.kubectl("get", "secret", "retained-twitch-token")
    await site.kubectl.apply(station.channel())
    await site.kubectl.ready("tch/retained", "trule/retained")
    assert station.refreshes == 1
    station.publish(message())
    assert await station.verdicts() == ["Fired"]


async def test_deletion_policy_delete_takes_the_secret_along(site: Site) -> None:
    station = await site.add_station("leaving")
    await site.kubectl.apply(station.channel(token={"deletionPolicy": "Delete"}))
    uid = (await site.kubectl.get("tch", "leaving"))["metadata"]["uid"]
    wait = ("wait", "secret/leaving-twitch-token", "--timeout=60s")
    await site.kubectl(*wait, f"--for=jsonpath={{.metadata.ownerReferences[0].uid}}={uid}")
    await site.kubectl("delete", "tch", "leaving")
    await site.kubectl(*wait, "--for=delete")
    assert station.refreshes == 1


async def test_a_deletion_ends_at_once_and_nothing_holds_it(site: Site) -> None:
    await site.add_station("brief")
    for kind in ("tch", "trule"):
        meta = (await site.kubectl.get(kind, "brief"))["metadata"]
        assert "finalizers" not in meta
        assert "annotations" not in meta
        await site.kubectl("delete", kind, "brief", "--timeout=60s")


async def test_a_removed_token_secret_is_written_anew_from_what_is_in_hand(site: Site) -> None:
    station = await site.add_station("stubborn")
    before = await site.kubectl.get("secret", "stubborn-twitch-token")
    await site.kubectl("delete", "secret", "stubborn-twitch-token")
    await site.kubectl("wait", "secret/stubborn-twitch-token", "--for=create", "--timeout=60s")
    after = await site.kubectl.get("secret", "stubborn-twitch-token")
    assert (after["data"], station.refreshes) == (before["data"], 1)


async def test_a_new_refresh_token_is_taken_while_the_old_grant_lives(site: Site) -> None:
    station = await site.add_station("renewed")
    before = await site.kubectl.get("secret", "renewed-twitch-token")
    await station.consent()
    await eventually(lambda: station.refreshes == 2)
    await site.kubectl.ready("tch/renewed", "trule/renewed")
    after = await site.kubectl.get("secret", "renewed-twitch-token")
    assert after["data"]["input-sha256"] != before["data"]["input-sha256"]


async def test_an_ailing_twitch_is_waited_for(site: Site) -> None:
    station = await site.prepare("patient")
    site.twitch.order_fault(Fault(path="/oauth2/token", login="patient", times=2, status=503))
    await site.kubectl.apply(station.channel())
    found = await station.until_reason("TransientError")
    assert summary(found) == WAITING
    assert "503" in found["Ready"]["message"]
    await site.kubectl.ready("tch/patient")


@pytest.mark.parametrize(
    ("login", "reason"), [("stranger", "ClientRejected"), ("neighbour", "AuthorizationRevoked")]
)
async def test_the_secret_of_another_application_is_told_and_the_right_one_heals(
    site: Site, login: str, reason: str
) -> None:
    station, name = await site.prepare(login), f"{login}-app"
    other = {"client_id": f"application-of-the-{login}", "client_secret": "its-client-secret"}
    if reason == "AuthorizationRevoked":  # Twitch knows it, and gave it no such grant
        site.twitch.add_app(*other.values())
    app = {"secretRef": {"name": name}}
    await site.kubectl.apply(secret(name, **other), station.channel(app=app))
    assert summary(await station.until_reason(reason)) == A_HUMAN
    right = secret(name, client_id=CLIENT_ID, client_secret=site.client_secret)
    await site.kubectl.apply(right)
    await site.kubectl.ready(f"tch/{login}")


async def test_a_refusal_by_mistake_heals_when_somebody_asks_for_another_try(site: Site) -> None:
    station = await site.prepare("misjudged")
    told = {"status": 400, "message": "Invalid refresh token"}
    site.twitch.order_fault(Fault(path="/oauth2/token", login="misjudged", status=400, body=told))
    await site.kubectl.apply(station.channel())
    await station.until_reason("AuthorizationRevoked")
    await site.kubectl.annotate("tch", "misjudged", requestedAt="now")
    await site.kubectl.ready("tch/misjudged")
    assert station.refreshes == 2


async def test_a_wrong_new_refresh_token_is_told_while_the_former_grant_is_used(
    site: Site,
) -> None:
    station = await site.add_station("mispasted")
    await site.kubectl.apply(secret("mispasted-grant", refresh_token="a-mistyped-refresh-token"))
    status = await site.kubectl.until(
        "tch", "mispasted", lambda s: "is refused" in conditions(s)["Authorized"]["message"]
    )
    found = conditions(status)
    assert summary(found) == ("True", "False", "True")
    assert found["Authorized"]["status"] == "True"
    assert found["Authorized"]["reason"] == "InputRefused"
    assert "by the former grant; the new one is refused" in found["Authorized"]["message"]
    assert "spec.authorization.refreshToken" in found["Authorized"]["message"]
    station.publish(message())
    assert await station.verdicts() == ["Fired"]
    await station.consent()
    whole = "authorized by mispasted"
    await site.kubectl.until(
        "tch", "mispasted", lambda s: conditions(s)["Authorized"]["message"] == whole
    )


async def test_a_token_secret_that_holds_no_text_is_told_and_a_new_consent_heals(
    site: Site, operator: Operator
) -> None:
    station, name = await site.add_station("scribbled"), "scribbled-twitch-token"
    await site.kubectl("delete", "tch", "scribbled")
    await site.kubectl.until_reason("trule", "scribbled", "ChannelNotFound")
    scribble = base64.b64encode("schl\u00fcssel".encode()).decode()
    patch = {"data": {"access-token": scribble, "refresh-token": scribble}}
    await site.kubectl("patch", "secret", name, "--type=merge", "-p", json.dumps(patch))
    await site.kubectl.apply(station.channel())
    # What the input Secret holds is imported anew, and was used already.
    assert summary(await station.until_reason("AuthorizationRevoked")) == A_HUMAN
    await station.consent()
    await site.kubectl.ready("tch/scribbled", "trule/scribbled")
    station.publish(message())
    assert await station.verdicts() == ["Fired"]
    assert not operator.ended


async def test_a_refusal_that_is_not_twitchs_own_ends_no_grant(site: Site) -> None:
    station = await site.prepare("behind_a_proxy")
    page = "<html><body>Forbidden: bad refresh token or client secret</body></html>"
    site.twitch.order_fault(
        Fault(path="/oauth2/token", login="behind_a_proxy", status=403, body=page)
    )
    await site.kubectl.apply(station.channel())
    await site.kubectl.ready("tch/behind-a-proxy")
    assert station.refreshes == 2
