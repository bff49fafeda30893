"""All pages of the site: those of the repository, and those that are made from code."""

from __future__ import annotations

from controller.actions import registry as _actions  # noqa: F401 - kinds register their fields
from controller.feeds import registry as _feeds  # noqa: F401 - and their settings
from reference.commands import commands_page
from reference.links import EXAMPLES, PAGES, ROOT, example_anchor
from reference.metrics import metrics_page
from reference.resources import resource_pages
from reference.settings import settings_page

__all__ = ["all_pages"]


def all_pages() -> dict[str, str]:
    """Return each page in Markdown, by its place in the site."""
    pages = {path.name: path.read_text("utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
    pages |= {uri: (ROOT / name).read_text("utf-8") for name, uri in PAGES.items()}
    pages |= {f"reference/{name}": page for name, page in resource_pages().items()}
    return pages | {
        "reference/settings.md": settings_page(),
        "reference/metrics.md": metrics_page(),
        "reference/commands.md": commands_page(),
        EXAMPLES: _examples_page(),
    }


def _examples_page() -> str:
    parts = ["# Examples", "The files of `examples/`. `make demo` applies them."]
    for path in sorted((ROOT / "examples").rglob("*")):
        if path.is_file():
            name = path.relative_to(ROOT).as_posix()
            content = path.read_text("utf-8").rstrip("\n")
            parts.append(f"## {name} {{ #{example_anchor(name)} }}")
            parts.append(f"````{path.suffix[1:]}\n{content}\n````")
    return "\n\n".join(parts) + "\n"
