"""Writes the files, or with `--check` says which of them are not as they would be written."""

from __future__ import annotations

import sys

from reference.chart.files import made_files
from reference.links import ROOT

__all__ = ["main"]


def main(arguments: list[str]) -> int:
    """Write or check the files; returns the exit code."""
    changed = [
        name
        for name, text in made_files().items()
        if not (ROOT / name).is_file() or (ROOT / name).read_text("utf-8") != text
    ]
    if arguments == ["--check"]:
        if changed:
            print(f"not up to date: {', '.join(changed)}; run: make chart", file=sys.stderr)
        return 1 if changed else 0
    # The settings in values.yaml come first: schema and README are made from it.
    for _ in range(2):
        for name, text in made_files().items():
            (ROOT / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
