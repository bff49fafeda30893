"""Links of the repository → links of the site.

A link in a file of the repository is relative to that file, so it works there. The site has the
files beside docs/ as pages of their own, and all examples on one page.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import join, normpath, relpath

__all__ = ["ASSETS", "EXAMPLES", "PAGES", "ROOT", "example_anchor", "in_site"]

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "charts/twitch-operator/README.md": "reference/chart.md",
}
"""The pages that are not in docs/, and their names in the site."""

ASSETS = {"LICENSE": "LICENSE", "overview.svg": "docs/overview.svg"}
"""The other files of the site, and where they are."""

EXAMPLES = "reference/examples.md"
_LINK = re.compile(r"(?<=\]\()(?!https?:|#)([^)#\s]+)(#[^)\s]*)?(?=\))")


def in_site(uri: str, page: str) -> str:
    """Return a page with its links as the site needs them.

    Args:
        uri: Of the page in the site.
        page: In Markdown, with links that are relative to its file in the repository.
    """
    source = {site: name for name, site in PAGES.items()}.get(uri, f"docs/{uri}")

    def lead(match: re.Match[str]) -> str:
        target = normpath(join(source, "..", match[1]))
        if target == "examples" or target.startswith("examples/"):
            anchor = f"#{example_anchor(target)}" if (ROOT / target).is_file() else ""
            return relpath(EXAMPLES, join(uri, "..")) + anchor
        place = PAGES.get(target, target.removeprefix("docs/"))
        return relpath(place, join(uri, "..")) + (match[2] or "")

    return _LINK.sub(lead, page)


def example_anchor(name: str) -> str:
    """Return the anchor of a file on the page of the examples."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())
