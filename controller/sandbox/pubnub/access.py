"""The access manager of the simulated network: which keys exist, and who may use them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Access", "KeySet"]


class KeySet(BaseModel):
    """A subscribe key and what holds for it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subscribe_key: str = Field(min_length=1)
    publish_key: str | None = Field(None, description="The one that may publish; null: any.")
    auth_key: str | None = Field(None, description="Needed for every call; null: none needed.")
    denied: bool = Field(False, description="Refuse every call, whatever its auth key.")
    history: bool = Field(True, description="Whether message persistence is switched on.")


class Access:
    """The key sets of the network, which may change while it runs.

    Args:
        keys: The key sets there are; none: every subscribe key is known, and open to all.
    """

    def __init__(self, keys: Iterable[KeySet] = ()) -> None:
        self._keys = {each.subscribe_key: each for each in keys}
        self._open = not self._keys

    def find(self, subscribe_key: str) -> KeySet | None:
        """Return the key set of a subscribe key; None where the network does not know it."""
        found = self._keys.get(subscribe_key)
        if found is None and self._open:
            return KeySet(subscribe_key=subscribe_key)
        return found

    def put(self, keys: KeySet) -> None:
        """Add a key set, or replace the one of its subscribe key."""
        self._keys[keys.subscribe_key] = keys

    def deny(self, subscribe_key: str, *, denied: bool = True) -> None:
        """Refuse every call with a subscribe key from now on, or (`denied=False`) no longer."""
        keys = self.find(subscribe_key) or KeySet(subscribe_key=subscribe_key)
        self.put(keys.model_copy(update={"denied": denied}))

    def persist(self, subscribe_key: str, *, history: bool) -> None:
        """Switch message persistence of a subscribe key on or off."""
        keys = self.find(subscribe_key) or KeySet(subscribe_key=subscribe_key)
        self.put(keys.model_copy(update={"history": history}))

    @staticmethod
    def admits(keys: KeySet, auth_key: str | None) -> bool:
        """Say whether a call that brings this auth key is let through."""
        return not keys.denied and keys.auth_key in (None, auth_key)
