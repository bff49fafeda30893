"""`twitch-operator crds`: the CRDs, generated from the models."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from controller.actions import registry as _actions  # noqa: F401 - kinds register their fields
from controller.errors import OperatorError
from controller.feeds import registry as _feeds  # noqa: F401 - the CRDs name the kinds
from controller.resources.schema import crd_manifests

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_crds"]


def write_crds(folder: Path | None) -> None:
    """Print all CRDs as one YAML stream, or write a file for each into a folder."""
    manifests = crd_manifests()
    if folder is None:
        sys.stdout.write("---\n".join(manifests.values()))
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in manifests.items():
            (folder / name).write_text(text)
            sys.stderr.write(f"wrote {folder / name}\n")
    except OSError as error:
        msg = f"--output-dir {folder}: cannot be written to: {error.strerror}"
        raise OperatorError(msg) from error
