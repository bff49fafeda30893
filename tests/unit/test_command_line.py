"""What the parsers give is what the commands take."""

from __future__ import annotations

import inspect
from importlib import import_module

import pytest

from controller.__main__ import build_parser

ARGUMENTS: dict[str, list[str]] = {
    "run": [],
    "gateway": [],
    "crds": [],
    "authorize": ["mst3k"],
    "revoke": ["mst3k"],
    "revoke-secrets": ["deck-tracker"],
    "explain": [],
    "timeline": ["mst3k"],
    "fire": ["mst3k"],
    "pause": [],
    "resume": [],
    "completion": ["bash"],
    "backtest": ["-f", "rule.yaml"],
    "asrun": ["as-run.jsonl"],
    "demo": [],
    "sandbox": [],
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_command_takes_what_its_parser_gives(name: str) -> None:
    given = vars(build_parser().parse_args([name, *ARGUMENTS[name]]))
    place, _, function = given.pop("function").rpartition(".")
    module = import_module(f"controller.commands.{place}")
    taken = inspect.signature(getattr(module, "Options", None) or getattr(module, function))
    assert taken.parameters.keys() == given.keys()


def test_every_command_is_tried_here() -> None:
    listed = build_parser().format_help().partition("commands:")[2].splitlines()
    names = {line.split()[0] for line in listed if line.startswith("    ") and line[4] != " "}
    assert names - {"COMMAND"} == ARGUMENTS.keys()
