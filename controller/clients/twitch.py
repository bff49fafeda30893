"""Twitch's APIs, over one HTTP client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from controller.clients.extensions import Extensions
from controller.clients.helix import Helix
from controller.clients.identity import Identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from controller.clients.http import HttpClient
    from controller.settings import Settings

__all__ = ["Twitch"]


class Twitch:
    """All that Twitch is asked.

    Args:
        http: Makes the calls.
        settings: Where Twitch is, and how patient to be.
        on_call: Called when a call to Helix begins, and when its answer came.

    Attributes:
        helix: Channels, streams, ads.
        identity: OAuth.
        extensions: Extensions' secrets, configuration, messages.
    """

    def __init__(self, http: HttpClient, settings: Settings, on_call: Callable[[], None]) -> None:
        self.helix = Helix(http, settings, on_call)
        self.identity = Identity(http, settings)
        self.extensions = Extensions(http, settings)
