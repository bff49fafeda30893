"""docs/troubleshooting.md has an entry for each reason and each verdict that the code can give."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from controller.events import Verdict

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
# Where the reason stands among the arguments of what makes conditions.
PLACES = {
    "Finding": 2, "Blocked": 0, "FeedHealth": 1, "Announcement": 1,
    "_authorization": 1, "_failed": 2, "Told": 4,
}  # fmt: skip
REASON = re.compile(r"([A-Z][a-z]+)+")


@cache
def trees() -> list[ast.Module]:
    paths = [path for path in (ROOT / "controller").rglob("*.py") if "sandbox" not in path.parts]
    return [ast.parse(path.read_text("utf-8")) for path in paths]


def strings(node: ast.AST) -> list[str]:
    """The strings in an expression."""
    values = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
    return [value for value in values if isinstance(value, str)]


@cache
def constants() -> dict[str, str]:
    """The strings to which names of modules are bound."""
    found: dict[str, str] = {}
    for node in (node for tree in trees() for node in tree.body):
        if isinstance(node, ast.Assign):
            names = [n.id for n in ast.walk(node.targets[0]) if isinstance(n, ast.Name)]
            found |= dict(zip(names, strings(node.value), strict=False))
    return found


def reasons_of(call: ast.Call) -> list[str]:
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    given: list[ast.expr] = [k.value for k in call.keywords if k.arg == "reason"]
    if name in PLACES:
        given += call.args[PLACES[name] : PLACES[name] + 1]
    names = [part.id for each in given for part in ast.walk(each) if isinstance(part, ast.Name)]
    bound = [constants()[name] for name in names if name in constants()]
    return bound + [text for each in given for text in strings(each)]


def defaults_of(arguments: ast.arguments) -> list[str]:
    named = arguments.args[len(arguments.args) - len(arguments.defaults) :]
    pairs = zip(named, arguments.defaults, strict=True)
    return [text for argument, default in pairs if argument.arg == "reason"
            for text in strings(default)]  # fmt: skip


@cache
def reasons() -> frozenset[str]:
    found: list[str] = []
    for node in (node for tree in trees() for node in ast.walk(tree)):
        if isinstance(node, ast.Call):
            found += reasons_of(node)
        elif isinstance(node, ast.arguments):
            found += defaults_of(node)
    return frozenset(filter(REASON.fullmatch, found))


def test_the_source_is_read_as_it_is_meant() -> None:
    assert {"SecretNotFound", "TooExpensive", "Paced", "SecretLost", "HostNotAllowed"} <= reasons()
    assert {"ConfigurationRefused", "AccessDenied", "SecretsRevoked", "Succeeded"} <= reasons()
    assert len(reasons()) > 40


@pytest.mark.parametrize("reason", sorted(reasons()))
def test_each_reason_has_an_entry(reason: str) -> None:
    assert re.search(rf"^(### {reason}$|\| .*`{reason}`.* \|)", PAGE, re.MULTILINE)


def test_no_entry_is_left_over() -> None:
    told = set(re.findall(r"^### (\w+)$", PAGE, re.MULTILINE))
    assert told - reasons() == {"AdsManagerScheduled"}, "a condition of its own"


@pytest.mark.parametrize("verdict", Verdict)
def test_each_verdict_has_a_row(verdict: Verdict) -> None:
    assert re.search(rf"^\| `{verdict.value}` \| .+ \| .+ \| .+ \|$", PAGE, re.MULTILINE)
