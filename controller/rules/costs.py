"""What a CEL expression may cost, read from its source.

CEL tells nothing about the work that it is about to do, and cannot be interrupted. So the work is
estimated before: from the tokens of the expression, and from the size of the event.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from cel_expr_python import cel  # type: ignore[import-untyped]

from controller.errors import InvalidExpression
from controller.rules.matchers import MAX_PROGRAM, compile_regex

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Cost", "cost_of"]

_MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})

_LITERALS = cel.NewEnv()

_TOKEN = re.compile(
    r"""
      (?P<blank>  \s+ | //[^\n]* )
    | (?P<text>   [bB]?[rR] (?: \"{3}.*?\"{3} | '{3}.*?'{3} | "[^"\n]*" | '[^'\n]*' )
                | [bB]? (?: \"{3}(?:\\.|[^\\])*?\"{3} | '{3}(?:\\.|[^\\])*?'{3}
                          | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' ) )
    | (?P<word>   [A-Za-z_]\w* )
    | (?P<number> \d\w*(?:\.\d\w*)? )
    | (?P<mark>   . )
    """,
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class Cost(NamedTuple):
    """What an expression does, counted in its source.

    Attributes:
        sums: How often it adds; the sum of two lists is a copy of both.
        events: How often `event` stands outside the body of the comprehension. This and what
            follows is 0 where there is no comprehension.
        body_events: How often within.
        tokens: Tokens of the body.
        literals: Elements of lists written out.
        program: Instructions of the regexes in the body.
    """

    sums: int
    events: int = 0
    body_events: int = 0
    tokens: int = 0
    literals: int = 0
    program: int = 0

    def steps(self, size: int, longest: int) -> int:
        """Estimate the steps of evaluating it, from above.

        Args:
            size: Steps of looking at all of the event.
            longest: Elements of the event's longest list or object.
        """
        adding = longest * self.sums * self.sums
        rounds = longest * self.events + self.literals
        # A round copies the result so far, and compiles its regexes.
        copying = rounds * (rounds + 16 * self.program)
        looking = size * self.events * self.tokens
        # Values taken from the event anew in each round, and regexes run over all of them.
        again = size * (self.events + rounds * self.body_events) * (1 + 2 * self.program)
        return adding + copying + looking + again


def cost_of(text: str, where: str) -> Cost:
    """Count what matters of an expression that compiles.

    Args:
        text: CEL.
        where: The field that holds it.

    Raises:
        InvalidExpression: It has more than one comprehension, or a regex that is no literal or too
            large.
    """
    tokens = _tokens(text)
    calls = list(_calls(tokens))
    macros = [index for index in calls if tokens[index].text in _MACROS]
    programs = {
        index: _program(tokens, index, where) for index in calls if tokens[index].text == "matches"
    }
    if sum(programs.values()) > MAX_PROGRAM:
        raise InvalidExpression(
            where, "the regexes of matches are too large together: shorten them"
        )
    sums = sum(token.text == "+" for token in tokens)
    if not macros:
        return Cost(sums)
    if len(macros) > 1:
        names = " and ".join(tokens[index].text for index in macros[:2])
        raise InvalidExpression(
            where,
            f"{_place(tokens, macros[1])}: at most one of {', '.join(sorted(_MACROS))},"
            f" and this has {names}: move one to a second rule",
        )
    body = range(macros[0] + 1, _closing(tokens, macros[0] + 1))
    events = [index for index, token in enumerate(tokens) if token.text == "event"]
    body_events = sum(index in body for index in events)
    return Cost(
        sums,
        events=len(events) - body_events,
        body_events=body_events,
        tokens=len(body),
        literals=sum(token.text == "," for token in tokens),
        program=sum(program for index, program in programs.items() if index in body),
    )


def _tokens(text: str) -> list[_Token]:
    found = (
        _Token(match.lastgroup or "", match[0], match.start()) for match in _TOKEN.finditer(text)
    )
    return [token for token in found if token.kind != "blank"]


def _calls(tokens: list[_Token]) -> Iterator[int]:
    """Find the names that are called as methods, such as `.all(`, and any call of `matches`."""
    for index, (name, following) in enumerate(pairwise(tokens)):
        method = index > 0 and tokens[index - 1].text == "."
        if following.text == "(" and (method or name.text == "matches"):
            yield index


def _closing(tokens: list[_Token], opening: int) -> int:
    depth = 0
    for index in range(opening, len(tokens)):
        if tokens[index].kind == "mark":
            depth += {"(": 1, ")": -1}.get(tokens[index].text, 0)
            if depth == 0:
                return index
    return len(tokens)


def _program(tokens: list[_Token], index: int, where: str) -> int:
    """Return the size of the regex of a call of `matches`."""
    place = _place(tokens, index)
    literal, closing = tokens[index + 2 : index + 4]
    if literal.kind != "text" or closing.text != ")" or tokens[index - 1].text != ".":
        msg = f'{place}: write matches as text.matches("regex"), with the regex itself'
        raise InvalidExpression(where, msg)
    pattern = str(_LITERALS.compile(literal.text).eval().value())
    try:
        return int(compile_regex(pattern, where).programsize)
    except InvalidExpression as error:
        raise InvalidExpression(where, f"{place}: {error.problem}") from None


def _place(tokens: list[_Token], index: int) -> str:
    return f"column {tokens[index].at + 1}"
