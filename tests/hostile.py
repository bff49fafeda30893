"""Expressions, patterns and events that are made to take long; see `test_rules_costs`.

Each took too long in some version of the operator, or is a neighbour of one that did.
"""

from __future__ import annotations

import random
from typing import Any

__all__ = ["EVENTS", "EXPRESSIONS", "GLOBS", "OBJECTS", "REGEXES", "TEXTS"]

_RANDOM = random.Random(1)


def _sum(term: str, count: int) -> str:
    """Add up a term, in groups that the parser's depth of 32 allows."""
    groups = ["(" + " + ".join([term] * min(15, count - at)) + ")" for at in range(0, count, 15)]
    return " + ".join(groups)


def _mixed(size: int) -> str:
    return "".join(_RANDOM.choice("ab") for _ in range(size))


_EITHER = "(event.k ? event.a : event.b).x"
_SECOND = "[event.a, event.b][1].x"

EXPRESSIONS = [
    # Sums, and what is done with them.
    f"({_sum('event.s', 60)}).contains(({_sum('event.s', 29)} + 'b'))",
    f"({_sum('event.s', 30)}).contains({_sum('event.s', 15)} + 'b')",
    f"({_sum('event.s', 4)}).contains(event.s + event.s + 'b')",
    "(event.s + event.s).contains(event.s + 'b')",
    f"({_sum('event.s', 90)}) == ''",
    f"({_sum('event.s', 45)}) == ({_sum('event.s', 45)})",
    f"({_sum('event.s', 40)}) < ({_sum('event.s', 40)})",
    f"({_sum('event.s', 40)}).matches('a+b')",
    f"({_sum('event.s', 40)}).startsWith({_sum('event.s', 40)})",
    f"({_sum('event.s', 40)}).endsWith({_sum('event.s', 39)})",
    f"size({_sum('event.s', 90)}) > 1",
    f"({_sum('event.l', 90)}) == []",
    f"({_sum('event.l', 45)}) == ({_sum('event.l', 45)})",
    f"1.0 in ({_sum('event.l', 60)})",
    f"event.l in [{_sum('event.l', 45)}, {_sum('event.l', 45)}]",
    f"({_sum('event.l', 20)}).exists(x, x == 2.0)",
    f"({_sum('event.l', 20)}).map(x, x).size() > 1",
    # One of two values that look alike from outside.
    f"({_sum(_EITHER, 20)}).contains({_sum(_EITHER, 8)} + 'b')",
    f"({_sum(_SECOND, 24)}).contains({_sum(_SECOND, 10)} + 'b')",
    # Long values.
    "event.s.contains(event.t)",
    "event.s.contains(event.t + 'b') || event.t.contains(event.s + 'b')",
    " || ".join(["event.s.contains(event.t)"] * 25),
    " || ".join(["event.s.contains('ab')"] * 35),
    " || ".join(["event.s == event.t"] * 40),
    " || ".join(["event.l == event.m"] * 40),
    " || ".join(["event.l == event.l"] * 40),
    " && ".join(["event == event"] * 55),
    " && ".join(["event.l in event.n"] * 40),
    " && ".join(["event.s in event.u"] * 40),
    " || ".join(["event.s < event.t"] * 40),
    f"event.s in [{', '.join(['event.t'] * 100)}]",
    f"event in [{', '.join(['event'] * 100)}]",
    f"[{', '.join(['event.l'] * 80)}] == [{', '.join(['event.l'] * 20)}]",
    "[[[[event, event], [event, event]], [[event, event], [event, event]]]] == [event]",
    "{" + ", ".join(f"event.s + '{n}': event" for n in range(40)) + "} == {}",
    "{" + ", ".join(f"event.s + '{n}': {n}" for n in range(40)) + "}[event.s] == 1",
    # Regexes.
    "event.s.matches('(?:a?){490}a{490}b')",
    "event.s.matches('(a?){500}')",
    "event.s.matches('[ab]*a[ab]{700}c')",
    "event.s.matches('[ab]*a[ab]{200}c')",
    "event.s.matches('[ab]*a[ab]{60}c')",
    "event.s.matches('(.{0,5}a.{0,5}b){12}z')",
    "event.s.matches('(?i)[^x]{99}y')",
    r"event.s.matches('\\pL+b')",
    r"event.s.matches('(?i)\\pL\\pN\\pL')",
    " || ".join([r"event.s.matches('\\pL')"] * 30),
    " || ".join(["event.s.matches('a*b')"] * 35),
    " || ".join(["event.s.matches('[ab]*a[ab]{9}c')"] * 25),
    "event.s.matches('" + "|".join(["a*b"] * 200) + "')",
    "event.s.matches('(x+x+)+y')",
    "string(event.s == event.t).matches('[^x]{99}y')",
    "(event.s + event.t + event.s + event.t).matches('[ab]*a[ab]{20}c')",
    # Comprehensions.
    "event.l.map(x, x).size() > 1",
    "event.l.filter(x, true) == event.l",
    "event.l.map(x, true, x) == event.l",
    "event.l.exists_one(x, x == 1.0)",
    "event.l.all(x, event == event)",
    "event.l.all(x, event.l == event.l)",
    "event.l.all(x, size(event.s) > 1)",
    "event.l.map(x, event.s + event.s).size() > 1",
    "event.l.map(x, event.l + event.l).size() > 1",
    "event.l.all(x, event.s.contains('ab') || true)",
    "event.l.all(x, event.s.contains(event.t + 'b') || true)",
    "event.l.all(x, !event.s.matches('[^x]{99}y'))",
    "event.l.all(x, string(x).matches('[^x]{99}y') || true)",
    r"event.l.all(x, string(x).matches('\\pL') || true)",
    "event.u.all(x, x.matches('[ab]*a[ab]{9}c') || true)",
    "event.l.all(x, " + " && ".join(["x == x"] * 90) + ")",
    "event.l.all(x, " + " || ".join(["x > 'a'"] * 60) + " || true)",
    "event.l.all(x, " + " || ".join(["event.z.z"] * 60) + " || true)",
    "event.l.all(x, x in event.l)",
    "event.l.all(x, x in event.l + event.l)",
    "event.l.all(x, event.l.all(y, x == y))",
    "event.l.all(x, event.l.all(y, event.l.all(z, x == y || y == z)))",
    "event.l.map(x, event.l.map(y, x)) == []",
    "event.l.map(x, event.l.map(y, event.l.map(z, x))) == []",
    "event.l.map(x, event.l).map(x, x.map(y, y)) == []",
    "event.n.map(x, x.map(y, event)) == []",
    "event.l.map(x, x).map(x, x).map(x, x).map(x, x) == []",
    "event.all(k, event.s.contains(k) || true)",
    "[event" + ", event" * 50 + "].all(x, " + " && ".join(["x == x"] * 50) + ")",
    "event.l.map(x, event) == [event]",
    "event.l.map(x, {string(x): event.s}) == []",
    "event.n.all(x, event.n.exists(y, x == y))",
    # Conversions, times, branches.
    " || ".join(["double(event.d) > 1.0"] * 40),
    " || ".join(["int(event.d) > 1"] * 40),
    " || ".join(["duration(event.v) > duration('1s')"] * 25),
    " || ".join(["timestamp(event.w) > timestamp('2021-01-29T09:26:33Z')"] * 15),
    " || ".join(["timestamp('2021-01-29T09:26:33Z').getHours(event.s) == 1"] * 15),
    " || ".join(["string(bytes(event.s)) == event.t"] * 25),
    " || ".join(["bytes(event.s) == bytes(event.t)"] * 25),
    " || ".join(["event[event.s] == 1.0"] * 40),
    " || ".join(["int(event.s + event.s) == 1"] * 30),
    "event.l.all(x, int(event.d) > 1 || true)",
    "event.l.all(x, event[event.s] == 1.0 || true)",
    "event.l.all(x, duration(event.v) > duration('1s') || true)",
    "event.l.all(x, timestamp('2021-01-29T09:26:33Z').getHours('Europe/Berlin') == 10)",
    "event.s == '' ? event.l == event.l : " * 15 + "event == event",
    "(event.s == '' ? event.s : event.s + event.s + event.s).contains(event.s + 'b')",
    "(" * 25 + "event == event" + ")" * 25,
    "!" * 30 + "(event.l == event.l)",
    "event" + ".a" * 28 + " == event",
    "type(event.l) == type(event.l + event.l + event.l)",
    "dyn(event.l + event.l).exists(x, x == dyn(event.s))",
    "has(event.s) && " * 50 + "event == event",
]
"""For `when`."""

OBJECTS = [
    f"{{'a': {_sum('event.s', 90)}}}",
    f"{{'a': {_sum('event.l', 90)}}}",
    "{'a': event.l.map(x, event)}",
    "{'a': event.l.map(x, event.l)}",
    "{" + ", ".join(f"'{n}': event" for n in range(70)) + "}",
    "{'a': event.l.map(x, {'b': event.s + event.s})}",
    f"{{{_sum('event.s', 50)}: {_sum('event.s', 50)}}}",
]
"""For `data` of a message."""

REGEXES = [
    "(a?){500}",
    "(?:a?){490}a{490}b",
    "(?:a?){740}b",
    "[ab]*a[ab]{200}c",
    "[ab]*a[ab]{700}c",
    "(.{0,5}a.{0,5}b){12}z",
    "(?i)[^x]{99}y",
    r"\pL+b",
    r"(?i)\pL\pN\pL",
    r"(?:\pL{1,2}){1}z",
    "|".join(["a*b"] * 200),
    "(?:a|b|ab|ba|aab|bba){60}c",
    "(?:(?:a|b)?){450}z",
    "[a-z]{1,300}[0-9]{1,300}z",
    "(?:[ab]*a[ab]{10}){9}c",
    "(x+x+)+y",
    r"[\pL\pN\pP\pS\pM\pZ]{1}\PC",
    "[^a]" * 100,
]

GLOBS = [
    "*a*a*a*a*b",
    "*" * 256,
    "*a" * 128,
    "*?" * 127 + "b",
    "?" * 256,
    "*a?" * 85 + "b",
    "*" + "ab" * 100 + "*" + "ab" * 20 + "c",
    "a*" * 100 + "b",
    "*é?" * 80,
    "*" + "a" * 254 + "b",
    "*" + "a" * 253 + "b*",
    "*a" + "?" * 250 + "b",
    "*a" + "?" * 250 + "b*",
    "*" + "a?" * 120 + "b*",
    "*" + "?" * 250 + "b*",
]

TEXTS = [
    "a" * 4096,
    "a" * 4095 + "b",
    "b" + "a" * 4095,
    ("a" * 100 + "b") * 40,
    ("a" * 250 + "c") * 16,
    _mixed(4096),
    "é" * 4096,
    "漢a" * 2048,
    "x " * 2048,
    "a" * 400,
]
"""For globs and regexes, which look at 4,096 characters at most."""


EVENTS: list[dict[str, Any]] = [
    {"k": False, "a": {"x": 1, "y": "a" * 15_000}, "b": {"x": "a" * 15_000, "y": 1}},
    {"s": "a" * 31_000, "t": "a" * 900},
    {"s": "a" * 16_000, "t": "a" * 15_999},
    {"s": "a" * 20_000, "t": "a" * 10_000 + "b"},
    {"s": _mixed(31_000), "t": "ab"},
    {"s": "é" * 8000, "t": "é" * 7000},
    {"l": [1] * 15_000, "s": "a", "t": "b"},
    {"l": [1] * 8000, "m": [1] * 7500 + [2], "s": "a" * 400, "t": "a" * 399 + "b"},
    {"l": [1] * 1000, "s": _mixed(25_000), "t": "a"},
    {"l": [1] * 300, "s": "a" * 28_000, "t": "b"},
    {"l": [1] * 60, "s": _mixed(30_000), "t": "b"},
    {"l": [{"a": 1, "b": "xx"}] * 900, "s": "a" * 8000, "t": "a" * 7999 + "b"},
    {"l": [[1] * 20] * 300, "n": [[1] * 60] * 140, "s": "aa", "t": "ab"},
    {"u": ["ab" * 10] * 600, "l": ["ab" * 10] * 600, "s": "ab" * 2000, "t": "b"},
    {f"a{n}": n for n in range(2400)} | {"l": [1] * 30, "s": "a", "t": "b"},
    {"d": "1" * 30_000, "l": [1] * 500, "s": "1" * 1000},
    {"v": "1ns" * 9000, "l": [1] * 500},
    {"w": "2021-01-29T09:26:33." + "1" * 30_000 + "Z"},
]
"""Each large in another way; none exceeds 32 KiB."""
