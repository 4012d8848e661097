"""What traces make of a commit; `tests/scenario/test_traces.py` has the whole."""

from __future__ import annotations

import msgspec
import pytest
import structlog
from tests.support import clocks, spans
from tests.unit.engine import samples

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import facts, jobs
from mrs_relay.traces import recorder, tenant_traces


def _commit(traces: tenant_traces.TenantTraces, traceparent: str | None) -> None:
    """Give a new request its trace, if it is chosen, and commit its acceptance."""
    job = msgspec.structs.replace(samples.request(), traceparent=traceparent)
    fact = traces.started(facts.Requested(job))
    decision = transitions.decide(None, fact, samples.NOW_MS, samples.RULES)
    assert decision is not None
    assert decision.job is not None
    traces.committed(3, samples.NOW_MS, {jobs.LedgerKey(job.ledger_key): decision.job}, {}, decision.events)


@pytest.mark.parametrize("traceparent", [None, spans.TRACEPARENT[:-1] + "0"], ids=["not chosen", "not sampled"])
def test_a_commit_without_a_traced_request_makes_nothing(
    traceparent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No ids and no spans: that is what most requests cost."""

    def new_span_id() -> int:
        raise AssertionError("an id was made")

    kept = spans.Kept()
    traces = tenant_traces.TenantTraces(recorder.Recorder(kept, ratio=0.0), "in", "out", clocks.HandClock())
    monkeypatch.setattr(recorder, "new_span_id", new_span_id)
    with structlog.testing.capture_logs() as logs:
        _commit(traces, traceparent)
    assert (logs, kept.spans) == ([], [])


def test_a_commit_with_a_traced_request_has_its_spans() -> None:
    """That of the message, of its event, and of the commit itself."""
    kept = spans.Kept()
    traces = tenant_traces.TenantTraces(recorder.Recorder(kept, ratio=0.0), "in", "out", clocks.HandClock())
    _commit(traces, spans.TRACEPARENT)
    assert sorted(span.name for span in kept.spans) == ["commit in", "process in", "send out"]
