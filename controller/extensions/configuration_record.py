"""What the status of an ExtensionApp tells of its configuration, over restarts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from controller.extensions.policies import configuration_states
from controller.extensions.policies.configuration_facts import REQUIRED
from controller.resources.extensionapp import SegmentStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from controller.extensions.policies.configuration_facts import ConfigurationFacts, Mark, Want
    from controller.extensions.policies.configuration_states import Told
    from controller.policies.findings import Finding

__all__ = ["ConfigurationRecord"]


class ConfigurationRecord:
    """When segments were set, which required configuration was, and what was told of them.

    Args:
        remembered: What a former process wrote.

    Attributes:
        segments: What there is to tell of the segments, and of required configuration.
        marked: Fingerprints of the required configuration that was set, by the channel's name.
        finding: The condition ConfigurationSynced; None: no segment is declared, or nothing was
            told yet.
    """

    def __init__(self, remembered: Iterable[SegmentStatus]) -> None:
        self.segments = tuple(remembered)
        self.marked: dict[str, str] = {}
        self.finding: Finding | None = None
        self._before: dict[tuple[str, str | None], Told] = {}
        self._set_at: dict[tuple[str, str | None], float] = {}
        for status in self.segments:
            self._remember(status)

    def was_set(self, want: Want) -> None:
        """A segment was set just now."""
        self._set_at[want.segment, want.channel] = time.time()

    def was_marked(self, mark: Mark) -> None:
        """The required configuration of a channel was set just now."""
        self.marked[mark.channel] = mark.sha256
        self._set_at[REQUIRED, mark.channel] = time.time()

    def tell(self, facts: ConfigurationFacts) -> None:
        """Take what is known now into the status."""
        told = configuration_states.states(facts, self._before)
        self.finding = configuration_states.finding(told)
        self._before = {(one.segment, one.channel): one for one in told if one.sha256 is not None}
        self.segments = tuple(
            SegmentStatus(
                segment=one.segment,
                channel=one.channel,
                state=one.state,
                version=one.version or None,
                message=one.message or None,
                last_set_time=self._set_at.get((one.segment, one.channel)),
                sha256=self.marked.get(one.channel or "")
                if one.segment == REQUIRED
                else one.sha256,
            )
            for one in told
        )

    def _remember(self, status: SegmentStatus) -> None:
        spot = status.segment, status.channel
        if status.last_set_time is not None:
            self._set_at[spot] = status.last_set_time
        if status.segment == REQUIRED and status.channel is not None and status.sha256 is not None:
            self.marked[status.channel] = status.sha256
        told = configuration_states.remembered(
            status.segment, status.channel, status.state, status.version, status.sha256
        )
        if told is not None:
            self._before[spot] = told
