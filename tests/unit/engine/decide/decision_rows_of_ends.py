"""Rows of the decision table for jobs that come to their end: their log is read, or they are being cancelled."""

from __future__ import annotations

from tests.unit.engine.decide import decision_rows as rows

UNDER_WAY: dict[str, list[dict[str, rows.Row | None]]] = {
    # MRS has shown the end: nothing changes it but the log, or the end of the wait for it.
    "running, its log is read": [
        rows.known("running", "running"),
        rows.wished("running", "running", ("running", (), None)),
        rows.each(rows.LOG, rows.end("failed")),
        rows.nothing(*rows.SUBMISSION, *rows.SEEN, *rows.STATEMENT, *rows.LATER),
    ],
    "running, its log is read, it was killed": [
        rows.known("running", "running"),
        rows.wished("running", "running", ("running", (), None)),
        rows.each(rows.LOG, rows.end("cancelled")),
        rows.nothing(*rows.SUBMISSION, *rows.SEEN, *rows.STATEMENT, *rows.LATER),
    ],
    "running, its log is read, for a retry after a cause": [
        rows.known("running", "running"),
        rows.wished("running", "running", ("running", (), None)),
        {"log read": rows.RETRY, "log not read": rows.end("failed")},
        rows.nothing(*rows.SUBMISSION, *rows.SEEN, *rows.STATEMENT, *rows.LATER),
    ],
    "running, its log is read, to be cancelled": [
        rows.known("running", "running"),
        rows.stopped("running", "running"),
        rows.each(rows.LOG, rows.end("failed")),
        rows.nothing(*rows.SUBMISSION, *rows.SEEN, *rows.STATEMENT, *rows.LATER),
    ],
    "submitted, its log is read": [
        rows.known("submitted", "submitted"),
        rows.wished("submitted", "submitted", ("submitted", (), None)),
        rows.each(rows.LOG, rows.end("failed")),
        rows.nothing(*rows.SUBMISSION, *rows.SEEN, *rows.STATEMENT, *rows.LATER),
    ],
    # An earlier version has kept what it does not know of the attempt before.
    "running, a log of an earlier attempt": [
        rows.known("running", "running"),
        rows.wished("running", "running", rows.KILL),
        {"progressed": rows.PROGRESS, "application known": rows.PROGRESS},
        rows.SEEN_ENDS,
        {"vanished": rows.UNKNOWN, "missing": ("running", (), None)},
        rows.nothing(*rows.SUBMISSION, "waiting", "running", "application left out", "unsettled", "another job"),
        rows.nothing(*rows.STATEMENT, "collected", "expired", "rows removed", *rows.LOG),
    ],
    "collecting, to be cancelled": [
        rows.known("collecting", "running"),
        rows.stopped("collecting", "running"),
        {"collected": rows.end("succeeded")},
        rows.nothing(*rows.SUBMISSION, *rows.SEEN, *rows.STATEMENT, *rows.LOST, "expired", "rows removed"),
    ],
    "cancelling": [
        rows.known("cancelling", "running"),
        rows.stopped("cancelling", "running"),
        rows.SEEN_ENDS,
        {"vanished": rows.UNKNOWN, "missing": ("cancelling", (), None)},
        rows.nothing(
            *rows.SUBMISSION,
            "waiting",
            *rows.RUNS,
            "unsettled",
            "another job",
            *rows.STATEMENT,
            "collected",
            "rows removed",
            "expired",
        ),
    ],
    "cancelling, with rows": [
        rows.known("cancelling", "running"),
        rows.stopped("cancelling", "running"),
        rows.SEEN_ENDS | {"succeeded": rows.COLLECT},
        {"vanished": rows.UNKNOWN, "missing": ("cancelling", (), None)},
        rows.nothing(
            *rows.SUBMISSION,
            "waiting",
            *rows.RUNS,
            "unsettled",
            "another job",
            *rows.STATEMENT,
            "collected",
            "rows removed",
            "expired",
        ),
    ],
    "cancelling, a statement": [
        rows.known("cancelling", "running"),
        rows.stopped("cancelling", "running"),
        rows.SEEN_ENDS,
        {
            "statement finished": rows.end("succeeded"),
            "statement failed": rows.end("cancelled"),
            "vanished": rows.UNKNOWN,
        },
        {"missing": ("cancelling", (), None)},
        rows.nothing(*rows.SUBMISSION, "waiting", *rows.RUNS, "unsettled", "another job"),
        rows.nothing("statement queued", "statement running", "collected", "rows removed", "expired"),
    ],
}
