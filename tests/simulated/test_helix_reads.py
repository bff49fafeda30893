"""What is read from Helix, and which failures are told apart."""

from __future__ import annotations

import math
import time
import traceback
from email.utils import formatdate
from typing import TYPE_CHECKING, Literal

import pytest

from controller.clients.helix import Credential, Helix, Unauthorized, User
from controller.errors import RateLimited, TransientError
from controller.events import AdSchedule
from controller.sandbox.twitch import Fault
from controller.sensitive import Sensitive
from tests.simulated.harness import NEVER
from tests.simulated.helix_calls import STRANGE, channel, short, start

if TYPE_CHECKING:
    from controller.sandbox.twitch import TwitchSimulator


ADS = "/helix/channels/ads"
STREAM_KEY = "/helix/streams/key"


async def test_the_own_user(helix: Helix, credential: Credential, twitch: TwitchSimulator) -> None:
    assert await helix.own_user(credential) == User(channel(twitch), "mst3k", "mst3k", "partner")
    twitch.set_type("mst3k", "")
    assert (await helix.own_user(credential)).broadcaster_type == ""


@pytest.mark.parametrize("body", [*STRANGE, {"data": [{"id": "1"}]}], ids=short)
async def test_a_user_that_is_none_passes(
    helix: Helix, credential: Credential, twitch: TwitchSimulator, body: object
) -> None:
    twitch.order_fault(Fault(path="/helix/users", status=200, body=body))
    with pytest.raises(TransientError, match="GET /users"):
        await helix.own_user(credential)


async def test_who_is_live(helix: Helix, credential: Credential, twitch: TwitchSimulator) -> None:
    ids = [channel(twitch)]
    for n in range(99):
        other = twitch.add_broadcaster(f"other_{n}", live=n % 2 == 0)
        ids.append(other.id)
    live = await helix.live_user_ids(credential, ids)
    assert len(live) == 51
    assert channel(twitch) in live
    twitch.set_live("mst3k", False)
    assert channel(twitch) not in await helix.live_user_ids(credential, ids)


@pytest.mark.parametrize("body", [b for b in STRANGE if isinstance(b, dict) and b], ids=short)
async def test_streams_of_a_strange_shape_are_no_live_ones(
    helix: Helix, credential: Credential, twitch: TwitchSimulator, body: object
) -> None:
    twitch.order_fault(Fault(path="/helix/streams", status=200, body=body))
    assert await helix.live_user_ids(credential, ["1"]) == set()


@pytest.mark.parametrize("form", ["unix", "rfc3339"])
async def test_the_ad_schedule_in_both_forms(
    helix: Helix, credential: Credential, twitch: TwitchSimulator, form: Literal["unix", "rfc3339"]
) -> None:
    twitch.options.ad_times = form
    nothing = await helix.ad_schedule(credential, channel(twitch))
    assert nothing == AdSchedule(snooze_count=3, preroll_free=0)
    ad = twitch.start_ad("mst3k", 60)
    twitch.schedule_ad("mst3k", ad.start + 900, duration=90, snooze_count=0)
    told = await helix.ad_schedule(credential, channel(twitch))
    assert (told.last_ad, told.next_ad) == (math.floor(ad.start), math.floor(ad.start + 900))
    assert (told.duration, told.snooze_count) == (90, 0)
    assert told.preroll_free == pytest.approx(1200, abs=10)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("0", None), ('""', None), ("null", None), ("true", None), ("[]", None), ('"soon"', None),
        ("NaN", None), ("1e999", None), ("-1e999", None), ('"nan"', None), ('"inf"', None),
        ("9" * 400, None), ('"2021-01-29T09:26:33"', None), ("1611912393", 1611912393.0),
        ('"1611912393"', 1611912393.0), ('"2021-01-29T09:26:33Z"', 1611912393.0),
        ('"2021-01-29T10:26:33.000000000+01:00"', 1611912393.0), ("1611912393.5", 1611912393.5),
        ("-5", None), ('"0"', None), ('"0001-01-01T00:00:00Z"', None), ("1611912393000000", None),
    ],
)  # fmt: skip
async def test_an_ad_that_tells_no_time_is_none(
    helix: Helix, credential: Credential, twitch: TwitchSimulator, text: str, instant: float | None
) -> None:
    body = f'{{"data":[{{"last_ad_at":{text},"next_ad_at":{text}}}]}}'
    twitch.order_fault(Fault(path=ADS, status=200, body=body))
    assert await helix.ad_schedule(credential, "1") == AdSchedule(instant, instant)


@pytest.mark.parametrize("behind", [0, 3, 30, -30])
async def test_ads_are_told_on_this_machines_clock(
    helix: Helix, credential: Credential, twitch: TwitchSimulator, behind: int
) -> None:
    twitchs_now = int(time.time()) - behind
    headers = {"Date": formatdate(twitchs_now, usegmt=True)}
    ad = {"last_ad_at": twitchs_now - 10, "next_ad_at": twitchs_now + 600}
    twitch.order_fault(Fault(path=ADS, status=200, body={"data": [ad]}, headers=headers))
    told = await helix.ad_schedule(credential, "1")
    shift = behind if abs(behind) > 5 else 0
    assert told.last_ad == pytest.approx(ad["last_ad_at"] + shift, abs=5)
    assert told.next_ad == pytest.approx(ad["next_ad_at"] + shift, abs=5)


@pytest.mark.parametrize(
    ("text", "number"),
    [("60", 60), ('"60"', 60), ("59.6", 60), ('""', None), ("null", None), ("-1", None),
     ("true", None), ('"many"', None), ("1e999", None), ("[1]", None)],
)  # fmt: skip
async def test_numbers_of_the_ad_schedule_may_be_texts(
    helix: Helix, credential: Credential, twitch: TwitchSimulator, text: str, number: int | None
) -> None:
    body = f'{{"data":[{{"duration":{text},"snooze_count":{text},"preroll_free_time":{text}}}]}}'
    twitch.order_fault(Fault(path=ADS, status=200, body=body))
    expected = AdSchedule(duration=number, snooze_count=number, preroll_free=number)
    assert await helix.ad_schedule(credential, "1") == expected


@pytest.mark.parametrize("body", [b for b in STRANGE if isinstance(b, dict) and b], ids=short)
async def test_an_ad_schedule_of_a_strange_shape_tells_nothing(
    helix: Helix, credential: Credential, twitch: TwitchSimulator, body: object
) -> None:
    twitch.order_fault(Fault(path=ADS, status=200, body=body))
    assert await helix.ad_schedule(credential, "1") == AdSchedule()


@pytest.fixture
def key_reader(twitch: TwitchSimulator) -> Credential:
    token = twitch.consent("mst3k", "client", ["channel:read:stream_key"]).access_token
    return Credential("client", Sensitive(token))


async def test_the_stream_key(
    helix: Helix, key_reader: Credential, twitch: TwitchSimulator
) -> None:
    key = await helix.stream_key(key_reader, channel(twitch))
    assert key.reveal() == twitch.channels.named("mst3k").stream_key
    reset = twitch.reset_stream_key("mst3k")
    assert (await helix.stream_key(key_reader, channel(twitch))).reveal() == reset


async def test_a_stream_key_is_refused_without_its_scope_and_to_others(
    helix: Helix, credential: Credential, key_reader: Credential, twitch: TwitchSimulator
) -> None:
    with pytest.raises(Unauthorized, match="Missing scope: channel:read:stream_key"):
        await helix.stream_key(credential, channel(twitch))
    with pytest.raises(Unauthorized, match="must match"):
        await helix.stream_key(key_reader, "1")
    twitch.expire_access_tokens()
    with pytest.raises(Unauthorized, match="Invalid OAuth token"):
        await helix.stream_key(key_reader, channel(twitch))


@pytest.mark.parametrize(
    "body",
    [
        *STRANGE, {"data": [{"stream_key": ""}]}, {"data": [{"stream_key": 5}]},
        {"data": [{"stream_key": None}]}, {"data": [{"stream_key": "live_1\n2"}]},
        {"data": [{"stream_key": "live_ü"}]}, {"data": ["live_1_2"]},
    ],
    ids=short,
)  # fmt: skip
async def test_a_stream_key_that_is_none_passes(
    helix: Helix, key_reader: Credential, twitch: TwitchSimulator, body: object
) -> None:
    twitch.order_fault(Fault(path=STREAM_KEY, status=200, body=body))
    with pytest.raises(TransientError, match="GET /streams/key"):
        await helix.stream_key(key_reader, channel(twitch))


KEY_HERE = '{"data": [{"stream_key": "live_1_abcdef"}]}'


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500, body=KEY_HERE), Fault(status=401, body=KEY_HERE),
        Fault(status=302, body=KEY_HERE), Fault(status=200, body=KEY_HERE[:-1]),
        Fault(status=200, body=KEY_HERE[9:-1]), Fault(status=200, body='"live_1_abcdef"'),
        Fault(status=200, body='{"data": "live_1_abcdef"}'),
        Fault(status=200, body='{"live_1_abcdef": 1}'),
        Fault(status=200, body='{"data": [{"stream_key": "live_1_abcdef\\n"}]}'),
        Fault(status=200, body='{"data": [{"stream_key": ["live_1_abcdef"]}]}'),
    ],
    ids=short,
)  # fmt: skip
async def test_no_failure_shows_the_stream_key(
    helix: Helix, key_reader: Credential, twitch: TwitchSimulator, fault: Fault
) -> None:
    twitch.order_fault(fault)
    with pytest.raises(TransientError) as failure:
        await helix.stream_key(key_reader, channel(twitch))
    told = repr(failure.value) + "".join(traceback.format_exception(failure.value))
    assert "abcdef" not in told


async def test_a_refused_token_a_rate_limit_and_a_failure_are_told_apart(
    helix: Helix, hasty: Helix, credential: Credential, twitch: TwitchSimulator
) -> None:
    twitch.options.rate_limit = 1
    await helix.own_user(credential)
    with pytest.raises(RateLimited) as limited:
        await helix.own_user(credential)
    assert limited.value.retry_after == pytest.approx(60, abs=3)
    twitch.options.rate_limit = 800
    twitch.order_fault(Fault(status=503))
    with pytest.raises(TransientError, match="503"):
        await helix.own_user(credential)
    twitch.order_fault(Fault(drop=True))
    with pytest.raises(TransientError, match="did not answer"):
        await helix.own_user(credential)
    twitch.order_fault(Fault(delay=NEVER))
    with pytest.raises(TransientError, match="no answer in time"):
        await hasty.own_user(credential)
    twitch.expire_access_tokens()
    with pytest.raises(Unauthorized):
        await helix.ad_schedule(credential, channel(twitch))


@pytest.mark.parametrize(
    "fault",
    [
        Fault(drop=True), Fault(delay=NEVER),
        Fault(status=500), Fault(status=401), Fault(status=429),
        Fault(status=200, body="no JSON"), Fault(status=200, body={}),
    ],
    ids=short,
)  # fmt: skip
async def test_no_failure_shows_the_token(
    helix: Helix, hasty: Helix, credential: Credential, twitch: TwitchSimulator, fault: Fault
) -> None:
    token = credential.access.reveal()
    twitch.order_fault(fault)
    with pytest.raises(TransientError) as failure:
        await (hasty if fault.delay else helix).own_user(credential)
    told = [
        str(failure.value),
        repr(failure.value),
        "".join(traceback.format_exception(failure.value)),
    ]
    assert not any(token in each for each in told)
    assert token not in repr(await start(helix, credential, twitch))
