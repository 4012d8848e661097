"""Bind the request, and its trace, to all log lines of a task that works for it, whatever module writes them."""

from __future__ import annotations

import contextvars

import structlog

from mrs_relay.common import histograms
from mrs_relay.engine.model import jobs


def about(job: jobs.Job) -> contextvars.Context:
    """Return a context for a task of a job: log lines in it name its request and, if it has one, its trace."""
    bound = {"request": job.id, "source": job.source}
    if (trace_id := histograms.trace_id(job.traceparent)) is not None:
        bound["trace_id"] = trace_id
    context = contextvars.copy_context()
    context.run(structlog.contextvars.bind_contextvars, **bound)
    return context
