"""One trace from a producer to the last event, while the relay that began the job is killed; on real Kafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiokafka
import pytest
from opentelemetry import propagate
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.sdk import resources
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace import export
from opentelemetry.trace import SpanKind
from tests.support import brokers, child, otlp, service

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def mrs(tmp_path: Path) -> Iterator[service.Emulator]:
    """An MRS whose jobs take long enough for a takeover."""
    with service.emulator(tmp_path, "--run-s", "12") as playing:
        yield playing


async def _until(sure: Callable[[], bool], timeout_s: float = 60.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not sure():
            await asyncio.sleep(0.05)


async def _send(here: service.Deployment, collector: otlp.Collector, request_id: str) -> str:
    """Send a request as a service does that is traced by OpenTelemetry's own libraries; returns its trace context."""
    provider = sdk.TracerProvider(resource=resources.Resource({"service.name": "orders"}), shutdown_on_exit=False)
    provider.add_span_processor(export.SimpleSpanProcessor(trace_exporter.OTLPSpanExporter(collector.url)))
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=here.bootstrap)
    await producer.start()
    try:
        span = provider.get_tracer("orders").start_span("send orders", kind=SpanKind.PRODUCER)
        carrier: dict[str, str] = {}
        propagate.inject(carrier, sdk.trace_api.set_span_in_context(span))
        headers = [(name, text.encode()) for name, text in carrier.items()]
        await producer.send_and_wait(here.requests, service.job(request_id), headers=headers)
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
        await _until(lambda: bool(collector.named("submit")))
        await _until(lambda: "submitted" in {span.attributes.get("mrs_relay.state") for span in collector.spans})
        await asyncio.to_thread(first.kill)
        heir = here.start_relay("heir")
        events = await here.until_ended(["r-1"], 90)
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
