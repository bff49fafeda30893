"""How long an answer asks to wait: seconds or nothing, whatever stands in its headers."""

from __future__ import annotations

import time
from email.utils import formatdate

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.clients.identity_answers import refusal
from controller.clients.retry_after import LONGEST_PAUSE, pause_of
from controller.errors import RateLimited, TransientError

DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
AT = 1_700_000_000


def answer(status: int = 503, **headers: str | bytes) -> httpx.Response:
    pairs = [
        (name.replace("_", "-").encode(), v if isinstance(v, bytes) else v.encode())
        for name, v in headers.items()
    ]
    return httpx.Response(status, headers=pairs)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("7", 7.0), (" 7 ", 7.0), ("1.5", 1.5), ("60", 60.0), ("80000", 80_000.0),
        ("86400000", LONGEST_PAUSE), ("9" * 30, LONGEST_PAUSE), ("9" * 5000, None),
        ("0", None), ("-5", None), ("+5", None), ("1e3", None), ("0x10", None), ("1_000", None),
        ("nan", None), ("inf", None), ("-inf", None), ("", None), (" ", None), (",", None),
        ("soon", None), ("5 s", None), ("120, 60", 120.0), ("60,120", 120.0), ("7, soon", 7.0),
        ("Tue, 14 Nov 2023 22:14:20 GMT", 60.0), ("Tuesday, 14-Nov-23 22:14:20 GMT", 60.0),
        ("Tue Nov 14 22:14:20 2023", 60.0), ("Tue, 14 Nov 2023 22:12:20 GMT", None),
        ("Tue, 14 Nov 2123 22:13:20 GMT", LONGEST_PAUSE), ("Tue, 99 Nov 2023 99:99:99 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", LONGEST_PAUSE),
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_seconds_or_a_date(status: int, told: str, seconds: float | None) -> None:
    assert pause_of(answer(status, Date=DATE, Retry_After=told)) == seconds


@pytest.mark.parametrize("told", ["²", "٣", "①", "½"])
def test_a_character_that_only_looks_like_a_number_is_none(told: str) -> None:
    for raw in (told.encode(), told.encode("latin-1", "replace")):
        assert pause_of(answer(429, Date=DATE, Retry_After=raw)) is None
        assert (
            pause_of(answer(429, Date=DATE, Ratelimit_Remaining="0", Ratelimit_Reset=raw)) is None
        )


@pytest.mark.parametrize("date", ["", "soon"])
def test_a_date_counts_by_this_machines_clock_where_the_answer_has_none(date: str) -> None:
    wanted = formatdate(time.time() + 1000, usegmt=True)
    assert pause_of(answer(Retry_After=wanted, Date=date)) == pytest.approx(1000, abs=30)
    assert pause_of(answer(Retry_After="Tue, 14 Nov 2023 22:14:20 GMT", Date=date)) is None
    assert pause_of(answer(Retry_After="Tue, 14 Nov 2123 22:14:20 GMT", Date=date)) == LONGEST_PAUSE


@pytest.mark.parametrize(
    ("status", "remaining", "reset", "seconds"),
    [
        (429, "0", f"{AT + 9}", 9.0),
        (429, "0", f"{AT - 9}", 0.0),
        (429, "0", f"{AT + 10**9}", LONGEST_PAUSE),
        (429, "0", "never", 33.0),
        (429, "1", f"{AT + 9}", 33.0),
        (503, "0", f"{AT + 9}", 33.0),
    ],
)
def test_used_up_points_come_back_at_the_reset(
    status: int, remaining: str, reset: str, seconds: float
) -> None:
    told = answer(
        status, Date=DATE, Ratelimit_Remaining=remaining, Ratelimit_Reset=reset, Retry_After="33"
    )
    assert pause_of(told) == seconds


HEADER = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace")),
    st.integers().map(lambda n: str(n).encode()),
    st.floats().map(lambda n: str(n).encode()),
    st.lists(st.integers(0, 10**6), max_size=4).map(lambda ns: ", ".join(map(str, ns)).encode()),
    st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT").encode()),
)


@given(status=st.sampled_from([429, 503]), date=HEADER, retry=HEADER, reset=HEADER)
@example(429, b"", b"\xb2", b"\xb2")
def test_whatever_the_headers_say_it_is_a_pause_within_bounds_or_none(
    status: int, date: bytes, retry: bytes, reset: bytes
) -> None:
    told = answer(
        status, Date=date, Retry_After=retry, Ratelimit_Remaining="0", Ratelimit_Reset=reset
    )
    pause = pause_of(told)
    assert pause is None or 0 <= pause <= LONGEST_PAUSE


@pytest.mark.parametrize("status", [429, 500, 503])
def test_twitchs_oauth_is_read_by_the_same_parser(status: int) -> None:
    error = refusal(answer(status, Date=DATE, Retry_After="Tue, 14 Nov 2023 22:13:50 GMT"))
    assert isinstance(error, RateLimited if status == 429 else TransientError)
    assert error.retry_after == 30.0
