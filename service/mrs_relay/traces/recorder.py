"""
Record spans that are over, and send them in batches from a thread of its own.

A span is made from its two moments: `ReadableSpan` costs a seventh of a span that OpenTelemetry's tracer starts and
ends, and its id may be chosen.
"""

from __future__ import annotations

import asyncio
import logging
import pathlib
import platform
import random
import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression, trace_exporter
from opentelemetry.sdk import resources
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace import export
from opentelemetry.sdk.util import instrumentation

import mrs_relay
from mrs_relay import errors
from mrs_relay.common import faults
from mrs_relay.traces import identity, settings

_log = structlog.get_logger(__name__)

Attributes = Mapping[str, str | int]

_QUEUE_SPANS: Final = 8192
_BATCH_SPANS: Final = 512
_DELAY_MS: Final = 1000
"""Longest time that a span waits here; what waits is lost when the process is killed."""

_TIMEOUT_S: Final = 5.0
_CLOSE_S: Final = 6.0
_LOOK_S: Final = 0.02
_NS: Final = 1_000_000
"""Nanoseconds in a millisecond."""


class Finished(NamedTuple):
    """
    A span that is over.

    Attributes:
        name: of few different values.
        context: its own ids.
        parent: None: it is the first of its trace.
        begun_ms: epoch milliseconds.
        ended_ms: the same.
        error: class of the error that it ended with; "" without one.
    """

    name: str
    context: trace.SpanContext
    parent: trace.SpanContext | None
    begun_ms: int
    ended_ms: int
    attributes: Attributes
    kind: trace.SpanKind = trace.SpanKind.INTERNAL
    links: Sequence[trace.SpanContext] = ()
    error: str = ""


class Recorder:
    """
    Hand finished spans to a processor of OpenTelemetry's SDK.

    Args:
        processor: takes them; `batches` in the service, one that keeps them in tests.
        service: the name of the service in all spans.
        ratio: share of the requests without a trace that get one.

    Attributes:
        bound: of that share, see `identity.bound`.
    """

    def __init__(self, processor: sdk.SpanProcessor, service: str = "mrs-relay", ratio: float = 1.0) -> None:
        self._processor = processor
        self.bound = identity.bound(ratio)
        self._scope = instrumentation.InstrumentationScope("mrs_relay", mrs_relay.__version__)
        self._resource = resources.Resource(
            {
                "service.name": service,
                "service.version": mrs_relay.__version__,
                "service.instance.id": f"{platform.node() or 'relay'}-{secrets.token_hex(3)}",
            }
        )

    def wanted(self, traceparent: str) -> trace.SpanContext | None:
        """
        Return the span that a `traceparent` names, if the spans of its trace are to be recorded.

        Who began the trace has decided that: the producer, or `TenantTraces.started` by the share.
        """
        # The flag comes first, as it is all that most requests need.
        return identity.read(traceparent) if identity.is_sampled(traceparent) else None

    def record(self, span: Finished) -> None:
        """Queue a span; drops it if too many wait. It never raises: what a span is about has happened."""
        try:
            self._record(span)
        except Exception as error:  # noqa: BLE001 - as the docstring says
            _log.error("span_not_recorded", span=span.name, error=faults.name(error))

    def _record(self, span: Finished) -> None:
        links = tuple(trace.Link(one) for one in span.links)
        attributes, status = span.attributes, trace.Status()

        if span.error:
            attributes = {**attributes, "error.type": span.error}
            status = trace.Status(trace.StatusCode.ERROR)

        self._processor.on_end(
            sdk.ReadableSpan(
                span.name,
                span.context,
                span.parent,
                self._resource,
                attributes,
                links=links,
                kind=span.kind,
                status=status,
                start_time=span.begun_ms * _NS,
                end_time=max(span.begun_ms, span.ended_ms) * _NS,
                instrumentation_scope=self._scope,
            )
        )

    async def close(self) -> None:
        """Send what waits, within some seconds; the rest is lost."""
        # A thread that nothing waits for at the end: the processor itself waits half a minute for a silent collector.
        thread = threading.Thread(target=self._processor.shutdown, name="spans", daemon=True)
        thread.start()
        for _ in range(round(_CLOSE_S / _LOOK_S)):
            if not thread.is_alive():
                return
            await asyncio.sleep(_LOOK_S)
        _log.warning("spans_not_sent", reason="the collector was too slow at the end")


def new_span_id() -> int:
    """Return an id that no other span has."""
    # NB: `secrets` asks the system, which hands the interpreter to the sending thread each time.
    return random.getrandbits(64) or 1


class Outages(export.SpanExporter):
    """
    Log the beginning and the end of each outage of the collector, with the number of spans that it has cost.

    Args:
        sender: sends the spans; it is called in the thread of the batches.
    """

    def __init__(self, sender: export.SpanExporter) -> None:
        self._sender = sender
        self._lost = 0

    def export(self, spans: Sequence[sdk.ReadableSpan]) -> export.SpanExportResult:
        """Send spans."""
        result = self._sender.export(spans)
        if result is not export.SpanExportResult.SUCCESS:
            if not self._lost:
                _log.warning("spans_not_sent", reason="the collector does not take them; those that follow are dropped")
            self._lost += len(spans)
        elif self._lost:
            _log.info("spans_sent_again", lost=self._lost)
            self._lost = 0
        return result

    def shutdown(self) -> None:
        """Close the connections."""
        self._sender.shutdown()


def batches(chosen: settings.TracesSettings) -> sdk.SpanProcessor:
    """
    Send spans to the collector of the settings.

    Raises:
        SettingsError: `headers_file` cannot be read.
    """
    sender = trace_exporter.OTLPSpanExporter(
        endpoint=chosen.endpoint,
        certificate_file=None if chosen.ca_file is None else str(chosen.ca_file),
        headers={} if chosen.headers_file is None else _headers(chosen.headers_file),
        timeout=_TIMEOUT_S,
        compression=Compression.NoCompression,  # a tenth of the CPU time of a span
    )
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # three lines every four seconds of an outage
    return export.BatchSpanProcessor(
        Outages(sender),
        max_queue_size=_QUEUE_SPANS,
        schedule_delay_millis=_DELAY_MS,
        max_export_batch_size=_BATCH_SPANS,
    )


def _headers(path: pathlib.Path) -> dict[str, str]:
    """Read a line `name: value` for each header; errors show no value."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise errors.SettingsError(f"traces.headers_file: {path} cannot be read: {type(error).__name__}") from error

    headers = {}
    for number, line in enumerate(lines, 1):
        name, colon, value = line.partition(":")
        if line and not (colon and name.strip() and value.strip()):
            raise errors.SettingsError(f"traces.headers_file: line {number} of {path}: expected `name: value`")
        if line:
            headers[name.strip().lower()] = value.strip()
    return headers
