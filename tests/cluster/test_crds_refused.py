"""What the API server refuses by the CRDs, and in which words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.crd_cases import (
    COMMERCIAL,
    NIGHT,
    ONE_WAY_IN,
    channel,
    code,
    commercial,
    create,
    grant,
    hls,
    matching,
    pubnub,
    quiet,
    resource,
    rule,
    selecting,
)

if TYPE_CHECKING:
    from controller.sandbox.controlplane import ControlPlane


pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("cluster")]


USE_IN = 'spec.match[0].equals[0]: … supported values: "(none: use in for a list)"'
EXACTLY_ONE_TEST = "spec.match[0]: Invalid value: must have exactly one of: equals, in, contains"
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
