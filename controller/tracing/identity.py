"""The identity of a cue in logs and traces."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from controller.logs import fields

__all__ = ["CueIdentity", "TraceIds"]

_TRACE, _SPAN = 16, 8  # bytes, by W3C Trace Context


class TraceIds(NamedTuple):
    """The ids of a cue's trace and of the span at its root.

    Attributes:
        trace: 32 hexadecimal digits.
        root: 16 hexadecimal digits.
    """

    trace: str
    root: str


class CueIdentity(NamedTuple):
    """What tells a cue from all others.

    Its ids follow from it, so that whoever meets it (a restarted process, the confirmation some
    minutes later) finds the same ones without remembering anything.

    Attributes:
        namespace: Of the rule.
        rule: Its name; "": somebody asked by hand.
        id: The rule's idField, else the feed's own id.
        published: When it was announced, in seconds since the epoch; milliseconds count, as in a
            status.
    """

    namespace: str
    rule: str
    id: str
    published: float

    @property
    def trace_ids(self) -> TraceIds:
        """Derive the ids."""
        text = f"{self.namespace}/{self.rule}/{round(self.published * 1000)}/{self.id}"
        # What a JSON text may hold that is no character, such as half a pair, counts too.
        data = text.encode(errors="surrogatepass")
        digest = blake2b(data, digest_size=_TRACE + _SPAN).hexdigest()
        return TraceIds(digest[: 2 * _TRACE], digest[2 * _TRACE :])

    def fields(self, **told: str | float | None) -> dict[str, dict[str, str | float]]:
        """What a log line about the cue hands over as `extra`, beside what is told."""
        rule, trace_id = self.rule or None, self.trace_ids.trace
        return fields(rule=rule, cue_id=self.id, trace_id=trace_id, **told)
