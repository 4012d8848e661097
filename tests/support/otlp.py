"""A collector of the tests' own: takes spans by OTLP over HTTP and keeps them."""

from __future__ import annotations

import contextlib
import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.proto.common.v1 import common_pb2
from tests.support import ports


@dataclass(frozen=True, slots=True)
class Span:
    """
    A span as it arrived; ids in hexadecimal digits, "" where there is none.

    Attributes:
        resource: attributes of the process that sent it.
    """

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    links: tuple[str, ...]
    begun_ns: int
    ended_ns: int


class Collector:
    """
    The collector.

    Attributes:
        url: where it takes spans.
        spans: in the order of their arrival.
        headers: of each request.
        is_away: it answers 503.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1/traces"
        self.spans: list[Span] = []
        self.headers: list[dict[str, str]] = []
        self.is_away = False

    async def take(self, request: web.Request) -> web.Response:
        """Take a request."""
        body = await request.read()
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.is_away:
            return web.Response(status=503)
        if body[:2] == b"\x1f\x8b":
            body = gzip.decompress(body)
        sent = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
        for one in sent.resource_spans:
            resource = _values(one.resource.attributes)
            self.spans += [_span(span, resource) for scope in one.scope_spans for span in scope.spans]
        answer = trace_service_pb2.ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    def named(self, name: str) -> list[Span]:
        """Return the spans whose names begin so."""
        return [span for span in self.spans if span.name.startswith(name)]


def _values(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: common_pb2.AnyValue) -> Any:
    return getattr(value, value.WhichOneof("value") or "string_value")


def _span(span: Any, resource: dict[str, Any]) -> Span:
    return Span(
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        attributes=_values(span.attributes),
        resource=resource,
        links=tuple(link.span_id.hex() for link in span.links),
        begun_ns=span.start_time_unix_nano,
        ended_ns=span.end_time_unix_nano,
    )


@contextlib.asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """Run a collector for the length of the context."""
    port = ports.free_port()
    collector = Collector(port)
    app = web.Application(client_max_size=64_000_000)
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield collector
    finally:
        await runner.cleanup()
