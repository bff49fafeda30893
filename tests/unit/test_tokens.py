"""What a Secret must hold for its texts to be used, and what is done with any other bytes."""

from __future__ import annotations

import pytest

from controller.clients.kube import Secret
from controller.engine import tokens
from controller.engine.secrets import text_of_key
from controller.errors import InvalidSecret
from controller.policies.grants import Grant
from controller.sensitive import Sensitive

GRANT = Grant(
    access=Sensitive("an-access-token"),
    refresh=Sensitive("a-refresh-token"),
    expires_at=1_700_000_000.0,
    lifetime=14_400.0,
    scopes=("channel:edit:commercial", "channel:read:ads"),
    input_sha256="ab" * 32,
)
NO_TOKENS = ["schlüssel".encode(), b"\xff\xfe", b"two\nlines", b"nul\x00byte", "\u200b".encode()]


def _secret(**data: bytes) -> Secret:
    whole = {key: text.reveal().encode() for key, text in tokens.to_data(GRANT).items()}
    changed = {key.replace("_", "-"): value for key, value in data.items()}
    return Secret(whole | changed, {}, (), resource_version="1", uid="u")


def test_a_grant_that_was_written_is_read_back() -> None:
    assert tokens.from_secret(_secret()) == GRANT
    assert tokens.from_secret(_secret(access_token=b" an-access-token\n")) == GRANT


@pytest.mark.parametrize("value", NO_TOKENS)
@pytest.mark.parametrize("key", ["access_token", "refresh_token"])
def test_a_token_that_no_header_can_carry_is_no_grant(key: str, value: bytes) -> None:
    assert tokens.from_secret(_secret(**{key: value})) is None


@pytest.mark.parametrize("key", ["expires_at", "lifetime_seconds", "scopes", "input_sha256"])
def test_bytes_that_are_no_text_are_no_grant(key: str) -> None:
    assert tokens.from_secret(_secret(**{key: b"\xc3\xbc"})) is None


@pytest.mark.parametrize("value", [*NO_TOKENS, b"", b" \n"])
def test_a_value_that_is_no_plain_text_names_the_secret_and_the_key(value: bytes) -> None:
    with pytest.raises(InvalidSecret, match="Secret given: the value of the key access-token is"):
        text_of_key(_secret(access_token=value), "given", "access-token")


def test_white_space_around_a_value_is_not_part_of_it() -> None:
    text = text_of_key(_secret(access_token=b" a-token\r\n"), "given", "access-token")
    assert text.reveal() == "a-token"
