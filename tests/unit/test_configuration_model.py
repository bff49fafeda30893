"""Whatever is declared and whatever Twitch had: it comes to rest, within Twitch's limits."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.extensions.policies.configuration import Look, Set, SetRequired, plan
from controller.extensions.policies.configuration_facts import (
    Budget,
    ConfigurationFacts,
    Content,
    Failure,
    Mark,
    Seen,
    Want,
    is_settled,
)
from controller.policies.rest import Rest

NOW = 1_700_000_000.0
INTERVAL = 600.0
FEW = settings().max_examples // 4  # each plays two hours
Key = tuple[str, str | None]

contents = st.sampled_from(
    [Content("a", "1"), Content("a", "2"), Content("b", ""), Content("", "")]
)


@dataclass
class Twitch:
    """Holds segments, counts calls, and fails now and then."""

    holds: dict[Key, Content]
    trouble: list[bool]
    gets: list[float] = field(default_factory=list)
    puts: list[float] = field(default_factory=list)
    required: list[str] = field(default_factory=list)

    def fails(self) -> bool:
        return self.trouble.pop() if self.trouble else False

    def count(self, calls: list[float], now: float) -> None:
        calls.append(now)
        assert sum(now - 60 < at for at in calls) <= 20, "more than 20 calls within a minute"


@dataclass
class World:
    facts: ConfigurationFacts
    twitch: Twitch
    now: float = NOW

    def run(self, until: float) -> None:
        while self.now < until:
            step = plan(self.facts, self.now)
            if isinstance(step, Rest):
                assert step.until is None or step.until > self.now, "it rests for no time"
                self.now = until if step.until is None else min(until, step.until)
                continue
            self.now += 0.05  # a call takes its time
            if isinstance(step, Look):
                self.look(step)
            elif isinstance(step, Set):
                self.set(step.want)
            else:
                self.mark(step)

    def look(self, step: Look) -> None:
        twitch, place = self.twitch, step.broadcaster_id
        twitch.count(twitch.gets, self.now)
        self.facts = replace(self.facts, gets=self.facts.gets.spent(self.now))
        if twitch.fails():
            self.fail([(segment, place) for segment in step.segments], None)
            return
        found = {segment: twitch.holds.get((segment, place)) for segment in step.segments}
        failures = {
            key: failure
            for key, failure in self.facts.failures.items()
            if key[1] != place or failure.of is not None
        }
        seen = {**self.facts.seen, place: Seen(self.now, found)}
        self.facts = replace(self.facts, seen=seen, failures=failures)

    def set(self, want: Want) -> None:
        twitch, had = self.twitch, self.twitch.holds.get(want.key)
        assert had != want.content, "it is set though nothing differs"
        assert want.enforced or had in (None, Content("", "")), "the broadcaster's own is lost"
        twitch.count(twitch.puts, self.now)
        self.facts = replace(self.facts, puts=self.facts.puts.spent(self.now))
        place = want.broadcaster_id
        seen = self.facts.seen[place]
        if twitch.fails():
            self.fail([want.key], want.sha256)
            self.now += 1
            seen = seen.without(want.segment)
        else:
            twitch.holds[want.key] = want.content
            seen = seen.but(want.segment, want.content)
        self.facts = replace(self.facts, seen={**self.facts.seen, place: seen})

    def mark(self, step: SetRequired) -> None:
        mark, twitch = step.mark, self.twitch
        own = [want for want in self.facts.wants if want.channel == mark.channel]
        assert all(is_settled(self.facts, want) for want in own)
        twitch.count(twitch.puts, self.now)
        twitch.required.append(mark.channel)
        self.facts = replace(
            self.facts,
            puts=self.facts.puts.spent(self.now),
            marked={**self.facts.marked, mark.channel: mark.sha256},
        )

    def fail(self, keys: list[Key], of: str | None) -> None:
        failure = Failure("away", self.now, passing=True, of=of)
        failures = {**self.facts.failures, **dict.fromkeys(keys, failure)}
        self.facts = replace(self.facts, failures=failures)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    channels = draw(st.integers(0, 40))
    wanted = [Want("global", None, None, draw(contents), enforced=True)]
    for number in range(channels):
        for segment in draw(st.sets(st.sampled_from(["developer", "broadcaster"]), min_size=1)):
            enforced = segment == "developer" or draw(st.booleans())
            name, place = f"channel-{number}", str(number)
            wanted.append(Want(segment, name, place, draw(contents), enforced))
    holds = {want.key: draw(contents) for want in wanted if draw(st.booleans())}
    required = draw(st.booleans())
    marks = tuple(
        Mark("client", name, place, "1.0", "DONE")
        for name, place in {want.channel: want.broadcaster_id for want in wanted}.items()
        if name is not None and required
    )
    facts = ConfigurationFacts(
        wants=tuple(wanted),
        marks=marks,
        seen={},
        failures={},
        marked={},
        gets=Budget(),
        puts=Budget(),
        check_interval=INTERVAL,
        jitter=draw(st.floats(0, 1)),
    )
    trouble = draw(st.lists(st.booleans(), max_size=20))
    return World(facts, Twitch(holds, trouble))


@settings(max_examples=FEW)
@given(worlds())
def test_all_is_as_declared_in_the_end_within_the_limits(world: World) -> None:
    world.run(NOW + 3600)
    assert all(is_settled(world.facts, want) for want in world.facts.wants)
    assert world.twitch.required == list(dict.fromkeys(world.twitch.required)), "set twice"
    assert set(world.twitch.required) == {mark.channel for mark in world.facts.marks}
    before = len(world.twitch.puts)
    world.run(NOW + 7200)
    assert len(world.twitch.puts) == before, "it is set though nothing differs"


@settings(max_examples=FEW)
@given(worlds())
def test_drift_is_put_right_within_an_interval(world: World) -> None:
    world.run(NOW + 3600)
    for want in world.facts.wants:
        world.twitch.holds[want.key] = Content("somebody else's", "9")
    world.run(NOW + 3600 + INTERVAL + 900)
    for want in world.facts.wants:
        expected = want.content if want.enforced else Content("somebody else's", "9")
        assert world.twitch.holds[want.key] == expected
