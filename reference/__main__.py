"""Stages the pages of the site: `python -m reference FOLDER`."""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path

from reference.links import ASSETS, ROOT, in_site
from reference.pages import all_pages

__all__ = ["main"]


def main(folder: Path) -> int:
    """Write all pages into a folder; returns the exit code."""
    pages = all_pages()
    shutil.rmtree(folder, ignore_errors=True)
    for uri, page in pages.items():
        path = folder / uri
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(in_site(uri, page), "utf-8")
    for uri, source in ASSETS.items():
        shutil.copyfile(ROOT / source, folder / uri)
    config = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))
    listed = {uri for section in config["project"]["nav"] for uri in next(iter(section.values()))}
    if orphans := sorted(pages.keys() - listed):
        print(f"zensical.toml: nav lacks {', '.join(orphans)}", file=sys.stderr)
    return 1 if orphans else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
