"""
Trace contexts and ids of spans. Pure.

The ids of a request's own span and of its attempts follow from its idempotency key and its input offset, which the
ledger holds. So spans of two owners of a partition refer to one another, and a corrected request has new ids.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Final

from opentelemetry import trace

from mrs_relay.engine.model import jobs

_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
"""Source: W3C Trace Context, 3.2; a later version may add further parts."""

_INVALID_VERSION: Final = "ff"
_FLAGS: Final = slice(53, 55)
"""Where a `traceparent` has its flags."""

_LOW: Final = (1 << 64) - 1
_SAMPLED: Final = trace.TraceFlags(trace.TraceFlags.SAMPLED)


@functools.lru_cache(maxsize=8192)
def read(traceparent: str) -> trace.SpanContext | None:
    """Read a `traceparent` as the span that it names; None: it is malformed."""
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None or found[1] == _INVALID_VERSION or (found[1] == "00" and found[5]):
        return None
    flags = trace.TraceFlags(int(found[4], 16) & trace.TraceFlags.SAMPLED)
    context = trace.SpanContext(int(found[2], 16), int(found[3], 16), is_remote=True, trace_flags=flags)
    return context if context.is_valid else None


def write(context: trace.SpanContext) -> str:
    """Write a `traceparent`."""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def bound(ratio: float) -> int:
    """Return the bound for a share of all traces: the same choice as that of OpenTelemetry's own samplers."""
    return round(ratio * (1 << 64))


def is_chosen(trace_id: int, bound: int) -> bool:
    """Return whether a trace is among the share with this bound."""
    return (trace_id & _LOW) < bound


def is_sampled(traceparent: str) -> bool:
    """Return whether a `traceparent`, perhaps malformed, says that its trace is sampled; read from its text alone."""
    try:
        return bool(int(traceparent[_FLAGS], 16) & trace.TraceFlags.SAMPLED)
    except ValueError:
        return False


def own_trace(job: jobs.Job, bound: int) -> trace.SpanContext | None:
    """
    Return a new trace for a request without a trace context; its first span is the request's own.

    None: it is not among the share with this bound.
    """
    digest = _digest(job, 0)
    trace_id = int.from_bytes(digest[:16])
    if not is_chosen(trace_id, bound):
        return None
    return trace.SpanContext(trace_id, _span_id(digest), is_remote=False, trace_flags=_SAMPLED)


def request_span(context: trace.SpanContext, job: jobs.Job) -> trace.SpanContext:
    """Return the request's own span in a trace."""
    return within(context, _span_id(_digest(job, 0)))


def attempt_span(context: trace.SpanContext, job: jobs.Job, attempt: int) -> trace.SpanContext:
    """Return the span of one of its attempts."""
    return within(context, _span_id(_digest(job, attempt)))


def within(context: trace.SpanContext, span_id: int) -> trace.SpanContext:
    """Return a span of the same trace."""
    return trace.SpanContext(context.trace_id, span_id, is_remote=False, trace_flags=context.trace_flags)


def _digest(job: jobs.Job, attempt: int) -> bytes:
    return hashlib.blake2b(b"%d %d %b" % (attempt, job.order, job.ledger_key), digest_size=24).digest()


def _span_id(digest: bytes) -> int:
    return int.from_bytes(digest[16:]) or 1
