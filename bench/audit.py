"""Who wrote what, from the API server's audit log. Reads one file, and no more."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["AuditLog", "Write"]

_WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Write:
    """A kind of write to one object.

    Attributes:
        verb: Such as `patch`.
        resource: Plural, with the subresource: `twitchchannels/status`.
        name: Of the object; empty where the request did not tell it.
    """

    verb: str
    resource: str
    name: str


class AuditLog:
    """An audit log that is written while it is read."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._mark = 0

    def mark(self) -> None:
        """Look only at what comes from now on."""
        self._mark = self._file.stat().st_size

    def writes(self, namespace: str) -> Counter[Write]:
        """How often what was written since the mark, by whom but the cluster's own parts.

        Args:
            namespace: Writes elsewhere do not count, but for objects without a namespace.
        """
        found: Counter[Write] = Counter()
        with self._file.open("rb") as log:
            log.seek(self._mark)
            for line in log:
                entry = json.loads(line)
                if entry["verb"] not in _WRITES or entry["user"]["username"].startswith("system:"):
                    continue
                if "dryRun=" in entry["requestURI"]:
                    continue  # a rehearsal writes nothing
                target = entry.get("objectRef") or {}
                if target.get("namespace", namespace) != namespace:
                    continue
                parts = (target.get("resource", "?"), target.get("subresource"))
                resource = "/".join(part for part in parts if part)
                found[Write(entry["verb"], resource, target.get("name", ""))] += 1
        return found
