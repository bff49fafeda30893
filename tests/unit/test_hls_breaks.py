"""The ad breaks in playlists: each dialect, listed again and again, cut off and counted anew."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.feeds.hls.breaks import BreakTracker
from controller.feeds.hls.playlist import InvalidPlaylist, MediaPlaylist, parse_playlist
from controller.resources.fields import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START = 1_700_000_000.0
TARGET = 6.0
OUT_105 = "/DAlAAAAAAAAAP/wFAUABPf+f+/+AAAAAH4AkDIQAAAAAAAAKJ9Duw=="
OUT_2284 = "/DAgAAAAAAAAAP/wDwUAAAjsf/9+AKTLgAAAAAAAAAcCe8k="
OUT_249 = "/DAxAAAAAAAAAP/wFAUAAAD5f+//vbeKtH4AUmNiAAAAAAAMAQpDVUVJUJ8xMjEqiKYAKA=="
PLACEMENT_START = "/DAnAAAAAAAAAP/wBQb+AA27oAARAg9DVUVJAAAAAX+HCQA0AAE0xUZn"
PLACEMENT_END = "/DAnAAAAAAAAAP/wBQb+ADbugAARAg9DVUVJAAAAAX+HCQA1AAA3v5+Q"


@dataclass
class Channel:
    """A live playlist of segments of 6 s each, of which the last five are listed.

    Attributes:
        tags: Those before a segment, by its media sequence number.
        dates: Whether the segments have EXT-X-PROGRAM-DATE-TIME.
        told: What came of all looks.
    """

    tags: Mapping[int, Sequence[str]]
    dates: bool = True
    window: int = 5
    head: Sequence[str] = ()
    tracker: BreakTracker = field(default_factory=BreakTracker)
    told: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)

    def text(self, last: int) -> str:
        first = max(0, last - self.window + 1)
        lines = ["#EXTM3U", f"#EXT-X-TARGETDURATION:{TARGET:.0f}", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
        lines += self.head
        for number in range(first, last + 1):
            if self.dates:
                lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{rfc3339(time_of(number))}")
            lines += [*self.tags.get(number, ()), f"#EXTINF:{TARGET},", f"segment-{number}.ts"]
        return "\n".join([*lines, *self.tags.get(last + 1, ())]) + "\n"

    def look(self, last: int) -> list[dict[str, Any]]:
        """Look while `last` is the last segment."""
        playlist = parse_playlist(self.text(last))
        assert isinstance(playlist, MediaPlaylist)
        found = self.tracker.look(playlist, time_of(last + 1))
        self.told += [dict(each.payload) | {"time": each.time} for each in found]
        self.ids += [each.id for each in found]
        return self.told[len(self.told) - len(found) :]

    def play(self, begin: int, end: int) -> list[dict[str, Any]]:
        """Look after each segment, twice."""
        for last in range(begin, end):
            self.look(last)
            assert self.look(last) == []
        return self.told


def time_of(sequence: int) -> float:
    return START + TARGET * sequence


def shape(told: Sequence[dict[str, Any]]) -> list[tuple[str, float | None]]:
    """Type and length of each."""
    return [(each["type"], each.get("duration_sec")) for each in told]


BREAK = [("ad_break_start", 30.0), ("ad_break_end", 30.0)]
OUTS = [
    "#EXT-X-CUE-OUT:30",
    "#EXT-X-CUE-OUT:30.000",
    '#EXT-X-CUE-OUT:"30"',
    "#EXT-X-CUE-OUT:DURATION=30",
    '#EXT-X-CUE-OUT:DURATION="30.0",BREAKID=17',
    "#EXT-X-CUE-OUT:BREAKID=17,Duration=30.0",
    "# EXT-X-CUE-OUT: 30.000",
    "#EXT-X-SCTE35-OUT:DURATION=30",
    '#EXT-X-SCTE35:CUE-OUT=YES,DURATION=30,ID="17"',
]


@pytest.mark.parametrize("dates", [True, False], ids=["dates", "no dates"])
@pytest.mark.parametrize("out", OUTS)
def test_a_break_is_told_once_in_each_dialect(out: str, dates: bool) -> None:
    channel = Channel({10: [out], 15: ["#EXT-X-CUE-IN"]}, dates=dates)
    start, end = channel.play(3, 25)
    assert shape([start, end]) == BREAK
    assert (start["time"], end["time"]) == (time_of(10), time_of(15))
    assert start["id"] == end["id"]
    assert not start["joined"]
    assert start.get("programDateTime") == (rfc3339(time_of(10)) if dates else None)


@pytest.mark.parametrize(
    "within",
    [
        "# EXT-X-CUE-OUT-CONT: {at}/30",
        "#EXT-X-CUE-CONT:{at}/30",
        "#EXT-X-CUE-OUT-CONT:ElapsedTime={at},Duration=30,SCTE35=" + OUT_2284,
        "#EXT-X-CUE-OUT-CONT:ElapsedTime={at}",
        "#EXT-X-CUE-SPAN:ELAPSED={at}",
        '#EXT-X-CUE:DURATION="30",ID="0",TYPE="SpliceOut",TIME="1",ELAPSED="{at}"',
        "#EXT-X-SCTE35:CUE-OUT=CONT,ELAPSED={at}",
    ],
)
def test_what_repeats_within_a_break_is_not_another(within: str) -> None:
    tags: dict[int, Sequence[str]] = {10: ["#EXT-X-CUE-OUT:30"], 15: ["#EXT-X-CUE-IN"]}
    tags |= {10 + n: [within.format(at=TARGET * n)] for n in range(1, 5)}
    assert shape(Channel(tags).play(3, 25)) == BREAK


def test_three_dialects_at_one_segment_are_one_break() -> None:
    again = '#EXT-X-CUE:DURATION="105",ID="0",TYPE="SpliceOut",TIME="1",ELAPSED="{}"'
    first = [
        '#EXT-X-CUE:DURATION="105",ID="0",TYPE="SpliceOut",TIME="1"',
        "#EXT-X-CUE-OUT:105.000",
        "#EXT-X-CUE-OUT:DURATION=105.000,BREAKID=325630",
        f'#EXT-X-SCTE35:ID="0",CUE="{OUT_105}"',
    ]
    tags: dict[int, Sequence[str]] = {10: first}
    tags |= {10 + n: [again.format(TARGET * n)] for n in range(1, 17)}
    start, end = Channel(tags).play(3, 40)
    assert shape([start, end]) == [("ad_break_start", 105.0), ("ad_break_end", 105.0)]
    assert start["scte35"]["splice_event_id"] == 325630
    assert end["time"] == time_of(10) + 105


def test_a_window_that_opens_within_a_break_joins_it() -> None:
    going_on = f"#EXT-X-CUE-OUT-CONT:ElapsedTime=113.767,Duration=120,SCTE35={OUT_2284}"
    channel = Channel({10: [going_on], 11: ["#EXT-X-CUE-IN"]})
    start, end = channel.play(9, 20)
    assert start["joined"]
    assert start["elapsed_sec"] == 113.767
    assert start["duration_sec"] == pytest.approx(120 - 113.767)
    assert start["scte35"]["splice_event_id"] == 2284
    assert end["type"] == "ad_break_end"


def test_the_section_tells_the_length_where_the_tag_does_not() -> None:
    tags = {10: [f"#EXT-OATCLS-SCTE35:{OUT_249}", "#EXT-X-CUE-OUT"], 20: ["#EXT-X-CUE-IN"]}
    start, _ = Channel(tags).play(3, 30)
    assert start["duration_sec"] == 59.993
    assert start["scte35"]["pts_time_sec"] == pytest.approx(83087.66, abs=0.01)


def test_the_tag_tells_the_length_where_the_section_does_not() -> None:
    tags = {
        10: [f"#EXT-OATCLS-SCTE35:{PLACEMENT_START}", "#EXT-X-CUE-OUT:30"],
        15: [f"#EXT-OATCLS-SCTE35:{PLACEMENT_END}", "#EXT-X-CUE-IN"],
    }
    assert shape(Channel(tags).play(3, 25)) == BREAK


def test_a_section_that_cannot_be_read_leaves_the_tags() -> None:
    wrong = "/DAlAAAAAAAAAP/wFAUABPf+f+/+AAAAAH4AkDIQAAAAAAAAKJ9DuA=="
    tags = {10: [f"#EXT-OATCLS-SCTE35:{wrong}", "#EXT-X-CUE-OUT:30"], 15: ["#EXT-X-CUE-IN"]}
    start, end = Channel(tags).play(3, 25)
    assert shape([start, end]) == BREAK
    assert start["scte35_problem"] == "the CRC is wrong"
    assert "scte35" not in start


def test_an_end_above_a_segment_that_is_not_listed_yet_is_found() -> None:
    channel = Channel({10: ["#EXT-X-CUE-OUT:30"], 15: ["#EXT-X-CUE-IN"]})
    channel.play(3, 14)
    assert shape(channel.look(14)) == [("ad_break_end", 30.0)]
    assert channel.play(15, 25)[2:] == []


@pytest.mark.parametrize("length", ["0", "-5", "86400", "NaN", "1e9", "9" * 400, "soon"])
def test_a_length_that_no_break_can_have_is_not_known(length: str) -> None:
    channel = Channel({10: [f"#EXT-X-CUE-OUT:{length}"], 15: ["#EXT-X-CUE-IN"]})
    assert shape(channel.play(3, 25)) == [("ad_break_start", None), ("ad_break_end", 30.0)]


def test_a_break_that_no_tag_ends_ends_when_it_is_over() -> None:
    channel = Channel({10: ["#EXT-X-CUE-OUT:30"], 40: ["#EXT-X-CUE-OUT:60"]})
    assert shape(channel.play(3, 60)) == [*BREAK, ("ad_break_start", 60.0), ("ad_break_end", 60.0)]


def test_a_bare_start_that_no_tag_ended_gives_way_to_the_next() -> None:
    channel = Channel({10: ["#EXT-X-CUE-OUT"], 40: ["#EXT-X-CUE-OUT"], 45: ["#EXT-X-CUE-IN"]})
    kinds = [each["type"] for each in channel.play(3, 50)]
    assert kinds == ["ad_break_start", "ad_break_end"] * 2


def test_one_break_after_the_other_are_two() -> None:
    tags = {
        10: ["#EXT-X-CUE-OUT:30"],
        15: ["#EXT-X-CUE-IN", "#EXT-X-CUE-OUT:30"],
        20: ["#EXT-X-CUE-IN"],
    }
    assert shape(Channel(tags).play(3, 30)) == BREAK * 2


# EXT-X-DATERANGE

OUT_RANGE = '#EXT-X-DATERANGE:ID="splice-1",START-DATE="{}",PLANNED-DURATION=30,SCTE35-OUT=0xFC'
IN_RANGE = '#EXT-X-DATERANGE:ID="splice-1",DURATION=30,SCTE35-IN=0xFC'


def ranges(*later: str, out: str = OUT_RANGE) -> Channel:
    return Channel({10: [out.format(rfc3339(time_of(10)))], 15: later})


def test_a_date_range_out_and_in_are_one_break() -> None:
    start, end = ranges(IN_RANGE).play(3, 25)
    assert shape([start, end]) == BREAK
    assert start["scte35_problem"].startswith("cut off")
    assert (start["time"], end["time"]) == (time_of(10), time_of(15))


def test_a_date_range_that_is_listed_at_each_refresh_is_one_break() -> None:
    channel = ranges()
    channel.head = [OUT_RANGE.format(rfc3339(time_of(10)))]
    assert shape(channel.play(9, 25)) == BREAK


def test_an_end_of_another_id_closes_the_break() -> None:
    other = f'#EXT-X-DATERANGE:ID="splice-2",START-DATE="{rfc3339(time_of(15))}",SCTE35-IN=0xFC'
    assert shape(ranges(other).play(3, 25)) == BREAK


def test_a_date_range_ends_on_the_next_of_its_class() -> None:
    out = OUT_RANGE.replace("PLANNED-DURATION=30", 'CLASS="ads",END-ON-NEXT=YES')
    programme = f'#EXT-X-DATERANGE:ID="p",CLASS="ads",START-DATE="{rfc3339(time_of(15))}"'
    channel = ranges(programme, out=out)
    assert shape(channel.play(3, 25)) == [("ad_break_start", None), ("ad_break_end", 30.0)]


def test_a_date_range_and_a_cue_of_one_break_are_one() -> None:
    channel = ranges("#EXT-X-CUE-IN", IN_RANGE)
    channel.tags = {**channel.tags, 10: [*channel.tags[10], "#EXT-X-CUE-OUT:30"]}
    assert shape(channel.play(3, 25)) == BREAK


def test_stitched_ads_of_one_commercial_are_told_once() -> None:
    ad = (
        '#EXT-X-DATERANGE:ID="stitched-ad-{}",CLASS="twitch-stitched-ad",START-DATE="{}",'
        'DURATION=15.0,X-TV-TWITCH-AD-COMMERCIAL-ID="c-1",'
        'X-TV-TWITCH-AD-POD-FILLED-DURATION="30.0"'
    )
    tags = {n: [ad.format(n, rfc3339(time_of(n)))] for n in (10, 12)}
    assert shape(Channel(tags).play(3, 25)) == [("stitched_ad", 30.0)]


# Looks that go wrong


def test_an_edge_server_that_is_behind_tells_nothing_again() -> None:
    channel = Channel({10: ["#EXT-X-CUE-OUT:30"], 15: ["#EXT-X-CUE-IN"]})
    for last in (9, 11, 10, 12, 11, 14, 13, 15, 14, 16):
        channel.look(last)
    assert shape(channel.told) == BREAK


def test_an_origin_that_counts_anew_goes_on() -> None:
    channel = Channel({10: ["#EXT-X-CUE-OUT:30"]})
    channel.play(3, 13)
    text = channel.text(12).replace("MEDIA-SEQUENCE:8", "MEDIA-SEQUENCE:0")
    text += "#EXTINF:6,\na.ts\n#EXTINF:6,\nb.ts\n#EXT-X-CUE-IN\n#EXTINF:6,\nc.ts\n"
    playlist = parse_playlist(text)
    assert isinstance(playlist, MediaPlaylist)
    told = channel.tracker.look(playlist, time_of(16))
    assert [each.payload["type"] for each in told] == ["ad_break_end"]


def test_whoever_looks_later_finds_the_same_identity() -> None:
    tags = {10: ["#EXT-X-CUE-OUT:30"], 15: ["#EXT-X-CUE-IN"]}
    early, late = Channel(tags), Channel(tags)
    early.play(3, 25)
    late.play(12, 25)
    assert early.ids == late.ids


LINES = st.sampled_from([
    "#EXTINF:6,", "s.ts", "#EXT-X-CUE-OUT:30", "#EXT-X-CUE-IN", "#EXT-X-DISCONTINUITY",
    "#EXT-X-MEDIA-SEQUENCE:7", "#EXT-X-CUE-OUT-CONT:5/30", f"#EXT-OATCLS-SCTE35:{OUT_2284}",
    "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20Z", "#EXT-X-PROGRAM-DATE-TIME:9999-12-31",
    "#EXT-X-PROGRAM-DATE-TIME:0001-01-01T00:00:00+14:00", IN_RANGE,
    OUT_RANGE.format("2023-11-14T22:13:20Z"), "#EXTINF:-1,", "#EXTINF:1e99,", "#EXT-X-ENDLIST",
]) | st.text(max_size=60).map(lambda text: "#EXT-X-CUE-OUT:" + text) | st.text(max_size=60)  # fmt: skip  # noqa: E501


@given(st.lists(st.lists(LINES, max_size=30), min_size=1, max_size=4))
def test_no_playlist_is_too_odd(looks: list[list[str]]) -> None:
    tracker = BreakTracker()
    for lines in looks:
        try:
            playlist = parse_playlist("\n".join(["#EXTM3U", *lines]))
        except InvalidPlaylist:
            continue
        if isinstance(playlist, MediaPlaylist):
            for each in tracker.look(playlist, START):
                assert each.payload["type"] in {"ad_break_start", "ad_break_end", "stitched_ad"}
