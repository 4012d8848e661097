"""One trace from a producer to the last event, while the relay that began the job is killed; on real Kafka."""

from __future__ import annotations

import asyncio
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiokafka
import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk import resources
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace import export
from opentelemetry.trace import SpanKind
from tests.support import brokers, child, doc_code, otlp, service, waiting

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def mrs(tmp_path: Path) -> Iterator[service.Emulator]:
    """An MRS whose jobs take long enough for a takeover."""
    with service.emulator(tmp_path, "--run-s", "12") as playing:
        yield playing


async def _send(here: service.Deployment, collector: otlp.Collector, request_id: str) -> str:
    """Send a request as a service does that is traced by OpenTelemetry's own libraries; returns its trace context."""
    provider = sdk.TracerProvider(resource=resources.Resource({"service.name": "orders"}), shutdown_on_exit=False)
    provider.add_span_processor(export.SimpleSpanProcessor(trace_exporter.OTLPSpanExporter(collector.url)))
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=here.bootstrap)
    await producer.start()

    try:
        span = provider.get_tracer("orders").start_span("send orders", kind=SpanKind.PRODUCER)
        names: dict[str, Any] = {"producer": producer, "topic": here.requests, "value": service.job(request_id)}
        example = doc_code.blocks("docs/traces.md")[1].text
        code = f"async def send():\n{textwrap.indent(example, '    ')}\n    return headers\n"
        exec(compile(code, "docs/traces.md", "exec"), names)  # noqa: S102 - our own page
        with trace.use_span(span, end_on_exit=False):
            carrier: dict[str, str] = await names["send"]()
        await producer.flush()
        await asyncio.to_thread(span.end)
    finally:
        await producer.stop()
        await asyncio.to_thread(provider.shutdown)

    return carrier["traceparent"]


async def test_a_request_is_one_trace_across_a_kill_and_a_takeover(
    kafka: brokers.KafkaNode, mrs: service.Emulator, tmp_path: Path
) -> None:
    """The spans of both owners hang in one tree below the producer's, and the last event still names its trace."""
    async with otlp.collecting() as collector:
        more = {"TRACES__ENDPOINT": collector.url}
        here = service.Deployment(kafka.bootstrap, f"traces-{time.time_ns()}", mrs.url, tmp_path, more=more)
        await asyncio.to_thread(here.create_topics, 1)
        first: child.Child = here.start_relay("first")
        came = await _send(here, collector, "r-1")
        await waiting.until(lambda: bool(collector.named("submit")))
        await waiting.until(lambda: "submitted" in {span.attributes.get("mrs_relay.state") for span in collector.spans})
        await asyncio.to_thread(first.kill)
        heir = here.start_relay("heir")
        events = await here.until_ended(["r-1"])
        carried = {dict(record.headers)["traceparent"].decode() for record in await here.records(here.events)}
        assert await asyncio.to_thread(heir.stop) == 0

    (sent,) = collector.named("send orders")
    mine = [span for span in collector.spans if span.trace_id == sent.trace_id]
    own = {span.span_id for span in mine}
    assert len(own) == len(mine)
    assert {span.parent_id for span in mine if span is not sent} <= own
    (request,) = [span for span in mine if span.name == "request job"]
    (submitted,) = [span for span in mine if span.name == "submit"]
    assert request.parent_id == sent.span_id
    assert submitted.parent_id == request.span_id
    assert request.resource["service.instance.id"] != submitted.resource["service.instance.id"]
    published = [span for span in mine if span.name == f"send {here.events}"]
    assert sorted(span.attributes["messaging.message.id"] for span in published) == sorted(
        event.event_id for event in events
    )
    assert events[-1].state == "succeeded"
    assert carried == {came}
    assert len(mrs.effects()) == 1
