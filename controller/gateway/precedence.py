"""Which of the ExtensionApps that name the same client id is served."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.gateway.candidates import Candidate
    from controller.gateway.catalog import Endpoint

__all__ = ["Precedence"]

_Claim = tuple[bool, bool, float, str]


class Precedence:
    """The candidates by client id, and the first of each.

    Anybody may name a client id, and any number may: what changes about one that is not the first
    costs a comparison, and all are looked through only where the first falls behind.
    """

    def __init__(self) -> None:
        self._named: dict[Candidate, str] = {}
        self._of: dict[str, dict[Candidate, None]] = {}
        self._first: dict[str, tuple[_Claim, Candidate]] = {}

    def served(self, client_id: str) -> Endpoint | None:
        """What is to be served for a client id; None: nothing."""
        first = self._first.get(client_id)
        return first[1].served() if first is not None else None

    def client_ids(self) -> set[str]:
        """All client ids for which there is a candidate."""
        return set(self._first)

    def note(self, app: Candidate) -> set[str]:
        """Take a candidate as it is now; returns the client ids that may be served otherwise."""
        client_id = app.spec.client_id if app.spec is not None and not app.in_conflict else None
        changed = set() if self._named.get(app) == client_id else self.drop(app)
        if client_id is None:
            return changed
        self._named[app] = client_id
        self._of.setdefault(client_id, {})[app] = None
        claim, first = app.claim, self._first.get(client_id)
        if first is None or claim <= first[0]:
            self._first[client_id] = claim, app
        elif app is first[1]:
            self._elect(client_id)
        else:
            return changed
        return changed | {client_id}

    def drop(self, app: Candidate) -> set[str]:
        """Forget a candidate; returns the client ids that may be served otherwise."""
        client_id = self._named.pop(app, None)
        if client_id is None:
            return set()
        del self._of[client_id][app]
        if self._first[client_id][1] is not app:
            return set()
        self._elect(client_id)
        return {client_id}

    def _elect(self, client_id: str) -> None:
        others = self._of[client_id]
        if others:
            first = min(others, key=lambda app: app.claim)
            self._first[client_id] = first.claim, first
        else:
            del self._of[client_id], self._first[client_id]
