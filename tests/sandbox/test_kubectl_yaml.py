"""YAML is read as kubectl reads it; kubectl itself is asked, which needs no cluster for this."""

from __future__ import annotations

import json
import os
import random
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from controller.commands.kubectl_yaml import load_documents
from controller.sandbox.controlplane.cache import Cache
from controller.sandbox.controlplane.locate import find_kubectl
from controller.sandbox.controlplane.progress import Progress

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"

WORDS = """
    y Y yes Yes yEs n N no NO true True TRUE tRue false False on On ON oN off OFF ~ null Null NULL
    nULL t f = + ++1 1-2 1,000 inf +inf Infinity nan NaN e1 _1
"""
NUMBERS = """
    0 -0 +0 1 +1 -1 08 09 -08 08.5 007 010 -010 0778 0o7 0O7 -0o7 0o8 0x1F 0X1F -0x1F 0xG 0x 0x1p4
    0b11 0B11 -0b11 0b12 0b 00 0_0 1_000 1__000 1_ 0x_1F 0b1_1 0o1_7 1_0.5 -_1 1e1 1E1 1e+1 1e-1
    1.e1 1e_1 .5 .5e1 -.5 +.5 .1_5 ._5 5._5 . .. .e1 1. 1.5 01.5 1.5.1 1e 1e+ 1e400 -1e400 1e-400
    1.0 0.0 1e20 1e21 100000000000000000000.0 0.30000000000000004 1152921504606846976.0
    9007199254740993 9223372036854775807 9223372036854775808 -9223372036854775808
    -9223372036854775809 18446744073709551615 18446744073709551616 123456789012345678901234567890
    0x7FFFFFFFFFFFFFFF 0xFFFFFFFFFFFFFFFF 0x1FFFFFFFFFFFFFFFF
    12:30 1:00:00 190:20:30 2001-01-01 2001-01-01T00:00:00Z
"""
OTHERS = [
    *("", "''", "'y'", '"1e1"', '"\\x41"', "a b", "y y", "[]", "{}", "[y, 08]", "# c", "1 # c"),
    *("!!str 1", "!!str y", "!!int '5'", "!!float 5", "!!float '0x10'", "!!bool y", "!!null ''"),
    *("!!binary aGk=", "!!timestamp 2001-01-01", "!x 5", "!x [y]", "!!set {y, b}", "{y: 1, ? b}"),
    *("{y: a, 1: b, 1.5: c, on: e, 0x10: f, 1e3: g, 2001-01-01: h, 1e21: i, .inf: j}",),
    *("{a: 1, a: 2}", "b:c", "{a: y\n   y}", "|\n    y", ">-\n    1"),
    *("{x: &b {a: 1, c: 3}, z: {<<: *b, a: 2}}", "{x: &b {a: 1, c: 3}, z: {a: 2, <<: *b}}"),
    *(
        "\ty",
        "'y'\t",
        "y\t",
        "y\t# c",
        "\t'y'",
        "a\tb",
        "[\ty\t,\tb]\t",
        "{'a'\t:\ty}",
        "[a,\n\tb]",
    ),
    *(
        "|\t\n    y",
        ">- \t# c\n    y",
        "|2\t\n      y",
        "|#c\n    y",
        "|+2\n      y\n",
        "|\n    y\t",
    ),
    *("! 5", "!", "! y", "! [y]", "&x\ty", '"a\\\tb"', '"\\U0001F600"', "\t# c\n", "{! 1e6: a}"),
    *("{1e6: a, 12345678.9: b, 1e5: c, 123456.7: d, 999999.9: e, 16777217.0: f, -1e6: g}",),
    *("{0.0001: a, 0.00001: b, 3.14159265358979: c, 1e39: d, -1e39: e, 1e-50: f, -0.0: g}",),
    *("[&b {a: 1}, &o {a: 5, d: 4}, {<<: [*b, *o]}]", "[&b {a: 1}, {'<<': *b}]", "[&b [1], *b]"),
]
REFUSED = [
    *(".inf", "-.Inf", "+.inf", ".nan", "{~: a}", "{[a]: b}", "*nobody", "&b {a: *b}", "{<<: x}"),
    *(
        '"\\/"',
        '"\\ud83d\\ude00"',
        '"\\uD800"',
        '"\\UFFFFFFFF"',
        "- a",
        "\n    -\ta",
        "\n    a\n\tb",
    ),
    *(
        "|\n    \ty",
        "|\n    \t\n    y",
        "|\n    y\n   \ty",
        "|0\n    y",
        "|+-\n    y",
        "|\tx\n    y",
    ),
    *("!!int 5.5", "!!bool maybe", "!!float x", "-", "@x", "[a", "[*a]"),
]
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{former}'] * 9)}]\n"
    for former, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.fixture(scope="module")
def kubectl() -> Path:
    return find_kubectl(os.environ, Cache.of_user(os.environ), Progress())


def told(kubectl: Path, manifest: str) -> dict[str, Any] | None:
    """What kubectl makes of a manifest; None: it refuses it."""
    command = [
        str(kubectl),
        "annotate",
        "--local",
        "--dry-run=client",
        "-f",
        "-",
        "a=b",
        "-o",
        "json",
    ]
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    done = subprocess.run(
        command, input=manifest.encode(), capture_output=True, env=environment, check=False
    )
    found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found or None


def ours(manifest: str) -> dict[str, Any]:
    [document] = load_documents(manifest)
    found: dict[str, Any] = document
    return found


def manifest_of(scalars: list[str]) -> str:
    entries = "".join(f"  k{number}: {text}\n" for number, text in enumerate(scalars))
    return f"{HEAD}data:\n{entries}"


def assert_alike(kubectl: Path, scalars: list[str]) -> None:
    manifest = manifest_of(scalars)
    theirs = told(kubectl, manifest)
    assert theirs is not None
    found = ours(manifest)["data"]
    for number, text in enumerate(scalars):
        expected, got = theirs["data"][f"k{number}"], found[f"k{number}"]
        # json.loads makes a whole number of whatever has no point; beyond 64 bits it is a double.
        if isinstance(expected, int) and not -(2**63) <= expected < 2**63:
            expected = float(expected)
        assert (got, type(got)) == (expected, type(expected)), text


def test_scalars_tags_keys_and_merges_are_what_kubectl_makes_of_them(kubectl: Path) -> None:
    scalars = [*WORDS.split(), *NUMBERS.split(), *OTHERS]
    assert len(scalars) > 130
    assert_alike(kubectl, scalars)


def test_so_is_what_looks_like_a_number(kubectl: Path) -> None:
    luck = random.Random(7)
    made = {"".join(luck.choices("0178_+-.eExXboO", k=luck.randint(1, 7))) for _ in range(3000)} - {
        "-",
        "---",
    }
    assert_alike(kubectl, sorted(made))


@pytest.mark.parametrize("text", REFUSED)
def test_what_kubectl_refuses_is_refused(kubectl: Path, text: str) -> None:
    manifest = manifest_of([text])
    assert told(kubectl, manifest) is None
    with pytest.raises(yaml.YAMLError):
        ours(manifest)


def test_a_directive_is_refused(kubectl: Path) -> None:
    for directive in ("%YAML 1.1", "%TAG ! !x"):
        manifest = f"{directive}\n---\n{HEAD}"
        assert told(kubectl, manifest) is None
        with pytest.raises(yaml.YAMLError, match="kubectl takes no %YAML"):
            ours(manifest)


def test_keys_that_are_numbers_have_32_bits(kubectl: Path) -> None:
    luck = random.Random(7)
    keys = {f"{luck.uniform(-1, 1) * 10 ** luck.randint(-12, 12)!r}" for _ in range(1000)}
    manifest = manifest_of([f"{{{key}: a}}" for key in sorted(keys)])
    theirs = told(kubectl, manifest)
    assert theirs is not None
    assert ours(manifest)["data"] == theirs["data"]


def test_a_small_document_that_stands_for_a_huge_one_is_refused(kubectl: Path) -> None:
    assert told(kubectl, HEAD + LAUGHS) is None
    with pytest.raises(yaml.YAMLError, match="aliases repeat too much"):
        ours(HEAD + LAUGHS)
    with pytest.raises(yaml.YAMLError, match="nested too deeply"):
        ours("a: " + "[" * 100_000)
