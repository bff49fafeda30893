"""The redirect of a consent: where it leads, what it brings, what the browser shows."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.commands.consent.redirects import (
    Denied,
    Granted,
    Stray,
    page_for,
    parse_redirect,
    read_answer,
)
from controller.errors import OperatorError

BOTH = ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("uri", "addresses", "port", "path"),
    [
        ("http://localhost:3000/auth/twitch/callback", BOTH, 3000, "/auth/twitch/callback"),
        ("http://LOCALHOST:3000", BOTH, 3000, "/"),
        ("http://127.0.0.1/done?from=twitch", ("127.0.0.1",), 80, "/done"),
        ("http://[::1]:8080/", ("::1",), 8080, "/"),
        ("https://localhost:3000/", (), 3000, "/"),
        ("https://playout.example/callback", (), 443, "/callback"),
        ("http://127.0.0.1.playout.example:3000/", (), 3000, "/"),
        ("http://0.0.0.0:3000/", (), 3000, "/"),
    ],
)
def test_only_plain_http_on_loopback_is_listened_for(
    uri: str, addresses: tuple[str, ...], port: int, path: str
) -> None:
    redirect = parse_redirect(uri)
    assert (redirect.uri, redirect.addresses) == (uri, addresses)
    assert (redirect.port, redirect.path) == (port, path)


@pytest.mark.parametrize(
    "uri",
    ["", "localhost:3000", "ftp://localhost/", "http:///x", "http://localhost:no/", "http://a/#b"],
)
def test_what_is_no_redirect_uri_is_told_with_an_example(uri: str) -> None:
    with pytest.raises(OperatorError, match=r"is not a redirect URI.*http://localhost:3000"):
        parse_redirect(uri)


def test_a_code_with_the_right_state_is_taken() -> None:
    answer = read_answer("code=the%20code&scope=a+b&state=s-1", "s-1")
    assert isinstance(answer, Granted)
    assert answer.code.reveal() == "the code"
    assert "the code" not in repr(answer)


def test_an_error_is_shown_with_its_description() -> None:
    query = "error=access_denied&error_description=The+user+denied+you+access&state=s"
    assert read_answer(query, "s") == Denied("access_denied: The user denied you access")
    assert read_answer("error=server_error&state=s", "s") == Denied("server_error")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "code=c",
        "code=c&state=",
        "code=c&state=S",
        "code=c&state=%C3%A4",
        "error=access_denied",
        "state=s",
        "code=&state=s",
        "code=c&code=d&state=s",
        "code=%C3%A4&state=s",
        "code=c\udc80&state=s\udc80",
        "code=c&state=s&state=x",
    ],
)
def test_whatever_else_comes_is_a_stray(query: str) -> None:
    assert isinstance(read_answer(query, "s"), Stray)


@given(st.text(), st.text())
def test_nothing_without_the_state_is_taken(code: str, state: str) -> None:
    answer = read_answer(urlencode({"code": code, "state": state}, errors="replace"), "the state")
    assert isinstance(answer, Stray) or state == "the state"


@given(st.text(max_size=200))
def test_any_query_is_answered_with_a_page(query: str) -> None:
    status, page = page_for(read_answer(query, "the state"))
    assert status == 400
    assert page.startswith("<!doctype html>")


def test_the_page_escapes_what_others_wrote() -> None:
    status, page = page_for(Denied("<script>alert(1)</script> & more"))
    assert status == 200
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page


def test_the_page_of_a_consent_says_so_and_has_no_code() -> None:
    status, page = page_for(read_answer("code=s3cret&state=s", "s"))
    assert status == 200
    assert "Consent received" in page
    assert "s3cret" not in page
