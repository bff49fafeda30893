"""What a feed remembers of what it heard."""

from __future__ import annotations

from controller.feeds.pubnub.dedup import Recall


def test_a_position_is_new_once_on_each_topic() -> None:
    recall = Recall()
    assert [recall.is_new(topic, 1) for topic in "aabb"] == [True, False, True, False]


def test_the_last_two_hundred_of_a_topic_are_remembered() -> None:
    recall = Recall()
    for ticks in range(1000):
        assert recall.is_new("a", ticks)
    assert not any(recall.is_new("a", ticks) for ticks in range(800, 1000))
    assert recall.is_new("a", 799)


def test_topics_of_the_past_are_forgotten_in_time_unless_they_come_back() -> None:
    recall = Recall()
    for n in range(250):
        recall.come(f"{n}")
        assert recall.is_new(f"{n}", 1)
    for n in range(250):
        recall.leave(f"{n}")
        recall.come("0")
    assert len(recall) == 101
    assert not recall.is_new("0", 1)
    assert not recall.is_new("249", 1)
    assert recall.is_new("100", 1)
