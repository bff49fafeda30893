"""A killed operator starts no break twice, none late, and loses none.

Cues flow on many channels: from main and backup headend, as pods of spots, by two rules, with a
delay, into a cooldown that ends soon, and to a Twitch that loses connections and answers late. The
operator is ended with SIGKILL at any moment, also while it starts and while a call is under way,
and started anew, again and again. Then each break must have led to exactly one start at Twitch, or
to a decision that says why not.

Twitch refuses a second start for eight minutes, which would hide one: so most channels here forget
their cooldown at once. Those whose fate only the cooldown can tell keep it.

For a proof, set TWITCH_OPERATOR_TEST_KILLS to 100 (see `seeds`).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.break_judgement import Outcome, complaints
from tests.cluster.manifests import message, rule
from tests.cluster.operator_harness import SCOPES
from tests.cluster.seeds import chosen
from tests.cluster.studio import BLIND, Look, Studio, new_studio
from tests.other_twitch import OtherTwitch

if TYPE_CHECKING:
    from tests.cluster.operator_harness import Site
    from tests.other_ads import Outcome as Ordered
    from tests.other_identity import User

pytestmark = [pytest.mark.cluster, pytest.mark.asyncio(loop_scope="module")]

KILLS, SEED = chosen(10)
BATCH = 10  # kills, after which there are other channels
CHANNELS = 8  # whose breaks begin around each kill
CALL_TIMEOUT = 1.0
MAX_AGE = 60.0
LENGTH = 150.0
LEAST_STARTED = 0.8  # of all breaks: what is not started must be the exception

# What Twitch does before it behaves; None: it behaves.
_ORDERS: tuple[Ordered | None, ...] = (
    None, None, None, "slow-ran", "lost", "lost-ran", "down", "error-ran", "slow",
)  # fmt: skip
_COOLDOWN_TELLS = ("slow",)  # acts after the call timeout: nothing but the cooldown can tell


class Forgetful(OtherTwitch):
    """A Twitch that would start a second commercial at once, on some channels."""

    def __init__(self) -> None:
        super().__init__()
        self.forgiving: set[str] = set()

    def _run(self, user: User, length: int, now: float, *, by_api: bool) -> None:
        super()._run(user, length, now, by_api=by_api)
        if user.login in self.forgiving and by_api:
            self._channels[user.login].free_from = 0.0


@dataclass
class Play:
    """A channel with one break."""

    name: str
    delay: int
    kind: str
    order: Ordered | None
    blind: bool
    cools: bool
    published: float = 0.0

    @property
    def only_the_cooldown_tells(self) -> bool:
        return self.blind or self.cools or self.order in _COOLDOWN_TELLS

    def manifests(self, studio: Studio) -> list[dict[str, Any]]:
        scopes = BLIND if self.blind else SCOPES
        spec = {"delay": f"{self.delay}s", "onCooldown": "Wait"}
        made = studio.channel(self.name, scopes, commercials=spec)
        rules = [rule(self.name, maxAge=f"{MAX_AGE:.0f}s", dedupe=_DEDUPE)]
        if self.kind == "two-rules":
            rules.append(_of_assets(self.name))
        return [*made, *rules]

    def order_it(self, studio: Studio, twitch: Forgetful) -> None:
        if self.order is not None:
            twitch.order(self.name, self.order)
        if not self.only_the_cooldown_tells:
            twitch.forgiving.add(self.name)
        if self.cools:
            studio.ran_before(self.name, 480 - 4)

    def publish(self, studio: Studio, rng: random.Random) -> None:
        """The signs of the break, the first of which is its beginning."""
        self.published = time.time()
        studio.publish(self.name, _cue(self.name, "main"))
        if self.kind == "headends":
            studio.publish(self.name, _cue(self.name, "backup"))
        elif self.kind == "pod":
            for spot in range(rng.randint(2, 4)):
                studio.publish(self.name, _cue(self.name, f"spot-{spot}", event=f"spot-{spot}"))
        elif self.kind == "repeats":
            for _ in range(3):
                studio.publish(self.name, _cue(self.name, "main"))
        elif self.kind == "two-rules":
            studio.publish(self.name, message("video", f"{self.name}-asset", duration_sec=LENGTH))

    def outcome(self, studio: Studio, look: Look) -> Outcome:
        told = [*look.decisions(self.name), *look.decisions(f"{self.name}-assets")]
        return Outcome(
            self.name,
            due=self.published + self.delay,
            max_age=MAX_AGE,
            call=CALL_TIMEOUT + studio.twitch.slowness,
            starts=studio.starts(self.name),
            verdicts=[each["verdict"] for each in told] + look.results(self.name),
        )


_DEDUPE = {"key": ["data.event_id"], "window": "60s"}
_KINDS = ("single", "headends", "pod", "repeats", "two-rules")


def _cue(name: str, headend: str, event: str = "1") -> dict[str, Any]:
    return message("scte35", f"{name}-{headend}", duration_sec=LENGTH, event_id=event)


def _of_assets(name: str) -> dict[str, Any]:
    made = rule(name, maxAge=f"{MAX_AGE:.0f}s", match=[{"field": "msg_type", "equals": "video"}])
    made["metadata"]["name"] = f"{name}-assets"
    return made


def _plays(rng: random.Random, batch: int, count: int) -> list[Play]:
    plays = []
    for number in range(count):
        # Where nobody can tell that somebody ran an ad by hand, its cooldown is taken for ours.
        blind, cools = rng.choice(((False, False),) * 5 + ((True, False),) * 2 + ((False, True),))
        plays.append(
            Play(
                f"b{batch}-{number}",
                delay=rng.choice((0, 0, 3)),
                kind=rng.choice(_KINDS),
                order=rng.choice(_ORDERS),
                blind=blind,
                cools=cools,
            )
        )
    return plays


async def test_every_break_starts_once_or_tells_why_not_whenever_the_operator_is_killed(
    site: Site,
) -> None:
    print(f"seed {SEED}: {KILLS} kills")  # noqa: T201 - shown when it fails
    rng = random.Random(SEED)
    outcomes: list[Outcome] = []
    twitch = Forgetful()
    settings = {"CALL_TIMEOUT": f"{CALL_TIMEOUT:.0f}s", "LIVE_CHECK_INTERVAL": "60s"}
    async with new_studio(site, settings, twitch) as studio:
        twitch.slowness = CALL_TIMEOUT + 1
        await studio.start()
        for batch, begun in enumerate(range(0, KILLS, BATCH)):
            kills = min(BATCH, KILLS - begun)
            outcomes += await _batch(studio, twitch, rng, batch, kills)
    wrong = [each for outcome in outcomes for each in complaints(outcome)]
    assert not wrong, "\n".join(wrong)
    started = sum(bool(outcome.starts) for outcome in outcomes)
    why_not = Counter(", ".join(sorted(set(o.verdicts))) for o in outcomes if not o.starts)
    print(f"{len(outcomes)} breaks, {started} started; others: {dict(why_not)}")  # noqa: T201
    assert started >= LEAST_STARTED * len(outcomes), outcomes


async def _batch(
    studio: Studio, twitch: Forgetful, rng: random.Random, batch: int, kills: int
) -> list[Outcome]:
    plays = _plays(rng, batch, kills * CHANNELS)
    await studio.add(*(one for play in plays for one in play.manifests(studio)))
    left = iter(plays)
    for _ in range(kills):
        wave = [next(left) for _ in range(CHANNELS)]
        for play in wave:
            play.order_it(studio, twitch)
            play.publish(studio, rng)
        # From a moment before the call up to where the calls of this wave have their answers; a
        # third of the kills falls before the operator has even seen all that there is.
        await asyncio.sleep(rng.choice((0.0, 0.03, 0.3, 2.5)) + rng.uniform(0, 0.1))
        await studio.operator.kill()
        await studio.start(wait=rng.random() < 0.4)
    deadline = time.monotonic() + MAX_AGE + 10
    while True:
        settled = await studio.look()
        if all(play.outcome(studio, settled).is_settled for play in plays):
            break
        if time.monotonic() > deadline:
            break  # what is missing is told by the judgement
        await asyncio.sleep(0.3)
    # What would come a second time, has: a late call, a replay, a repeat.
    await asyncio.sleep(twitch.slowness)
    outcomes = [play.outcome(studio, settled) for play in plays]
    await studio.clear()
    return outcomes
