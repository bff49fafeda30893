"""The rotation against a model of Twitch: lost answers, ends in the middle, requests to revoke.

The driver does the planned steps as the operator does, on its own clock. Whatever it is made to
go through, a consumer who signs with `current` is never refused, no secret is made that is not due,
and each request to revoke makes one.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.extensions.policies import rotation
from controller.extensions.policies.rotation import Declined, Holding, RotationFacts
from controller.policies.extension_secrets import (
    CURRENT,
    SharedSecret,
    decode,
    encode,
    verifying_secrets,
)
from controller.policies.problems import Blocked
from controller.policies.rest import Rest
from controller.sensitive import Sensitive

START = 1_900_000_000.0
DELAY, INTERVAL, RETIREMENT = 600.0, 7200.0, 3600.0
CHECK = 600.0
FAR = START + 10**9


class Lost(Exception):
    """The answer did not come; the call may have been carried out."""


class Died(Exception):
    """The process ended here."""


def content(number: int) -> Sensitive:
    return Sensitive(base64.b64encode(f"secret number {number:03}".encode()).decode())


@dataclass
class Twitch:
    """What Twitch holds."""

    secrets: list[SharedSecret]
    made: list[float] = field(default_factory=list)

    def accepts(self, signer: Sensitive, now: float) -> bool:
        return any(s.content == signer and s.counts(now) for s in self.secrets)

    def get(self, signer: Sensitive, now: float) -> tuple[SharedSecret, ...] | None:
        if not self.accepts(signer, now):
            return None
        return tuple(s for s in self.secrets if now < s.expires)

    def create(self, signer: Sensitive, now: float) -> tuple[SharedSecret, ...] | None:
        if not self.accepts(signer, now):
            return None
        self.secrets = [replace(s, expires=min(s.expires, now + RETIREMENT)) for s in self.secrets]
        self.secrets.append(SharedSecret(content(len(self.made) + 1), now + DELAY, FAR))
        self.made.append(now)
        return self.get(signer, now)


@dataclass
class Stored:
    """The target Secret."""

    data: dict[str, bytes]
    begun: float | None
    revoke_request: str


class World:
    """A clock, Twitch, the target Secret, and the one process at a time that keeps it."""

    def __init__(self) -> None:
        self.now = START
        self.twitch = Twitch([SharedSecret(content(0), START - 10**6, FAR)])
        self.secret: Stored | None = None
        self.request = ""
        self.interval = INTERVAL
        self.trouble: list[str] = []
        self.start()

    def start(self) -> None:
        """A process begins."""
        self.holding = Holding()
        if self.secret is not None:
            secret = self.secret
            self.holding = Holding(decode(secret.data), secret.begun, secret.revoke_request)
        self.read_at: float | None = None
        self.intent = False
        self.refused: dict[Sensitive, float] = {}
        self.declined: Declined | None = None
        self.rest = Rest(None)

    def run(self) -> float:
        """Do what is due; returns when to come back."""
        for _ in range(50):
            try:
                step = rotation.plan(self.facts(), self.now)
                if isinstance(step, Rest):
                    assert step.blocked is None, step.blocked
                    assert step.until is not None
                    assert step.until > self.now
                    self.rest = step
                    return step.until
                self.now += 0.001
                self.do(step)
            except Lost:
                return self.now + 5
            except Died:
                self.start()
        pytest.fail("the plan never rests")

    def facts(self) -> RotationFacts:
        self.refused = {s: at for s, at in self.refused.items() if self.now < at + 60}
        return RotationFacts(
            holding=self.holding,
            stored=self.stored(),
            foreign=None,
            bootstrap=content(0),
            refused=self.refused,
            refusal="",
            read_at=self.read_at,
            intent=self.intent,
            revoke_request=self.request,
            created=START,
            interval=self.interval,
            jitter=0.5,
            check_interval=CHECK,
            declined=self.declined,
        )

    def wanted(self) -> Stored:
        data = {k: v.reveal().encode() for k, v in encode(self.holding.secrets, self.now).items()}
        return Stored(data, self.holding.begun, self.holding.revoke_request)

    def stored(self) -> bool:
        return self.secret == self.wanted()

    def do(self, step: rotation.Plan) -> None:
        if isinstance(step, rotation.Revoke):
            self.holding = rotation.revoked(self.holding, self.request)
            self.declined = None
        elif isinstance(step, rotation.Forget):
            self.holding = rotation.not_made(self.holding)
        elif isinstance(step, rotation.Begin):
            self.holding = rotation.begun(self.holding, self.now)
            self.intent = True
        else:
            self.call(step)

    def call(self, step: rotation.Plan) -> None:
        trouble = self.trouble.pop(0) if self.trouble else ""
        if trouble == "dies before":
            raise Died
        if trouble == "not reached":
            self.intent = False
            if isinstance(step, rotation.Create):
                self.holding = rotation.not_made(self.holding)
            raise Lost
        if isinstance(step, rotation.Write):
            self.secret = self.wanted()
            if trouble not in ("", "declined"):
                raise Died
        elif isinstance(step, rotation.Read):
            self.read(step.signer, trouble)
        elif isinstance(step, rotation.Create):
            self.create(step.signer, trouble)

    def read(self, signer: Sensitive, trouble: str) -> None:
        told = self.twitch.get(signer, self.now)
        self.fail(trouble)
        if told is None:
            self.refused[signer] = self.now
            return
        self.holding = rotation.learned(self.holding, told, self.now)
        self.read_at, self.refused = self.now, {}

    def create(self, signer: Sensitive, trouble: str) -> None:
        self.intent = False
        if self.declined is not None and self.declined.signer == signer:
            assert self.now >= self.declined.at + CHECK, "it is asked again at once"
        if trouble == "declined":
            self.declined = Declined(signer, self.now, "401")
            self.holding, self.read_at = rotation.not_made(self.holding), None
            return
        told = self.twitch.create(signer, self.now)
        self.fail(trouble)
        assert told is not None, "what could not sign was found out by the look before"
        self.holding = rotation.made(self.holding, told, self.now)
        self.read_at, self.declined = self.now, None

    def fail(self, trouble: str) -> None:
        if trouble == "dies after":
            raise Died
        if trouble == "answer lost":
            raise Lost

    def signs_with_current(self) -> None:
        """A consumer who reads the Secret now is not refused by Twitch."""
        if self.secret is None:
            return
        current = Sensitive(self.secret.data[CURRENT].decode())
        assert self.twitch.accepts(current, self.now)

    def holds_all(self) -> None:
        """Twitch has nothing that the Secret lacks."""
        assert self.secret is not None
        known = {s.content for s in decode(self.secret.data)}
        assert {s.content for s in self.twitch.secrets if self.now < s.expires} <= known


TROUBLE = st.sampled_from(
    ["", "", "", "dies before", "dies after", "answer lost", "not reached", "declined"]
)
MOVES = st.one_of(
    st.tuples(st.just("wait"), st.floats(1, 2000)),
    st.tuples(st.just("trouble"), st.lists(TROUBLE, min_size=1, max_size=6)),
    st.tuples(st.just("restart"), st.none()),
    st.tuples(st.just("revoke"), st.none()),
    st.tuples(st.just("lose the Secret"), st.none()),
)


@given(st.lists(MOVES, max_size=40))
def test_no_consumer_is_refused_and_no_secret_is_made_in_vain(
    moves: list[tuple[str, object]],
) -> None:
    world = World()
    requests = 0
    again = world.run()
    for move, detail in moves:
        if move == "wait":
            assert isinstance(detail, float)
            end = world.now + detail
            while min(again, end) < end:
                world.now = max(world.now, again)
                world.signs_with_current()
                again = world.run()
            world.now = end
        elif move == "trouble":
            assert isinstance(detail, list)
            world.trouble += detail
        elif move == "restart":
            world.start()
            again = world.run()
        elif move == "revoke":
            requests += 1
            world.request = f"request {requests}"
            again = world.run()
        elif not world.trouble and world.holding.begun is None:
            world.secret = None
            again = world.run()
        world.signs_with_current()
    # In quiet, everything comes to its end.
    world.trouble = []
    end = world.now + CHECK + 300
    while world.now < end:
        again = world.run()
        world.signs_with_current()
        world.now = max(world.now + 1, min(again, end))
    world.run()
    world.holds_all()
    made = world.twitch.made
    due = int((world.now - START) / (INTERVAL * 0.9)) + 1
    assert len(made) <= due + requests
    if requests:
        assert world.holding.revoke_request == world.request
        good = {s.content for s in verifying_secrets(world.holding.secrets, world.now)}
        assert content(0) not in good
        assert made


def test_a_day_of_rotations_makes_one_secret_an_interval() -> None:
    world = World()
    while world.now < START + 86_400:
        world.now = world.run()
        world.signs_with_current()
    world.run()
    world.holds_all()
    # 10 % of 7,200 s are the most that jitter takes; half of that was drawn. The next interval
    # counts from the activation of the last.
    assert len(world.twitch.made) == int(86_400 / (INTERVAL * 0.95 + DELAY))
    assert all(
        later - earlier >= INTERVAL * 0.9
        for earlier, later in zip(world.twitch.made, world.twitch.made[1:], strict=False)
    )


def test_a_lost_answer_makes_no_second_secret() -> None:
    world = World()
    world.run()
    world.now = START + INTERVAL
    # The look before, the Secret's mark, and the making itself.
    world.trouble = ["", "", "answer lost"]
    world.run()
    assert len(world.twitch.made) == 1
    world.now += 5
    world.run()
    assert len(world.twitch.made) == 1
    world.holds_all()


def declining() -> World:
    """Twitch refused to make the secret that is due, and takes what the present one signs."""
    world = World()
    world.run()
    world.now = START + INTERVAL
    world.trouble = ["", "", "declined"]
    world.run()
    assert world.trouble == []
    return world


def test_a_refusal_to_make_a_secret_is_told_and_tried_again_after_the_interval() -> None:
    world = declining()
    warning, declined = world.rest.warning, world.declined
    assert warning is not None
    assert (warning.reason, warning.human) == ("RotationRefused", True)
    assert "(401)" in warning.message
    assert declined is not None
    assert world.rest.until == declined.at + CHECK
    assert world.secret is not None
    assert world.secret.begun is None
    world.signs_with_current()
    # Whatever brings it back before makes no call; the time does, once.
    world.now = declined.at + CHECK - 1
    world.run()
    assert world.declined is declined
    world.now = declined.at + CHECK
    world.trouble = ["", "", "declined"]
    world.run()
    assert world.declined is not None
    assert world.declined.at > declined.at
    assert world.twitch.made == []
    world.now = world.declined.at + CHECK
    world.run()
    assert len(world.twitch.made) == 1
    assert world.rest.warning is None
    world.holds_all()


def test_a_refusal_says_nothing_of_another_secret_or_of_a_rotation_that_is_not_due() -> None:
    world = declining()
    facts = world.facts()
    # It signed with what Twitch has no more: a look found that out.
    other = replace(facts, declined=Declined(content(9), world.now, "401"))
    assert rotation.plan(other, world.now) == rotation.Begin()
    later = rotation.plan(replace(facts, interval=10 * INTERVAL), world.now)
    assert isinstance(later, Rest)
    assert later.warning is None
    back = replace(facts, declined=Declined(content(0), world.now + 3600, "401"))
    assert rotation.plan(back, world.now) == rotation.Begin(), "the clock was set back since"


def test_a_refusal_is_of_the_secret_where_a_look_is_refused_too() -> None:
    world = declining()
    facts = replace(world.facts(), read_at=None)
    assert rotation.plan(facts, world.now) == rotation.Read(content(0))
    lost = rotation.plan(replace(facts, refused={content(0)}, refusal="no"), world.now)
    assert isinstance(lost, Rest)
    assert lost.blocked is not None
    assert lost.blocked.reason == "SecretLost"
    assert lost.warning is None


def test_whoever_revokes_does_not_wait_for_the_next_try() -> None:
    world = declining()
    world.request = "leaked"
    world.run()
    assert len(world.twitch.made) == 1


def test_a_process_that_dies_before_its_call_waits_for_it_to_come_through() -> None:
    world = World()
    world.run()
    world.now = START + INTERVAL
    world.trouble = ["", "", "dies before"]
    again = world.run()
    assert world.twitch.made == []
    assert again == pytest.approx(world.now + 30, abs=0.1)
    # The call was on its way, after all.
    world.twitch.create(content(0), world.now)
    world.now = again
    world.run()
    assert len(world.twitch.made) == 1
    world.holds_all()


def test_a_revocation_takes_every_known_secret_out_of_service() -> None:
    world = World()
    world.run()
    world.now = START + INTERVAL
    world.run()  # one is pending
    assert len(world.twitch.made) == 1
    world.request = "leaked"
    world.run()
    assert len(world.twitch.made) == 2
    assert world.secret is not None
    assert [s.content for s in verifying_secrets(decode(world.secret.data), world.now)] == [
        content(2)
    ]
    assert world.secret.data[CURRENT] == content(0).reveal().encode()
    assert "previous" not in world.secret.data
    ends = rotation.revocation_ends(world.holding, world.now)
    assert ends is not None
    assert ends == pytest.approx(world.now + DELAY, abs=0.1)
    world.now = ends + 2
    world.run()
    assert world.secret.data[CURRENT] == content(2).reveal().encode()
    assert rotation.revocation_ends(world.holding, world.now) is None
    assert len(world.twitch.made) == 2


def test_a_revocation_concerns_also_what_was_just_made_in_the_console() -> None:
    world = World()
    world.run()
    world.now += 300
    world.twitch.create(content(0), world.now)
    world.request = "leaked"
    world.run()
    assert world.secret is not None
    revoked = {s.content for s in decode(world.secret.data) if s.revoked}
    assert revoked == {content(0), content(1)}
    assert len(world.twitch.made) == 2


def test_what_was_begun_is_forgotten_where_it_is_not_due_any_more() -> None:
    world = World()
    world.run()
    world.now = START + INTERVAL
    world.trouble = ["", "", "dies before"]
    again = world.run()
    assert world.secret is not None
    assert world.secret.begun is not None
    world.interval = 100 * INTERVAL
    world.now = again
    world.run()
    assert world.secret.begun is None
    assert world.twitch.made == []


def test_twitch_is_asked_again_once_a_lost_call_must_have_come_through() -> None:
    world = World()
    world.run()
    world.now = START + INTERVAL
    world.trouble = ["", "", "dies before"]
    again = world.run()
    world.now = again - 2
    world.start()
    world.run()  # a look, before the time is over
    world.twitch.create(content(0), world.now + 1)
    world.now = again
    world.run()
    assert len(world.twitch.made) == 1
    world.holds_all()


@pytest.mark.parametrize("restarted", [False, True])
def test_a_call_is_looked_for_now_and_then_where_the_clock_was_set_back(restarted: bool) -> None:
    world = World()
    world.run()
    world.now = START + INTERVAL
    world.trouble = ["", "", "answer lost"]
    world.run()
    [made] = world.twitch.made
    world.twitch.secrets = world.twitch.secrets[:1]  # it has not come through yet
    world.now -= 3600
    if restarted:
        world.start()
    again = world.run()
    assert world.now < again < world.now + 60
    assert world.twitch.made == [made]
    world.twitch.create(content(0), world.now)
    world.now = again
    world.run()
    world.holds_all()
    assert len(world.twitch.made) == 2


def test_a_pending_secret_that_was_deleted_in_the_console_signs_no_longer() -> None:
    world = World()
    world.run()
    world.now = START + INTERVAL
    world.run()
    world.twitch.secrets = [s for s in world.twitch.secrets if s.content == content(0)]
    world.now += DELAY - 1
    world.run()
    assert world.secret is not None
    assert "next" in world.secret.data, "a list without it may be of before"
    world.now += 1 + 3
    world.run()
    assert {s.content for s in decode(world.secret.data) if s.content == content(1)} == set()
    world.signs_with_current()


def test_where_one_secret_is_refused_another_signs() -> None:
    world = World()
    world.run()
    world.now = START + INTERVAL
    world.run()
    world.now += DELAY + 10
    world.run()
    world.twitch.secrets = [s for s in world.twitch.secrets if s.content != content(1)]
    facts = world.facts()
    bootstrap = Blocked("SecretNotFound", "gone", human=False)
    world.now += 600
    step = rotation.plan(replace(facts, bootstrap=bootstrap), world.now)
    assert step == rotation.Read(content(1))
    refused = replace(facts, bootstrap=bootstrap, refused={content(1)})
    assert rotation.plan(refused, world.now) == rotation.Read(content(0))
    lost = rotation.plan(replace(refused, refused={content(0), content(1)}), world.now)
    assert isinstance(lost, Rest)
    assert lost.blocked is not None
    assert lost.blocked.reason == "SecretLost"
    assert lost.blocked.human


def test_without_a_secret_to_begin_with_it_is_waited_for() -> None:
    world = World()
    missing = Blocked("SecretNotFound", "create it", human=False)
    step = rotation.plan(replace(world.facts(), bootstrap=missing), world.now)
    assert isinstance(step, Rest)
    assert step.blocked == missing


def test_where_only_the_pending_secret_is_left_it_is_waited_for() -> None:
    world = World()
    world.run()
    world.now = START + INTERVAL
    world.run()
    world.now += 601 - DELAY + 100
    facts = replace(world.facts(), refused={content(0)}, read_at=None)
    step = rotation.plan(facts, world.now)
    assert isinstance(step, Rest)
    assert step.blocked is not None
    assert (step.blocked.reason, step.blocked.human) == ("SecretPending", False)
    assert step.until == world.twitch.secrets[-1].active


def test_a_secret_of_somebody_else_is_left_alone() -> None:
    world, why = World(), Blocked("Conflict", "somebody else's", human=True)
    step = rotation.plan(replace(world.facts(), foreign=why), world.now)
    assert step == Rest(None, why)


def test_the_marks_of_a_revocation_are_set_again_where_the_secret_was_lost() -> None:
    world = World()
    world.run()
    world.request = "leaked"
    world.run()
    told = world.twitch.get(content(0), world.now)
    assert told is not None
    lost = rotation.learned(Holding(), told, world.now)
    assert [secret.revoked for secret in lost.secrets] == [False, False]
    found = rotation.recalled(lost, "leaked")
    assert {secret.content: secret.revoked for secret in found.secrets} == {
        content(0): True,
        content(1): False,
    }
    assert found.revoke_request == "leaked"
    assert found.replaced
