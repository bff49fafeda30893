"""The pages of the documentation that are made from code: complete, and each in the navigation."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from controller.__main__ import build_parser
from controller.gateway.metrics import GatewayMetrics
from controller.resources.schema import crd_manifests
from controller.runtime.metrics import Metrics
from controller.settings import Settings
from reference.__main__ import main
from reference.links import ROOT, in_site
from reference.pages import all_pages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

PAGES = all_pages()


def fields(schema: dict[str, Any]) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        yield name
        yield from fields(field.get("items", field))


def test_a_process_of_its_own_makes_every_page_and_finds_each_in_the_navigation(
    tmp_path: Path,
) -> None:
    subprocess.run([sys.executable, "-m", "reference", tmp_path], cwd=ROOT, check=True)
    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.md")}
    assert made == {*PAGES}
    # Kinds of feeds and actions register when they are imported: here, nobody else imports them.
    for name in ("triggerrule.md", "settings.md"):
        page = (tmp_path / "reference" / name).read_text("utf-8")
        assert page == PAGES[f"reference/{name}"]
        assert "pubnub" in page.lower()


def test_a_page_without_a_place_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("reference.__main__.all_pages", lambda: PAGES | {"lost.md": "# Lost"})
    assert main(tmp_path) == 1
    assert "nav lacks lost.md" in capsys.readouterr().err


@pytest.mark.parametrize("name", crd_manifests())
def test_a_resource_has_each_field_on_its_page(name: str) -> None:
    crd = yaml.safe_load(crd_manifests()[name])
    page = PAGES[f"reference/{crd['spec']['names']['singular']}.md"]
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    found = [*fields(schema["spec"]), *fields(schema["status"])]
    assert len(found) > 30
    assert [field for field in found if f"`{field}`" not in page] == []


def test_each_setting_command_and_metric_is_on_its_page() -> None:
    for name in Settings.variables():
        assert f"| `{name}` |" in PAGES["reference/settings.md"]
    for name in ("run", "gateway", "authorize", "explain", "backtest", "asrun", "demo"):
        assert f"\n## {name}\n" in PAGES["reference/commands.md"]
        assert name in build_parser().format_help()
    for registry in (Metrics().registry, GatewayMetrics().registry):
        for family in registry.collect():
            assert f"| `{family.name}" in PAGES["reference/metrics.md"]


def test_labels_of_a_metric_are_told_without_a_series() -> None:
    page = PAGES["reference/metrics.md"]
    assert "`twitch_operator_rule_events_total` | counter | `namespace`, `rule`, `result`" in page
    assert "`twitch_operator_feed_connected` | gauge | `namespace`, `rule`, `reason`" in page


@pytest.mark.parametrize(
    ("uri", "link", "wanted"),
    [
        ("index.md", "docs/install.md#permissions", "install.md#permissions"),
        ("install.md", "../CONTRIBUTING.md", "contributing.md"),
        ("install.md", "../examples/", "reference/examples.md"),
        ("connect.md", "../examples/connect/encoder.yaml",
         "reference/examples.md#examples-connect-encoder-yaml"),
        ("reference/metrics.md", "../monitoring.md#alerts", "../monitoring.md#alerts"),
        ("rules.md", "#verdicts", "#verdicts"),
        ("rules.md", "https://cel.dev", "https://cel.dev"),
    ],
)  # fmt: skip
def test_a_link_of_the_repository_becomes_one_of_the_site(uri: str, link: str, wanted: str) -> None:
    assert in_site(uri, f"see [this]({link}).") == f"see [this]({wanted})."
