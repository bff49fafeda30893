"""What ExtensionApps tell the other kinds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.runtime.resource import Key

__all__ = ["ExtensionChanged"]


@dataclass(frozen=True, slots=True)
class ExtensionChanged:
    """What is known of an ExtensionApp may have changed, or it is gone."""

    key: Key
