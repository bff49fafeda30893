"""Sends spans to a collector by OTLP over HTTP, on a thread of its own and from a bounded queue.

A collector that is slow or gone costs spans and nothing else: a full queue drops the oldest.
"""

from __future__ import annotations

import importlib.metadata
import logging
import threading
import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import (
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from controller.tracing.spans import CueIds, SpanTracer

__all__ = ["Traces"]

logger = logging.getLogger(__name__)

_AT_END = 2.0  # seconds for what is still in the queue
_QUIET = 300.0  # seconds between two lines about the export
_LIBRARY = "opentelemetry"


class Traces:
    """Traces of this process, by the variables of OpenTelemetry.

    Attributes:
        tracer: Takes down what happens.

    Raises:
        ValueError: A variable cannot be used.
    """

    def __init__(self) -> None:
        self._problems = _Problems()
        library = logging.getLogger(_LIBRARY)
        library.handlers[:], library.propagate = [self._problems], False
        named = {SERVICE_NAME: "twitch-operator"}
        version = {SERVICE_VERSION: importlib.metadata.version("twitch-operator")}
        resource = Resource.create(
            {**named, **version, **OTELResourceDetector().detect().attributes}
        )
        ids = CueIds()
        self._provider = TracerProvider(resource=resource, id_generator=ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.tracer = SpanTracer(self._provider, ids)
        logger.info("traces are sent by OpenTelemetry")

    def close(self) -> None:
        """Send what is left, for a moment: a collector that is gone must not hold up the end."""
        end = threading.Thread(target=self._provider.shutdown, daemon=True)
        end.start()
        end.join(_AT_END)


class _Problems(logging.Handler):
    """Tells what the library says of the export, at most once in five minutes."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._next = 0.0
        self._more = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Tell it, or count it."""
        now = time.monotonic()
        if now < self._next:
            self._more += 1
            return
        more = f" (and {self._more} more lines of this kind)" if self._more else ""
        self._next, self._more = now + _QUIET, 0
        logger.warning("traces: %s%s", record.getMessage(), more)
