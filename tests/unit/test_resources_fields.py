from __future__ import annotations

import contextlib
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from controller.resources.fields import (
    Clip,
    Duration,
    Instant,
    Matching,
    Scalar,
    WholeInstant,
    parse_instant,
    rfc3339,
)

ANY_INSTANT = st.floats(min_value=0, max_value=4102444800)  # to the year 2100


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1611912393, "2021-01-29T09:26:33Z"),
        (1611912393.124, "2021-01-29T09:26:33.124Z"),
        (1611912393.9996, "2021-01-29T09:26:34Z"),
    ],
)
def test_an_instant_is_written_in_utc_with_the_milliseconds_it_has(
    seconds: float, text: str
) -> None:
    assert rfc3339(seconds) == text


@given(ANY_INSTANT)
def test_an_instant_comes_back_to_the_millisecond(seconds: float) -> None:
    assert parse_instant(rfc3339(seconds)) == pytest.approx(seconds, rel=0, abs=0.000501)


@pytest.mark.parametrize(
    "text",
    [
        "2021-01-29T09:26:33Z",
        "2021-01-29t09:26:33z",
        "2021-01-29T09:26:33.000000000Z",
        "2021-01-29T10:26:33+01:00",
    ],
)
def test_every_form_of_rfc_3339_is_read(text: str) -> None:
    assert parse_instant(text) == 1611912393


@pytest.mark.parametrize(
    "text",
    ["", "2021-01-29", "20210129T092633Z", "2021-01-29T09:26:33", "2021-02-30T09:26:33Z", "now"],
)
def test_what_is_no_instant_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 2021-01-29T09:26:33Z"):
        parse_instant(text)


@given(st.text())
def test_reading_an_instant_gives_a_number_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(parse_instant(text), float)


@given(ANY_INSTANT)
def test_a_whole_instant_is_never_early(seconds: float) -> None:
    class Model(BaseModel):
        fine: Instant
        whole: WholeInstant

    written = Model(fine=seconds, whole=seconds).model_dump()

    assert "." not in written["whole"]
    assert 0 <= parse_instant(written["whole"]) - seconds <= 1
    assert rfc3339(seconds) == written["fine"]


def test_a_duration_is_seconds_in_python_and_go_syntax_in_the_resource() -> None:
    duration = TypeAdapter(Annotated[float, Duration("1s", "5m")])

    assert duration.validate_python("1m30s") == 90
    assert duration.validate_python(90) == 90
    assert duration.dump_python(90) == "1m30s"


@pytest.mark.parametrize(
    "value", ["999ms", "5m1s", "90", "", "1m30s\n", "-3s", None, True, [], 301]
)
def test_a_duration_out_of_range_is_refused_with_the_range(value: object) -> None:
    duration = TypeAdapter(Annotated[float, Duration("1s", "5m")])

    with pytest.raises(ValidationError, match="must be a duration from 1s to 5m, such as 30s"):
        duration.validate_python(value)


@pytest.mark.parametrize("value", ["1.5m", "1500ms", 1.5])
def test_a_duration_of_whole_seconds_takes_no_fraction(value: object) -> None:
    duration = TypeAdapter(Annotated[float, Duration("1s", "180s", whole=True)])

    with pytest.raises(ValidationError, match="of whole seconds"):
        duration.validate_python(value)


def test_a_text_that_does_not_match_is_refused_with_the_message_not_the_pattern() -> None:
    word = TypeAdapter(Annotated[str, Matching("^[a-z]+$", "must be a word")])

    assert word.validate_python("abc") == "abc"
    with pytest.raises(ValidationError, match="must be a word"):
        word.validate_python("abc\n")


@pytest.mark.parametrize("value", ["1", 1, 1.0, True, False, ""])
def test_a_scalar_keeps_the_type_in_which_it_was_written(
    value: bool | float | str,
) -> None:
    read = TypeAdapter(Scalar).validate_python(value)

    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("value", [None, [], {}, ["a"]])
def test_lists_and_objects_are_no_scalars(value: object) -> None:
    with pytest.raises(ValidationError, match="must be a string, a number, true or false"):
        TypeAdapter(Scalar).validate_python(value)


def test_what_exceeds_the_limits_of_a_status_is_cut_off() -> None:
    text = TypeAdapter(Annotated[str, Clip(4)])
    newest = TypeAdapter(Annotated[tuple[int, ...], Clip(2)])

    assert text.validate_python("abcd") == "abcd"
    assert text.validate_python("abcde") == "abc…"
    assert newest.validate_python((3, 2, 1)) == (3, 2)
