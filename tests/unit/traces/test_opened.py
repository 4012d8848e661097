"""Traces as the settings open them: to a collector over HTTP, or not at all."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import structlog
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace import export
from tests.support import otlp, ports, spans
from tests.unit.engine import samples

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.engine import tracing
from mrs_relay.engine.model import jobs
from mrs_relay.traces import opened, recorder, settings


def _end(observing: tracing.Tracing) -> None:
    """Let a request come and be rejected."""
    job = samples.request(state=jobs.State.REJECTED, traceparent=spans.TRACEPARENT)
    observing.tenant("mrs.requests", "mrs.events", clock.SystemClock()).committed(
        0, 1000, {job.ledger_key: job}, {}, []
    )


async def test_spans_arrive_at_the_collector_before_the_traces_close(tmp_path: Path) -> None:
    """With the name of the service and the headers of the file."""
    headers = tmp_path / "headers"
    headers.write_text("Authorization: Bearer hunter2\n\nX-Scope: a: b\n")
    async with otlp.collecting() as collector:
        chosen = settings.TracesSettings(endpoint=collector.url, service="mrs-relay-a", headers_file=headers)
        async with opened.opened(chosen) as observing:
            _end(observing)

    assert sorted(span.name for span in collector.spans) == [
        "commit mrs.requests",
        "process mrs.requests",
        "request job",
    ]
    assert {span.resource["service.name"] for span in collector.spans} == {"mrs-relay-a"}
    assert {(sent["authorization"], sent["x-scope"]) for sent in collector.headers} == {("Bearer hunter2", "a: b")}
    (request,) = collector.named("request")
    assert request.trace_id == f"{spans.TRACE:032x}"
    assert request.parent_id == f"{spans.PRODUCER:016x}"


async def test_a_collector_that_is_away_costs_spans_and_nothing_else() -> None:
    """Neither what is observed nor the end of the process waits for it, beyond some seconds."""
    chosen = settings.TracesSettings(endpoint=f"http://127.0.0.1:{ports.free_port()}/v1/traces")
    begun_s = time.monotonic()
    async with opened.opened(chosen) as observing:
        _end(observing)
        assert time.monotonic() - begun_s < 2
    assert time.monotonic() - begun_s < 15


async def test_a_silent_collector_holds_the_end_up_for_some_seconds_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes connections and answers nothing; several batches would wait half a minute for it."""
    monkeypatch.setattr(recorder, "_CLOSE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        chosen = settings.TracesSettings(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces")
        begun_s = time.monotonic()
        async with opened.opened(chosen) as observing:
            _end(observing)
        assert time.monotonic() - begun_s < 3


@pytest.mark.parametrize("text", ["no colon hunter2", ": hunter2", "name:  "])
async def test_a_header_that_is_not_one_is_refused_without_its_text(tmp_path: Path, text: str) -> None:
    """The file holds secrets: an error names the line."""
    headers = tmp_path / "headers"
    headers.write_text(f"a: b\n{text}\n")
    chosen = settings.TracesSettings(endpoint="http://localhost:1/v1/traces", headers_file=headers)
    with pytest.raises(errors.SettingsError, match="line 2 of") as raised:
        async with opened.opened(chosen):
            pass
    assert "hunter2" not in str(raised.value)


async def test_a_file_of_headers_that_is_missing_is_named(tmp_path: Path) -> None:
    """The relay does not start without what it is to send."""
    chosen = settings.TracesSettings(endpoint="http://localhost:1/v1/traces", headers_file=tmp_path / "none")
    with pytest.raises(errors.SettingsError, match="headers_file"):
        async with opened.opened(chosen):
            pass


def test_without_the_extra_the_error_names_it() -> None:
    """The libraries are needed only by those who want traces."""
    program = (
        "import asyncio, sys\n"
        "sys.modules['opentelemetry.sdk'] = None\n"
        "from mrs_relay import errors\n"
        "from mrs_relay.traces import opened, settings\n"
        "async def on():\n"
        "    async with opened.opened(settings.TracesSettings(endpoint='http://localhost:1/v1/traces')):\n"
        "        pass\n"
        "try:\n"
        "    asyncio.run(on())\n"
        "except errors.SettingsError as error:\n"
        "    assert 'mrs-relay[traces]' in str(error), error\n"
        "else:\n"
        "    raise AssertionError"
    )

    subprocess.run([sys.executable, "-c", program], check=True, timeout=200)


def test_traces_that_are_off_load_no_library() -> None:
    """Neither OpenTelemetry's API nor its SDK is imported by the service."""
    program = (
        "import asyncio, sys, mrs_relay.app\n"
        "from mrs_relay.traces import opened, settings\n"
        "async def off():\n"
        "    async with opened.opened(settings.TracesSettings()) as observing:\n"
        "        from mrs_relay.engine import tracing\n"
        "        assert observing is tracing.OFF\n"
        "asyncio.run(off())\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=200)


class _Collector(export.SpanExporter):
    """Takes spans, or not."""

    def __init__(self) -> None:
        self.is_away = False

    def export(self, spans: Sequence[sdk.ReadableSpan]) -> export.SpanExportResult:
        assert spans
        return export.SpanExportResult.FAILURE if self.is_away else export.SpanExportResult.SUCCESS


def test_an_outage_of_the_collector_is_two_lines_of_the_log() -> None:
    """The first loss, and how many it were when spans arrive again."""
    collector = _Collector()
    outages = recorder.Outages(collector)
    some = [sdk.ReadableSpan("a"), sdk.ReadableSpan("b")]
    with structlog.testing.capture_logs() as logs:
        for is_away in (False, True, True, True, False, False):
            collector.is_away = is_away
            outages.export(some)
    assert [line["event"] for line in logs] == ["spans_not_sent", "spans_sent_again"]
    assert logs[1]["lost"] == 6
