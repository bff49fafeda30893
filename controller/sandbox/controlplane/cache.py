"""The folder that keeps the programs between runs, safe against two runs and against a kill.

A file appears there under its name only complete: it is made in a temporary folder beside it and
renamed. Whoever makes files holds the lock; temporary folders found by the next holder belong to
nobody and are removed.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from controller.folders import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from controller.sandbox.controlplane.progress import Progress

__all__ = ["Cache"]

_TEMPORARY = "unfinished-"


class Cache:
    """The folder; made when something is first put into it.

    Args:
        root: Where it is.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def of_user(cls, environment: Mapping[str, str]) -> Cache:
        """The user's: under `$XDG_CACHE_HOME`, or `~/.cache`."""
        return cls(cache_folder(environment) / "controlplane")

    @contextmanager
    def locked(self, progress: Progress) -> Iterator[None]:
        """Hold the lock; while another run holds it, wait, and say so."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("a") as lock:
            if not _lock(lock.fileno()):
                title = f"another run is filling {self.root}; waiting for it"
                with progress.step(title) as step:
                    while not _lock(lock.fileno()):
                        step.update()
                        time.sleep(0.2)
            for left_behind in self.root.glob(f"{_TEMPORARY}*"):
                shutil.rmtree(left_behind, ignore_errors=True)
            yield

    @contextmanager
    def temporary(self) -> Iterator[Path]:
        """Make a folder on the same filesystem, gone after the block. Hold the lock."""
        folder = Path(tempfile.mkdtemp(prefix=_TEMPORARY, dir=self.root))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def put(self, made: Path, folder: str) -> Path:
        """Move what was made in a temporary folder to its place, at once and whole.

        Args:
            made: A file or folder; it keeps its name.
            folder: Name of the folder in the cache that it belongs to.
        """
        place = self.root / folder / made.name
        place.parent.mkdir(parents=True, exist_ok=True)
        if made.is_dir() and place.exists():
            shutil.rmtree(place)
        return made.rename(place)


def _lock(file: int) -> bool:
    """Take the lock if it is free; the system gives it back when this process ends."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
