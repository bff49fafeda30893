"""The first log line of a process that runs in a cluster."""

from __future__ import annotations

import importlib.metadata
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.settings import Settings

__all__ = ["say_start"]

logger = logging.getLogger(__name__)


def say_start(what: str, host: str, settings: Settings, limits: str) -> None:
    """Say what runs, against which cluster, for which namespaces and within which limits.

    Args:
        what: Such as `operator`.
        host: URL of the API server.
        settings: The namespaces.
        limits: Those of its settings that matter most, as a part of a sentence.
    """
    version = importlib.metadata.version("twitch-operator")
    namespaces = settings.watch_namespaces
    where = f"namespaces {', '.join(namespaces)}" if namespaces else "all namespaces"
    logger.info("twitch-operator %s: %s, API server %s, %s; %s", version, what, host, where, limits)
