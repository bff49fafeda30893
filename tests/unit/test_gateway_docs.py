"""docs/gateway.md names what the gateway can answer, and docs/extensions.md every reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controller.gateway.metrics import GatewayMetrics

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
GATEWAY = (DOCS / "gateway.md").read_text()
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


def test_each_metric_of_the_gateway_is_documented() -> None:
    for family in GatewayMetrics().registry.collect():
        assert family.name in GATEWAY


@pytest.mark.parametrize("page", ["gateway.md", "extensions.md", "tutorial-extension.md"])
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", (DOCS / page).read_text()):
        file, _, anchor = target.partition("#")
        if file.startswith("https:"):
            continue
        linked = DOCS / file if file else DOCS / page
        assert linked.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in slugs, target
