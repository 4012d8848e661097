"""
The decision table: every state x every fact → state, events, command.

`decision_rows` has the rows that calls and cluster operations share with jobs, and `decision_rows_of_ends` those of
jobs that come to their end.
"""

from __future__ import annotations

from tests.unit.engine import samples
from tests.unit.engine.decide import decision_rows, decision_rows_of_ends

_CHANGES = ("cluster not begun", "cluster starts", "cluster is scaled")
_CLUSTER = (*_CHANGES, "cluster is there", "cluster failed", "cluster unclear", "another cluster")
_CLUSTER_ENDS: dict[str, decision_rows.Row | None] = {
    "cluster is there": decision_rows.end("succeeded"),
    "cluster failed": decision_rows.end("failed"),
    "cluster unclear": decision_rows.UNKNOWN,
}
_NOTHING_FOR_A_CLUSTER_UNDER_WAY = decision_rows.nothing(
    *decision_rows.SUBMISSION,
    "waiting",
    "unsettled",
    "another job",
    *decision_rows.STATEMENT,
    "collected",
    "rows removed",
    "expired",
)
_SENT: dict[str, decision_rows.Row | None] = {
    "taken": decision_rows.SUBMITTED,
    "refused": decision_rows.end("failed"),
    "not taken": decision_rows.REQUEUED,
}
_OTHERS = ("found", "two found", "not found", *decision_rows.SEEN, *decision_rows.STATEMENT, *decision_rows.LATER)
_CALLS: dict[str, list[dict[str, decision_rows.Row | None]]] = {
    "submitting, a call that deletes": [
        decision_rows.known("submitting", "accepted"),
        decision_rows.wished("submitting", "accepted", ("submitting", (), None)),
        _SENT | {"in doubt": decision_rows.REQUEUED, "replied": decision_rows.end("succeeded")},
        decision_rows.nothing(*decision_rows.TURN, *_OTHERS, *_CLUSTER),
    ],
    # "No such cluster" may be the effect of the first submission, whose reply was lost.
    "submitting, a call that deletes, again": [
        decision_rows.known("submitting", "accepted"),
        decision_rows.wished("submitting", "accepted", ("submitting", (), None)),
        _SENT
        | {
            "in doubt": decision_rows.REQUEUED,
            "replied": decision_rows.end("succeeded"),
            "refused": decision_rows.UNKNOWN,
        },
        decision_rows.nothing(*decision_rows.TURN, *_OTHERS, *_CLUSTER),
    ],
    "submitting, a call to be cancelled": [
        decision_rows.known("submitting", "accepted"),
        decision_rows.stopped("submitting", "accepted"),
        {
            "taken": decision_rows.SUBMITTED_KILL,
            "refused": decision_rows.end("failed"),
            "not taken": decision_rows.end("cancelled"),
        },
        {"in doubt": decision_rows.UNKNOWN, "replied": decision_rows.end("succeeded")},
        decision_rows.nothing(*decision_rows.TURN, *_OTHERS, *_CLUSTER),
    ],
    "submitting, a call that reads": [
        decision_rows.known("submitting", "accepted"),
        decision_rows.wished("submitting", "accepted", ("submitting", (), None)),
        _SENT | {"in doubt": decision_rows.REQUEUED, "replied": decision_rows.end("succeeded")},
        decision_rows.nothing(*decision_rows.TURN, *_OTHERS, *_CLUSTER),
    ],
    "submitting, a call that writes": [
        decision_rows.known("submitting", "accepted"),
        decision_rows.wished("submitting", "accepted", ("submitting", (), None)),
        _SENT | {"in doubt": decision_rows.UNKNOWN, "replied": decision_rows.end("succeeded")},
        decision_rows.nothing(*decision_rows.TURN, *_OTHERS, *_CLUSTER),
    ],
    "submitting, a cluster to create": [
        decision_rows.known("submitting", "accepted"),
        decision_rows.wished("submitting", "accepted", ("submitting", (), None)),
        _SENT | {"in doubt": ("doubtful", (), decision_rows.C.LOOK_UP), "replied": decision_rows.end("succeeded")},
        decision_rows.nothing(*decision_rows.TURN, *_OTHERS, *_CLUSTER),
    ],
    # A resize is a difference: its effect does not show for sure, and it cannot be called back.
    "submitting, a cluster to resize": [
        decision_rows.known("submitting", "accepted"),
        decision_rows.stopped("submitting", "accepted"),
        _SENT
        | {
            "in doubt": decision_rows.UNKNOWN,
            "replied": decision_rows.end("succeeded"),
            "not taken": decision_rows.end("cancelled"),
        },
        decision_rows.nothing(*decision_rows.TURN, *_OTHERS, *_CLUSTER),
    ],
    "doubtful, a cluster to create": [
        decision_rows.known("doubtful", "accepted"),
        decision_rows.wished("doubtful", "accepted", ("doubtful", (), None)),
        {"found": decision_rows.SUBMITTED, "two found": decision_rows.SUBMITTED, "not found": decision_rows.REQUEUED},
        decision_rows.nothing(
            *decision_rows.TURN,
            "taken",
            "refused",
            "not taken",
            "in doubt",
            *decision_rows.SEEN,
            *decision_rows.STATEMENT,
            *decision_rows.LATER,
        ),
        decision_rows.nothing("replied", *_CLUSTER),
    ],
    "submitted, a cluster": [
        decision_rows.known("submitted", "submitted"),
        decision_rows.wished("submitted", "submitted", ("submitted", ("submitted*",), None)),
        decision_rows.each(["cluster starts", "cluster is scaled"], decision_rows.RUNNING),
        _CLUSTER_ENDS,
        {"vanished": decision_rows.UNKNOWN, "missing": ("submitted", (), None)}
        | decision_rows.each(decision_rows.RUNS, decision_rows.RUNNING)
        | decision_rows.SEEN_ENDS,
        _NOTHING_FOR_A_CLUSTER_UNDER_WAY,
        decision_rows.nothing("replied", "cluster not begun", "another cluster"),
    ],
    "running, a cluster": [
        decision_rows.known("running", "running"),
        decision_rows.wished("running", "running", ("running", ("running*",), None)),
        decision_rows.each(["cluster not begun", "cluster is scaled"], decision_rows.PROGRESS),
        _CLUSTER_ENDS,
        {"vanished": decision_rows.UNKNOWN, "missing": ("running", (), None)}
        | decision_rows.each(decision_rows.RUNS, decision_rows.PROGRESS)
        | decision_rows.SEEN_ENDS,
        _NOTHING_FOR_A_CLUSTER_UNDER_WAY,
        decision_rows.nothing("replied", "cluster starts", "another cluster"),
    ],
}
TABLE = (
    decision_rows.UNDER_WAY
    | decision_rows_of_ends.UNDER_WAY
    | decision_rows.ENDED
    | _CALLS
    | {"cancelled by a message": decision_rows.BY_A_MESSAGE}
)
TABLE["cancelled while in doubt"] = [*decision_rows.BY_A_MESSAGE]
TABLE["queued, looked up in vain"] = [*TABLE["queued, to be sent again"]]
TABLE["queued, a call that reads, without reply"] = [*TABLE["queued"]]
TABLE["queued, a call in doubt"] = [
    *TABLE["queued"][:1],
    decision_rows.wished("queued", "accepted", decision_rows.UNKNOWN),
    decision_rows.turn_of(("submitting", (), decision_rows.C.SUBMIT), decision_rows.UNKNOWN),
    *TABLE["queued"][3:],
]
TABLE["submitting, a statement for the last time"] = [*TABLE["submitting, a statement that writes"]]
TABLE["submitted, with a duplicate"] = [*TABLE["submitted"], {"duplicates stopped": ("submitted", (), None)}]
_KEPT = ("submitted", "running", "collecting", "cancelling", "succeeded", "failed", "cancelled")
_NOTICES: dict[str, decision_rows.Row] = {
    name: (state, (f"{'running' if state in {'collecting', 'cancelling'} else state}*",), None)
    for name in TABLE
    for state in [name.replace(" by a message", "").partition(",")[0]]
    if state in _KEPT
}
"""A second job is reported if the first one is known, or its attempt is over; else it is not known which to keep."""
_AGAIN = ("queued, to be sent again", "queued, looked up in vain")
"""Who is about to send again what MRS has after all looks it up again, as these and `_ON_ITS_WAY` do."""
_ON_ITS_WAY = ("submitting", "submitting, for a retry", "submitting, to be cancelled")
_FAILS: dict[str, decision_rows.Row] = {
    "choosing": decision_rows.REJECTED,
    "queued": decision_rows.end("failed"),
    "collecting": decision_rows.end("succeeded"),
}
_FAILS |= dict.fromkeys(("doubtful", "submitted", "running", "cancelling"), decision_rows.UNKNOWN)


def _fails(name: str, parts: list[dict[str, decision_rows.Row | None]]) -> decision_rows.Row | None:
    """Return what becomes of a job that the relay itself fails on; one on its way to MRS is in doubt."""
    if name.startswith("submitting"):
        return next(part["in doubt"] for part in parts if "in doubt" in part)
    job = samples.JOBS[name]
    if job is not None and job.ending is not None and job.attempt == job.ending.attempt:
        return decision_rows.end(job.ending.state)
    was_sent = name.startswith("queued") and job is not None and (job.intent_ms or job.doubt is not None)
    return decision_rows.UNKNOWN if was_sent else _FAILS.get(name.partition(",")[0])


for _name, _parts in TABLE.items():
    _parts.append(decision_rows.nothing("log of another attempt"))
    if not any("log read" in _part for _part in _parts):
        _parts.append(decision_rows.nothing(*decision_rows.LOG))
    _parts.append({"the relay fails": _fails(_name, _parts)})
    if _name != "submitted, with a duplicate":
        _parts.append(decision_rows.nothing("duplicates stopped"))
    if _name == "cancelled while in doubt":  # none of it is wanted
        _parts.append(
            decision_rows.each(["looked again", "looked again, found two"], ("cancelled", ("cancelled*",), None))
        )
    elif _name in (*_AGAIN, *_ON_ITS_WAY):
        _parts.append(
            decision_rows.each(["looked again", "looked again, found two"], ("doubtful", (), decision_rows.C.LOOK_UP))
        )
    else:
        _parts.append(decision_rows.nothing("looked again") | {"looked again, found two": _NOTICES.get(_name)})
    if not _name.startswith("choosing"):
        _parts.append(decision_rows.nothing("chosen", "none fits"))
    if _name in {"none", "rejected"}:
        _parts.append({"request, without a cluster": ("choosing", (), decision_rows.C.SELECT_CLUSTER)})
    if _name.startswith("awaited"):
        _parts.append({"request, without a cluster": decision_rows.end("cancelled", "accepted")})
    if _name in _CALLS:
        continue
    _parts.append(decision_rows.nothing("replied", *_CLUSTER))  # there is no call or cluster that facts could be about


def cell(job: str, fact: str) -> decision_rows.Row | None:
    rows = [part[fact] for part in TABLE[job] if fact in part]
    assert len(rows) == 1, f"{job} x {fact}: {len(rows)} entries in the table, one is right"
    return rows[0]
