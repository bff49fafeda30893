"""docs/gateway.md names what the gateway can answer."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GATEWAY = (ROOT / "docs" / "gateway.md").read_text()
SOURCE = "\n".join(path.read_text() for path in (ROOT / "controller" / "gateway").glob("*.py"))
NAMED = (
    r'"error": "(\w+)"',
    r'(?:_forbidden|BadHelperToken|not_ready)\(\s*"(\w+)"',
)
STATUSES = r"(?:Refusal|answer)\(\s*(\d{3})"


def found(*patterns: str) -> list[str]:
    return sorted({match for pattern in patterns for match in re.findall(pattern, SOURCE)})


def test_the_source_is_read_as_it_is_meant() -> None:
    assert {"rate_limited", "invalid_jwt", "extension_not_ready"} <= set(found(*NAMED))
    assert {"413", "429", "504"} <= set(found(STATUSES))


@pytest.mark.parametrize("name", found(*NAMED))
def test_each_error_is_documented(name: str) -> None:
    assert f'"error": "{name}"' in GATEWAY


@pytest.mark.parametrize("status", [s for s in found(STATUSES) if s != "500"])
def test_each_status_is_documented(status: str) -> None:
    assert re.search(rf"^\| \**{status}\b", GATEWAY, re.MULTILINE)
