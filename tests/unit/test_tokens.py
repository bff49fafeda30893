"""What a Secret must hold for its texts to be used, and what is done with any other bytes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.channels.grant import token_secret as tokens
from controller.channels.policies.grant_facts import Device, Grant, Holding
from controller.clients.kube import Secret
from controller.clients.secret_values import text_of_key
from controller.errors import InvalidSecret
from controller.runtime.owned_secrets import jitter, owner_reference
from controller.runtime.resource import Key
from controller.sensitive import Sensitive

GRANT = Grant(
    access=Sensitive("an-access-token"),
    refresh=Sensitive("a-refresh-token"),
    expires_at=1_700_000_000.0,
    lifetime=14_400.0,
    scopes=("channel:edit:commercial", "channel:read:ads"),
)
DEVICE = Device(
    code=Sensitive("a-device-code"),
    user_code="ABCD-EFGH",
    verification_uri="https://www.twitch.tv/activate?device-code=ABCD-EFGH",
    expires_at=1_700_000_000.0,
    interval=5.0,
    client_id="client",
    scopes=("channel:edit:commercial", "channel:read:ads"),
)
HOLDING = Holding(GRANT, input_sha256="ab" * 32)
NO_TOKENS = ["schlüssel".encode(), b"\xff\xfe", b"two\nlines", b"nul\x00byte", "\u200b".encode()]

PRINTABLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
CREDENTIALS = PRINTABLE.map(Sensitive)
# The operator keeps whole seconds: more the Secret does not tell.
SECONDS = st.integers(0, 4_000_000_000).map(float)
GRANTS = st.builds(
    Grant,
    access=CREDENTIALS,
    refresh=CREDENTIALS,
    expires_at=SECONDS,
    lifetime=st.integers(0, 366 * 86_400).map(float),
    scopes=st.none() | st.lists(PRINTABLE, max_size=4).map(tuple),
)
DEVICES = st.builds(
    Device,
    code=st.text(min_size=1).map(Sensitive),
    user_code=st.text(min_size=1),
    verification_uri=st.text(min_size=1),
    expires_at=SECONDS,
    interval=st.floats(0.5, 600),
    client_id=st.text(min_size=1),
    scopes=st.lists(PRINTABLE, max_size=4).map(tuple),
)
HOLDINGS = st.builds(
    Holding,
    grant=st.none() | GRANTS,
    device=st.none() | DEVICES,
    input_sha256=st.just("") | PRINTABLE.map(lambda text: Sensitive(text).sha256()),
    revoke_request=st.text(),
)
KEYS = [
    "access-token", "refresh-token", "expires-at", "lifetime-seconds", "scopes", "input-sha256",
    "device-code", "revoke-requested-at",
]  # fmt: skip


def secret_of(holding: Holding, /, **data: bytes) -> Secret:
    whole = {key: text.reveal().encode() for key, text in tokens.to_data(holding).items()}
    changed = {key.replace("_", "-"): value for key, value in data.items()}
    return Secret(whole | changed, {}, (), resource_version="1", uid="u")


def read(holding: Holding = HOLDING, /, **data: bytes) -> Holding:
    return tokens.from_secret(secret_of(holding, **data))


def device_json(**changes: Any) -> bytes:  # noqa: ANN401 - any JSON
    text = tokens.to_data(Holding(device=DEVICE))["device-code"].reveal()
    return json.dumps(json.loads(text) | changes).encode()


@pytest.mark.parametrize(
    "holding",
    [
        HOLDING,
        Holding(),
        Holding(replace(GRANT, scopes=())),
        Holding(replace(GRANT, scopes=None)),
        Holding(GRANT.without_access()),
        Holding(device=DEVICE),
        Holding(GRANT, DEVICE, "ab" * 32, "2026-01-01T00:00:00Z"),
        Holding(input_sha256="ab" * 32, revoke_request=" as it stood\n"),
    ],
    ids=["grant", "nothing", "no scopes", "scopes not known", "no access", "device", "all", "left"],
)
def test_what_was_written_is_read_back(holding: Holding) -> None:
    assert read(holding) == holding


@given(HOLDINGS)
def test_any_holding_is_read_back(holding: Holding) -> None:
    known = holding.grant is not None or holding.revoke_request
    assert read(holding) == (holding if known else replace(holding, input_sha256=""))


@given(HOLDINGS)
def test_what_there_is_not_has_no_key(holding: Holding) -> None:
    keys = set(tokens.to_data(holding))
    assert keys <= set(KEYS)
    assert ("access-token" in keys) == ("refresh-token" in keys) == (holding.grant is not None)
    assert ("device-code" in keys) == (holding.device is not None)
    assert ("revoke-requested-at" in keys) == bool(holding.revoke_request)


def test_white_space_around_a_text_of_the_secret_is_not_part_of_it() -> None:
    assert read(access_token=b" an-access-token\n", input_sha256=b"ab" * 32 + b"\n") == HOLDING
    assert read(lifetime_seconds=b"14400\n", expires_at=b"2023-11-14T22:13:20Z\n") == HOLDING


@pytest.mark.parametrize("value", [*NO_TOKENS, b"", b" \n"])
@pytest.mark.parametrize("key", ["access_token", "refresh_token"])
def test_a_token_that_no_header_can_carry_is_no_grant(key: str, value: bytes) -> None:
    assert read(**{key: value}) == Holding()


@pytest.mark.parametrize("key", ["expires_at", "lifetime_seconds", "scopes", "input_sha256"])
def test_bytes_that_are_no_text_are_no_grant(key: str) -> None:
    assert read(**{key: b"\xc3\xbc"}) == Holding()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("expires_at", b""),
        ("expires_at", b"tomorrow"),
        ("expires_at", b"1700000000"),
        ("lifetime_seconds", b"long"),
        ("lifetime_seconds", b"nan"),
        ("lifetime_seconds", b"inf"),
        ("lifetime_seconds", b"-14400"),
    ],
)
def test_a_time_that_nobody_can_mean_is_no_grant(key: str, value: bytes) -> None:
    assert read(**{key: value}) == Holding()


def test_a_grant_of_unknown_lifetime_is_a_grant() -> None:
    assert read(lifetime_seconds=b"") == replace(HOLDING, grant=replace(GRANT, lifetime=0.0))


@pytest.mark.parametrize("revoke_request", ["", "2026-01-01"])
def test_an_input_counts_as_taken_only_with_its_grant_or_after_it_was_revoked(
    revoke_request: str,
) -> None:
    holding = replace(HOLDING, revoke_request=revoke_request)
    left = read(holding, refresh_token=b"")
    assert left == replace(
        holding, grant=None, input_sha256=HOLDING.input_sha256 if revoke_request else ""
    )


@pytest.mark.parametrize(
    "value",
    [b"", b"a-device-code", b"null", b"[]", b"{}", b"\xff", b"{", b"[" * 100_000],
    ids=lambda value: repr(value[:20]),
)
def test_a_device_code_that_is_no_json_object_is_none(value: bytes) -> None:
    assert read(Holding(GRANT, DEVICE), device_code=value) == Holding(GRANT)


@pytest.mark.parametrize(
    "changes",
    [
        {"expirationTime": "soon"},
        {"expirationTime": 1_700_000_000},
        {"scopes": None},
        {"intervalSeconds": "often"},
        {"intervalSeconds": None},
        {"intervalSeconds": math.nan},
        {"intervalSeconds": math.inf},
        {"intervalSeconds": -5},
        {"intervalSeconds": 10**400},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_a_device_code_of_other_types_is_none(changes: dict[str, Any]) -> None:
    assert read(Holding(GRANT, DEVICE), device_code=device_json(**changes)) == Holding(GRANT)


@pytest.mark.parametrize("name", list(json.loads(device_json())))
def test_half_a_device_code_is_none(name: str) -> None:
    half = {key: value for key, value in json.loads(device_json()).items() if key != name}
    assert read(device_code=json.dumps(half).encode()) == HOLDING


@given(st.dictionaries(st.sampled_from(KEYS), st.binary()), HOLDINGS)
def test_a_secret_of_any_bytes_is_read_without_a_fault(
    data: dict[str, bytes], holding: Holding
) -> None:
    secret = secret_of(holding, **data)
    found = tokens.from_secret(secret)
    # What was read is what would be written: a second look finds the same.
    again = Secret(
        {key: text.reveal().encode() for key, text in tokens.to_data(found).items()}, {}, (), "", ""
    )
    assert tokens.from_secret(again) == replace(
        found, grant=found.grant and replace(found.grant, lifetime=round(found.grant.lifetime))
    )


def test_a_secret_says_whose_it_is() -> None:
    mine, other = Key("TwitchChannel", "tv", "mst3k"), Key("TwitchChannel", "tv", "other")
    secret = replace(secret_of(HOLDING), labels=tokens.labels(mine) | {"more": "labels"})
    assert tokens.is_ours(secret, mine)
    assert not tokens.is_ours(secret, other)
    assert not tokens.is_ours(secret_of(HOLDING), mine)
    assert tokens.labels(mine) == {
        "app.kubernetes.io/managed-by": "twitch-operator",
        "twitch-operator.dev/channel": "mst3k",
    }
    assert owner_reference(mine, "u") == {
        "apiVersion": "twitch-operator.dev/v1alpha1",
        "kind": "TwitchChannel",
        "name": "mst3k",
        "uid": "u",
    }


def test_channels_are_spread_by_a_steady_jitter() -> None:
    spread = [jitter(f"uid-{number}") for number in range(100)]
    assert spread == [jitter(f"uid-{number}") for number in range(100)]
    assert all(0 <= jitter < 1 for jitter in spread)
    assert max(spread) - min(spread) > 0.9


@pytest.mark.parametrize("value", [*NO_TOKENS, b"", b" \n"])
def test_a_value_that_is_no_plain_text_names_the_secret_and_the_key(value: bytes) -> None:
    secret = Secret({"a-key": value}, {}, (), resource_version="1", uid="u")
    with pytest.raises(InvalidSecret, match="Secret given: the value of the key a-key is"):
        text_of_key(secret, "given", "a-key")


def test_white_space_around_a_value_is_not_part_of_it() -> None:
    secret = Secret({"a-key": b" a-token\r\n"}, {}, (), resource_version="1", uid="u")
    assert text_of_key(secret, "given", "a-key").reveal() == "a-token"
