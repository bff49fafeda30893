"""The spans of cues: cue → match → decide → call.

A wait is an event that ends the span in which it is decided; what follows it has a span of its own,
with a link to the one before. So no span lasts as long as a cue may wait.
"""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.semconv.attributes import (
    error_attributes,
    http_attributes,
    server_attributes,
    url_attributes,
)
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from controller.displayable import displayable
from controller.events import Progress, Verdict
from controller.logs import redact
from controller.tracing.tracer import DECIDING, NO_TRACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span
    from opentelemetry.trace import Tracer as SpanMaker

    from controller.events import Event, Ruling
    from controller.tracing.identity import CueIdentity, TraceIds
    from controller.tracing.tracer import CallTrace, CueTrace

    Report: TypeAlias = Callable[[Progress], None]

__all__ = ["CueIds", "SpanTracer"]

logger = logging.getLogger(__name__)

_OWN = "twitch_operator."
_MOST = 1000  # characters of an attribute
_FAILED = frozenset({Verdict.FAILED, Verdict.UNKNOWN})


class CueIds(RandomIdGenerator):
    """Random ids, but for the span at the root of a cue's trace."""

    def __init__(self) -> None:
        self._next: TraceIds | None = None

    def use(self, ids: TraceIds) -> None:
        """The next span is the root of this trace."""
        self._next = ids

    def generate_trace_id(self) -> int:
        """That of the cue."""
        return int(self._next.trace, 16) if self._next is not None else super().generate_trace_id()

    def generate_span_id(self) -> int:
        """That of the cue's root, once; else any."""
        ids, self._next = self._next, None
        return int(ids.root, 16) if ids is not None else super().generate_span_id()

    def is_trace_id_random(self) -> bool:
        """They are evenly distributed, which is all that sampling needs, but follow from cues."""
        return False


class SpanTracer:
    """Makes the spans.

    Args:
        provider: Samples and sends them.
        ids: Its ids.
    """

    def __init__(self, provider: TracerProvider, ids: CueIds) -> None:
        self._ids = ids
        self._sampler = provider.sampler
        self._spans = provider.get_tracer("twitch-operator")

    def cue(self, cue: CueIdentity, event: Event, matching: float | None) -> CueTrace:
        """Make the spans of what happened until now."""
        try:
            return self._cue(cue, event, matching)
        except Exception:
            # A fault of ours, or of a library, must not cost a commercial.
            logger.exception("cue %s has no trace", cue.id)
            return NO_TRACE

    def _cue(self, cue: CueIdentity, event: Event, matching: float | None) -> CueTrace:
        now = time.time()
        received = now - max(0.0, time.monotonic() - event.received)
        own = _attributes({"namespace": cue.namespace, "rule": cue.rule, "cue_id": cue.id})
        heard: dict[str, str | float] = {
            "messaging.message.id": _text(event.id),
            _OWN + "publish_time_unix": cue.published,
            _OWN + "publish_to_receipt_seconds": received - cue.published,
        }
        if event.topic:
            heard["messaging.destination.name"] = _text(event.topic)
        self._ids.use(cue.trace_ids)
        span = self._spans.start_span(
            "cue",
            Context(),
            SpanKind.CONSUMER,
            {**own, **heard},
            start_time=_nanoseconds(received),
        )
        if matching is not None:
            span.end(_nanoseconds(now))
            span = self._spans.start_span(
                "match", _in(span), attributes=own, start_time=_nanoseconds(matching)
            )
        span.end(_nanoseconds(now))
        return _Cue(self._spans, _in(span), own)

    def settled(self, cue: CueIdentity, channel: str, verdict: Verdict) -> None:
        """Make a span of the confirmation, under the root of the cue's trace."""
        try:
            self._settled(cue, channel, verdict)
        except Exception:
            # As for a cue.
            logger.exception("the confirmation of cue %s has no span", cue.id)

    def _settled(self, cue: CueIdentity, channel: str, verdict: Verdict) -> None:
        ids = cue.trace_ids
        trace_id = int(ids.trace, 16)
        # Whether the root was sampled follows from its id, as its own sampling did.
        sampled = self._sampler.should_sample(None, trace_id, "cue").decision
        kept = sampled is Decision.RECORD_AND_SAMPLE
        flags = TraceFlags(TraceFlags.SAMPLED if kept else TraceFlags.DEFAULT)
        root = SpanContext(trace_id, int(ids.root, 16), is_remote=True, trace_flags=flags)
        own = {"namespace": cue.namespace, "rule": cue.rule, "cue_id": cue.id, "channel": channel}
        self._spans.start_span(
            "confirm",
            set_span_in_context(NonRecordingSpan(root), Context()),
            attributes=_attributes(own | {"verdict": verdict.value}),
        ).end()


class _Cue:
    """A cue that a rule made of an event."""

    def __init__(self, spans: SpanMaker, parent: Context, own: Mapping[str, str]) -> None:
        self._spans = spans
        self._parent = parent
        self._own = own

    @contextmanager
    def deciding(self, channel: str) -> Iterator[Callable[[Report], Report]]:
        own = {**self._own, **_attributes({"channel": channel})}
        deciding = _Deciding(self._spans, self._parent, own)
        token = DECIDING.set(deciding)
        try:
            yield deciding.follow
        finally:
            DECIDING.reset(token)

    def ruled(self, ruling: Ruling) -> None:
        _Deciding(self._spans, self._parent, self._own).tell(Progress(ruling))


class _Deciding:
    """What is decided about a cue on one channel: a span from one wait to the next."""

    def __init__(self, spans: SpanMaker, parent: Context, own: Mapping[str, str]) -> None:
        self._spans = spans
        self._parent = parent
        self._own = own
        self._before: SpanContext | None = None
        self._over = False
        self._span: Span | None = self._begin()

    def _begin(self) -> Span:
        links = [Link(self._before)] if self._before is not None else []
        span = self._spans.start_span("decide", self._parent, attributes=self._own, links=links)
        self._span = span
        return span

    def follow(self, report: Report) -> Report:
        """Have the progress told here, too."""

        def followed(progress: Progress) -> None:
            try:
                self.tell(progress)
            except Exception:
                # A fault of ours, or of a library, must not keep the verdict from its status.
                logger.exception("a verdict has no span")
            report(progress)

        return followed

    def tell(self, progress: Progress) -> None:
        """Take the verdict, or what it waits for."""
        span, ruling = self._span or self._begin(), progress.ruling
        told = _attributes({"verdict": ruling.verdict.value, "detail": ruling.detail})
        if not progress.final:
            span.add_event("wait", told)
        span.set_attributes(told)
        if ruling.verdict in _FAILED:
            span.set_status(StatusCode.ERROR)
        span.end()
        self._before, self._span, self._over = span.get_span_context(), None, progress.final

    @contextmanager
    def call(self, method: str, url: str) -> Iterator[CallTrace]:
        """Make a span of a call; after the verdict there is nothing that a call belongs to."""
        if self._over:
            yield _NoCall()
            return
        with _call(self._spans, _in(self._span or self._begin()), method, url) as call:
            yield call


class _NoCall:
    def answered(self, _status: int) -> None:
        return


class _Call:
    """A call by HTTP."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def answered(self, status: int) -> None:
        self._span.set_attribute(http_attributes.HTTP_RESPONSE_STATUS_CODE, status)
        if status >= 400:
            self.failed(str(status))

    def failed(self, kind: str) -> None:
        self._span.set_attribute(error_attributes.ERROR_TYPE, kind)
        self._span.set_status(StatusCode.ERROR)


@contextmanager
def _call(spans: SpanMaker, parent: Context, method: str, url: str) -> Iterator[CallTrace]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    place = f"[{host}]" if ":" in host else host
    port = parts.port or (443 if parts.scheme == "https" else 80)
    shown = f"{place}:{parts.port}" if parts.port else place
    span = spans.start_span(
        "call",
        parent,
        SpanKind.CLIENT,
        {
            http_attributes.HTTP_REQUEST_METHOD: method,
            server_attributes.SERVER_ADDRESS: host,
            server_attributes.SERVER_PORT: port,
            # Neither the query nor whose password: credentials may stand there.
            url_attributes.URL_FULL: _text(f"{parts.scheme}://{shown}{parts.path}"),
        },
    )
    call = _Call(span)
    try:
        yield call
    except BaseException as error:
        call.failed(type(error).__qualname__)
        raise
    finally:
        span.end()


def _attributes(told: Mapping[str, str]) -> dict[str, str]:
    return {_OWN + name: _text(value) for name, value in told.items() if value}


def _text(value: str) -> str:
    """A text as others may see it; half a pair, which protobuf refuses, is written out."""
    return displayable(redact(value))[:_MOST]


def _in(span: Span) -> Context:
    return set_span_in_context(span, Context())


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
