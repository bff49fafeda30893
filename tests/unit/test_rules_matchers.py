"""Single tests of fields."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.errors import InvalidExpression
from controller.resources.matcher import Matcher
from controller.rules.matchers import (
    MAX_PROGRAM,
    MAX_TEXT,
    Test,
    compile_regex,
    compile_test,
    scalar_key,
)

NAN = float("nan")
ABSENT = object()


def _compile(**matcher: Any) -> Test:  # noqa: ANN401 - as in a resource
    return compile_test(
        Matcher.model_validate({"field": "f"} | matcher, by_name=False, by_alias=True),
        "spec.match[2]",
    )


def _passes(value: object, **matcher: Any) -> bool:  # noqa: ANN401 - as in a resource
    return _compile(**matcher).passes({} if value is ABSENT else {"f": value})


@pytest.mark.parametrize(
    ("matcher", "passing", "failing"),
    [
        ({"equals": "1"}, ["1"], [1, 1.0, True, "01", " 1", "", None, ["1"], ABSENT]),
        ({"equals": 1}, [1, 1.0], ["1", True, 2, NAN, [1], None, ABSENT]),
        ({"equals": 1.5}, [1.5], [1, "1.5", 10**400]),
        ({"equals": True}, [True], [1, 1.0, "true", False]),
        ({"equals": False}, [False], [0, "", None, ABSENT, []]),
        ({"equals": ""}, [""], [None, ABSENT, False, 0]),
        ({"equals": 2**53}, [2**53, float(2**53)], [2**53 + 1]),
        ({"equals": 2**53 + 1}, [2**53 + 1], [2**53, float(2**53), 2**53 + 2]),
        ({"in": [2**63 - 1, -(2**63)]}, [2**63 - 1, -(2**63)], [2**63, float(2**63), 2**63 - 2]),
        ({"gt": 2**53 + 1}, [2**53 + 2, "9007199254740994", 10**400], [2**53 + 1, 2**53]),
        ({"gte": 2**53 + 1}, [2**53 + 1, "9007199254740993"], [2**53, "9007199254740992"]),
        ({"lt": 2**53 + 1}, [2**53], [2**53 + 1]),
        ({"in": ["a", 1, False]}, ["a", 1, 1.0, False], ["b", "1", True, 0, None, {}, ABSENT]),
        ({"glob": "Ad_*"}, ["Ad_", "Ad_x\ny", "Ad_é"], ["ad_x", "xAd_x", "Ad", 1, None, ABSENT]),
        ({"glob": "?.mp4"}, ["a.mp4", "é.mp4", "\n.mp4"], [".mp4", "ab.mp4", "axmp4"]),
        ({"glob": "Ad [1]"}, ["Ad [1]"], ["Ad 1", "Ad [2]"]),
        ({"glob": "Promo [HD]*"}, ["Promo [HD]", "Promo [HD] 2"], ["Promo H", "Promo D 2"]),
        ({"glob": "[z-a]?[!x]*]["}, ["[z-a]1[!x]][", "[z-a][[!x]*]["], ["z1ax][", "[z-a][!x]]["]),
        ({"glob": r"\d.(x)|{2}+$^"}, [r"\d.(x)|{2}+$^"], ["1"]),
        ({"glob": ""}, [""], ["x", None, ABSENT]),
        ({"regex": "d_[0-9]+"}, ["Ad_12x", "d_1"], ["Ad_x", "D_1", 1, None, ABSENT]),
        ({"regex": "^a$"}, ["a"], ["a\n", "ba", "a\nb"]),
        ({"regex": "(?i)^ÄD"}, ["äd_1"], ["xäd"]),
        ({"regex": "."}, ["a", "\ud800"], ["", "\n"]),
        (
            {"contains": "moderator"},
            [["moderator"], ["vip", "moderator"]],
            [[], ["Moderator"], "moderator", {"moderator": 1}, [["moderator"]], ABSENT],
        ),
        ({"contains": 1}, [[1], [1.0], [None, 1]], [["1"], [True], 1, ABSENT]),
        ({"prefix": "Ad_"}, ["Ad_", "Ad_1"], ["ad_1", "xAd_", 1, ["Ad_"], ABSENT]),
        ({"suffix": ".mp4"}, [".mp4", "a.mp4"], ["a.MP4", "a.mp4 ", 1, ABSENT]),
        ({"exists": True}, ["", 0, False, [], {}, NAN], [None, ABSENT]),
        ({"exists": False}, [None, ABSENT], ["", 0, False]),
        ({"gt": 10}, [10.5, 11, "11", "1e2", 10**400], [10, "10", "9", -(10**400)]),
        ({"gt": 10}, [float("inf")], [NAN, "NaN", "inf", "", "ten", "0x1F", True, None, ABSENT]),
        ({"gt": 10}, ["+11.50"], [" 11", "1_000", "11s", "٣٣", "1" * 5000, [11], {}]),
        ({"gte": 10}, [10, 10.0, "10", "10.0"], [9.99, "9.99"]),
        ({"lt": 0}, [-1, "-0.5", float("-inf")], [0, "-0", NAN]),
        ({"lte": 0}, [0, "0", -0.0], [0.1, NAN]),
    ],
)
def test_a_matcher_passes_what_it_says_and_not_turns_it_around(
    matcher: dict[str, Any], passing: list[object], failing: list[object]
) -> None:
    for value in passing:
        assert _passes(value, **matcher)
        assert not _passes(value, **matcher, **{"not": True})
    for value in failing:
        assert not _passes(value, **matcher)
        assert _passes(value, **matcher, **{"not": True})


@pytest.mark.parametrize(
    ("matcher", "field", "message"),
    [
        ({"field": "a..b", "equals": 1}, "field", "column 3: a name is missing here"),
        ({"regex": "a(b"}, "regex", r"missing \): a\(b"),
        ({"regex": "ab**"}, "regex", r"bad repetition operator: \*\* at column 3"),
        ({"regex": "a(?=b)"}, "regex", r"column 2; RE2 has no look-around and no back-references"),
        ({"regex": r"(a)\1"}, "regex", r"invalid escape sequence.* no back-references"),
        ({"regex": r"\pL{1000}"}, "regex", "pattern too large"),
        ({"regex": "[^x]{1000}"}, "regex", f"too large .* at most {MAX_PROGRAM}"),
        ({"equals": NAN}, "equals", "NaN equals nothing"),
        ({"equals": 2**63}, "equals", "9223372036854775808 is beyond the whole numbers of 64 bits"),
        ({"equals": 1.8446744073709552e19}, "equals", "is beyond the whole numbers of 64 bits"),
        ({"in": [1, -(2**64)]}, "in", "beyond the whole numbers of 64 bits, and Kubernetes rounds"),
        ({"lt": 1e19}, "lt", "beyond the whole numbers of 64 bits"),
        ({"in": [1, NAN]}, "in", "NaN equals nothing"),
    ],
)
def test_what_cannot_be_compiled_is_refused_with_the_field_and_the_place(
    matcher: dict[str, Any], field: str, message: str
) -> None:
    with pytest.raises(InvalidExpression, match=message) as caught:
        _compile(**matcher)
    assert caught.value.field == f"spec.match[2].{field}"


def test_a_regex_longer_than_the_resource_allows_is_refused() -> None:
    with pytest.raises(InvalidExpression, match="longer than 1024 characters"):
        compile_regex("x" * 1025, "spec.match[0].regex")


def test_a_regex_with_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(InvalidExpression, match="character 2 is not a character"):
        compile_regex("a\ud800", "spec.match[0].regex")


def test_a_broken_regex_writes_nothing_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidExpression):
        _compile(regex="(")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("matcher", "event", "text"),
    [
        ({"equals": "na"}, {"f": "loop"}, 'f is "loop", and must be "na"'),
        ({"equals": "na"}, {}, 'f is absent, and must be "na"'),
        ({"in": ["a", 1]}, {"f": None}, 'f is null, and must be one of "a", 1'),
        ({"glob": "Ad_*", "not": True}, {"f": "Ad_1"}, 'f is "Ad_1", and must not match the glob'),
        (
            {"glob": "[ab]*"},
            {"f": "a1"},
            'f is "a1", and must match the glob "[ab]*", in which [ and',
        ),
        ({"exists": False}, {"f": {}}, "f is an object, and must be absent"),
        ({"gte": 10}, {"f": 9}, "f is 9, and must be at least 10"),
    ],
)
def test_a_failure_is_explained_with_what_was_met(
    matcher: dict[str, Any], event: dict[str, object], text: str
) -> None:
    assert _compile(**matcher).explain(event).startswith(text)


@pytest.mark.parametrize(
    "regex",
    [
        "(?:a?){490}a{490}b",
        "[^x]{180}$",
        "(?:a|b)*a(?:a|b){900}$",
        "(?:.?){80}x(?:.?){80}y",
        "(?:(?:a*)*)*b",
    ],
)
def test_no_regex_takes_long_on_the_largest_text(regex: str) -> None:
    test = _compile(regex=regex)
    for text in ("a" * MAX_TEXT, "ab" * (MAX_TEXT // 2), "é" * MAX_TEXT):
        began = time.process_time()
        test.passes({"f": text})
        assert time.process_time() - began < 2


def test_a_long_list_is_priced_by_its_elements() -> None:
    test, elements = _compile(contains="x"), [0] * 16_000
    began = time.thread_time()
    assert not test.passes({"f": elements})
    taken = 1e9 * (time.thread_time() - began)
    assert taken < 5 * test.price(elements) < 5 * 50e6


@pytest.mark.parametrize("matcher", [{"glob": "*"}, {"regex": "a"}])
def test_a_text_that_is_too_long_matches_no_glob_and_no_regex(matcher: dict[str, str]) -> None:
    for letter in "aé":  # characters count, not bytes
        text = "a" + letter * (MAX_TEXT - 1)
        assert _passes(text, **matcher)
        assert not _passes(text + letter, **matcher)
        assert _passes(text + letter, prefix="a")


@given(st.text("ab*?.\n[]!-", max_size=12), st.text("ab.\n[]!-", max_size=12))
def test_a_glob_matches_what_the_shell_matches_but_for_brackets(glob: str, text: str) -> None:
    assert _passes(text, glob=glob) == fnmatchcase(text, glob.replace("[", "[[]"))


@given(st.text(st.characters(codec="utf-8"), max_size=256))
def test_any_text_matches_the_glob_that_is_itself(text: str) -> None:
    assert _passes(text, glob=text)


@given(
    st.lists(st.text("ab[]!-?", max_size=4), min_size=1, max_size=3), st.text("ab[]", max_size=3)
)
def test_every_text_that_matches_a_glob_has_its_ends(parts: list[str], middle: str) -> None:
    test = _compile(glob="*".join(parts))
    text = middle.join(parts).replace("?", "b")
    assert test.passes({"f": text})
    assert text.startswith(test.head)
    assert text.endswith(test.tail)


@given(st.text(min_size=1, max_size=40), st.text())
def test_any_regex_compiles_or_is_refused(regex: str, text: str) -> None:
    try:
        _passes(text, regex=regex)
    except InvalidExpression as error:
        assert error.field == "spec.match[2].regex"  # noqa: PT017 - it may also compile


SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from("123")


@given(SCALARS, SCALARS)
def test_keys_are_equal_exactly_if_json_values_are(first: object, second: object) -> None:
    booleans = isinstance(first, bool) + isinstance(second, bool)
    equal = first == second and booleans != 1 and first is not None
    assert (scalar_key(first) == scalar_key(second)) == equal or scalar_key(first) is scalar_key([])
