"""A collector of traces on loopback: what OTLP over HTTP brings, decoded."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

__all__ = ["Collector", "attributes"]


class Collector:
    """Collects while it is entered.

    Attributes:
        spans: All that came.
        resource: Attributes of who sent them.
        texts: What came, as text.
        silent: It takes what comes, and never answers.
        asked: Requests that came.
    """

    def __init__(self, *, silent: bool = False) -> None:
        app = web.Application()
        app.router.add_post("/v1/traces", self._take)
        self._server = TestServer(app)
        self._end = asyncio.Event()
        self.spans: list[Span] = []
        self.resource: dict[str, Any] = {}
        self.texts: list[str] = []
        self.silent = silent
        self.asked = 0

    async def __aenter__(self) -> Self:
        await self._server.start_server()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._end.set()
        await self._server.close()

    @property
    def url(self) -> str:
        """As OTEL_EXPORTER_OTLP_ENDPOINT wants it."""
        return str(self._server.make_url("")).rstrip("/")

    def named(self, name: str) -> list[Span]:
        """The spans of a name, in the order of their beginnings."""
        found = [span for span in self.spans if span.name == name]
        return sorted(found, key=lambda span: span.start_time_unix_nano)

    def of(self, trace_id: str) -> list[Span]:
        """The spans of a trace."""
        return [span for span in self.spans if span.trace_id.hex() == trace_id]

    async def _take(self, request: web.Request) -> web.Response:
        self.asked += 1
        body = await request.read()
        if self.silent:
            await self._end.wait()
        message = ExportTraceServiceRequest.FromString(body)
        self.texts.append(str(message))
        for of_resource in message.resource_spans:
            self.resource = attributes(of_resource.resource)
            for scope in of_resource.scope_spans:
                self.spans.extend(scope.spans)
        return web.Response(content_type="application/x-protobuf")


def attributes(holder: Any) -> dict[str, Any]:  # noqa: ANN401 - a span, an event or a resource
    """Its attributes as plain values."""
    return {
        each.key: getattr(each.value, str(each.value.WhichOneof("value")))
        for each in holder.attributes
    }
