"""JSON that users give, in whatever layout."""

from __future__ import annotations

import gzip
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.commands.files import json_values, read_text
from controller.errors import OperatorError
from controller.rules.payloads import Refusal

if TYPE_CHECKING:
    from pathlib import Path

EVENT = {"a": {"b": [1, {"c": "x\n}\n{"}]}, "u": "\u2028\x85"}
ONE, OTHER = json.dumps(EVENT, ensure_ascii=False), '{"b": 2}'
PRETTY = json.dumps(EVENT, ensure_ascii=False, indent=2)


def found(text: str) -> list[tuple[int, Any]]:
    return [
        (line, "refused" if isinstance(value, Refusal) else value)
        for line, value in json_values(text)
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", []),
        (" \r\n\t", []),
        (ONE, [(1, EVENT)]),
        (f"\n{ONE}\n\n{OTHER}\n", [(2, EVENT), (4, {"b": 2})]),
        (f"{ONE}{OTHER} {OTHER}", [(1, EVENT), (1, {"b": 2}), (1, {"b": 2})]),
        (f"{PRETTY}\n{OTHER}", [(1, EVENT), (12, {"b": 2})]),
        (f"[{ONE},\n{OTHER}]\n{OTHER}", [(1, EVENT), (2, {"b": 2}), (3, {"b": 2})]),
        ("[]\n[ ]\n" + OTHER, [(3, {"b": 2})]),
        ("1\nnull\n" + OTHER, [(1, 1), (2, None), (3, {"b": 2})]),
        # What is not JSON is told once, and does not hide what follows.
        (f"garbage\n{OTHER}", [(1, "refused"), (2, {"b": 2})]),
        (f"garbage\n  {OTHER}", [(1, "refused"), (2, {"b": 2})]),
        (f'{{"torn": "x\n{OTHER}', [(1, "refused"), (2, {"b": 2})]),
        (f'{{"torn": \n{OTHER}\n{OTHER}', [(1, "refused"), (2, {"b": 2}), (3, {"b": 2})]),
        (f"{OTHER} junk\n{OTHER}", [(1, "refused"), (2, {"b": 2})]),
        (PRETTY.replace(",", ";") + f"\n\n{OTHER}", [(1, "refused"), (13, {"b": 2})]),
        (f"[{OTHER}\n{OTHER}", [(1, {"b": 2}), (1, "refused"), (2, {"b": 2})]),
        ('{"n": NaN}\n' + OTHER, [(1, "refused"), (2, {"b": 2})]),
        ("[" * 100_000 + "\n" + OTHER, [(1, "refused"), (2, {"b": 2})]),
        ('{"n": ' + "1" * 5000 + "}\n" + OTHER, [(1, "refused"), (2, {"b": 2})]),
    ],
)
def test_values_are_found_with_their_lines(text: str, told: list[tuple[int, Any]]) -> None:
    assert found(text) == told


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=3)


@given(st.lists(st.tuples(OBJECTS, st.sampled_from([None, 0, 2]), st.booleans()), max_size=4))
def test_what_was_written_one_after_the_other_is_read_so(
    written: list[tuple[dict[str, Any], int | None, bool]],
) -> None:
    texts = [json.dumps(v, indent=i, ensure_ascii=plain) for v, i, plain in written]
    values = [value for value, _, _ in written]
    assert [value for _, value in json_values("\n".join(texts))] == values
    assert [value for _, value in json_values(f"[{','.join(texts)}]")] == values


@given(st.text(st.sampled_from('{}[]",:1\n a\u2028')))
def test_any_text_comes_to_an_end(text: str) -> None:
    lines = [line for line, _ in json_values(text)]
    assert lines == sorted(lines)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\n {'a': 1}", "Expecting property name enclosed in double quotes at line 2, column 3"),
        ('[1,\n2,\n"x" "y"]', "a list goes on with a comma or ends with ] at line 3, column 5"),
        ('{"a":\n\n  tru}', "Expecting value at line 3, column 3"),
        ('"x', "Unterminated string starting at line 1, column 1"),
        ('"\\u12', "Invalid \\uXXXX escape at line 1, column 3"),
        ('{"a": "' + "x" * 10_000 + '"\n:', "Expecting ',' delimiter at line 2, column 1"),
    ],
)
def test_what_is_not_json_is_told_by_its_place(text: str, told: str) -> None:
    refused = next(value for _, value in json_values(text) if isinstance(value, Refusal))
    assert refused == Refusal(f"not JSON: {told}")


NUMBERS = st.sampled_from(["0", "-1.5e+300", "12345678901234567890", "1.0", "true", "null", '"x"'])


@given(NUMBERS, st.integers(4070, 4100), st.sampled_from(["", " ", "\n{}"]))
def test_a_value_is_read_whole_wherever_it_stands(value: str, before: int, after: str) -> None:
    text = f"[{' ' * before}{value}]{after}"
    assert next(json_values(text)) == (1, json.loads(value))
    text = f"{' ' * before}{value}"
    assert next(json_values(f'[{{"x": "{"y" * before}", "n": {value}}}]')).value == {
        "x": "y" * before,
        "n": json.loads(value),
    }


@pytest.mark.parametrize("line", ["{'a': 1}\n", "[1 2\n", '{"a": "\n'])
def test_a_large_file_of_anything_is_read_as_fast_as_one_of_json(line: str) -> None:
    def reading(text: str) -> float:
        before = time.thread_time()
        assert sum(1 for _ in json_values(text)) >= 50_000
        return time.thread_time() - before

    assert reading(line * 50_000) < 20 * reading('{"a": 1}\n' * 50_000)


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"\xff\xff{}", "it is not text in UTF-8"), (b"\xff\xfe{", "it is not text in UTF-8")],
)
def test_a_file_that_is_no_text_is_told(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(OperatorError, match=told):
        read_text(str(file))


def test_a_packed_file_is_unpacked_and_a_torn_one_told(tmp_path: Path) -> None:
    file = tmp_path / "file.gz"
    packed = gzip.compress("\ufeffZoë\r\nx".encode())
    file.write_bytes(packed)
    assert read_text(str(file)) == "Zoë\nx"
    file.write_bytes(packed[:-12])
    with pytest.raises(OperatorError, match="ended before"):
        read_text(str(file))
