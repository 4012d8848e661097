"""The spans of requests: one tree from the producer's span to the last event, through all owners of the partition."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from opentelemetry.trace import SpanKind, StatusCode
from tests.support import history, service, service_harness, spans

from mrs_relay.common import clock
from mrs_relay.traces import identity

pytestmark = pytest.mark.looptime

_FREE: dict[str, Any] = {"mrs": {"budgets": False}}


def _start(kept: spans.Kept, **more: Any) -> Any:
    return service_harness.start(service_harness.settings(**_FREE, **more), observing=kept.tracing)


def _is_whole(kept: spans.Kept, trace_id: int, first: int | None = spans.PRODUCER) -> None:
    """Check that every span of a trace has its parent there, or is the first."""
    found = kept.of_trace(trace_id)
    own = [spans.ids(span)[1] for span in found]
    assert len(own) == len(set(own))
    assert {spans.parent(span) for span in found} <= {first, *own}


def _carried(relay: service_harness.ServiceHarness, request_id: str = "r-1") -> set[str | None]:
    """Return the trace contexts of a request's events."""
    found = [dict(record.headers) for record in relay.broker.committed("mrs.events")]
    mine = [headers for headers in found if headers["ce_subject"].decode() == request_id]
    assert all(headers.get("traceparent") == headers.get("ce_traceparent") for headers in mine)
    return {raw.decode() if (raw := headers.get("traceparent")) is not None else None for headers in mine}


async def test_a_request_is_one_tree_of_spans_under_the_span_of_its_producer() -> None:
    """Its message, each step and each event have a span, and the one around them has the job's own times."""
    kept = spans.Kept()
    async with _start(kept) as relay:
        relay.put(service.sql("r-1", "spark", "select 1"), traceparent=spans.TRACEPARENT)
        await relay.until_ended(["r-1"], 600)
        events = relay.events()

    request = kept.one("request sql")
    _is_whole(kept, spans.TRACE)
    assert spans.parent(request) == spans.parent(kept.one("process mrs.requests")) == spans.PRODUCER
    for name in ("submit", "collect", "attempt"):
        assert spans.parent(kept.one(name)) == spans.ids(request)[1]
    assert [spans.said(span)["mrs_relay.state"] for span in kept.named("send")] == [event.state for event in events]
    assert request.start_time == kept.named("process")[0].start_time
    assert request.end_time == kept.named("send")[-1].start_time
    run, attempt = kept.one("run"), kept.one("attempt")
    assert spans.parent(run) == spans.ids(attempt)[1]
    times = (events[-1].data["mrs"]["started_at"], events[-1].data["mrs"]["finished_at"])
    assert (run.start_time, run.end_time) == tuple(clock.epoch_ms(moment) * 1_000_000 for moment in times)


async def test_spans_are_named_as_the_conventions_for_messages_and_http_say() -> None:
    """A consumer's, a producer's and a client's span have the attributes that tools look for."""
    kept = spans.Kept()
    async with _start(kept) as relay:
        relay.put(service.job("r-1"), traceparent=spans.TRACEPARENT)
        await relay.until_ended(["r-1"], 600)

    came, sent, posted = kept.one("process"), kept.named("send")[0], kept.one("POST")
    kafka = {"messaging.system": "kafka", "messaging.destination.name": "mrs.requests"}
    assert came.kind is SpanKind.CONSUMER
    assert spans.said(came) == kafka | {
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.partition.id": "0",
        "messaging.kafka.offset": 0,
        "messaging.message.id": "r-1",
    }
    assert sent.kind is SpanKind.PRODUCER
    assert spans.said(sent)["messaging.operation.type"] == "send"
    assert spans.said(sent)["messaging.destination.name"] == "mrs.events"
    assert posted.kind is SpanKind.CLIENT
    assert posted.name == "POST /v2/{project_id}/clusters/{cluster_id}/job-executions"
    assert spans.parent(posted) == spans.ids(kept.one("submit"))[1]
    assert spans.said(posted) == {
        "http.request.method": "POST",
        "http.response.status_code": 202,
        "server.address": service_harness.HOST,
        "server.port": 80,
        "url.full": f"http://{service_harness.HOST}/v2/{{project_id}}/clusters/{{cluster_id}}/job-executions",
        "url.template": "/v2/{project_id}/clusters/{cluster_id}/job-executions",
        "mrs.operation": "CreateExecuteJob",
    }


async def test_a_commit_is_linked_to_all_requests_that_it_changed() -> None:
    """It belongs to no trace of a request; the span of a message is linked back to it."""
    kept = spans.Kept()
    async with _start(kept) as relay:
        for number in range(3):
            relay.put(service.job(f"r-{number}"), traceparent=f"00-{spans.TRACE + number:032x}-00000000000000aa-01")
        await relay.until_ended([f"r-{number}" for number in range(3)], 600)

    commits = {spans.ids(span)[1]: span for span in kept.named("commit")}
    requests = {spans.ids(span)[1] for span in kept.named("request")}
    assert len(requests) == 3
    for span in kept.named("process"):
        (commit,) = spans.linked(span)
        assert spans.parent(commits[commit]) is None
        assert set(spans.linked(commits[commit])) <= requests
    assert {one for span in commits.values() for one in spans.linked(span)} == requests


async def test_a_takeover_continues_the_tree_and_a_look_up_is_part_of_it() -> None:
    """The ids that spans refer to follow from the ledger, so the second owner's spans hang where the first one's do."""
    kept = spans.Kept()
    async with _start(kept) as relay:
        relay.trouble(action="drop_after", operation="CreateExecuteJob")
        relay.put(service.job("r-1"), traceparent=spans.TRACEPARENT)
        while not kept.named("POST"):
            await asyncio.sleep(0.1)
        await relay.replicas[0].kill()
        await relay.start_replica()
        await relay.until_ended(["r-1"], 600)
        assert len(relay.created()) == 1
        assert _carried(relay) == {spans.TRACEPARENT}

    _is_whole(kept, spans.TRACE)
    submitted, found = kept.one("submit"), kept.named("look up")[-1]
    assert submitted.status.status_code is StatusCode.ERROR
    assert spans.said(found)["mrs_relay.outcome"] == "SubmissionFound"
    assert spans.said(kept.one("request"))["mrs_relay.state"] == "succeeded"


async def test_an_attempt_is_linked_to_the_one_before() -> None:
    """Each attempt of a retried job has its own span, of its own length."""
    kept = spans.Kept()
    emulated = {"pace": {"run_s": 20}}
    chosen = service_harness.settings(**_FREE)
    async with service_harness.start(chosen, emulated=emulated, observing=kept.tracing) as relay:
        relay.trouble(action="wrong_result", operation="CreateExecuteJob")
        retry = {"attempts": 2, "backoff_s": 60, "on": ["job_failed"]}
        relay.put(service.job("r-1", retry=retry), traceparent=spans.TRACEPARENT)
        await relay.until_ended(["r-1"], 600)

    first, second = kept.named("attempt")
    assert spans.said(first)["mrs_relay.attempt"] == 1
    assert first.status.status_code is StatusCode.ERROR
    assert spans.linked(second) == [spans.ids(first)[1]]
    assert second.status.status_code is StatusCode.UNSET
    assert first.end_time is not None
    assert second.start_time is not None
    assert second.start_time - first.end_time >= 60e9
    assert spans.said(kept.one("request"))["mrs_relay.attempts"] == 2
    _is_whole(kept, spans.TRACE)


async def test_a_request_without_a_trace_gets_one_that_its_events_carry() -> None:
    """Also where it is rejected at once; its own span is the first."""
    kept = spans.Kept()
    async with _start(kept) as relay:
        relay.put(service.job("r-1"))
        relay.put(b'{"id": "r-2", "type": "mrs.sql.submit", "data": {}}')
        await relay.until_ended(["r-1", "r-2"], 600)
        carried = {name: _carried(relay, name) for name in ("r-1", "r-2")}

    for request in kept.named("request"):
        trace_id, span_id = spans.ids(request)
        assert spans.parent(request) is None
        assert carried[_id(request)] == {f"00-{trace_id:032x}-{span_id:016x}-01"}
        _is_whole(kept, trace_id, None)
    assert {_id(span) for span in kept.named("request")} == {"r-1", "r-2"}


def _id(span: Any) -> str:
    return str(spans.said(span)["mrs_relay.request.id"])


async def test_a_trace_that_is_not_sampled_has_no_spans() -> None:
    """Neither one whose producer says so, nor a request without one beyond the share; the events carry it on."""
    for ratio, traceparent in ((1.0, spans.TRACEPARENT[:-2] + "00"), (0.0, None)):
        kept = spans.Kept(ratio)
        async with _start(kept) as relay:
            relay.put(service.job("r-1"), traceparent=traceparent)
            await relay.until_ended(["r-1"], 600)
            assert _carried(relay) == {traceparent}
        assert kept.spans == []


async def test_a_trace_that_its_producer_samples_is_continued_whatever_the_share() -> None:
    """Else traces of requests would have holes where the relay is."""
    kept = spans.Kept(ratio=0.0)
    async with _start(kept) as relay:
        relay.put(service.job("r-1"), traceparent=spans.TRACEPARENT)
        relay.put(service.job("r-2"))
        await relay.until_ended(["r-1", "r-2"], 600)
    _is_whole(kept, spans.TRACE)
    assert {_id(span) for span in kept.named("request")} == {"r-1"}


async def test_a_malformed_trace_context_is_passed_on_and_not_traced() -> None:
    """It is the sender's text, not the relay's."""
    kept = spans.Kept()
    async with _start(kept) as relay:
        relay.put(service.job("r-1"), traceparent="00-nonsense")
        await relay.until_ended(["r-1"], 600)
        assert _carried(relay) == {"00-nonsense"}
    assert kept.spans == []


async def test_an_answer_to_a_repeated_message_belongs_to_the_trace_of_that_message() -> None:
    """The job's own trace stays as it is."""
    kept = spans.Kept()
    again = spans.TRACEPARENT.replace("4bf9", "5bf9")
    async with _start(kept) as relay:
        relay.put(service.job("r-1"), traceparent=spans.TRACEPARENT)
        await relay.until_ended(["r-1"], 600)
        relay.put(service.job("r-1"), traceparent=again)
        await asyncio.sleep(5)

    (answer,) = [span for span in kept.named("send") if f"{spans.ids(span)[0]:032x}" in again]
    assert spans.parent(answer) == spans.PRODUCER
    assert len(kept.named("request")) == 1
    _is_whole(kept, spans.TRACE)


async def test_log_lines_of_a_step_carry_the_ids_of_its_span() -> None:
    """So a backend finds the lines of a trace."""
    kept = spans.Kept()
    processors = [structlog.contextvars.merge_contextvars]
    with structlog.testing.capture_logs(processors) as logs:
        async with _start(kept) as relay:
            relay.trouble(action="drop_after", operation="CreateExecuteJob")
            relay.trouble(action="status", operation="ShowJobExeListNew", status=500, count=1)
            relay.put(service.job("r-1"), traceparent=spans.TRACEPARENT)
            await relay.until_ended(["r-1"], 600)

    (line,) = [line for line in logs if line["event"] == "look_up_failed"]
    assert line["trace_id"] == f"{spans.TRACE:032x}"
    assert line["span_id"] == f"{spans.ids(kept.one('look up'))[1]:016x}"


async def test_a_span_that_cannot_be_recorded_stops_nothing() -> None:
    """The commit has happened: what only observes it may fail."""

    class Broken(spans.Kept):
        def on_end(self, span: Any) -> None:
            raise RuntimeError(span.name)

    with structlog.testing.capture_logs() as logs:
        async with _start(Broken()) as relay:
            relay.put(service.job("r-1"), traceparent=spans.TRACEPARENT)
            await relay.until_ended(["r-1"], 600)
            assert relay.states("r-1")[-1] == "succeeded"
            assert len(relay.created()) == 1
    assert any(line["event"] == "span_not_recorded" for line in logs)


async def test_a_commit_that_cannot_be_observed_has_happened_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of the traces is logged by its class, and the request continues."""

    def fail(*_given: Any) -> Any:
        raise LookupError("hunter2")

    monkeypatch.setattr(identity, "attempt_span", fail)
    kept = spans.Kept()
    with structlog.testing.capture_logs() as logs:
        async with _start(kept, engine={"slots_per_cluster": 5}) as relay:
            relay.put(service.job("r-1"), traceparent=spans.TRACEPARENT)
            await relay.until_ended(["r-1"], 600)
            assert relay.states("r-1")[-1] in history.LAST
    assert any(line["event"] == "spans_not_recorded" for line in logs)
    assert "hunter2" not in str(logs)


_HIDDEN = "hunter2"


def _secretive(number: int) -> Iterator[tuple[str, bytes]]:
    """Yield requests that hold a secret wherever arguments, SQL, properties, labels or a call's values stand."""
    labels = {"note": _HIDDEN}
    where = f"where b = '{_HIDDEN}'"
    for engine in ("spark", "hive", "presto"):
        name = f"{engine}-{number}"
        yield name, service.sql(name, engine, f"select a from t {where}", labels=labels)
    job = {"job_type": "SparkSubmit", "job_name": "j", "arguments": [_HIDDEN], "properties": {_HIDDEN: _HIDDEN}}
    yield f"job-{number}", service.job(f"job-{number}", job=job, labels=labels)
    query = {"operation": "ListClusters", "query": {"cluster_name": _HIDDEN}}
    call = {"id": f"call-{number}", "source": "/test", "type": "mrs.call", "data": query}
    yield f"call-{number}", json.dumps(call).encode()


async def test_no_span_holds_what_a_request_asks_for() -> None:
    """Nor does a log line, whether it succeeds, is refused with its own text in MRS's answer, or loses its reply."""
    kept = spans.Kept()
    refused = {"error_code": "0101", "error_msg": f"cannot use {_HIDDEN}"}
    troubles: list[dict[str, Any]] = [
        {},
        {"action": "status", "status": 400, "body": refused, "count": None},
        {"action": "drop_after", "count": 2},
    ]
    with structlog.testing.capture_logs() as logs:
        async with _start(kept) as relay:
            for number, trouble in enumerate(troubles):
                requests = dict(_secretive(number))
                for operation in ("CreateExecuteJob", "ExecuteSql", "ListClusters") if trouble else ():
                    relay.trouble(operation=operation, **trouble)
                for value in requests.values():
                    relay.put(value)
                await relay.until_ended(list(requests), 3600)

    assert [line for line in logs if _HIDDEN in str(line)] == []
    assert len(kept.named("request")) == 15
    assert kept.named("GET")
    assert [text for text in spans.texts(kept.spans) if _HIDDEN in text] == []
