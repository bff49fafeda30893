"""One test of one field of an event.

How values compare:

- A field that is null counts as absent. An absent field passes no test but `exists: false`; since
  `not: true` turns a test around, it passes any test that carries it.
- `equals` and `in` compare as JSON does: the number 1 is 1.0, and neither the text "1" nor true.
- `contains` looks at lists only, and compares each element like `equals`.
- `glob`, `regex`, `prefix` and `suffix` look at texts only, and tell capitals from small letters. A
  regex finds its match anywhere in the text; a glob is the whole text. A text of more than 4,096
  characters matches neither: the work for one event must stay small.
- A glob has two wildcards, `*` and `?`. All else stands for itself, brackets too: names of assets
  have them, such as `Promo [HD]`.
- `gt`, `gte`, `lt` and `lte` look at numbers and at texts that are one decimal number. NaN is in no
  order with anything.
- Whole numbers are compared exactly, however large. A rule names none beyond 64 bits, because the
  API server would round it.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass, field
from fnmatch import translate
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

import re2

from controller.errors import InvalidExpression
from controller.rules.fieldpath import MISSING, FieldPath, FieldPathError
from controller.rules.payloads import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from controller.resources.matcher import Matcher

    Check = Callable[[Any], bool]
    Operand = bool | float | str | tuple[bool | float | str, ...]

__all__ = [
    "MAX_PATTERN",
    "MAX_PROGRAM",
    "MAX_TEXT",
    "UNEQUAL",
    "Test",
    "compile_regex",
    "compile_test",
    "scalar_key",
]

MAX_PATTERN = 1024
"""Characters of a regex."""

MAX_PROGRAM = 1500
"""Instructions of a compiled regex, and of all regexes of a rule together. RE2 may take each of
them for each byte of a text: see `controller.rules.matching`."""

MAX_TEXT = 4096
"""Characters of the longest text that a glob or a regex looks at."""

_MOST_BYTES = 4  # of a character
# Nanoseconds, at the upper end of what was measured.
_INSTRUCTION = 20.0  # of a regex, on a byte
_STAR = 25.0  # of a glob, on a character
_ELEMENT = 150.0  # of a list
_COMPARED = 2.5  # a character of the longest part between two stars, on a character

_MAX_MEMORY = 1 << 20  # bytes of RE2 for one expression, its cache of states included

_DECIMAL = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,3})?")


_WILD = re.compile(r"[*?]")
_ANCHORED = re.compile(r"\^([\w :/-]+)(?![\w :/*?{+-])", re.ASCII)


class _Unequal:
    """Equal to nothing."""


UNEQUAL: Final = _Unequal()
"""The key of a value that equals no text, number or boolean."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Test:
    """A compiled matcher.

    Attributes:
        path: The field.
        equals: Keys of the values of which the field must have one; None for any other test.
        head: With what the field must begin; "" where nothing is known.
        tail: With what it must end.
    """

    path: FieldPath
    equals: frozenset[Hashable] | None
    head: str
    tail: str
    _check: Check = field(repr=False)
    _negated: bool
    _description: str
    _rate: float = 0.0
    _looks_at_lists: bool = False

    __test__ = False  # pytest: no case of a test suite

    def value(self, payload: Mapping[str, Any]) -> Any:  # noqa: ANN401 - any JSON
        """Return the value of the field; None: it is absent."""
        value = self.path.get(payload)
        return None if value is MISSING else value

    def price(self, value: object) -> float:
        """Return the nanoseconds that it may take to test a value; 0: next to none."""
        if self._looks_at_lists:
            return self._rate * len(value) if isinstance(value, list) else 0.0
        if not self._rate or not isinstance(value, str) or len(value) > MAX_TEXT:
            return 0.0
        return self._rate * len(value) * (1 if value.isascii() else _MOST_BYTES)

    def holds(self, value: object) -> bool:
        """Tell whether a value of the field passes."""
        return self._check(value) is not self._negated

    def passes(self, payload: Mapping[str, Any]) -> bool:
        """Tell whether an event passes."""
        return self.holds(self.value(payload))

    def explain(self, payload: Mapping[str, Any]) -> str:
        """Tell why an event failed, for people."""
        value = self.path.get(payload)
        found = "absent" if value is MISSING else shown(value)
        return f"{self.path} is {found}, and must {self._description}"


_TESTS: WeakValueDictionary[str, Test] = WeakValueDictionary()  # of matchers that are in use


def scalar_key(value: object) -> Hashable:
    """Return what two JSON scalars have in common if they are equal, and only then."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return ("bool", value)  # True == 1 in Python
    if isinstance(value, int | float) and value == value:  # noqa: PLR0124 - NaN is not
        return value
    return UNEQUAL


def compile_test(matcher: Matcher, where: str) -> Test:
    """Compile a matcher; rules with the same matcher share what it is compiled to.

    Args:
        matcher: As the resource has it.
        where: Its path in the resource, such as `spec.match[2]`.

    Raises:
        InvalidExpression: The field's path, the glob, the regex or a value cannot be used.
    """
    same = f"{matcher.field!r} {matcher.operator} {matcher.operand!r} {matcher.not_}"
    test = _TESTS.get(same)
    if test is None:
        test = _TESTS[same] = _compile(matcher, where)
    return test


def _compile(matcher: Matcher, where: str) -> Test:
    try:
        path = FieldPath.parse(matcher.field)
    except FieldPathError as error:
        raise InvalidExpression(f"{where}.field", str(error)) from None
    name, operand = matcher.operator, matcher.operand
    equals = None
    if name in {"equals", "in"}:
        equals = _keys(operand, f"{where}.{name}")
        check: Check = _one_of(equals)
    else:
        check = _CHECKS[name](operand, f"{where}.{name}")
    head, tail = _ends(name, operand) if not matcher.not_ else ("", "")
    return Test(
        path=path,
        equals=None if matcher.not_ else equals,
        head=head,
        tail=tail,
        _check=check,
        _negated=matcher.not_,
        _description=("not " if matcher.not_ else "") + _describe(name, operand),
        _rate=_rate(name, operand),
        _looks_at_lists=name == "contains",
    )


def _rate(name: str, operand: Operand) -> float:
    """Nanoseconds that a pattern may take for each byte or character of a text."""
    if name == "contains":
        return _ELEMENT
    if name == "regex":
        return _INSTRUCTION * float(compile_regex(str(operand), "").programsize)
    if name == "glob" and "*" in str(operand):
        return _STAR + _COMPARED * max(map(len, str(operand).split("*")))
    return 0.0


def compile_regex(
    pattern: str, where: str, *, captures: bool = False, most: int = MAX_PROGRAM
) -> Any:  # noqa: ANN401 - untyped
    """Compile a regular expression whose cost is bounded.

    Args:
        pattern: RE2.
        where: The field that holds it.
        captures: Its groups are wanted.
        most: Instructions of its program.

    Returns:
        RE2's object.

    Raises:
        InvalidExpression: RE2 refuses it, or it is too large.
    """
    if len(pattern) > MAX_PATTERN:
        raise InvalidExpression(where, f"longer than {MAX_PATTERN} characters")
    options = re2.Options()
    options.max_mem = _MAX_MEMORY
    options.never_capture = not captures
    options.log_errors = False
    try:
        compiled = re2.compile(pattern.encode(), options)
    except UnicodeEncodeError as error:
        raise InvalidExpression(where, f"character {error.start + 1} is not a character") from None
    except re2.error as error:
        raise InvalidExpression(where, _explain(error, pattern)) from None
    if compiled.programsize > most:
        raise InvalidExpression(
            where,
            f"too large ({compiled.programsize} instructions, at most {most}):"
            " repeat less, or use smaller classes of characters",
        )
    return compiled


def _explain(error: Exception, pattern: str) -> str:
    problem = error.args[0]
    text = problem.decode("utf-8", "replace") if isinstance(problem, bytes) else str(problem)
    _, _, part = text.rpartition(": ")
    place = f" at column {pattern.index(part) + 1}" if pattern.count(part) == 1 else ""
    hint = "; RE2 has no look-around and no back-references" if "(?" in part or "\\" in part else ""
    return f"not a valid RE2 expression: {text}{place}{hint}"


def _keys(operand: Operand, where: str) -> frozenset[Hashable]:
    values = operand if isinstance(operand, tuple) else (operand,)
    keys = frozenset(map(scalar_key, values))
    if UNEQUAL in keys:
        raise InvalidExpression(where, "NaN equals nothing: remove it")
    for value in values:
        if isinstance(value, int | float):
            _require_exact(value, where)
    return keys


def _require_exact(number: float, where: str) -> None:
    """Refuse what the API server keeps as a double though it was written as a whole number."""
    if not -(2**63) <= number < 2**63:
        raise InvalidExpression(
            where,
            f"{shown(number)} is beyond the whole numbers of 64 bits, and Kubernetes rounds it:"
            " publish it as a string, and compare strings",
        )


def _one_of(keys: frozenset[Hashable]) -> Check:
    return lambda value: scalar_key(value) in keys


def _contains(operand: bool | float | str, where: str) -> Check:
    keys = _keys(operand, where)
    return lambda value: (
        isinstance(value, list) and any(scalar_key(element) in keys for element in value)
    )


def _exists(operand: bool, _where: str) -> Check:
    return lambda value: (value is not None) is operand


def _prefix(operand: str, _where: str) -> Check:
    return lambda value: isinstance(value, str) and value.startswith(operand)


def _suffix(operand: str, _where: str) -> Check:
    return lambda value: isinstance(value, str) and value.endswith(operand)


def _regex(operand: str, where: str) -> Check:
    search = compile_regex(operand, where).search
    return lambda value: _searchable(value) and search(_utf8(value)) is not None


def _glob(operand: str, _where: str) -> Check:
    # What the library makes of it takes the first place for each part between two stars, and
    # never goes back to look for another. Its brackets are classes, ours are literal.
    match = re.compile(translate(operand.replace("[", "[[]"))).match
    return lambda value: _searchable(value) and match(value) is not None


def _searchable(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")  # a lone surrogate is not a character to RE2


def _ends(name: str, operand: Operand) -> tuple[str, str]:
    """What is known of the beginning and the end of all texts that pass."""
    text = operand if isinstance(operand, str) else ""
    match name:
        case "prefix":
            return text, ""
        case "suffix":
            return "", text
        case "glob":
            return _WILD.split(text, 1)[0], _WILD.split(text[::-1], 1)[0][::-1]
        case "regex" if "|" not in text and (found := _ANCHORED.match(text)):
            return found[1], ""
    return "", ""


def _ordered(compare: Callable[[float, float], bool]) -> Callable[[float, str], Check]:
    def compile_(operand: float, where: str) -> Check:
        _require_exact(operand, where)

        def check(value: object) -> bool:
            number = _number(value)
            return number is not None and compare(number, operand)

        return check

    return compile_


def _number(value: object) -> float | None:
    if isinstance(value, str):
        if not _DECIMAL.fullmatch(value):
            return None
        return float(value) if not value.lstrip("+-").isdecimal() else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value


_CHECKS: dict[str, Callable[[Any, str], Check]] = {
    "contains": _contains,
    "exists": _exists,
    "glob": _glob,
    "regex": _regex,
    "prefix": _prefix,
    "suffix": _suffix,
    "gt": _ordered(operator.gt),
    "gte": _ordered(operator.ge),
    "lt": _ordered(operator.lt),
    "lte": _ordered(operator.le),
}

_PHRASES = {
    "equals": "be",
    "in": "be one of",
    "contains": "be a list with",
    "glob": "match the glob",
    "regex": "match the regex",
    "prefix": "begin with",
    "suffix": "end with",
    "gt": "be greater than",
    "gte": "be at least",
    "lt": "be less than",
    "lte": "be at most",
}


def _describe(name: str, operand: Operand) -> str:
    if name == "exists":
        return "be present" if operand else "be absent"
    if isinstance(operand, tuple):
        return f"{_PHRASES[name]} {', '.join(map(shown, operand))}"
    # A shell reads [a-z] as a class of characters; whoever expects one learns it here.
    plain = name == "glob" and isinstance(operand, str) and "[" in operand
    hint = ", in which [ and ] stand for themselves" if plain else ""
    return f"{_PHRASES[name]} {shown(operand)}{hint}"
