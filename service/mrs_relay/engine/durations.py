"""Measure how long requests wait and run, from the jobs of each commit, for metrics."""

from __future__ import annotations

from typing import Final

from mrs_relay.common import histograms
from mrs_relay.engine import views
from mrs_relay.engine.model import jobs

_BEFORE_MRS: Final = frozenset({None, "accepted", "rejected"})
"""Event states of a request that MRS does not have yet."""


def note(counts: views.Counts, before: jobs.Job | None, after: jobs.Job | None, now_ms: int) -> None:
    """
    Count the wait of a job that MRS took, and the run of a job that has ended, by one committed change.

    Args:
        counts: of the tenant.
        before: the job as committed before; None: there was none.
        after: as committed now; None: it is forgotten.
        now_ms: when the change was decided.
    """
    if after is None or not after.attempt or (before is not None and before.shown == after.shown):
        return

    traceparent = after.traceparent or (None if before is None else before.traceparent)
    if after.attempt == 1 and (before is None or before.shown in _BEFORE_MRS) and after.shown not in _BEFORE_MRS:
        waits = counts.waits.get(after.subject)
        if waits is None:
            waits = counts.waits[after.subject] = histograms.Histogram(histograms.LONG_S)
        waits.add_traced(max(0, after.intent_ms - after.arrived_ms) / 1000, traceparent, now_ms)

    # A person may settle an ended job again; its run has been counted.
    was_over = before is not None and jobs.TRAITS[before.state].last
    if jobs.TRAITS[after.state].last and not was_over and after.shown is not None:
        runs = counts.runs.get((after.subject, after.shown))
        if runs is None:
            runs = counts.runs[after.subject, after.shown] = histograms.Histogram(histograms.LONG_S)
        runs.add_traced(max(0, now_ms - after.intent_ms) / 1000, traceparent, now_ms)
