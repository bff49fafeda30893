"""The envelope of extension messages."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.policies.envelope import LIMIT, EnvelopeTooLarge, InvalidEnvelope, envelope

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)


def test_it_is_compact_json_in_a_fixed_order() -> None:
    text = envelope("ad-break", {"seconds": 30.5, "to": "Zoë"}, 2)
    assert text == '{"type":"ad-break","data":{"seconds":30.5,"to":"Zoë"},"version":2}'


@given(type=st.text(min_size=1, max_size=20), data=st.dictionaries(st.text(max_size=8), _VALUES))
def test_what_goes_in_comes_out(type: str, data: dict[str, Any]) -> None:  # noqa: A002
    wanted = {"type": type, "data": data, "version": 1}
    size = len(json.dumps(wanted, ensure_ascii=False, separators=(",", ":")).encode())
    if size > LIMIT:
        with pytest.raises(EnvelopeTooLarge):
            envelope(type, data, 1)
    else:
        assert json.loads(envelope(type, data, 1)) == wanted


@pytest.mark.parametrize("filler", ["x", "é", "語", "😀"])
def test_the_limit_counts_bytes_of_the_whole_envelope(filler: str) -> None:
    room = LIMIT - len(envelope("t", {"d": ""}, 0))
    count, odd = divmod(room, len(filler.encode()))
    full = filler * count + "x" * odd
    assert len(envelope("t", {"d": full}, 0).encode()) == LIMIT
    with pytest.raises(EnvelopeTooLarge, match=r"5121 bytes of UTF-8 .* takes 5120") as caught:
        envelope("t", {"d": full + "x"}, 0)
    assert (caught.value.size, caught.value.limit) == (LIMIT + 1, LIMIT)


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, b"bytes", object(), {"\ud800": 1}, "\udfff"],
    ids=["nan", "inf", "-inf", "bytes", "object", "surrogate key", "surrogate"],
)
def test_what_json_cannot_carry_is_refused_without_telling_it(value: object) -> None:
    with pytest.raises(InvalidEnvelope) as caught:
        envelope("t", {"d": value}, 0)
    assert caught.value.__suppress_context__


def test_a_lone_surrogate_in_the_type_is_refused() -> None:
    with pytest.raises(InvalidEnvelope, match="surrogate"):
        envelope("\ud800", {}, 0)


def test_an_integer_of_absurd_length_is_refused() -> None:
    with pytest.raises(InvalidEnvelope):
        envelope("t", {"d": 10**5000}, 0)


def test_what_is_nested_too_deep_is_refused() -> None:
    data: dict[str, Any] = {}
    for _ in range(100_000):
        data = {"d": data}
    with pytest.raises(InvalidEnvelope, match="nested too deep"):
        envelope("t", data, 0)
