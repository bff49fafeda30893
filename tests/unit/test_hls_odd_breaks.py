"""Ad breaks in playlists that nest, overlap, are announced or called off, or lose their clock."""

from __future__ import annotations

import base64

import pytest

from controller.feeds.hls.breaks import BreakTracker
from controller.feeds.hls.following import Following
from controller.feeds.hls.origin import PlaylistRefused
from controller.feeds.hls.playlist import MediaPlaylist, parse_playlist
from controller.resources.fields import rfc3339
from controller.scte35.bits import crc32_mpeg2
from tests.unit.test_hls_breaks import (
    BREAK,
    OUT_249,
    OUT_2284,
    START,
    Channel,
    shape,
    time_of,
)


def section(command: int, body: bytes, descriptors: bytes = b"") -> str:
    """A section in base64."""
    head = bytes(7) + ((0xFFF << 12) | len(body)).to_bytes(3, "big") + bytes([command])
    content = head + body + len(descriptors).to_bytes(2, "big") + descriptors
    whole = b"\xfc" + (0x3000 | len(content) + 4).to_bytes(2, "big") + content
    return base64.b64encode(whole + crc32_mpeg2(whole).to_bytes(4, "big")).decode()


def segmentation(event_id: int, type_id: int, duration: int | None = None) -> str:
    """EXT-OATCLS-SCTE35 with a time_signal and a segmentation descriptor."""
    body = event_id.to_bytes(4, "big") + b"\x7f" + (b"\xbf" if duration is None else b"\xff")
    body += b"" if duration is None else (90_000 * duration).to_bytes(5, "big")
    body = b"CUEI" + body + bytes([0, 0, type_id, 0, 0])
    told = section(6, b"\xfe\x00\x0d\xbb\xa0", bytes([2, len(body)]) + body)
    return f"#EXT-OATCLS-SCTE35:{told}"


def date_range(name: str, begin: float, told: str = "PLANNED-DURATION=30,SCTE35-OUT=0xFC") -> str:
    return f'#EXT-X-DATERANGE:ID="{name}",START-DATE="{rfc3339(begin)}",{told}'


def test_a_pod_and_its_spots_are_one_break() -> None:
    tags = {
        10: [segmentation(2, 0x30, 24), segmentation(1, 0x34, 48)],
        14: [segmentation(2, 0x31), segmentation(3, 0x30, 24)],
        18: [segmentation(3, 0x31), segmentation(1, 0x35)],
    }
    start, end = Channel(tags).play(3, 30)
    assert shape([start, end]) == [("ad_break_start", 48.0), ("ad_break_end", 48.0)]
    assert start["id"].startswith("1@")


def test_what_is_learned_later_does_not_change_the_id() -> None:
    going_on = f"#EXT-X-CUE-OUT-CONT:ElapsedTime=6,Duration=30,SCTE35={OUT_2284}"
    channel = Channel({10: ["#EXT-X-CUE-OUT:30"], 11: [going_on], 15: ["#EXT-X-CUE-IN"]})
    start, end = channel.play(3, 25)
    assert start["id"] == end["id"]


def test_milliseconds_in_extinf_do_not_change_the_id() -> None:
    class Rounded(Channel):
        def text(self, last: int) -> str:
            return super().text(last).replace("#EXTINF:6.0,", "#EXTINF:6.0009,")

    early, late = (Rounded({10: ["#EXT-X-CUE-OUT:30"]}) for _ in range(2))
    early.look(9)  # the place behind the last segment, by the length of the one before
    late.look(11)
    assert early.ids == late.ids != []


@pytest.mark.parametrize("within", [(), ("#EXT-X-CUE-OUT-CONT:24/30",)])
def test_a_start_at_the_planned_end_is_the_next_break(within: tuple[str, ...]) -> None:
    channel = Channel({10: ["#EXT-X-CUE-OUT:30"], 14: within, 15: ["#EXT-X-CUE-OUT:30"]})
    assert shape(channel.play(3, 40)) == BREAK * 2


def test_a_start_that_counts_down_at_each_segment_is_one_break() -> None:
    tags = {10 + n: [f"#EXT-X-CUE-OUT:{30 - 6 * n}"] for n in range(6)}
    assert shape(Channel(tags).play(3, 40)) == BREAK


def test_a_break_that_is_announced_takes_none_from_before() -> None:
    channel = Channel({10: ["#EXT-X-CUE-OUT:30"], 15: ["#EXT-X-CUE-IN"]})
    channel.head = [date_range("later", time_of(30))]
    told = channel.play(3, 45)
    assert shape(told) == BREAK * 2
    assert [each["time"] for each in told] == [time_of(n) for n in (10, 15, 30, 35)]


def test_a_date_range_from_before_the_window_is_joined() -> None:
    channel = Channel({}, head=[date_range("long", time_of(5), "DURATION=120,SCTE35-OUT=0xFC")])
    (start,) = channel.play(15, 17)
    assert start["joined"]
    assert (start["elapsed_sec"], start["duration_sec"]) == (66.0, 54.0)


def test_an_end_with_a_date_of_its_own_ends_the_break_there() -> None:
    back = date_range("early", time_of(13), "SCTE35-IN=0xFC")
    channel = Channel({10: [date_range("early", time_of(10))], 13: [back]})
    assert shape(channel.play(3, 25)) == [("ad_break_start", 30.0), ("ad_break_end", 18.0)]


def test_calling_off_another_break_does_not_end_this_one() -> None:
    cancel = section(5, (99).to_bytes(4, "big") + b"\xff")
    out = [f"#EXT-OATCLS-SCTE35:{OUT_249}", "#EXT-X-CUE-OUT:30"]
    tags = {10: out, 12: [f"#EXT-OATCLS-SCTE35:{cancel}"], 15: ["#EXT-X-CUE-IN"]}
    assert shape(Channel(tags).play(3, 25)) == BREAK


@pytest.mark.parametrize("first", [3, 16], ids=["each look", "one look"])
def test_a_clock_that_is_set_back_in_a_break_swallows_no_other(first: int) -> None:
    class SetBack(Channel):
        def text(self, last: int) -> str:
            text = super().text(last)
            for number in range(12, last + 1):
                text = text.replace(rfc3339(time_of(number)), rfc3339(time_of(number) - 3600))
            return text

    tags = {10: ["#EXT-X-CUE-OUT:30"], 12: ["#EXT-X-DISCONTINUITY"], 15: ["#EXT-X-CUE-IN"]}
    channel = SetBack({**tags, 25: ["#EXT-X-CUE-OUT:30"], 30: ["#EXT-X-CUE-IN"]}, window=8)
    kinds = [each["type"] for each in channel.play(first, 40)]
    assert kinds == ["ad_break_start", "ad_break_end"] * 2


@pytest.mark.parametrize(
    "within", ["#EXT-X-CUE-OUT-CONT:6/30,BREAKID=5", "#EXT-X-CUE-OUT-CONT:6/30"]
)
def test_a_length_before_other_attributes_leaves_them(within: str) -> None:
    tags = {10: ["#EXT-X-CUE-OUT:30,BREAKID=5"], 11: [within], 15: ["#EXT-X-CUE-IN"]}
    start, end = Channel(tags).play(3, 25)
    assert shape([start, end]) == BREAK
    assert start["id"].startswith("5@")


def test_indented_lines_are_tags() -> None:
    playlist = parse_playlist("\ufeff#EXTM3U\r\n  #EXT-X-CUE-OUT:30\r\n #EXTINF:6,\r\n a.ts\r\n")
    assert isinstance(playlist, MediaPlaylist)
    assert len(playlist.segments) == 2
    assert [each.tag for each in playlist.segments[0].markers] == ["EXT-X-CUE-OUT"]


def test_a_server_that_never_answers_blocking_reload_is_polled() -> None:
    text = "#EXTM3U\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n#EXTINF:6,\na.ts\n"
    playlist = parse_playlist(text)
    assert isinstance(playlist, MediaPlaylist)
    following = Following()
    following.read(playlist, START)
    assert following.holds_back == 1
    following.failed(PlaylistRefused("origin", 503), START + 18)
    following.read(playlist, START + 20)
    assert following.holds_back is None
    following.read(playlist, START + 400)
    assert following.holds_back == 1


@pytest.mark.parametrize("kind", ["SCTE35-OUT=0xFC", 'CLASS="twitch-stitched-ad"'])
def test_a_window_of_many_breaks_tells_each_once(kind: str) -> None:
    told = f"DURATION=6,{kind}"
    ranges = [date_range(f"r{n}", time_of(n), told) for n in range(500)]
    channel = Channel({}, window=500, head=ranges)
    assert len(channel.look(499)) >= 500
    assert channel.look(499) == []


def test_a_negative_media_sequence_tells_nothing_twice() -> None:
    text = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:-2\n#EXT-X-CUE-OUT\n#EXTINF:6,\na.ts\n"
    playlist = parse_playlist(text)
    assert isinstance(playlist, MediaPlaylist)
    tracker = BreakTracker()
    assert len(tracker.look(playlist, START)) == 1
    assert tracker.look(playlist, START + 60) == []
