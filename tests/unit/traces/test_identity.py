"""Trace contexts as the W3C writes them, and ids that follow from a request."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import sampling
from tests.support import spans
from tests.unit.engine import samples

from mrs_relay.traces import identity


def test_a_traceparent_is_read_and_written_alike() -> None:
    """Its ids and its flag, of which only the first bit is known."""
    context = identity.read(spans.TRACEPARENT)
    assert context is not None
    assert (context.trace_id, context.span_id, context.trace_flags) == (spans.TRACE, spans.PRODUCER, 1)
    assert identity.write(context) == spans.TRACEPARENT
    assert identity.read(f"01{spans.TRACEPARENT[2:-2]}03-more") == context


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00-0-0-01",
        spans.TRACEPARENT.upper(),
        spans.TRACEPARENT + "-more",
        "ff" + spans.TRACEPARENT[2:],
        f"00-{0:032x}-{spans.PRODUCER:016x}-01",
        f"00-{spans.TRACE:032x}-{0:016x}-01",
    ],
)
def test_what_is_no_traceparent_is_no_trace(text: str) -> None:
    """Capitals, ids of zeros only, further parts in version 00 and version ff are none."""
    assert identity.read(text) is None


def test_ids_follow_from_the_request_and_from_nothing_else() -> None:
    """The next owner of a partition finds them; another attempt, offset or request has others."""
    context = identity.read(spans.TRACEPARENT)
    assert context is not None
    job = samples.request(order=7)
    same = samples.request(order=7, sequence=5, attempt=3)
    others = [samples.request(order=8), samples.request(order=7, id="other")]
    own = identity.request_span(context, job)
    assert own == identity.request_span(context, same)
    own_trace = identity.own_trace(job, identity.bound(1.0))
    assert own_trace == identity.own_trace(same, identity.bound(1.0))
    assert own_trace is not None
    assert identity.own_trace(job, identity.bound(0.0)) is None
    found = {identity.request_span(context, one).span_id for one in (job, *others)}
    found |= {identity.attempt_span(context, job, number).span_id for number in (1, 2)}
    assert len(found) == 5


@pytest.mark.parametrize("ratio", [0.0, 0.001, 0.3, 1.0])
def test_a_share_of_traces_is_the_share_of_other_services(ratio: float) -> None:
    """OpenTelemetry's sampler by ratio chooses the same traces, so that a trace is whole."""
    sampler = sampling.TraceIdRatioBased(ratio)
    for trace_id in (spans.TRACE, 1, 1 << 63, (1 << 64) - 1, (1 << 128) - 1, int(0.3 * (1 << 64)), 0x4000 << 48):
        theirs = sampler.should_sample(None, trace_id, "x").decision is sampling.Decision.RECORD_AND_SAMPLE
        assert identity.is_chosen(trace_id, identity.bound(ratio)) is theirs


@pytest.mark.parametrize(
    ("traceparent", "is_sampled"),
    [
        (spans.TRACEPARENT, True),
        (f"{spans.TRACEPARENT[:-2]}00", False),
        (f"{spans.TRACEPARENT[:-2]}02", False),
        (f"{spans.TRACEPARENT[:-2]}03", True),
        (f"01{spans.TRACEPARENT[2:]}-later", True),
        ("", False),
        ("00-no-trace", False),
        (f"{spans.TRACEPARENT[:-2]}xx", False),
    ],
)
def test_the_producer_s_choice_is_read_from_the_text(traceparent: str, is_sampled: bool) -> None:
    """Other flags and later versions do not matter; what is malformed is not sampled."""
    assert identity.is_sampled(traceparent) is is_sampled
