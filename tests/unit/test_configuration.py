"""What an extension's configuration needs next: facts → plan, and what is told of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from controller.extensions.policies.configuration import Look, Set, SetRequired, plan
from controller.extensions.policies.configuration_facts import (
    Budget,
    ConfigurationFacts,
    Content,
    Failure,
    Seen,
    marks,
    wants,
)
from controller.extensions.policies.configuration_states import finding, remembered, states
from controller.policies.rest import Rest
from controller.resources.extensionapp import ExtensionAppSpec

if TYPE_CHECKING:
    from controller.extensions.policies.configuration_states import Told
    from controller.policies.findings import Finding

NOW = 1_700_000_000.0
INTERVAL = 600.0
IDS = {"mst3k": "11", "rifftrax": "22"}


def spec(configuration: dict[str, Any] | None = None, required: str = "") -> ExtensionAppSpec:
    return ExtensionAppSpec.from_spec(
        {
            "clientId": "d72h",
            "ownerId": "1",
            "version": "1.3.0",
            "secret": {
                "bootstrapSecretRef": {"name": "bootstrap", "key": "secret"},
                "targetSecretName": "target",
            },
            **({"requiredConfiguration": {"value": required}} if required else {}),
            **({"configuration": configuration} if configuration else {}),
        }
    )


def entry(
    channel: str = "mst3k", segment: str = "developer", content: str = "{}", **more: str
) -> dict[str, Any]:
    return {"channelRef": {"name": channel}, "segment": segment, "content": content, **more}


def channels(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"channels": list(entries)}


def facts_of(declared: ExtensionAppSpec, ids: dict[str, str] | None = None) -> ConfigurationFacts:
    wanted = wants(declared, (IDS if ids is None else ids).get)
    return ConfigurationFacts(
        wants=wanted,
        marks=marks(declared, wanted),
        seen={},
        failures={},
        marked={},
        gets=Budget(),
        puts=Budget(),
        check_interval=INTERVAL,
        jitter=0.0,
    )


def seen(facts: ConfigurationFacts, had: Content | None, at: float = NOW) -> ConfigurationFacts:
    """The same after a look at the first of its segments."""
    want = facts.wants[0]
    return replace(facts, seen={want.broadcaster_id: Seen(at, {want.segment: had})})


def told(facts: ConfigurationFacts) -> tuple[Told, ...]:
    return states(facts, {})


def condition(facts: ConfigurationFacts) -> Finding:
    found = finding(told(facts))
    assert found is not None
    return found


DARK = facts_of(spec({"global": {"content": "dark", "version": "1"}}))
DEVELOPER = facts_of(spec(channels(entry(content="dark", version="1"))))
BROADCASTER = facts_of(spec(channels(entry(segment="broadcaster", content="dark", version="1"))))
ENFORCED = facts_of(
    spec(channels(entry(segment="broadcaster", content="dark", version="1", policy="Enforce")))
)
LENIENT = facts_of(spec(channels(entry(content="dark", version="1", policy="IfAbsent"))))
AS_DECLARED = Content("dark", "1")


def test_nothing_is_done_where_nothing_is_declared() -> None:
    nothing = facts_of(spec())
    assert plan(nothing, NOW) == Rest(None)
    assert told(nothing) == ()
    assert finding(()) is None


def test_a_segment_is_looked_at_before_anything_else() -> None:
    assert plan(DARK, NOW) == Look(None, ("global",))
    assert plan(DEVELOPER, NOW) == Look("11", ("developer",))


def test_both_segments_of_a_channel_are_looked_at_by_one_call() -> None:
    both = facts_of(spec(channels(entry(), entry("rifftrax"), entry(segment="broadcaster"))))
    assert plan(both, NOW) == Look("11", ("developer", "broadcaster"))


@pytest.mark.parametrize(
    ("facts", "had", "is_set", "state"),
    [
        (DEVELOPER, AS_DECLARED, False, "Synced"),
        (DEVELOPER, Content("light", "1"), True, "Pending"),
        (DEVELOPER, Content("dark", "2"), True, "Pending"),
        (DEVELOPER, None, True, "Pending"),
        (LENIENT, Content("light", "1"), False, "Kept"),
        (LENIENT, None, True, "Pending"),
        (BROADCASTER, AS_DECLARED, False, "Synced"),
        (BROADCASTER, Content("light", "1"), False, "Kept"),
        (BROADCASTER, Content("", "7"), False, "Kept"),
        (BROADCASTER, Content("", ""), True, "Pending"),
        (BROADCASTER, None, True, "Pending"),
        (ENFORCED, Content("light", "1"), True, "Pending"),
        (ENFORCED, AS_DECLARED, False, "Synced"),
    ],
)
def test_a_segment_is_set_only_where_its_policy_says_so(
    facts: ConfigurationFacts, had: Content | None, is_set: bool, state: str
) -> None:
    (want,) = facts.wants
    after = seen(facts, had)
    assert plan(after, NOW) == (Set(want) if is_set else Rest(NOW + INTERVAL))
    assert [one.state for one in told(after)] == [state]


def test_a_segment_that_is_declared_empty_is_synced_where_twitch_has_none() -> None:
    empty = facts_of(spec(channels(entry(content=""))))
    assert plan(seen(empty, None), NOW) == Rest(NOW + INTERVAL)


def test_an_old_look_is_repeated_right_before_a_segment_is_set() -> None:
    old = seen(DEVELOPER, Content("light", "1"), at=NOW - 60)
    assert plan(old, NOW) == Look("11", ("developer",))


def test_drift_is_looked_for_when_the_interval_is_over() -> None:
    settled = seen(DEVELOPER, AS_DECLARED)
    assert plan(settled, NOW + INTERVAL - 1) == Rest(NOW + INTERVAL)
    assert plan(settled, NOW + INTERVAL) == Look("11", ("developer",))
    assert plan(replace(settled, jitter=1.0), NOW) == Rest(NOW + 0.9 * INTERVAL)
    assert plan(settled, NOW - 7200) == Look("11", ("developer",)), "the clock was set back"


def test_a_new_segment_of_a_channel_is_looked_at_at_once() -> None:
    both = facts_of(
        spec(channels(entry(content="dark", version="1"), entry(segment="broadcaster")))
    )
    assert plan(seen(both, AS_DECLARED), NOW) == Look("11", ("developer", "broadcaster"))


def test_a_channel_without_a_known_broadcaster_waits_and_the_others_do_not() -> None:
    two = channels(entry(), entry("rifftrax"))
    facts = facts_of(spec(two), {"rifftrax": "22"})
    assert plan(facts, NOW) == Look("22", ("developer",))
    after = replace(facts, seen={"22": Seen(NOW, {"developer": Content("{}", "")})})
    assert plan(after, NOW) == Rest(NOW + INTERVAL)
    assert [one.state for one in told(after)] == ["Pending", "Synced"]
    found = condition(after)
    assert (found.status, found.reason, found.human) == ("False", "ChannelNotReady", False)
    assert found.message.startswith(
        "spec.configuration.channels, developer of mst3k: TwitchChannel mst3k does not exist"
    )
    assert plan(facts_of(spec(two), {}), NOW) == Rest(None)


# Required configuration


REQUIRED = facts_of(spec(channels(entry(content="dark", version="1")), "COMPLETE"))


def test_required_configuration_is_set_once_the_segments_are_synced() -> None:
    assert plan(REQUIRED, NOW) == Look("11", ("developer",))
    (mark,) = REQUIRED.marks
    synced = seen(REQUIRED, AS_DECLARED)
    assert plan(synced, NOW) == SetRequired(mark)
    done = replace(synced, marked={"mst3k": mark.sha256})
    assert plan(done, NOW) == Rest(NOW + INTERVAL)
    assert [one.state for one in told(done)] == ["Synced", "Synced"]
    assert (condition(done).status, condition(done).message) == (
        "True", "1 segment is as declared",
    )  # fmt: skip


def test_required_configuration_is_set_beside_a_segment_that_is_the_broadcasters_own() -> None:
    facts = facts_of(spec(channels(entry(segment="broadcaster")), "COMPLETE"))
    assert plan(seen(facts, Content("mine", "")), NOW) == SetRequired(facts.marks[0])


@pytest.mark.parametrize(
    "change",
    [{"value": "DONE"}, {"version": "1.4.0"}, {"broadcaster_id": "33"}, {"client_id": "other"}],
)
def test_required_configuration_is_set_anew_when_what_it_is_of_changes(
    change: dict[str, str],
) -> None:
    (mark,) = REQUIRED.marks
    other = replace(mark, **change)
    assert other.sha256 != mark.sha256
    synced = replace(seen(REQUIRED, AS_DECLARED), marked={"mst3k": other.sha256})
    assert plan(synced, NOW) == SetRequired(mark)


def test_required_configuration_is_for_declared_channels_alone() -> None:
    only_global = facts_of(spec({"global": {"content": "dark"}}, "COMPLETE"))
    assert only_global.marks == ()
    two = facts_of(
        spec(channels(entry(), entry(segment="broadcaster"), entry("rifftrax")), "COMPLETE")
    )
    assert [mark.channel for mark in two.marks] == ["mst3k", "rifftrax"]


# Limits and failures


def test_the_twenty_first_call_of_a_minute_waits() -> None:
    budget = Budget()
    for second in range(20):
        assert budget.opens(NOW + second) <= NOW + second
        budget = budget.spent(NOW + second)
    assert budget.opens(NOW + 20) == NOW + 61
    assert budget.opens(NOW + 61) <= NOW + 61
    assert budget.spent(NOW + 61).opens(NOW + 61) == NOW + 62
    assert budget.opens(NOW - 3600) <= NOW - 3600, "the clock was set back"


def test_a_refusal_of_the_rate_limit_is_waited_for_as_long_as_twitch_says() -> None:
    assert Budget().refused(NOW, 30).opens(NOW) == NOW + 30
    assert Budget().refused(NOW, None).opens(NOW) == NOW + 60
    assert Budget().refused(NOW, 86_400).opens(NOW) == NOW + 60
    looks_wait = replace(DARK, gets=Budget().refused(NOW, 30))
    assert plan(looks_wait, NOW) == Rest(NOW + 30)
    drifted = seen(DARK, None)
    puts_wait = replace(drifted, puts=Budget().refused(NOW, 30))
    assert plan(puts_wait, NOW) == Rest(NOW + 30)
    assert plan(puts_wait, NOW + 30) == Look(None, ("global",)), "the look is old by then"
    assert condition(puts_wait).reason == "Pending"


def failing(
    facts: ConfigurationFacts, *, passing: bool, look: bool = False, at: float = NOW
) -> ConfigurationFacts:
    (want,) = facts.wants
    failure = Failure("Twitch said no", at, passing, None if look else want.sha256)
    return replace(facts, failures={want.key: failure})


def test_what_twitch_refused_is_not_tried_again_before_the_interval_is_over() -> None:
    drifted = seen(DEVELOPER, None)
    refused = failing(drifted, passing=False)
    assert plan(refused, NOW) == Rest(NOW + INTERVAL)
    found = condition(refused)
    assert (found.status, found.reason, found.human) == ("False", "ConfigurationRefused", True)
    assert found.message == "spec.configuration.channels, developer of mst3k: Twitch said no"
    assert plan(failing(DEVELOPER, passing=False, look=True), NOW) == Rest(NOW + INTERVAL)


def test_a_clock_that_is_set_back_makes_no_refusal_last_longer() -> None:
    then = NOW - 3600
    assert Budget().refused(NOW, 30).opens(then) <= then
    assert Budget().refused(NOW, 30).refused(then, 30).opens(then) == then + 30
    (want,) = DEVELOPER.wants
    refused = failing(seen(DEVELOPER, None, at=then), passing=False)
    assert plan(refused, then) == Set(want)
    look = failing(DEVELOPER, passing=False, look=True)
    assert plan(look, then) == Look("11", ("developer",))


def test_what_twitch_refused_is_tried_again_as_soon_as_something_else_is_declared() -> None:
    refused = failing(seen(DEVELOPER, None), passing=False)
    (want,) = DEVELOPER.wants
    other = replace(want, content=Content("light", "2"))
    changed = replace(refused, wants=(other,))
    assert plan(changed, NOW) == Set(other)
    assert condition(changed).reason == "Pending"


def test_what_failed_last_comes_last() -> None:
    facts = facts_of(spec(channels(entry(), entry("rifftrax"))))
    failures: dict[tuple[str, str | None], Failure] = {}
    failures["developer", "11"] = Failure("away", NOW - 1, passing=True)
    assert plan(replace(facts, failures=failures), NOW) == Look("22", ("developer",))
    both = {**failures, ("developer", "22"): Failure("away", NOW, passing=True)}
    after = replace(facts, failures=both)
    assert plan(after, NOW) == Look("11", ("developer",))
    found = condition(after)
    assert (found.status, found.reason, found.human) == ("False", "TransientError", False)
    assert found.message.endswith("away; retrying (and 1 more: see status.configuration)")


def test_an_outage_is_no_drift() -> None:
    synced = seen(DEVELOPER, AS_DECLARED)
    assert condition(failing(synced, passing=True, look=True)).status == "True"
    assert condition(failing(synced, passing=False, look=True)).status == "False"


def test_what_a_former_process_told_holds_until_the_segment_is_looked_at() -> None:
    (want,) = DEVELOPER.wants
    before = {(want.segment, want.channel): remembered("developer", "mst3k", "Synced", "1", None)}
    known = remembered("developer", "mst3k", "Kept", "7", want.sha256)
    assert before[want.segment, want.channel] is None, "of what, is not known"
    assert remembered("developer", "mst3k", "Failed", "1", want.sha256) is None
    assert known is not None
    spot = {(want.segment, want.channel): known}
    assert states(DEVELOPER, spot) == (known,)
    assert states(failing(DEVELOPER, passing=True, look=True), spot) == (known,)
    assert [one.state for one in states(seen(DEVELOPER, None), spot)] == ["Pending"]
    changed = replace(DEVELOPER, wants=(replace(want, content=Content("new", "")),))
    assert [one.state for one in states(changed, spot)] == ["Pending"]


def test_the_condition_tells_what_is_left_to_the_broadcaster() -> None:
    facts = facts_of(spec(channels(entry(), entry("rifftrax", segment="broadcaster"))))
    after = replace(
        facts,
        seen={
            "11": Seen(NOW, {"developer": Content("{}", "")}),
            "22": Seen(NOW, {"broadcaster": Content("mine", "")}),
        },
    )
    assert condition(after).message == (
        "1 segment is as declared; 1 segment is left as Twitch has it (policy IfAbsent)"
    )
