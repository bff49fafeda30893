"""Answers of PubNub, item by item."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.feeds.pace import BURST, MESSAGES, SIZE, Pace
from controller.feeds.pubnub.answers import ITEM, UNREADABLE, split

_TEXT = st.text(max_size=8)
_JSON = st.recursive(  # small: what makes a difference are the kinds, and what is in what
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=6,
)
_ITEMS = st.lists(_JSON, max_size=4)
_DEEP = "[" * 15_000 + "]" * 15_000


def _messages(text: str) -> list[Any]:
    return [value for path, value in split(text, 1) if path == ("m", ITEM)]


@given(_ITEMS, st.dictionaries(_TEXT, _JSON, max_size=3), st.booleans())
def test_an_answer_is_what_python_reads_of_it(
    items: list[Any], others: dict[str, Any], indented: bool
) -> None:
    answer = {**others, "m": items}
    text = json.dumps(answer, indent=1 if indented else None)
    read = list(split(text, 1))
    assert [value for path, value in read if path == ("m", ITEM)] == items
    whole = {path[0]: value for path, value in read if len(path) == 1}
    assert whole == {key: value for key, value in answer.items() if not isinstance(value, list)}


@given(st.dictionaries(_TEXT, _ITEMS, max_size=3))
def test_lists_a_level_below_are_read_item_by_item(channels: dict[str, list[Any]]) -> None:
    read = list(split(json.dumps({"channels": channels, "status": 200}), 2))
    assert read[-1] == (("status",), 200)
    assert read[:-1] == [
        (("channels", channel, ITEM), item) for channel, items in channels.items() for item in items
    ]


@pytest.mark.parametrize(
    "strange",
    [
        _DEEP,
        '{"d":' + _DEEP + "}",
        '{"a":' * 5000 + '"]]}}\\"["' + "}" * 5000,
        '{"d":' + "9" * 5000 + "}",
        '{"d":[1,{"]":"}"},' + "-" + "9" * 5000 + "]}",
    ],
    ids=["list", "inside", "brackets in a text", "digits", "digits after text"],
)
def test_what_cannot_be_read_spoils_no_other_item(strange: str) -> None:
    text = '{"t":{"t":"17"},"m":[{"n":1},' + strange + ',{"n":"]"},' + strange + "]}"
    assert _messages(text) == [{"n": 1}, UNREADABLE, {"n": "]"}, UNREADABLE]


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[]", "5", "null", '{"m":[', '{"m":[1', '{"m":[1}x', '{"m"', '{"m":', '{"m":]',
     '{"m":[]} {}', '{"m":[]}]', "{m:[]}", '{"m":[1 2]}', '{"m":' + "[" * 5000, _DEEP],
)  # fmt: skip
def test_what_is_no_answer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"character|JSON"):
        list(split(text, 1))


def test_integers_are_exact() -> None:
    assert _messages('{"m":[17641443219876543,-9007199254740993]}') == [
        17641443219876543,
        -9007199254740993,
    ]


def test_a_feed_may_burst_and_then_has_to_wait_for_what_is_beyond() -> None:
    pace = Pace()
    pace.spend(int(BURST * SIZE), 0, 1000.0)
    assert (pace.wait(1000.0), pace.exceeded) == (0.0, False)
    pace.spend(3 * SIZE, 1, 1000.0)
    assert (pace.wait(1000.0), pace.wait(1001.0), pace.exceeded) == (3.0, 2.0, True)


def test_many_small_messages_count_as_well() -> None:
    pace = Pace()
    pace.spend(1000, int((BURST + 2) * MESSAGES), 1000.0)
    assert pace.wait(1000.0) == 2.0


def test_a_feed_that_keeps_to_its_pace_is_never_told_to_wait() -> None:
    pace = Pace()
    for second in range(1000, 1100):
        pace.spend(SIZE, MESSAGES, float(second))
        assert pace.wait(float(second)) == 0.0
    assert not pace.exceeded


def test_a_flood_is_over_when_all_may_burst_again() -> None:
    pace = Pace()
    pace.spend(int((BURST + 1) * SIZE), 0, 1000.0)
    assert pace.wait(1001.0) == 0.0
    assert pace.exceeded
    pace.wait(1001.0 + BURST)
    assert not pace.exceeded
