"""The ids of a cue in logs and traces."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.resources.common import parse_instant, rfc3339
from controller.tracing.identity import CueIdentity

CUE = CueIdentity("tv", "splices", "7", 1_611_912_397.7391773)


def test_the_ids_have_the_form_of_w3c() -> None:
    ids = CUE.trace_ids
    assert re.fullmatch(r"[0-9a-f]{32}", ids.trace)
    assert re.fullmatch(r"[0-9a-f]{16}", ids.root)


@pytest.mark.parametrize(
    "other",
    [
        CUE._replace(namespace="radio"),
        CUE._replace(rule="spots"),
        CUE._replace(rule=""),
        CUE._replace(id="8"),
        CUE._replace(published=CUE.published + 0.001),
    ],
)
def test_another_cue_has_other_ids(other: CueIdentity) -> None:
    ours, theirs = CUE.trace_ids, other.trace_ids
    assert ours.trace != theirs.trace
    assert ours.root != theirs.root


@given(published=st.floats(min_value=0, max_value=4e9))
def test_a_time_that_was_in_a_status_gives_the_same_ids(published: float) -> None:
    before, after = published, parse_instant(rfc3339(published))
    ids = CUE._replace(published=before).trace_ids
    assert CUE._replace(published=after).trace_ids == ids


@given(name=st.text(st.characters(exclude_categories=())))
def test_any_text_of_json_is_an_id(name: str) -> None:
    assert len(CUE._replace(id=name).trace_ids.trace) == 32


def test_a_line_about_a_cue_names_rule_cue_and_trace() -> None:
    told = CUE.fields(channel="mst3k", detail=None)["fields"]
    assert told == {
        "rule": "splices",
        "cue_id": "7",
        "trace_id": CUE.trace_ids.trace,
        "channel": "mst3k",
    }
    assert "rule" not in CUE._replace(rule="").fields()["fields"]
