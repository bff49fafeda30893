"""Where the programs keep files of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["cache_folder"]


def cache_folder(environment: Mapping[str, str]) -> Path:
    """The user's: under `$XDG_CACHE_HOME`, or `~/.cache`; it need not exist yet.

    Raises:
        RuntimeError: The user has no home.
    """
    home = Path(environment.get("XDG_CACHE_HOME", ""))
    if not home.is_absolute():  # as the specification of that variable has it
        home = Path.home() / ".cache"
    return home / "twitch-operator"
