"""The example panel obeys Twitch's rules for extensions, and calls /setup/ as the gateway wants."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from controller.gateway.request_context import CHANNEL, CLIENT_ID, VERSION

PANEL = Path(__file__).parents[2] / "examples" / "panel"
HELPER = "https://extension-files.twitch.tv/helper/v1/twitch-ext.min.js"
PAGES = sorted(PANEL.glob("*.html"))


class Page(HTMLParser):
    """What a page loads, and what it has inline."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.inline: list[str] = []
        self._in_script = False
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.inline += [name for name in given if name.startswith("on") or name == "style"]
        self._in_script = tag in ("script", "style")
        if tag == "script":
            self.scripts.append(given.get("src") or "")
        if tag == "link":
            self.styles.append(given.get("href") or "")

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - as the base has it
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script and data.strip():
            self.inline.append(data)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_loads_the_helper_first_and_has_nothing_inline(page: Path) -> None:
    found = Page(page)
    assert found.scripts[0] == HELPER
    assert found.inline == []
    for name in (*found.scripts[1:], *found.styles):
        assert (PANEL / name).is_file(), name


def test_messages_are_never_taken_for_html() -> None:
    for script in PANEL.glob("*.js"):
        code = re.sub(r"//.*", "", script.read_text())
        assert not re.search(r"innerHTML|insertAdjacent|document\.write|eval\(", code), script


def test_setup_is_called_with_the_headers_that_the_gateway_wants() -> None:
    code = (PANEL / "config.js").read_text()
    assert "/setup/`" in code
    for header in ("Authorization", CLIENT_ID, CHANNEL, VERSION):
        assert re.search(rf'"?{header}"?: ', code), header


def test_the_panel_knows_the_mobile_view() -> None:
    assert 'query.get("platform") === "mobile"' in (PANEL / "panel.js").read_text()
