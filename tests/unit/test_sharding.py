"""Which shard a namespace belongs to, and who moves it."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from controller.policies.sharding import (
    Layout,
    Wish,
    ignored,
    lease_name,
    moves,
    shard_named,
    shard_of,
    wanted,
)

SHARDS = st.integers(1, 9)
NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)


def test_the_hash_is_that_of_the_documentation() -> None:
    # `printf team-a | sha256sum | cut -c1-16`, as a number, modulo 3
    assert [shard_of(name, 3) for name in ("team-a", "team-b", "default")] == [0, 2, 1]


def test_the_hash_spreads_namespaces_evenly() -> None:
    for shards in (2, 3, 7):
        found = Counter(shard_of(f"tenant-{number}", shards) for number in range(7000))
        assert len(found) == shards
        assert max(found.values()) < 1.15 * 7000 / shards


def test_names_of_leases() -> None:
    assert lease_name("operators", 0, 1) == "operators"
    assert lease_name("operators", 2, 3) == "operators-2-of-3"


def test_labels_that_name_no_shard() -> None:
    assert shard_named("2", 3) == 2
    for text in ("3", "-1", "", "two", "٢", "99999999", "1.0"):
        assert shard_named(text, 3) is None


def test_the_oldest_label_counts() -> None:
    old, new = Wish(1.0, "b", "team", "2"), Wish(2.0, "a", "team", "1")
    wrong = Wish(0.5, "c", "team", "7")
    assert wanted([new, wrong, old], 3) == {"team": (2, old)}
    told = ignored([new, wrong, old], 3)
    assert told.keys() == {new, wrong}
    assert "an older resource of the namespace has 2" in told[new]
    assert "names no shard: set it to 0..2" in told[wrong]


@given(SHARDS, st.dictionaries(NAMES, st.integers(0, 8), max_size=5))
def test_a_layout_is_read_as_it_was_stored(shards: int, moved: dict[str, int]) -> None:
    layout = Layout(shards, {name: shard % shards for name, shard in moved.items()})
    assert Layout.of(layout.annotations) == layout


def test_what_is_no_layout() -> None:
    good = Layout(3, {"team": 2}).annotations
    for name in good:
        for text in ("", "0", "three", "[]", '{"team": 3}', '{"team": true}', "{"):
            spoiled = {**good, name: text}
            assert Layout.of(spoiled) in (None, Layout(3))


@given(SHARDS, st.lists(st.tuples(NAMES, st.integers(0, 9)), max_size=8), st.data())
def test_one_shard_at_most_gives_a_namespace_away(
    shards: int, labels: list[tuple[str, int]], data: st.DataObject
) -> None:
    wishes = [Wish(float(i), str(i), name, str(to)) for i, (name, to) in enumerate(labels)]
    names = {name for name, _ in labels} | data.draw(st.sets(NAMES, max_size=3))
    layout = Layout(shards)
    for _ in range(2):
        given_away = [moves(layout, shard, names, wishes) for shard in range(shards)]
        for shard, found in enumerate(given_away):
            assert all(layout.owner(name) == shard != to for name, to in found.items())
            layout = layout.with_moved(found)
    # After each gave what it was to give, all is where it is wanted.
    by_label = wanted(wishes, shards)
    for name in names:
        home = shard_of(name, shards)
        assert layout.owner(name) == (by_label[name][0] if name in by_label else home)
