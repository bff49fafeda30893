"""The CRDs against a real API server: what it accepts, what it refuses and in which words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from controller.resources.commercials import DEFAULT_POLICY
from controller.resources.common import Condition
from controller.resources.kind import GROUP, VERSION
from controller.resources.schema import KINDS
from controller.resources.triggerrule import (
    Counts,
    NearestMiss,
    RecentDecision,
    TriggerRuleSpec,
    TriggerRuleStatus,
)
from controller.resources.twitchchannel import (
    AdScheduleStatus,
    AuthorizationStatus,
    Broadcaster,
    Commercials,
    LastFire,
    RecentCue,
    TwitchChannelSpec,
    TwitchChannelStatus,
)
from tests.cluster.api import try_create

if TYPE_CHECKING:
    from subprocess import CompletedProcess

    from controller.sandbox.controlplane import ControlPlane

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("crds")]

ROOT = Path(__file__).parents[2]
MANY = "x" * 10_000
LONG_AGO = 1611912393.0
FAR_AHEAD = 4102444800.0
NIGHT = {"from": "22:00", "to": "06:00", "timeZone": "America/New_York"}


@pytest.fixture(scope="module")
def crds(control_plane: ControlPlane) -> None:
    control_plane.run_kubectl(
        "apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"), check=True
    )
    names = [f"crd/{kind.plural}.{GROUP}" for kind in KINDS]
    control_plane.until_established(*names)


def resource(kind: str, name: str, **parts: object) -> dict[str, Any]:
    api = f"{GROUP}/{VERSION}"
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **parts}


def channel(name: str = "mst3k", **changes: object) -> dict[str, Any]:
    spec = {
        "app": {"secretRef": {"name": "twitch-app"}},
        "authorization": {
            "refreshToken": {"secretKeyRef": {"name": "mst3k-grant", "key": "refresh-token"}}
        },
    }
    return resource("TwitchChannel", name, spec=changed(spec, changes))


def rule(**changes: object) -> dict[str, Any]:
    spec = {
        "channelRef": {"name": "mst3k"},
        "feed": pubnub("mst3k.playout"),
        "match": [{"field": "msg_type", "equals": "video"}],
        "action": {"commercial": {"lengthField": "data.duration_sec"}},
    }
    return resource("TriggerRule", "ad-assets", spec=changed(spec, changes))


def changed(spec: dict[str, Any], changes: dict[str, object]) -> dict[str, Any]:
    return {key: part for key, part in {**spec, **changes}.items() if part is not None}


def hls(**spec: object) -> dict[str, Any]:
    return {"hls": {"url": "https://example.com/live.m3u8", **spec}}


def pubnub(*topics: str) -> dict[str, Any]:
    return {"pubnub": {"secretRef": {"name": "playout-pubnub"}, "topics": list(topics)}}


def grant(name: str = "mst3k-grant", key: str = "refresh-token") -> dict[str, Any]:
    return {"refreshToken": {"secretKeyRef": {"name": name, "key": key}}}


def code(
    name: str = "mst3k-code",
    redirect_uri: str | None = "http://localhost:3000/auth/twitch/callback",
) -> dict[str, Any]:
    given = {"secretKeyRef": {"name": name, "key": "code"}, "redirectUri": redirect_uri}
    return {"authorizationCode": changed(given, {})}


def commercial(**changes: object) -> dict[str, Any]:
    return rule(action={"commercial": changes})


def matching(**test: object) -> dict[str, Any]:
    return rule(match=[{"field": "action", **test}])


def quiet(**changes: object) -> dict[str, Any]:
    return channel(commercials={"quietHours": [changed(NIGHT, changes)]})


def selecting(**selector: object) -> dict[str, Any]:
    return rule(channelRef=None, channelSelector=selector)


def create(
    control_plane: ControlPlane, manifest: dict[str, Any], *args: str
) -> CompletedProcess[str]:
    if "--dry-run=server" in args:
        return try_create(control_plane, manifest)
    return control_plane.run_kubectl(
        "create", "-f", "-", "-o", "json", *args, input=json.dumps(manifest)
    )


COMMERCIAL = ["channel:edit:commercial"]

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


def contains(stored: object, given: object) -> bool:
    """Whether `given` is all there, of the same types, defaults aside."""
    if isinstance(given, dict) and isinstance(stored, dict):
        return all(key in stored and contains(stored[key], part) for key, part in given.items())
    if isinstance(given, list) and isinstance(stored, list):
        return len(given) == len(stored) and all(map(contains, stored, given))
    if isinstance(given, bool) or isinstance(stored, bool):
        return stored is given
    return stored == given


USE_IN = 'spec.match[0].equals[0]: … supported values: "(none: use in for a list)"'
EXACTLY_ONE_TEST = "spec.match[0]: Invalid value: must have exactly one of: equals, in, contains"
ONE_WAY_IN = (
    "spec.authorization: Invalid value: must have exactly one of: refreshToken, authorizationCode,"
    " deviceCode"
)
IS_WRITTEN_TO = (
    "names a Secret that the operator writes: set spec.token.secretName or spec.streamKeySecretName"
    " to another name"
)
KEEPS_THE_TOKENS = (
    "spec.streamKeySecretName names the Secret in which the operator keeps the tokens: set it to"
    " another name"
)
NO_REDIRECT_URI = (
    "spec.authorization.authorizationCode.redirectUri: … must be the redirect URI that the"
    " application registered, letter by letter, such as http://localhost:3000/auth/twitch/callback"
)
NO_COMMERCIAL = (
    "spec.scopes: … scopes must contain channel:edit:commercial: without it no commercial can be"
    " run"
)
NO_SCOPE = "must be a scope as Twitch's documentation writes it, such as channel:edit:commercial"
NO_NAME = "must be the name of an object: lowercase letters, digits"
HLS_URL = "spec.feed.hls.url: … must be an https URL without user and fragment"
NO_TOPIC = "spec.feed.pubnub.topics[0]: … must be the name of one PubNub channel"
WHOLE = "must be a duration of whole seconds from 1s to 180s, such as 30s or 1m30s"
AGE = "spec.maxAge: … must be a duration from 1s to 5m, such as 30s or 1m30s"

NO_LIMIT = "leave it out for no limit, or set spec.suspend to run none"
NO_TIME = 'must be a time of day from "00:00" to "23:59", in quotes, such as "22:00"'
NO_ZONE = (
    "spec.commercials.quietHours[0].timeZone: … must be a time zone of the IANA database, such as"
    " America/New_York or UTC"
)
ONE_CHANNEL = "spec: Invalid value: must have exactly one of: channelRef, channelSelector"
NO_SELECTOR = (
    "spec.channelSelector: Invalid value: must have matchLabels or matchEvent: without both, each"
    " event would be for all channels"
)

# Name of the case: what is given, and what the answer says ("…" stands for the value).
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no spec": (resource("TwitchChannel", "mst3k"), "spec: Required value"),
    "no app": (channel(app=None), "spec.app: Required value"),
    "no secret of the app": (channel(app={}), "spec.app.secretRef: Required value"),
    "a secret that no object can be": (channel(app={"secretRef": {"name": "My_App"}}), NO_NAME),
    "no authorization": (channel(authorization=None), "spec.authorization: Required value"),
    "no way in": (channel(authorization={}), ONE_WAY_IN),
    "a way in that is null": (channel(authorization={"deviceCode": None}), ONE_WAY_IN),
    "two ways in": (channel(authorization={**grant(), **code()}), ONE_WAY_IN),
    "two ways in, one of them empty": (
        channel(authorization={**grant(), "deviceCode": {}}),
        ONE_WAY_IN,
    ),
    "three ways in": (
        channel(authorization={**grant(), **code(), "deviceCode": {}}),
        ONE_WAY_IN,
    ),
    "an unknown way in": (
        channel(authorization={"clientCredentials": {}}),
        'unknown field "spec.authorization.clientCredentials"',
    ),
    "a device code with a field": (
        channel(authorization={"deviceCode": {"secretKeyRef": {"name": "a"}}}),
        'unknown field "spec.authorization.deviceCode.secretKeyRef"',
    ),
    "a code without its redirect URI": (
        channel(authorization=code(redirect_uri=None)),
        "spec.authorization.authorizationCode.redirectUri: Required value",
    ),
    "a code without a Secret": (
        channel(authorization={"authorizationCode": {"redirectUri": "http://localhost"}}),
        "spec.authorization.authorizationCode.secretKeyRef: Required value",
    ),
    **{
        f"the redirect URI {uri!r}": (
            channel(authorization=code(redirect_uri=uri)),
            NO_REDIRECT_URI,
        )
        for uri in (
            "",
            "localhost:3000/callback",
            "ftp://localhost/callback",
            "http://",
            "http:///callback",
            "http://somebody@localhost/callback",
            "http://localhost/call back",
            "http://localhost/callback\n",
            "http://localhost/#callback",
        )
    },
    "a redirect URI that is too long": (
        channel(authorization=code(redirect_uri="https://ads.example/".ljust(513, "x"))),
        "spec.authorization.authorizationCode.redirectUri: Too long",
    ),
    "a grant without a key": (
        channel(authorization={"refreshToken": {"secretKeyRef": {"name": "a"}}}),
        "spec.authorization.refreshToken.secretKeyRef.key: Required value",
    ),
    "a key that no secret can have": (
        channel(authorization=grant(key="refresh token")),
        "must be a key of a Secret: letters, digits",
    ),
    "a login with capitals": (channel(login="MST3K"), "spec.login: … must be a login"),
    "a login that is too long": (channel(login="m" * 26), "spec.login: Too long"),
    "a name that makes no label": (
        channel("m" * 64),
        "metadata.name must have at most 63 characters",
    ),
    "the app's secret for the tokens": (
        channel(token={"secretName": "twitch-app"}),
        f"spec.app.secretRef {IS_WRITTEN_TO}",
    ),
    "the app's secret for the tokens by default": (
        channel(app={"secretRef": {"name": "mst3k-twitch-token"}}),
        f"spec.app.secretRef {IS_WRITTEN_TO}",
    ),
    "the grant's secret for the tokens": (
        channel(token={"secretName": "mst3k-grant"}),
        f"spec.authorization.refreshToken.secretKeyRef {IS_WRITTEN_TO}",
    ),
    "the tokens' secret for the grant": (
        channel(authorization=grant("mst3k-twitch-token")),
        f"spec.authorization.refreshToken.secretKeyRef {IS_WRITTEN_TO}",
    ),
    "the code's secret for the tokens": (
        channel(authorization=code(), token={"secretName": "mst3k-code"}),
        f"spec.authorization.authorizationCode.secretKeyRef {IS_WRITTEN_TO}",
    ),
    "the tokens' secret for the code": (
        channel(authorization=code("mst3k-twitch-token")),
        f"spec.authorization.authorizationCode.secretKeyRef {IS_WRITTEN_TO}",
    ),
    "the app's secret for the stream key": (
        channel(streamKeySecretName="twitch-app"),
        f"spec.app.secretRef {IS_WRITTEN_TO}",
    ),
    "the grant's secret for the stream key": (
        channel(streamKeySecretName="mst3k-grant"),
        f"spec.authorization.refreshToken.secretKeyRef {IS_WRITTEN_TO}",
    ),
    "the code's secret for the stream key": (
        channel(authorization=code(), streamKeySecretName="mst3k-code"),
        f"spec.authorization.authorizationCode.secretKeyRef {IS_WRITTEN_TO}",
    ),
    "the tokens' secret for the stream key": (
        channel(token={"secretName": "tokens"}, streamKeySecretName="tokens"),
        KEEPS_THE_TOKENS,
    ),
    "the tokens' secret by default for the stream key": (
        channel(authorization={"deviceCode": {}}, streamKeySecretName="mst3k-twitch-token"),
        KEEPS_THE_TOKENS,
    ),
    "a stream key's secret that no object can be": (
        channel(streamKeySecretName="My_Key"),
        f"spec.streamKeySecretName: … {NO_NAME}",
    ),
    "an unknown deletion policy": (
        channel(token={"deletionPolicy": "Keep"}),
        'supported values: "Retain", "Delete"',
    ),
    "an unknown field": (channel(quiet=True), 'unknown field "spec.quiet"'),
    "no scopes": (channel(scopes=[]), NO_COMMERCIAL),
    "scopes without the one that is needed": (channel(scopes=["channel:read:ads"]), NO_COMMERCIAL),
    "scopes without that of the stream key": (
        channel(scopes=COMMERCIAL, streamKeySecretName="encoder"),
        "spec.scopes: … scopes must contain channel:read:stream_key: streamKeySecretName needs it",
    ),
    "a scope twice": (channel(scopes=COMMERCIAL * 2), "spec.scopes[1]: Duplicate value"),
    "a scope with capitals": (channel(scopes=[*COMMERCIAL, "chat:Read"]), NO_SCOPE),
    "two scopes in one": (
        channel(scopes=[*COMMERCIAL, "chat:read chat:edit"]),
        f"spec.scopes[1]: … {NO_SCOPE}",
    ),
    "an empty scope": (channel(scopes=[*COMMERCIAL, ""]), f"spec.scopes[1]: … {NO_SCOPE}"),
    "a scope that is too long": (
        channel(scopes=[*COMMERCIAL, "a" * 65]),
        "spec.scopes[1]: Too long",
    ),
    "51 scopes": (
        channel(scopes=[*COMMERCIAL, *(f"a:{'b' * n}" for n in range(1, 51))]),
        "spec.scopes: Too many: 51",
    ),
    "a delay that is too long": (
        channel(commercials={"delay": "61s"}),
        "spec.commercials.delay: … must be a duration from 0s to 60s",
    ),
    "a length that is too long": (
        channel(commercials={"minLength": "3m1s"}),
        "spec.commercials.minLength: … must be a duration from 0s to 180s",
    ),
    "a gap without a unit": (
        channel(commercials={"breakGap": "10"}),
        "spec.commercials.breakGap: … must be a duration from 0s to 60s",
    ),
    "an unknown answer to a cooldown": (
        channel(commercials={"onCooldown": "Queue"}),
        'spec.commercials.onCooldown: … supported values: "Wait", "Skip"',
    ),
    "an unknown lateness": (
        channel(commercials={"lateness": "Skip"}),
        'spec.commercials.lateness: … supported values: "Shorten", "Keep"',
    ),
    "unknown lengths": (
        channel(commercials={"lengths": "Any"}),
        'spec.commercials.lengths: … supported values: "Exact", "Standard"',
    ),
    "no commercial an hour": (
        channel(commercials={"maxPerHour": 0}),
        f"spec.commercials.maxPerHour: … must be from 1 to 60; {NO_LIMIT}",
    ),
    "61 commercials an hour": (
        channel(commercials={"maxPerHour": 61}),
        "spec.commercials.maxPerHour: … must be from 1 to 60",
    ),
    "half a commercial an hour": (
        channel(commercials={"maxPerHour": 1.5}),
        "spec.commercials.maxPerHour: … must be of type integer",
    ),
    "29 seconds an hour": (
        channel(commercials={"maxSecondsPerHour": 29}),
        f"spec.commercials.maxSecondsPerHour: … must be from 30 to 3600; {NO_LIMIT}",
    ),
    "an unknown part of the commercials": (
        channel(commercials={"maxPerDay": 1}),
        'unknown field "spec.commercials.maxPerDay"',
    ),
    "hours that end when they begin": (
        quiet(to="22:00"),
        "spec.commercials.quietHours[0].to: … from and to must differ: hours that end when they",
    ),
    "hours without a zone": (
        quiet(timeZone=None),
        "spec.commercials.quietHours[0].timeZone: Required value",
    ),
    "a day of 25 hours": (quiet(to="24:00"), f"spec.commercials.quietHours[0].to: … {NO_TIME}"),
    "a time without its zero": (
        quiet(**{"from": "9:00"}),
        f"spec.commercials.quietHours[0].from: … {NO_TIME}",
    ),
    "a time with seconds": (
        quiet(to="06:00:00"),
        "spec.commercials.quietHours[0].to: Too long",
    ),
    "a path for a zone": (quiet(timeZone="../../etc/passwd"), NO_ZONE),
    "an offset for a zone": (quiet(timeZone="+05:00"), NO_ZONE),
    "a zone that is too long": (quiet(timeZone="A" * 65), "timeZone: Too long"),
    "an unknown day": (
        quiet(days=["Monday"]),
        'spec.commercials.quietHours[0].days[0]: … supported values: "Mon", "Tue"',
    ),
    "a day twice": (
        quiet(days=["Mon", "Mon"]),
        "spec.commercials.quietHours[0].days[1]: Duplicate value",
    ),
    "an unknown part of quiet hours": (
        quiet(date="2026-12-24"),
        'unknown field "spec.commercials.quietHours[0].date"',
    ),
    "17 quiet hours": (
        channel(commercials={"quietHours": [NIGHT] * 17}),
        "spec.commercials.quietHours: Too many: 17",
    ),
    "no channel": (rule(channelRef=None), ONE_CHANNEL),
    "two ways to a channel": (rule(channelSelector={"matchLabels": {"a": "b"}}), ONE_CHANNEL),
    "a selector of everything": (selecting(), NO_SELECTOR),
    "a selector of everything in more words": (
        selecting(matchLabels={}, matchEvent=[]),
        NO_SELECTOR,
    ),
    "a selector of another kind": (
        selecting(matchExpressions=[]),
        'unknown field "spec.channelSelector.matchExpressions"',
    ),
    **{
        f"the label {name[:20]!r}": (
            selecting(matchLabels={name: "a"}),
            "spec.channelSelector.matchLabels: … each key must be the name of a label",
        )
        for name in ("", "feed code", "a/b/c", "Example.com/a", "-a", "a" * 64, "a" * 254 + "/a")
    },
    "a column that each line has": (
        rule(asRun={"verdict": "a"}),
        "spec.asRun: … asRun names a field that each line has by itself",
    ),
    "a column in capitals": (
        rule(asRun={"Spot": "a"}),
        "spec.asRun: … each key must be the name of a column",
    ),
    "17 labels": (
        selecting(matchLabels={f"a{n}": "" for n in range(17)}),
        "spec.channelSelector.matchLabels: Too many: 17",
    ),
    "a value that no label can have": (
        selecting(matchLabels={"a": "b c"}),
        "spec.channelSelector.matchLabels[a]: … must be the value of a label",
    ),
    "a value that is too long for a label": (
        selecting(matchLabels={"a": "b" * 64}),
        "spec.channelSelector.matchLabels.a: Too long",
    ),
    "a label of the event that cannot be": (
        selecting(matchEvent=[{"label": "feed code", "field": "feed_code"}]),
        "spec.channelSelector.matchEvent[0].label: … must be the name of a label",
    ),
    "a label of the event without a field": (
        selecting(matchEvent=[{"label": "feed-code"}]),
        "spec.channelSelector.matchEvent[0].field: Required value",
    ),
    "5 labels of the event": (
        selecting(matchEvent=[{"label": "a", "field": "a"}] * 5),
        "spec.channelSelector.matchEvent: Too many: 5",
    ),
    "a matcher of an off cue without a test": (
        rule(cancelOn=[{"field": "action"}]),
        "spec.cancelOn[0]: Invalid value: must have exactly one of: equals, in, contains, glob",
    ),
    "33 matchers of an off cue": (
        rule(cancelOn=[{"field": f"f{n}", "exists": True} for n in range(33)]),
        "spec.cancelOn: Too many: 33",
    ),
    "a second identity without a field": (
        rule(dedupe={"window": "10s"}),
        "spec.dedupe.key: Required value",
    ),
    "a second identity of nothing": (
        rule(dedupe={"key": []}),
        "spec.dedupe.key in body should have at least 1 items",
    ),
    "a second identity of an empty path": (
        rule(dedupe={"key": [""]}),
        "spec.dedupe.key[0] in body should be at least 1 chars long",
    ),
    "a second identity of 9 fields": (
        rule(dedupe={"key": [f"f{n}" for n in range(9)]}),
        "spec.dedupe.key: Too many: 9",
    ),
    "a field twice in a second identity": (
        rule(dedupe={"key": ["a", "a"]}),
        "spec.dedupe.key[1]: Duplicate value",
    ),
    "too long a window": (
        rule(dedupe={"key": ["a"], "window": "11m"}),
        "spec.dedupe.window: … must be a duration from 1s to 10m",
    ),
    "too lively a feed": (
        rule(expectEvery="59s"),
        "spec.expectEvery: … must be a duration from 1m to 168h, such as 1m30s or 2h",
    ),
    "too quiet a feed": (rule(expectEvery="169h"), "spec.expectEvery: … from 1m to 168h"),
    "too high a priority": (
        rule(priority=1001),
        "spec.priority in body should be less than or equal to 1000",
    ),
    "too low a priority": (
        rule(priority=-1001),
        "spec.priority in body should be greater than or equal to -1000",
    ),
    "a channel that cannot be": (rule(channelRef={"name": "m" * 64}), "name: Too long"),
    "no feed": (rule(feed=None), "spec.feed: Required value"),
    "no kind of feed": (
        rule(feed={}),
        "spec.feed: Invalid value: must have exactly one of: pubnub, hls",
    ),
    "a kind of feed that is to come": (rule(feed={"chat": {}}), 'unknown field "spec.feed.chat"'),
    "two kinds of feeds": (
        rule(feed=pubnub("a") | hls()),
        "spec.feed: Invalid value: must have exactly one of: pubnub, hls",
    ),
    "a playlist without a URL": (rule(feed={"hls": {}}), "spec.feed.hls.url: Required value"),
    "a playlist in a file": (rule(feed=hls(url="file:///etc/passwd")), HLS_URL),
    "a playlist with a user": (rule(feed=hls(url="https://a:b@example.com/x")), HLS_URL),
    "two renditions": (
        rule(feed=hls(rendition={"height": 720, "name": "720p"})),
        "spec.feed.hls.rendition: Invalid value: must have exactly one of: name, height, audioOnly",
    ),
    "no topics": (rule(feed=pubnub()), "spec.feed.pubnub.topics in body should have at least 1"),
    "101 topics": (rule(feed=pubnub(*map(str, range(101)))), "topics: Too many: 101"),
    "a topic twice": (rule(feed=pubnub("a", "a")), 'topics[1]: Duplicate value: "a"'),
    "an empty topic": (rule(feed=pubnub("")), "topics[0] in body should be at least 1 chars long"),
    "a topic that is too long": (rule(feed=pubnub("t" * 93)), "topics[0]: Too long"),
    "two topics in one": (rule(feed=pubnub("a,b")), NO_TOPIC),
    "a wildcard": (rule(feed=pubnub("playout.*")), NO_TOPIC),
    "a topic with a slash": (rule(feed=pubnub("a/b")), NO_TOPIC),
    "a topic with a backslash": (rule(feed=pubnub("a\\b")), NO_TOPIC),
    "a topic with a colon": (rule(feed=pubnub("a:b")), NO_TOPIC),
    "a topic with a space": (rule(feed=pubnub("a b")), NO_TOPIC),
    "a topic with a line": (rule(feed=pubnub("a\nb")), NO_TOPIC),
    "neither match nor when": (
        rule(match=None),
        "must have match or when: without both, each message of the feed would start a commercial",
    ),
    "an empty match": (rule(match=[]), "must have match or when"),
    "an empty when": (rule(match=None, when=""), "spec.when in body should be at least 1 chars"),
    "a when that is too long": (rule(when="x" * 1025), "spec.when: Too long"),
    "33 matchers": (
        rule(match=[{"field": f"f{n}", "exists": True} for n in range(33)]),
        "spec.match: Too many: 33",
    ),
    "a matcher without a field": (
        rule(match=[{"equals": "a"}]),
        "spec.match[0].field: Required value",
    ),
    "a field that is too long": (
        rule(match=[{"field": "f" * 257, "equals": "a"}]),
        "spec.match[0].field: Too long",
    ),
    "no test": (matching(), EXACTLY_ONE_TEST),
    "not alone": (matching(**{"not": True}), EXACTLY_ONE_TEST),
    "two tests": (matching(equals="a", gt=1), EXACTLY_ONE_TEST),
    "two tests of any type": (matching(equals="a", **{"in": ["a"]}), EXACTLY_ONE_TEST),
    "equals null": (matching(equals=None), EXACTLY_ONE_TEST),
    "equals a list": (matching(equals=["a"]), USE_IN),
    "equals a list of numbers": (matching(equals=[1, 2]), USE_IN),
    "equals an empty list": (matching(equals=[]), "spec.match[0].equals"),
    "equals an object": (matching(equals={"a": 1}), "spec.match[0].equals: Too many"),
    "equals an empty object": (matching(equals={}), "spec.match[0].equals"),
    "equals too long a text": (matching(equals="x" * 1025), "spec.match[0].equals: Too long"),
    "in no list": (matching(**{"in": "a"}), "spec.match[0].in: Invalid value"),
    "in an empty list": (matching(**{"in": []}), "in in body should have at least 1 items"),
    "in 65 scalars": (matching(**{"in": list(range(65))}), "spec.match[0].in: Too many: 65"),
    "in a list of lists": (matching(**{"in": [["a"]]}), "spec.match[0].in[0]: Too many"),
    "a regex that is too long": (matching(regex="x" * 1025), "spec.match[0].regex: Too long"),
    "greater than a text": (matching(gt="10"), 'must be of type number: "string"'),
    "an unknown test": (matching(includes="a"), 'unknown field "spec.match[0].includes"'),
    "too young an age": (rule(maxAge="999ms"), AGE),
    "too old an age": (rule(maxAge="5m1s"), AGE),
    "an age without a unit": (rule(maxAge="30"), AGE),
    "an age beyond all measure": (rule(maxAge="999999999999999h"), "spec.maxAge"),
    "no action": (rule(action=None), "spec.action: Required value"),
    "no kind of action": (
        rule(action={}),
        "spec.action: Invalid value: must have exactly one of: commercial",
    ),
    "no length": (
        commercial(),
        "spec.action.commercial: Invalid value: must have exactly one of: lengthField, length",
    ),
    "two lengths": (
        commercial(lengthField="a", length="60s"),
        "must have exactly one of: lengthField, length",
    ),
    "a default for a fixed length": (
        commercial(length="60s", defaultLength="60s"),
        "spec.action.commercial.defaultLength: Invalid value: defaultLength is for events without",
    ),
    "too long a commercial": (commercial(length="181s"), WHOLE),
    "no commercial at all": (commercial(length="0s"), WHOLE),
    "half a second": (commercial(length="1.5s"), WHOLE),
    "a pattern without a field": (
        commercial(length="60s", lengthPattern="([0-9]+)"),
        "spec.action.commercial.lengthPattern: Invalid value: lengthPattern is for the string",
    ),
    "milliseconds": (commercial(lengthField="a", defaultLength="1500ms"), WHOLE),
    "an unknown mode": (rule(mode="Try"), 'supported values: "Enforce", "DryRun"'),
}


@pytest.mark.parametrize(("manifest", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_wrong_is_refused_with_the_field_and_the_remedy(
    control_plane: ControlPlane, manifest: dict[str, Any], message: str
) -> None:
    answer = create(control_plane, manifest, "--dry-run=server")

    assert answer.returncode != 0, answer.stdout
    assert all(part in answer.stderr for part in message.split("…")), answer.stderr


def test_defaults_are_filled_in(control_plane: ControlPlane) -> None:
    stored_channel = create(control_plane, channel(), "--dry-run=server").stdout
    stored_rule = create(control_plane, rule(), "--dry-run=server").stdout

    channel_spec, rule_spec = json.loads(stored_channel)["spec"], json.loads(stored_rule)["spec"]
    assert channel_spec["token"] == {"deletionPolicy": "Retain"}
    assert channel_spec["suspend"] is False
    assert channel_spec["commercials"] == {
        "delay": "0s",
        "onCooldown": "Wait",
        "lateness": "Shorten",
        "lengths": "Exact",
        "minLength": "30s",
        "breakGap": "10s",
    }
    assert not {"scopes", "streamKeySecretName"} & set(channel_spec)
    assert TwitchChannelSpec.from_spec(channel_spec).commercials is DEFAULT_POLICY
    assert rule_spec["match"] == [{"field": "msg_type", "equals": "video", "not": False}]
    assert {
        "idField": "common.unique_id",
        "timeField": "",
        "maxAge": "30s",
        "mode": "Enforce",
        "priority": 0,
        "suspend": False,
    }.items() <= rule_spec.items()


def test_a_field_that_is_null_counts_as_left_out(control_plane: ControlPlane) -> None:
    given = matching(equals=1, exists=None, gt=None, **{"not": None})
    nulls = {"suspend": None, "priority": None, "cancelOn": None, "channelSelector": None}
    given["spec"] |= nulls
    stored = create(control_plane, given, "--dry-run=server").stdout
    assert TriggerRuleSpec.from_spec(json.loads(stored)["spec"]) == TriggerRuleSpec.from_spec(
        given["spec"]
    )


@pytest.mark.parametrize(
    ("before", "patch"),
    [
        ({"secretName": "tokens"}, {"token": {"secretName": "others"}}),
        ({"secretName": "tokens"}, {"token": {"secretName": None}}),
        ({"secretName": "tokens"}, {"token": None}),
        (None, {"token": {"secretName": "tokens"}}),
        (None, {"token": {"secretName": "mst3k-twitch-token"}}),
    ],
    ids=["changed", "removed", "removed with its parent", "added", "added as by default"],
)
def test_the_name_of_the_token_secret_cannot_change(
    control_plane: ControlPlane, namespace: str, before: object, patch: dict[str, Any]
) -> None:
    created = create(control_plane, channel(token=before), "-n", namespace)
    assert created.returncode == 0, created.stderr

    answer = patch_channel(control_plane, namespace, patch)

    assert answer.returncode != 0
    assert "spec.token: Invalid value: token.secretName cannot be changed" in answer.stderr


@pytest.mark.parametrize("before", [{"secretName": "tokens"}, None])
def test_all_else_of_a_channel_can_change(
    control_plane: ControlPlane, namespace: str, before: object
) -> None:
    created = create(control_plane, channel(token=before), "-n", namespace)
    assert created.returncode == 0, created.stderr

    answer = patch_channel(
        control_plane,
        namespace,
        {
            "login": "renamed",
            "app": {"secretRef": {"name": "other-app"}},
            "authorization": grant("other-grant"),
            "scopes": [*COMMERCIAL, "channel:read:stream_key"],
            "token": {"deletionPolicy": "Delete"},
            "streamKeySecretName": "encoder",
            "suspend": True,
        },
    )

    assert answer.returncode == 0, answer.stderr


def test_the_way_in_and_the_name_for_the_stream_key_can_change(
    control_plane: ControlPlane, namespace: str
) -> None:
    created = create(control_plane, channel(streamKeySecretName="encoder"), "-n", namespace)
    assert created.returncode == 0, created.stderr

    patches: tuple[dict[str, Any], ...] = (
        {"authorization": {"refreshToken": None, "deviceCode": {}}},
        {"authorization": {"deviceCode": None, **code()}, "streamKeySecretName": "encoder-2"},
        {"authorization": {"authorizationCode": None, **grant()}, "streamKeySecretName": None},
    )
    for patch in patches:
        answer = patch_channel(control_plane, namespace, patch)
        assert answer.returncode == 0, answer.stderr


def test_a_second_way_in_is_refused_beside_the_first(
    control_plane: ControlPlane, namespace: str
) -> None:
    created = create(control_plane, channel(), "-n", namespace)
    assert created.returncode == 0, created.stderr

    answer = patch_channel(control_plane, namespace, {"authorization": {"deviceCode": {}}})

    assert answer.returncode != 0
    assert ONE_WAY_IN in answer.stderr


def patch_channel(
    control_plane: ControlPlane, namespace: str, spec: dict[str, Any]
) -> CompletedProcess[str]:
    patch = json.dumps({"spec": spec})
    return control_plane.run_kubectl(
        *("patch", "tch", "mst3k", "-n", namespace, "--type=merge", "-p", patch)
    )


CONDITIONS = tuple(
    Condition(
        type=aspect,
        status="True",
        observed_generation=1,
        last_transition_time=LONG_AGO,
        reason="Succeeded",
        message=MANY,
    )
    for aspect in ("Ready", "Live", "FeedConnected", "Suspended", "Reconciling", "Stalled")
)

CHANNEL_STATUS = TwitchChannelStatus(
    observed_generation=1,
    last_handled_reconcile_at=MANY,
    last_handled_revoke_at=MANY,
    last_handled_fire_at=MANY,
    last_fire=LastFire(requested_at=MANY, verdict="Fired", detail=MANY),
    conditions=CONDITIONS,
    broadcaster=Broadcaster(id="642998111", login="mst3k", display_name=MANY, type="partner"),
    authorization=AuthorizationStatus(
        scopes=("channel:edit:commercial",) * 200,
        expiration_time=FAR_AHEAD,
        last_refresh_time=LONG_AGO,
        last_validation_time=LONG_AGO,
        verification_uri=f"https://www.twitch.tv/activate?device-code={MANY}",
        user_code=MANY,
        user_code_expiration_time=FAR_AHEAD,
    ),
    commercials=Commercials(
        last_start_time=LONG_AGO,
        last_length_seconds=125,
        last_message=MANY,
        retry_after_seconds=480,
        next_eligible_time=FAR_AHEAD,
        last_confirmed_time=LONG_AGO,
        recent_cues=(
            RecentCue(
                cue_id=MANY,
                publish_time=LONG_AGO + 0.124,
                start_time=LONG_AGO + 0.2,
                length_seconds=125,
                result="Fired",
                due_time=LONG_AGO + 0.15,
                break_seconds=125.48,
                accepted_seconds=125,
                rule=MANY,
            ),
        )
        * 30,
    ),
    ad_schedule=AdScheduleStatus(
        last_ad_time=LONG_AGO,
        next_ad_time=FAR_AHEAD,
        snooze_count=3,
        preroll_free_seconds=600,
    ),
)

RULE_STATUS = TriggerRuleStatus(
    observed_generation=1,
    last_handled_reconcile_at=MANY,
    conditions=CONDITIONS,
    channels="mst3k",
    last_event_time=LONG_AGO,
    last_fired_time=LONG_AGO,
    retry_after_seconds=480,
    next_eligible_time=FAR_AHEAD,
    counts=Counts(matched=2**53, fired=17, skipped=23, failed=0),
    recent_decisions=(
        RecentDecision(
            event_id=MANY,
            time=LONG_AGO + 0.2,
            verdict="Fired",
            detail="commercial of 125 s",
            latency_milliseconds=3.7,
            channel=MANY,
        ),
    )
    * 30,
    nearest_miss=NearestMiss(
        event_id=MANY, time=LONG_AGO + 0.2, topic=MANY, passed=2, tests=3, detail=MANY
    ),
)

STATUSES = [(channel(), CHANNEL_STATUS), (rule(), RULE_STATUS)]


@pytest.fixture
def reported(control_plane: ControlPlane, namespace: str) -> str:
    """A namespace with an object of each kind and its status."""
    for manifest, status in STATUSES:
        created = create(control_plane, manifest, "-n", namespace)
        assert created.returncode == 0, created.stderr
        name, kind = manifest["metadata"]["name"], manifest["kind"]
        applied = control_plane.run_kubectl(
            *("apply", "--server-side", "--subresource=status", "--validate=strict"),
            *("-n", namespace, "-f", "-"),
            input=json.dumps(resource(kind, name, status=status.to_status())),
        )
        assert applied.returncode == 0, applied.stderr
    return namespace


def test_the_fullest_status_is_accepted_and_nothing_of_it_is_lost(
    control_plane: ControlPlane, reported: str
) -> None:
    for manifest, status in STATUSES:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        stored = control_plane.run_kubectl("get", kind, name, "-n", reported, "-o", "json").stdout

        assert json.loads(stored)["status"] == status.to_status()
        assert type(status).from_status(json.loads(stored)["status"]) == status


AN_AGE = r"[0-9][0-9a-z]*"
AHEAD = "2100-01-01T00:00:00Z"


CHANNEL_SHOWN = {
    "NAME": "mst3k",
    "READY": "True",
    "LIVE": "True",
    "LAST-RUN": AN_AGE,
    "LENGTH": "125",
    "CONFIRMED": AN_AGE,
    "NEXT-OK": AHEAD,
    "REASON": "Succeeded",
}
CHANNEL_SHOWN_WIDE = {
    "LOGIN": "mst3k",
    "BROADCASTER": "642998111",
    "TYPE": "partner",
    "EXPIRES": AHEAD,
    "USER-CODE": "x{63}…",
    "LAST-RESULT": "Fired",
    "NEXT-AD": AHEAD,
    "AGE": AN_AGE,
}
RULE_SHOWN = {
    "NAME": "ad-assets",
    "READY": "True",
    "FEED": "True",
    "CHANNEL": "mst3k",
    "LAST-CUE": AN_AGE,
    "VERDICT": "Fired",
    "FIRED": "17",
    "SKIPPED": "23",
    "FAILED": "0",
    "REASON": "Succeeded",
}
RULE_SHOWN_WIDE = {
    "MODE": "Enforce",
    "NEXT-OK": AHEAD,
    "DETAIL": "commercial of 125 s",
    "AGE": AN_AGE,
}


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        (["tch"], CHANNEL_SHOWN),
        (["tch", "-o", "wide"], CHANNEL_SHOWN | CHANNEL_SHOWN_WIDE),
        (["trule"], RULE_SHOWN),
        (["trule", "-o", "wide"], RULE_SHOWN | RULE_SHOWN_WIDE),
    ],
    ids=["tch", "tch wide", "trule", "trule wide"],
)
def test_kubectl_get_tells_how_it_stands(
    control_plane: ControlPlane, reported: str, args: list[str], shown: dict[str, str]
) -> None:
    answer = control_plane.run_kubectl("get", *args, "-n", reported).stdout

    header, row = (re.split(r" {2,}", line.strip()) for line in answer.splitlines())
    assert header == list(shown)
    for name, cell in zip(header, row, strict=True):
        assert re.fullmatch(shown[name], cell), name


def test_the_category_shows_all_kinds(control_plane: ControlPlane, reported: str) -> None:
    shown = control_plane.run_kubectl("get", "twitch", "-n", reported, "-o", "name").stdout.split()

    assert set(shown) == {
        f"twitchchannel.{GROUP}/mst3k",
        f"triggerrule.{GROUP}/ad-assets",
    }


def test_a_status_with_a_field_too_many_is_refused(
    control_plane: ControlPlane, namespace: str
) -> None:
    create(control_plane, channel(), "-n", namespace)
    status = resource("TwitchChannel", "mst3k", status={"quiet": True})

    answer = control_plane.run_kubectl(
        *("apply", "--server-side", "--subresource=status", "-n", namespace, "-f", "-"),
        input=json.dumps(status),
    )

    assert answer.returncode != 0
    assert "status.quiet" in answer.stderr


def test_the_examples_are_accepted(control_plane: ControlPlane) -> None:
    answer = control_plane.run_kubectl(
        "create", "--dry-run=server", "-o", "name", "-f", str(ROOT / "examples")
    )

    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count(GROUP) >= 5


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_kubectl_explain_has_a_description_for_every_field(
    control_plane: ControlPlane,
    kind: Any,  # noqa: ANN401
) -> None:
    """Of the schema as the API server publishes it, from which `kubectl explain` reads."""
    published = control_plane.run_kubectl(
        "get", "--raw", f"/openapi/v3/apis/{GROUP}/{VERSION}", check=True
    ).stdout
    schemas = json.loads(published)["components"]["schemas"]
    (schema,) = (s for name, s in schemas.items() if name.endswith(f".{kind.name}"))

    field = next(iter(schema["properties"]["spec"]["properties"]))
    explained = control_plane.run_kubectl("explain", f"{kind.short}.spec.{field}").stdout

    described = schema["properties"]["spec"]["properties"][field]["description"]
    assert described in " ".join(explained.split())  # it breaks lines
    assert fields_without_description(schema, kind.name) == []


def fields_without_description(schema: dict[str, Any], path: str) -> list[str]:
    found = [] if schema.get("description") or "allOf" in schema else [path]
    for name, part in schema.get("properties", {}).items():
        found += fields_without_description(part, f"{path}.{name}")
    for name, part in schema.get("items", {}).get("properties", {}).items():
        found += fields_without_description(part, f"{path}[].{name}")
    return found
