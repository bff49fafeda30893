"""Which shared secret signs, which verify, and how the target Secret holds them."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.policies.extension_secrets import (
    CURRENT,
    MARGIN,
    NEXT,
    PREVIOUS,
    SECRETS_JSON,
    SharedSecret,
    decode,
    encode,
    key_of,
    next_change,
    pending_of,
    previous_of,
    signing_secret,
    verifying_secrets,
)
from controller.sensitive import Sensitive

NOW = 1_900_000_000.0
FAR = NOW + 10**9


def secret(
    name: str, active: float, expires: float = FAR, *, revoked: bool = False
) -> SharedSecret:
    text = base64.b64encode(name.encode()).decode()
    return SharedSecret(Sensitive(text), NOW + active, NOW + expires, revoked)


def names(data: dict[str, Sensitive]) -> dict[str, str]:
    return {
        key: base64.b64decode(text.reveal()).decode()
        for key, text in data.items()
        if key != SECRETS_JSON
    }


OLD = secret("old", -10_000, 3_000)
NEW = secret("new", -600, FAR)
COMING = secret("coming", 600, FAR)


def test_the_active_secret_that_expires_last_signs() -> None:
    assert signing_secret([OLD, NEW, COMING], NOW) == NEW
    assert signing_secret([COMING, OLD], NOW) == OLD
    assert signing_secret([COMING], NOW) is None
    assert signing_secret([], NOW) is None


def test_a_secret_that_has_just_become_active_waits_while_another_counts() -> None:
    fresh = secret("fresh", -MARGIN / 2)
    assert signing_secret([OLD, fresh], NOW) == OLD
    assert signing_secret([OLD, fresh], NOW + MARGIN) == fresh
    assert signing_secret([fresh], NOW) == fresh


def test_an_expired_secret_neither_signs_nor_verifies() -> None:
    expired = secret("expired", -10_000, 0)
    assert signing_secret([expired], NOW) is None
    assert verifying_secrets([expired], NOW) == ()
    assert names(encode([expired], NOW)) == {}


def test_a_revoked_secret_signs_only_where_no_other_does() -> None:
    leaked = secret("leaked", -10_000, 3_000, revoked=True)
    assert signing_secret([leaked, COMING], NOW) == leaked
    assert signing_secret([leaked, secret("short", -5_000, 100)], NOW) == secret(
        "short", -5_000, 100
    )
    assert verifying_secrets([leaked, COMING], NOW) == (COMING,)


def test_the_keys_of_the_secret_follow_the_time() -> None:
    secrets = [OLD, COMING]
    assert names(encode(secrets, NOW)) == {CURRENT: "old", NEXT: "coming"}
    assert names(encode(secrets, NOW + 600 + MARGIN)) == {CURRENT: "coming", PREVIOUS: "old"}
    assert names(encode(secrets, NOW + 3_000)) == {CURRENT: "coming"}


def test_a_revoked_secret_is_never_the_previous_one() -> None:
    leaked = secret("leaked", -10_000, 3_000, revoked=True)
    assert names(encode([leaked, NEW], NOW)) == {CURRENT: "new"}
    assert previous_of([leaked, NEW], NOW) is None
    told = json.loads(encode([leaked, NEW], NOW)[SECRETS_JSON].reveal())["secrets"]
    assert [entry.get("revoked", False) for entry in told] == [False, True]


def test_the_newest_pending_secret_is_next() -> None:
    later = secret("later", 900)
    assert pending_of([COMING, later], NOW) == later
    assert pending_of([secret("leaked", 900, revoked=True), COMING], NOW) == COMING
    assert pending_of([NEW], NOW) is None


def test_changes_are_foretold() -> None:
    assert next_change([OLD, COMING], NOW) == COMING.active
    assert next_change([OLD, COMING], COMING.active) == COMING.active + MARGIN
    assert next_change([OLD, COMING], COMING.active + MARGIN) == OLD.expires
    assert next_change([], NOW) is None


@given(
    st.lists(
        st.tuples(
            st.binary(min_size=1, max_size=40),
            st.integers(-(10**6), 10**6),
            st.integers(1, 10**8),
            st.booleans(),
        ),
        max_size=6,
        unique_by=lambda entry: entry[0],
    )
)
def test_what_is_written_is_read_back(entries: list[tuple[bytes, int, int, bool]]) -> None:
    secrets = {
        SharedSecret(Sensitive(base64.b64encode(raw).decode()), NOW + active, NOW + left, revoked)
        for raw, active, left, revoked in entries
    }
    data = {key: text.reveal().encode() for key, text in encode(secrets, NOW).items()}
    assert set(decode(data)) == secrets


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"secrets": {}}',
        '{"secrets": [1, null, {}]}',
        '{"secrets": [{"content": "c2VjcmV0"}]}',
        (
            '{"secrets": [{"content": "*", "activeTime": "2030-01-01T00:00:00Z",'
            ' "expirationTime": "2031-01-01T00:00:00Z"}]}'
        ),
        '{"secrets": [{"content": "c2VjcmV0", "activeTime": "soon", "expirationTime": 5}]}',
        "[" * 100_000,
        "\xff",
    ],
)
def test_what_cannot_be_read_counts_as_absent(text: str) -> None:
    assert decode({SECRETS_JSON: text.encode("latin-1")}) == ()


def test_missing_padding_is_forgiven_and_other_text_is_none() -> None:
    assert key_of(Sensitive("c2VjcmV0cw==")) == key_of(Sensitive("c2VjcmV0cw")) == b"secrets"
    assert key_of(Sensitive(" c2VjcmV0 \n")) == b"secret"
    for text in ("", "===", "no base64!", "c2Vj\u2026", "c2VjcmV0c", "\u00e9"):
        assert key_of(Sensitive(text)) is None
