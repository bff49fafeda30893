"""What the API server accepts by the CRDs, and that nothing of it is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from controller.resources.triggerrule import (
    TriggerRuleSpec,
)
from controller.resources.twitchchannel import (
    TwitchChannelSpec,
)
from tests.cluster.crd_cases import (
    COMMERCIAL,
    NIGHT,
    channel,
    code,
    commercial,
    contains,
    create,
    hls,
    matching,
    pubnub,
    quiet,
    rule,
    selecting,
)

if TYPE_CHECKING:
    from controller.sandbox.controlplane import ControlPlane


pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]


ACCEPTED: dict[str, dict[str, Any]] = {
    "the least of a channel": channel(),
    "a channel with everything": channel(
        login="mst3k_2",
        scopes=[*COMMERCIAL, "channel:read:stream_key", "chat:read", "openid"],
        token={"secretName": "tokens", "deletionPolicy": "Delete"},
        streamKeySecretName="encoder",
        suspend=True,
    ),
    "a code": channel(authorization=code()),
    "a redirect URI without a path": channel(authorization=code(redirect_uri="http://[::1]:3000")),
    "a redirect URI with a query": channel(
        authorization=code(redirect_uri="https://ads.example/callback?from=twitch")
    ),
    "the longest redirect URI": channel(
        authorization=code(redirect_uri="https://ads.example/".ljust(512, "x"))
    ),
    "a device code": channel(authorization={"deviceCode": {}}),
    "the least of scopes": channel(scopes=COMMERCIAL),
    "50 scopes": channel(scopes=[*COMMERCIAL, *(f"a:{'b' * n}" for n in range(1, 50))]),
    "a stream key with the default scopes": channel(streamKeySecretName="encoder"),
    "the longest name": channel("m" * 63),
    "commercials with everything": channel(
        commercials={
            "delay": "60s",
            "onCooldown": "Skip",
            "lateness": "Keep",
            "lengths": "Standard",
            "minLength": "3m",
            "breakGap": "1500ms",
            "maxPerHour": 60,
            "maxSecondsPerHour": 3600,
            "quietHours": [NIGHT],
        }
    ),
    "commercials without anything": channel(commercials={}),
    "the least of all limits": channel(
        commercials={
            "delay": "0s",
            "minLength": "0s",
            "breakGap": "0s",
            "maxPerHour": 1,
            "maxSecondsPerHour": 30,
            "quietHours": [],
        }
    ),
    "16 quiet hours": channel(commercials={"quietHours": [NIGHT] * 16}),
    "quiet hours of every day": quiet(
        days=["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
        timeZone="America/Argentina/Buenos_Aires",
        **{"from": "00:00", "to": "23:59"},
    ),
    "quiet hours of no day in particular": quiet(days=[], timeZone="UTC"),
    "the least of a rule": rule(),
    "a rule with everything": rule(
        when="event.data.duration_sec >= 10.0",
        idField="",
        timeField="common.timestamp",
        maxAge="1m30s",
        mode="DryRun",
        suspend=True,
        cancelOn=[{"field": "action", "equals": "Stop"}],
        dedupe={"key": ["feed_code", "data.event_id"], "window": "10m"},
        expectEvery="168h",
        priority=-1000,
    ),
    "channels by their labels": selecting(
        matchLabels={f"{n:03}{'a' * 250}/{'b' * 63}": "c" * 63 for n in range(16)}
    ),
    "16 columns of the as-run log": rule(
        asRun={f"c{n:02}{'_' * 60}": "f" * 256 for n in range(16)}
    ),
    "channels by a label without a value": selecting(matchLabels={"live": ""}),
    "channels by what the event says": selecting(
        matchEvent=[{"label": f"example.com/feed-code-{n}", "field": "f" * 256} for n in range(4)]
    ),
    "channels by both": selecting(
        matchLabels={"tier": "A_1.b"}, matchEvent=[{"label": "feed-code", "field": "feed_code"}]
    ),
    "32 matchers of an off cue": rule(
        cancelOn=[{"field": f"f{n}", "exists": True} for n in range(32)]
    ),
    "a second identity of 8 fields": rule(
        dedupe={"key": [f"{n}{'f' * 255}" for n in range(8)], "window": "1s"}
    ),
    "the least of expectEvery": rule(expectEvery="60s"),
    "when instead of match": rule(match=None, when="true"),
    "an expression that does not compile": rule(when="event.("),
    "100 topics of 92 characters": rule(feed=pubnub(*(f"{n:03}" + "t" * 89 for n in range(100)))),
    "a playlist": rule(feed=hls()),
    "a playlist with everything": rule(
        feed=hls(rendition={"name": "720p60"}, secretRef={"name": "origin"}, joinRunning=True)
    ),
    "a topic beyond ascii": rule(feed=pubnub("kanal-ä.1")),
    "32 matchers": rule(match=[{"field": f"f{n}", "exists": True} for n in range(32)]),
    "equals a text": matching(equals="x" * 1024),
    "equals a number": matching(equals=1.5),
    "equals a whole number": matching(equals=3),
    "equals false": matching(equals=False),
    "in a list of any scalars": matching(**{"in": ["a", 1, 1.5, True, False]}),
    "in 64 scalars": matching(**{"in": list(range(64))}),
    "glob": matching(glob="Ad_*"),
    "regex": matching(regex="("),
    "prefix": matching(prefix="Ad_"),
    "suffix": matching(suffix=".mp4"),
    "a number that doubles skip": matching(equals=2**53 + 1),
    "numbers that doubles skip": matching(**{"in": [2**53 + 1, -(2**63), 2**63 - 1]}),
    "more than a number that doubles skip": matching(gt=2**53 + 1),
    "exists": matching(exists=False),
    "gt": matching(gt=10),
    "gte": matching(gte=-0.5),
    "lt": matching(lt=1e9),
    "lte": matching(lte=0, **{"not": True}),
    "the least maxAge": rule(maxAge="1s"),
    "the greatest maxAge": rule(maxAge="300000ms"),
    "a fixed length": commercial(length="180s"),
    "a fixed length in minutes": commercial(length="1m30s"),
    "an element of a list": matching(contains="moderator"),
    "a length from a string": commercial(lengthField="text", lengthPattern="^!ad ([0-9]+)"),
    "a default length": commercial(lengthField="data.duration_sec", defaultLength="1s"),
}


@pytest.mark.parametrize("manifest", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_what_is_right_is_accepted_and_nothing_of_it_is_lost(
    control_plane: ControlPlane, manifest: dict[str, Any]
) -> None:
    answer = create(control_plane, manifest, "--dry-run=server", "--validate=strict")

    assert answer.returncode == 0, answer.stderr
    stored = json.loads(answer.stdout)["spec"]
    model = TwitchChannelSpec if manifest["kind"] == "TwitchChannel" else TriggerRuleSpec
    assert contains(stored, manifest["spec"])
    assert model.from_spec(stored) == model.from_spec(manifest["spec"])
