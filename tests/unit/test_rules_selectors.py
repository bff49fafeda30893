"""Channels by their labels."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.rules.fieldpath import FieldPath
from controller.rules.selectors import ChannelIndex, label_text


def _index(**channels: dict[str, str]) -> ChannelIndex[str]:
    index: ChannelIndex[str] = ChannelIndex()
    for name, labels in channels.items():
        index.add(name, "default", labels)
    return index


def test_an_event_means_the_channels_with_the_label_it_carries() -> None:
    index = _index(
        main={"feed": "F1", "tier": "gold"},
        backup={"feed": "F1", "tier": "free"},
        other={"feed": "F2", "tier": "gold"},
        bare={},
    )
    assert index.select_for("default", {}, {"feed": "F1"}) == ["backup", "main"]
    assert index.select_for("default", {"tier": "gold"}, {"feed": "F1"}) == ["main"]
    assert index.select_for("default", {"tier": "gold"}, {}) == ["main", "other"]
    assert index.select_for("default", {"tier": "iron"}, {"feed": "F1"}) == []
    assert index.select_for("default", {}, {"feed": "F3"}) == []


def test_an_event_without_the_field_means_no_channel() -> None:
    index = _index(main={"feed": "F1"})
    assert index.select_for("default", {"feed": "F1"}, {"feed": None}) == []


def test_a_selector_that_asks_for_nothing_selects_nothing() -> None:
    index = _index(main={"feed": "F1"})
    assert index.select("default", {}) == index.select_for("default", {}, {}) == []


def test_what_a_selector_may_mean_has_the_labels_that_events_are_compared_with() -> None:
    index = _index(
        main={"feed": "F1", "tier": "gold"}, other={"feed": "F2"}, bare={"tier": "gold"}, none={}
    )
    assert index.select("default", {}, ["feed"]) == ["main", "other"]
    assert index.select("default", {"tier": "gold"}, ["feed"]) == ["main"]
    assert index.select("default", {}, ["feed", "tier"]) == ["main"]
    assert index.select("default", {}, ["feed", "nobody-has-it"]) == []
    assert index.select("default", {"tier": "gold"}) == ["bare", "main"]


def test_channels_of_another_namespace_are_not_selected() -> None:
    index: ChannelIndex[tuple[str, str]] = ChannelIndex()
    for namespace in ("a", "b"):
        index.add((namespace, "main"), namespace, {"feed": "F1"})
    assert index.select_for("a", {}, {"feed": "F1"}) == [("a", "main")]
    assert index.select("c", {"feed": "F1"}) == index.select_for("c", {}, {"feed": "F1"}) == []


def test_a_relabelled_channel_is_found_by_its_new_labels_alone() -> None:
    index = _index(main={"feed": "F1", "tier": "gold"})
    index.add("main", "default", {"feed": "F2"})
    assert len(index) == 1
    assert index.select("default", {"feed": "F1"}) == []
    assert index.select("default", {"feed": "F2"}) == ["main"]


def test_a_removed_channel_leaves_nothing_behind() -> None:
    index = _index(main={"feed": "F1", "tier": "gold"}, other={"feed": "F1"})
    for key in ("main", "never there"):
        index.remove(key)
        assert key not in index
    assert index.select("default", {"feed": "F1"}) == ["other"]
    index.remove("other")
    assert len(index) == 0
    assert index._spaces == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *(("F1", "F1"), (" F1", " F1"), (414, "414"), (414.0, "414"), (0.5, "0.5")),
        *((True, "true"), (False, "false")),
        *((None, None), ("", None), (" ", None), ({}, None), ([1], None), (float("nan"), None)),
    ],
)
def test_a_field_is_compared_as_the_text_that_a_label_would_have(
    value: object, text: str | None
) -> None:
    assert label_text(FieldPath.parse("feed"), {"feed": value}) == text
    assert label_text(FieldPath.parse("other"), {"feed": value}) is None


LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"))


@given(
    st.lists(st.tuples(st.sampled_from("klmn"), st.sampled_from(["s", "t"]), LABELS)),
    st.lists(st.sampled_from("klmn"), max_size=2),
    LABELS,
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(["x", "y", None])),
)
def test_the_index_says_what_a_look_at_each_channel_would(
    changes: list[tuple[str, str, dict[str, str]]],
    removed: list[str],
    match: dict[str, str],
    wanted: dict[str, Any],
) -> None:
    index: ChannelIndex[str] = ChannelIndex()
    held: dict[str, tuple[str, dict[str, str]]] = {}
    for key, namespace, labels in changes:
        index.add(key, namespace, labels)
        held[key] = namespace, labels
    for key in removed:
        index.remove(key)
        held.pop(key, None)
    here = {key: labels for key, (namespace, labels) in sorted(held.items()) if namespace == "s"}
    fitting = [key for key, labels in here.items() if match.items() <= labels.items()]
    assert index.select_for("s", match, wanted) == [
        key for key in fitting if (match or wanted) and wanted.items() <= here[key].items()
    ]
    assert index.select("s", match, wanted) == [
        key for key in fitting if (match or wanted) and wanted.keys() <= here[key].keys()
    ]


def test_one_channel_of_ten_thousand_is_found_in_microseconds() -> None:
    index: ChannelIndex[str] = ChannelIndex()
    for number in range(10_000):
        labels = {"customer": "acme", "region": f"r{number % 2}", "feed": f"F{number}"}
        index.add(f"{number:05}", "default", labels)
    began = time.process_time()
    for number in range(0, 10_000, 10):
        found = index.select_for("default", {"customer": "acme"}, {"feed": f"F{number}"})
        assert found == [f"{number:05}"]
    assert (time.process_time() - began) / 1000 < 0.0001
