"""An extension's shared secrets, rotated by an operator at a Twitch that is not the simulator."""

from __future__ import annotations

import asyncio
import json
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from controller.policies.extension_secrets import SharedSecret, encode
from controller.sensitive import Sensitive
from tests.cluster.extension_scene import LABELS, OWNER, new_extensions
from tests.cluster.kubectl import conditions, eventually
from tests.cluster.manifests import raw_secret, secret
from tests.cluster.operator_access import GROUP
from tests.cluster.pace import stretched

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.cluster.extension_scene import Extensions, Target
    from tests.cluster.operator_harness import Operator, Site
    from tests.other_extensions import Key, OtherExtension

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

SHORT = {"interval": "10s", "activationDelay": "3s"}
SOON = 2.0  # seconds that the operator may take for what is due, on an idle machine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(site: Site) -> AsyncIterator[Extensions]:
    async with new_extensions(site) as scene:
        yield scene


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(scene: Extensions) -> Operator:
    return await scene.start()


@pytest_asyncio.fixture(loop_scope="module")
async def seldom(scene: Extensions, operator: Operator) -> AsyncIterator[None]:
    """An operator that does not look by itself while a test runs."""
    del operator  # there is always one between two tests
    await scene.site.close()
    await scene.start(EXTENSION_CHECK_INTERVAL="1h")
    yield
    await scene.site.close()
    await scene.start()


@pytest.fixture(autouse=True)
def all_calls_are_signed_as_they_must_be(scene: Extensions) -> None:
    del scene.twitch.wrong[:]


def listed(key: Key) -> dict[str, Any]:
    """What secrets.json must say of a secret, times as numbers."""
    return {"content": key.text, "activeTime": key.active, "expirationTime": key.ends}


def read(target: Target) -> list[dict[str, Any]]:
    """What secrets.json says, times as numbers."""
    times = ("activeTime", "expirationTime")
    return [
        {k: datetime.fromisoformat(v).timestamp() if k in times else v for k, v in entry.items()}
        for entry in target.entries
    ]


async def made_one(mine: OtherExtension, count: int = 1) -> Key:
    """Wait until Twitch has made so many secrets; the last of them."""
    await eventually(lambda: len(mine.made) >= count)
    return mine.made[count - 1].key


@pytest.mark.usefixtures("operator")
async def test_a_secret_of_the_console_begins_it_and_nothing_is_rotated(scene: Extensions) -> None:
    mine = await scene.add("first")
    target = await scene.target("first")
    assert target is not None
    (key,) = mine.keys
    assert set(target.data) == {"current", "secrets.json"}
    assert target.get("current") == key.text
    (entry,) = read(target)
    assert entry == pytest.approx(listed(key), abs=1e-3)
    assert target.meta["labels"].items() >= LABELS.items()
    assert "ownerReferences" not in target.meta
    # Further looks, whatever form their times have, change nothing.
    looks = [call for call in scene.twitch.calls if call.client_id == mine.client_id]
    await eventually(
        lambda: sum(c.client_id == mine.client_id for c in scene.twitch.calls) > len(looks) + 3
    )
    after = await scene.target("first")
    assert after is not None
    assert after.meta["resourceVersion"] == target.meta["resourceVersion"]
    assert (mine.made, scene.twitch.wrong) == ([], [])


@pytest.mark.usefixtures("operator")
async def test_a_new_secret_is_stored_before_it_is_active_and_the_old_one_goes_when_it_expires(
    scene: Extensions,
) -> None:
    scene.twitch.retire_after = 9.0
    try:
        mine = await scene.add("rotating", rotation=SHORT)
        old, new = mine.keys[0], await made_one(mine)
        made = mine.made[0].time
        target = await scene.until_target("rotating", lambda t: t.get("next"), stretched(SOON))
        assert (target.get("current"), target.get("next")) == (old.text, new.text)
        assert target.get("previous") is None
        assert new.active == pytest.approx(made + 3, abs=0.1)
        target = await scene.until_target("rotating", lambda t: t.get("current") == new.text)
        assert new.active < time.time() < new.active + 2 + stretched(SOON)
        assert (target.get("previous"), target.get("next")) == (old.text, None)
        by_text = {entry["content"]: entry for entry in read(target)}
        assert by_text[new.text] == pytest.approx(listed(new), abs=1e-3)
        assert by_text[old.text] == pytest.approx(listed(old), abs=1e-3)
        target = await scene.until_target("rotating", lambda t: t.get("previous") is None)
        assert old.ends < time.time() < old.ends + stretched(SOON)
        assert target.known == {new.text}
        # The next is due an interval after that, and a look at Twitch goes before each.
        await made_one(mine, 2)
        assert mine.made[1].time - mine.made[0].time > 0.9 * 10 + 3 - 0.1
        assert mine.made[1].by is new
        kinds = [c.kind for c in scene.twitch.calls if c.client_id == mine.client_id]
        makes = [n for n, kind in enumerate(kinds) if kind == "make"]
        assert all(kinds[n - 1] == "look" for n in makes)
    finally:
        scene.twitch.retire_after = 2400.0
    status = await scene.kubectl.status("extapp", "rotating")
    assert {each["state"] for each in status["secrets"]} <= {"Active", "Pending", "Retiring"}
    assert scene.twitch.wrong == []


@pytest.mark.usefixtures("operator")
async def test_a_lost_answer_makes_no_second_secret(scene: Extensions) -> None:
    troubles = (
        "lost", "lost-done", "error-done", "garbled", "short", "slow-done", "late", "down",
    )  # fmt: skip
    scene.twitch.slowness = 1.5  # the operator waits for one second
    apps = {name: scene.register(name) for name in troubles}
    for name in apps:
        scene.twitch.spoil(scene.client_id(name), "make", name)  # type: ignore[arg-type]
    await scene.kubectl.apply(
        *(scene.bootstrap(name) for name in apps),
        *(scene.app(name, rotation={"interval": "20s", "activationDelay": "3s"}) for name in apps),
    )
    for name, mine in apps.items():
        await eventually(lambda mine=mine: mine.made, 40)  # type: ignore[misc]
        key = mine.keys[-1]
        await scene.until_target(name, lambda t, key=key: key.text in t.known, 8)  # type: ignore[misc]
    await eventually(lambda: time.time() > max(m.made[0].time for m in apps.values()) + 10)
    assert {name: len(mine.made) for name, mine in apps.items()} == dict.fromkeys(apps, 1)
    await scene.kubectl.ready(*(f"extapp/{name}" for name in apps))
    assert scene.twitch.wrong == []


@pytest.mark.usefixtures("operator")
async def test_each_request_to_revoke_is_heeded_once(scene: Extensions) -> None:
    mine = await scene.add("leaked", rotation={"interval": "1h", "activationDelay": "5s"})
    old = mine.keys[0]
    await scene.revoke("leaked", "one")
    new = await made_one(mine)
    target = await scene.until_target(
        "leaked", lambda t: t.get("next") == new.text, stretched(SOON)
    )
    assert (target.get("current"), target.get("previous")) == (old.text, None)
    assert target.verifying == {new.text}
    assert target.known == {old.text, new.text}
    found = (await scene.until_reason("leaked", "SecretsRevoked"))["SecretsCurrent"]
    assert found["status"] == "True"
    assert "console" in found["message"]
    status = await scene.kubectl.status("extapp", "leaked")
    until = datetime.fromisoformat(status["helperTokensRefusedUntil"]).timestamp()
    assert until == pytest.approx(new.active, abs=2)
    assert status["lastHandledRevokeAt"] == "one"
    target = await scene.until_target("leaked", lambda t: t.get("current") == new.text)
    assert target.verifying == {new.text}
    assert target.get("previous") is None
    await scene.until_reason("leaked", "Succeeded")
    await scene.revoke("leaked", "one")
    await scene.revoke("leaked", "two")
    newest = await made_one(mine, 2)
    await scene.until_target("leaked", lambda t: t.get("current") == newest.text)
    await scene.until_reason("leaked", "Succeeded")
    await asyncio.sleep(SOON)
    assert len(mine.made) == 2
    events = json.loads(await scene.kubectl("get", "events.events.k8s.io", "-o", "json"))["items"]
    told = [each for each in events if each["reason"] == "SecretsRevoked"]
    assert {each["type"] for each in told} == {"Warning"}
    assert all("console" in each["note"] and "403" in each["note"] for each in told)
    assert scene.twitch.wrong == []


@pytest.mark.usefixtures("operator")
async def test_when_all_secrets_are_lost_a_new_one_of_the_console_heals_it(
    scene: Extensions,
) -> None:
    mine = await scene.add("lost-all")
    scene.twitch.delete_all(mine.client_id)
    found = await scene.until_reason("lost-all", "SecretLost")
    assert found["SecretsCurrent"]["status"] == "False"
    assert found["Stalled"]["status"] == "True"
    assert "console" in found["SecretsCurrent"]["message"]
    assert "bootstrapSecretRef" in found["SecretsCurrent"]["message"]
    healing = scene.twitch.make_at_console(mine.client_id)
    await scene.kubectl.apply(scene.bootstrap("lost-all"))
    await scene.until_target("lost-all", lambda t: t.get("current") == healing.text)
    await scene.kubectl.ready("extapp/lost-all")
    assert mine.made == []


@pytest.mark.usefixtures("operator")
async def test_a_bootstrap_secret_that_is_missing_or_no_secret_is_told_and_heals(
    scene: Extensions,
) -> None:
    mine = scene.register("late-boot")
    await scene.kubectl.apply(scene.app("late-boot"))
    found = await scene.until_reason("late-boot", "SecretNotFound")
    assert found["Stalled"]["status"] == "False"
    assert "late-boot-bootstrap" in found["SecretsCurrent"]["message"]
    await scene.kubectl.apply(secret("late-boot-bootstrap", other="x"))
    await scene.until_reason("late-boot", "InvalidSecret")
    for text in ("not base64!", "ä"):
        await scene.kubectl.apply(secret("late-boot-bootstrap", secret=text))
        await scene.until_reason("late-boot", "InvalidSecret")
    # A secret that Twitch does not know, and its text with the line end that an editor adds.
    await scene.kubectl.apply(scene.bootstrap("late-boot", "c29tZWJvZHkgZWxzZQ=="))
    await scene.until_reason("late-boot", "SecretLost")
    assert await scene.target("late-boot") is None
    await scene.kubectl.apply(scene.bootstrap("late-boot", mine.keys[0].text + "\n"))
    await scene.kubectl.ready("extapp/late-boot")
    target = await scene.target("late-boot")
    assert target is not None
    assert target.get("current") == mine.keys[0].text
    assert mine.made == []


@pytest.mark.usefixtures("operator")
async def test_of_two_that_claim_one_extension_the_younger_does_nothing(scene: Extensions) -> None:
    mine = await scene.add("older")
    twin = scene.app("younger")
    twin["spec"]["clientId"] = mine.client_id
    await scene.kubectl.apply(scene.bootstrap("younger", mine.keys[0].text), twin)
    found = await scene.until_reason("younger", "Conflict")
    assert found["Stalled"]["status"] == "True"
    assert "older" in found["SecretsCurrent"]["message"]
    await scene.revoke("younger", "now")
    await asyncio.sleep(SOON)
    assert await scene.target("younger") is None
    assert mine.made == []
    await scene.kubectl.ready("extapp/older")
    await scene.kubectl("annotate", "extapp", "younger", f"{GROUP}/revokeRequestedAt-")
    await scene.kubectl("delete", "extapp", "older")
    await scene.kubectl.ready("extapp/younger")
    assert await scene.target("younger") is not None


@pytest.mark.usefixtures("operator")
async def test_who_names_anothers_client_id_keeps_nobody_from_it(scene: Extensions) -> None:
    mine = scene.register("rightful")
    squatter = scene.app("squatter")
    squatter["spec"]["clientId"] = mine.client_id
    forged = SharedSecret(
        Sensitive("Zm9yZ2VkIGJ5IHNvbWVib2R5"), time.time() - 60, time.time() + 1e6
    )
    data = {k: v.reveal().encode() for k, v in encode([forged], time.time()).items()}
    target = raw_secret("squatter-secrets", **data)
    target["metadata"]["labels"] = {**LABELS, f"{GROUP}/extension": "squatter"}
    target["metadata"]["annotations"] = {f"{GROUP}/client-id": mine.client_id}
    junk = scene.bootstrap("squatter", "c29tZWJvZHkgZWxzZQ==")
    await scene.kubectl.apply(junk, target, squatter)
    await scene.until_reason("squatter", "SecretLost")
    assert not (await scene.kubectl.status("extapp", "squatter")).get("secrets")
    await asyncio.sleep(1.1)  # creationTimestamp has whole seconds
    await scene.kubectl.apply(scene.bootstrap("rightful"), scene.app("rightful"))
    await scene.kubectl.ready("extapp/rightful")
    found = await scene.until_reason("squatter", "Conflict")
    assert "rightful" in found["SecretsCurrent"]["message"]
    # Nor does a restart turn it: the status tells whose secret Twitch took.
    await scene.site.operators[-1].kill()
    await scene.start()
    for name, reason in (("squatter", "Conflict"), ("rightful", "Succeeded")):
        await scene.kubectl("annotate", "extapp", name, f"{GROUP}/requestedAt=restarted")
        asked = "lastHandledReconcileAt=restarted"
        await scene.kubectl.until_path("extapp", name, asked)
        assert (await scene.until_reason(name, reason))["Ready"]["reason"] == reason


@pytest.mark.usefixtures("operator")
async def test_a_secret_that_is_not_the_operators_is_left_alone(scene: Extensions) -> None:
    mine = scene.register("foreign")
    theirs = raw_secret("foreign-secrets", current=b"mine", other=b"too")
    await scene.kubectl.apply(theirs, scene.bootstrap("foreign"), scene.app("foreign"))
    found = await scene.until_reason("foreign", "Conflict")
    assert "foreign-secrets" in found["SecretsCurrent"]["message"]
    target = await scene.target("foreign")
    assert target is not None
    assert target.data == {"current": "mine", "other": "too"}
    assert mine.made == []
    assert "kubectl label" not in found["SecretsCurrent"]["message"]  # it holds nothing of use
    await scene.kubectl("delete", "secret", "foreign-secrets")
    await scene.kubectl.ready("extapp/foreign")


@pytest.mark.usefixtures("operator")
async def test_a_target_secret_is_handed_over_to_an_extension_of_another_name(
    scene: Extensions,
) -> None:
    mine = await scene.add("former", rotation=SHORT)
    new = await made_one(mine)  # the bootstrap secret is none that counts
    await scene.until_target("former", lambda t: t.get("current") == new.text)
    await scene.kubectl("delete", "extapp", "former")
    heir = scene.app("heir", targetSecretName="former-secrets")
    heir["spec"]["clientId"] = mine.client_id
    await scene.kubectl.apply(scene.bootstrap("heir", "AAAA"), heir)
    told = (await scene.until_reason("heir", "Conflict"))["SecretsCurrent"]["message"]
    assert "as that of former" in told
    assert "delete" not in told
    # As the message says, word for word.
    found = re.search(r"hand it over: (kubectl label .+ && kubectl annotate .+?);", told)
    assert found is not None
    made = len(mine.made)
    for command in found[1].split(" && "):
        await scene.kubectl(*command.removeprefix("kubectl ").split())
    await scene.kubectl.ready("extapp/heir")
    target = await scene.target("former")
    assert target is not None
    assert target.get("current") == mine.keys[-1].text
    assert target.meta["labels"][f"{GROUP}/extension"] == "heir"
    assert len(mine.made) == made


@pytest.mark.usefixtures("operator")
async def test_a_kept_secret_is_not_overwritten_by_another_extension_of_the_name(
    scene: Extensions,
) -> None:
    kept = await scene.add("same-name")
    await scene.kubectl("delete", "extapp", "same-name")
    other = scene.register("other-one")
    again = scene.app("same-name")
    again["spec"]["clientId"] = other.client_id
    await scene.kubectl.apply(scene.bootstrap("same-name", other.keys[0].text), again)
    told = (await scene.until_reason("same-name", "Conflict"))["SecretsCurrent"]["message"]
    assert kept.client_id in told
    target = await scene.target("same-name")
    assert target is not None
    assert target.get("current") == kept.keys[0].text
    # Nor where nothing tells any more whose it is.
    mark = f"{GROUP}/client-id-"
    await scene.kubectl("annotate", "secret", "same-name-secrets", mark)
    await scene.kubectl.until(
        "extapp", "same-name", lambda status: "not marked" in conditions(status)["Ready"]["message"]
    )
    target = await scene.target("same-name")
    assert target is not None
    assert target.get("current") == kept.keys[0].text
    again["spec"]["secret"]["targetSecretName"] = "another-secrets"
    await scene.kubectl("delete", "extapp", "same-name")
    await scene.kubectl.apply(again)
    await scene.kubectl.ready("extapp/same-name")
    found = await scene.target("another")
    assert found is not None
    assert found.get("current") == other.keys[0].text


@pytest.mark.usefixtures("seldom")
async def test_a_wrong_owner_is_told_at_once_and_a_right_one_heals_it(scene: Extensions) -> None:
    await scene.add("owned")
    for owner, reason in (("1234", "SecretLost"), (OWNER, "Succeeded")):
        patch = json.dumps({"spec": {"ownerId": owner}})
        await scene.kubectl("patch", "extapp", "owned", "--type=merge", "-p", patch)
        await scene.until_reason("owned", reason)
    target = await scene.target("owned")
    assert target is not None
    assert len(target.known) == 1


@pytest.mark.usefixtures("seldom")
async def test_a_change_of_the_spec_is_held_against_what_twitch_has(scene: Extensions) -> None:
    mine = scene.register("drifting")
    app = scene.app("drifting")
    app["spec"]["configuration"] = {"global": {"version": "1", "content": "declared"}}
    await scene.kubectl.apply(scene.bootstrap("drifting"), app)
    await scene.kubectl.ready("extapp/drifting")
    (place,) = mine.segments
    mine.segments[place] = {"content": "changed elsewhere", "version": "1"}
    app["spec"]["version"] = "1.4.0"  # which says nothing of the segment
    await scene.kubectl.apply(app)
    await eventually(lambda: mine.segments[place]["content"] == "declared")


@pytest.mark.usefixtures("operator")
async def test_an_activation_delay_below_the_setting_is_refused(scene: Extensions) -> None:
    # The operator takes one second and more, here; the API server takes no less anyway.
    await scene.site.close()
    strict = await scene.site.start_operator(
        HELIX_URL=scene.twitch.helix_url, MIN_ACTIVATION_DELAY="5s"
    )
    mine = scene.register("hasty")
    await scene.kubectl.apply(scene.bootstrap("hasty"), scene.app("hasty"))
    found = await scene.until_reason("hasty", "InvalidSpec")
    assert found["Stalled"]["status"] == "True"
    assert "activationDelay" in found["Ready"]["message"]
    assert not [call for call in scene.twitch.calls if call.client_id == mine.client_id]
    slower = {"interval": "1h", "activationDelay": "5s"}
    await scene.kubectl.apply(scene.app("hasty", rotation=slower))
    await scene.kubectl.ready("extapp/hasty")
    await strict.end()
    await scene.start()


async def test_a_restart_rotates_nothing_and_revokes_nothing(scene: Extensions) -> None:
    mine = await scene.add("steady")
    await scene.revoke("steady", "one")
    new = await made_one(mine)
    await scene.until_target("steady", lambda t: t.get("current") == new.text)
    await scene.until_reason("steady", "Succeeded")
    before = await scene.target("steady")
    for _ in range(3):
        await scene.site.operators[-1].kill()
        looked = len(scene.twitch.calls)
        await scene.start()
        await eventually(
            lambda looked=looked: any(  # type: ignore[misc]
                call.client_id == mine.client_id for call in scene.twitch.calls[looked:]
            )
        )
    await asyncio.sleep(SOON)
    assert len(mine.made) == 1
    after = await scene.target("steady")
    assert (before and before.data) == (after and after.data)
    # Without the Secret, the status tells that the request lies behind it.
    await scene.site.operators[-1].end()
    await scene.kubectl("delete", "secret", "steady-secrets")
    await scene.kubectl.apply(scene.bootstrap("steady"))
    await scene.start()
    target = await scene.until_target("steady", lambda t: t.get("current") == new.text)
    await asyncio.sleep(SOON)
    assert len(mine.made) == 1
    assert new.text in target.verifying


async def test_what_somebody_deleted_or_changed_is_put_right(scene: Extensions) -> None:
    mine = await scene.add("spoilt")
    before = await scene.target("spoilt")
    assert before is not None
    await scene.kubectl("delete", "secret", "spoilt-secrets")
    await scene.until_target("spoilt", lambda t: t.data == before.data)
    for patch in (
        '{"stringData": {"current": "bm90IGl0"}}',
        '{"stringData": {"secrets.json": "no JSON"}}',
        '{"stringData": {"more": "than there is"}}',
        '{"data": null}',
    ):
        await scene.kubectl("patch", "secret", "spoilt-secrets", "--type=merge", "-p", patch)
        await scene.until_target("spoilt", lambda t: t.data == before.data)
    assert mine.made == []


async def test_a_secret_of_the_console_is_taken_up_and_counts_as_a_rotation(
    scene: Extensions,
) -> None:
    mine = await scene.add("by-hand")
    second = scene.twitch.make_at_console(mine.client_id)
    target = await scene.until_target("by-hand", lambda t: t.get("current") == second.text)
    assert target.get("previous") == mine.keys[0].text
    assert mine.made == []


async def test_a_secret_that_never_ends_does_no_harm(scene: Extensions) -> None:
    far = scene.twitch.far
    scene.twitch.far = datetime(9999, 12, 31, 23, 59, 59).timestamp() - time.time() - 86_400  # noqa: DTZ001
    try:
        mine = await scene.add("eternal")
    finally:
        scene.twitch.far = far
    target = await scene.target("eternal")
    assert target is not None
    assert target.get("current") == mine.keys[0].text


async def test_the_target_secret_stays_or_goes_with_its_extension_as_declared(
    scene: Extensions,
) -> None:
    kept = await scene.add("kept")
    await scene.add("gone", deletionPolicy="Delete")
    await scene.kubectl("delete", "extapp", "kept", "gone")
    deadline = time.monotonic() + 20
    while await scene.target("gone") is not None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)
    assert await scene.target("kept") is not None
    # Applied again, it takes up what is there; the bootstrap secret is needed no more.
    await scene.kubectl.apply(secret("kept-bootstrap", secret="AAAA"), scene.app("kept"))
    await scene.kubectl.ready("extapp/kept")
    assert kept.made == []
    target = await scene.target("kept")
    assert target is not None
    assert target.get("current") == kept.keys[0].text
