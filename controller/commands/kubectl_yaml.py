"""YAML as kubectl reads it, which is neither YAML 1.1 nor 1.2: the scalars of go-yaml 2, as JSON.

`y` and `on` are true, `08` is 8, `010` is 8 too, `0o7` is 7, `1e1` is 10, `12:30` and dates are
texts. A key is a text whatever it looks like, and of several equal keys the last one counts. What
JSON cannot carry (`.inf`, a key that is a list) is refused.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import struct
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import yaml
from yaml.constructor import ConstructorError
from yaml.scanner import ScannerError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["as_kubernetes", "load_documents", "scalar"]

_TAG = "tag:yaml.org,2002:"
_PLAIN = "plain"
_STR, _MERGE = f"{_TAG}str", f"{_TAG}merge"

_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES"), True),
    **dict.fromkeys(("true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO"), False),
    **dict.fromkeys(("false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_WHOLE = re.compile(
    r"([+-]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]([0-7]+)|0([0-7]*)|([1-9][0-9]*))"
)
_BASES = (16, 2, 8, 8, 10)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_DOT_FLOAT = re.compile(r"\.[0-9]+(?:_[0-9]+)*(?:[eE][-+]?[0-9]+(?:_[0-9]+)*)?")
_INT64 = range(-(2**63), 2**63)
_WHOLE_BELOW = 1e21  # JSON writes whole doubles below it as whole numbers
_INDICATORS = re.compile(r"[-+][1-9]?|[1-9][-+]?")  # behind | and >
_BREAKS = "\r\n\x85\u2028\u2029"
_SURROGATE = re.compile("[\ud800-\udfff]")
_SINGLE = struct.Struct("<f")
_LEAST, _MOST = -4, 6  # exponents of a key that is written without one

# An alias repeats what it names: a small document may stand for a huge one.
_FEW = 100
_SMALL, _LARGE = 400_000, 4_000_000
_SMALL_SHARE, _LARGE_SHARE = 0.99, 0.1


def scalar(text: str) -> Any:  # noqa: ANN401 - JSON, or a number that JSON lacks
    """Return what a plain scalar, without quotes and tag, stands for."""
    if text in _WORDS:
        return _WORDS[text]
    if text[:1] == ".":
        found = _DOT_FLOAT.fullmatch(text)
        return _finite(text.replace("_", ""), text) if found else text
    if text[:1] not in set("+-0123456789"):
        return text
    digits = text.replace("_", "")
    if whole := _WHOLE.fullmatch(digits):
        sign, *groups = whole.groups()
        base, group = next((b, g) for b, g in zip(_BASES, groups, strict=True) if g is not None)
        number = int(group or "0", base) * (-1 if sign == "-" else 1)
        if number in _INT64 or (not sign and number < 2**64):
            return number
    return _finite(digits, text) if _FLOAT.fullmatch(digits) else text


def _finite(digits: str, text: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else text


def as_kubernetes(number: float) -> float:
    """Return a number as it arrives at the API server, which reads what JSON writes."""
    if isinstance(number, int):
        whole = number
    elif number.is_integer() and abs(number) < _WHOLE_BELOW:
        whole = int(Decimal(repr(number)))  # the shortest digits that tell it, then zeros
    else:
        return number
    return whole if whole in _INT64 else float(whole)


def load_documents(text: str) -> Iterator[Any]:
    """Read the documents of a text as JSON.

    Raises:
        yaml.YAMLError: It is not YAML, or holds what JSON cannot carry.
    """
    try:
        for node in yaml.compose_all(text, _Loader):
            yield _Document().value(node)
    except RecursionError:
        msg = "nested too deeply"
        raise yaml.YAMLError(msg) from None


class _Loader(yaml.SafeLoader):
    """Leaves plain scalars to `scalar`, and reads blanks, escapes and `!` as go-yaml does."""

    ESCAPE_REPLACEMENTS: ClassVar = {  # type: ignore[misc]  # Final to the stubs
        letter: meant
        for letter, meant in yaml.SafeLoader.ESCAPE_REPLACEMENTS.items()
        if letter != "/"
    }

    def scan_to_next_token(self) -> None:
        super().scan_to_next_token()
        # A tab is a blank where no key of a block may begin: it never indents.
        while self.peek() == "\t" and (self.flow_level or not self.allow_simple_key):
            self.forward()
            super().scan_to_next_token()

    def scan_plain_spaces(self, indent: int, start_mark: yaml.Mark) -> list[str] | None:
        length = 0
        while self.peek(length) in " \t":
            length += 1
        blanks: str = self.prefix(length)
        self.forward(length)
        if self.peek() in _BREAKS:
            found: list[str] | None = super().scan_plain_spaces(indent, start_mark)
            return found
        return [blanks] if blanks else []

    def scan_block_scalar_indicators(self, _start_mark: yaml.Mark) -> tuple[bool | None, Any]:
        found = _INDICATORS.match(self.prefix(2))
        told = found[0] if found is not None else ""
        self.forward(len(told))
        width = told.strip("+-")
        return (None if told == width else "+" in told), int(width) if width else None

    def scan_block_scalar_ignored_line(self, start_mark: yaml.Mark) -> None:
        while self.peek() in " \t":
            self.forward()
        super().scan_block_scalar_ignored_line(start_mark)

    def scan_block_scalar_indentation(self) -> tuple[list[str], int, yaml.Mark]:
        found: tuple[list[str], int, yaml.Mark] = super().scan_block_scalar_indentation()
        if self.peek() == "\t":
            raise ScannerError(None, None, "a tab that indents", self.get_mark())
        return found

    def scan_flow_scalar_non_spaces(self, double: bool, start_mark: yaml.Mark) -> list[str]:
        try:
            found: list[str] = super().scan_flow_scalar_non_spaces(double, start_mark)
        except (ValueError, OverflowError):  # of chr()
            found = ["\ud800"]
        if any(map(_SURROGATE.search, found)):
            raise ScannerError(None, None, "an escape of no character", start_mark)
        return found

    def fetch_directive(self) -> NoReturn:
        # kubectl parts the documents before it reads them, and the directive stands alone.
        problem = "kubectl takes no %YAML and no %TAG"
        raise ScannerError(None, None, problem, self.get_mark())

    def resolve(self, kind: type[yaml.Node], _value: str, implicit: Any) -> str:  # noqa: ANN401
        return _PLAIN if kind is yaml.ScalarNode and implicit[0] else _STR

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if not isinstance(event, yaml.AliasEvent) and getattr(event, "anchor", None) is not None:
            self.anchors.pop(event.anchor, None)  # a name may be given anew
        if isinstance(event, yaml.ScalarEvent) and event.tag == "!":
            event.implicit = (False, True)  # a text, whatever it looks like
        return super().compose_node(parent, index)


class _Document:
    """Makes JSON of the nodes of a document."""

    def __init__(self) -> None:
        self._decoded = 0
        self._by_alias = 0
        self._seen: set[int] = set()
        self._aliases = 0  # how many of them enclose the present node
        self._open: set[int] = set()

    def value(self, node: yaml.Node) -> Any:  # noqa: ANN401 - JSON
        is_alias = id(node) in self._seen
        self._seen.add(id(node))
        if id(node) in self._open:
            raise _fault(node, "an anchor whose value contains itself")
        self._open.add(id(node))
        self._aliases += is_alias
        self._count(node)
        if isinstance(node, yaml.MappingNode):
            found: Any = self._mapping(node)
        elif isinstance(node, yaml.SequenceNode):
            found = [self.value(child) for child in node.value]
        else:
            found = _json(node)
        self._aliases -= is_alias
        self._open.discard(id(node))
        return found

    def _count(self, node: yaml.Node) -> None:
        self._decoded += 1
        self._by_alias += self._aliases > 0
        if self._by_alias <= _FEW:
            return
        grown = (min(max(self._decoded, _SMALL), _LARGE) - _SMALL) / (_LARGE - _SMALL)
        share = _SMALL_SHARE - grown * (_SMALL_SHARE - _LARGE_SHARE)
        if self._decoded > 10 * _FEW and self._by_alias / self._decoded > share:
            raise _fault(node, "aliases repeat too much")

    def _mapping(self, node: yaml.MappingNode) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            if _is_merge(key):
                found |= self._merged(value)
            else:
                found[_key(key)] = self.value(value)
        return found

    def _merged(self, node: yaml.Node) -> dict[str, Any]:
        """What a `<<` brings along; of several mappings the first one counts."""
        several = node.value if isinstance(node, yaml.SequenceNode) else [node]
        if not all(isinstance(each, yaml.MappingNode) for each in several):
            raise _fault(node, "<< needs a mapping, or a list of mappings")
        found: dict[str, Any] = {}
        for each in reversed(several):
            found |= self.value(each)
        return found


def _is_merge(key: yaml.Node) -> bool:
    return key.tag == _MERGE or (key.tag == _PLAIN and key.value == "<<")


def _key(node: yaml.Node) -> str:
    value = _typed(node) if isinstance(node, yaml.ScalarNode) else None
    match value:
        case str():
            return value
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            return _words_of(value)
    raise _fault(node, "a key must be a string, a number, true or false")


def _words_of(number: float) -> str:
    if not math.isfinite(number):
        return ".nan" if math.isnan(number) else f"{'-' if number < 0 else ''}.inf"
    number = _single(number)
    if not math.isfinite(number):
        return _words_of(number)
    tried = (f"{number:.{places}e}" for places in range(9))
    shortest = next(text for text in tried if _single(float(text)) == number)
    exponent = int(shortest.partition("e")[2])
    return f"{Decimal(shortest):f}" if _LEAST <= exponent < _MOST else shortest


def _single(number: float) -> float:
    """Round to the 32 bits in which kubectl keeps a key."""
    try:
        rounded: float = _SINGLE.unpack(_SINGLE.pack(number))[0]
    except OverflowError:
        return math.copysign(math.inf, number)
    return rounded


def _json(node: yaml.Node) -> Any:  # noqa: ANN401 - JSON
    value = _typed(node)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not math.isfinite(value):
            raise _fault(node, "Kubernetes takes no infinite number and no NaN")
        return as_kubernetes(value)
    return value


def _typed(node: yaml.Node) -> Any:  # noqa: ANN401 - JSON
    """The value of a scalar, by its tag if it has one."""
    kind = node.tag.removeprefix(_TAG)
    if kind == "binary":
        try:
            return base64.b64decode(node.value, validate=True).decode("utf-8", "replace")
        except binascii.Error:
            raise _fault(node, "!!binary is not base64") from None
    if node.tag != _PLAIN and kind not in ("bool", "int", "float", "null"):
        return node.value
    value = scalar(node.value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "float" and is_number:
        return float(value)
    fits = {
        "bool": isinstance(value, bool),
        "int": is_number and isinstance(value, int),
        "float": False,
        "null": value is None,
    }
    if not fits.get(kind, True):
        raise _fault(node, f"{node.value!r} is not a valid !!{kind}")
    return value


def _fault(node: yaml.Node, problem: str) -> ConstructorError:
    return ConstructorError(None, None, problem, node.start_mark)
