"""
Every state x every fact → state, events, command.

The table is complete: a combination that is missing from it fails, whether it moves the job or not.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable

import pytest
from tests.unit.engine import samples

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import commands, facts, jobs
from mrs_relay.messages import events

_C = commands.Command

Told = tuple[str, ...]
Row = tuple[str | None, Told, commands.Command | None]
"""State afterwards (None: forgotten), states of the events (`*`: repeated), command."""

_SUBMISSION = ("turn", "taken", "refused", "not taken", "in doubt", "found", "two found", "not found")
_RUNS = ("running", "progressed", "application known", "application left out")
_ENDS = ("succeeded", "failed", "killed")
_SEEN = ("waiting", *_RUNS, "unsettled", *_ENDS, "another job")
_STATEMENT = ("statement queued", "statement running", "statement finished", "statement failed")
_LOST = ("vanished", "missing")
_LATER = (*_LOST, "collected", "expired")
_SAME = ("request, same record", "invalid, same record")


def _nothing(*names: str) -> dict[str, Row | None]:
    return dict.fromkeys(names)


def _all(names: Iterable[str], row: Row) -> dict[str, Row | None]:
    return dict.fromkeys(names, row)


def _known(state: str, shown: str) -> dict[str, Row | None]:
    """How a request that is known is answered, whatever its job does: its state, or a rebuff; the job continues."""
    return {
        "request": (state, (f"{shown}*",), None),
        "request, other payload": (state, ("rejected",), None),
        "request, without a cluster": (state, ("rejected",), None),
        "invalid": (state, ("rejected",), None),
    } | _nothing(*_SAME)


def _wished(state: str, shown: str, cancelled: Row | None, *, due: Row | None = None) -> dict[str, Row | None]:
    """What people and deadlines can do to a job without a stop request."""
    cancels = dict.fromkeys(("cancel", "cancel by another", "cancel, passed"), cancelled)
    return {**cancels, "cancel matched": None, "settled": (state, (f"{shown}*",), None), "due": due}


def _stopped(state: str, shown: str) -> dict[str, Row | None]:
    """A further cancel changes nothing; a partition that passed one on gets the reply that the job is here."""
    return {**_wished(state, shown, None), "cancel, passed": (state, (), None)}


_REJECTED: Row = ("rejected", ("rejected",), _C.RELEASE)
_ACCEPTED: Row = ("queued", ("accepted",), _C.ENQUEUE)
_SUBMITTED: Row = ("submitted", ("submitted",), _C.TRACK)
_REQUEUED: Row = ("queued", (), _C.ENQUEUE)
_UNKNOWN: Row = ("unknown", ("unknown",), _C.RELEASE)
_RUNNING: Row = ("running", ("running",), None)
_PROGRESS: Row = ("running", ("progress",), None)
_COLLECT: Row = ("collecting", (), _C.COLLECT)


def _end(state: str, *before: str) -> Row:
    return (state, (*before, state), _C.RELEASE)


_KILL: Row = ("cancelling", (), _C.KILL)
_SUBMITTED_KILL: Row = ("cancelling", ("submitted",), _C.KILL)
_AWAIT: Row = ("awaited", (), _C.AWAIT_REQUEST)
_FORGOTTEN: Row = (None, (), None)
_RETRY: Row = ("queued", ("retrying",), _C.ENQUEUE)

_SEEN_ENDS: dict[str, Row | None] = {
    "succeeded": _end("succeeded"),
    "failed": _end("failed"),
    "killed": _end("cancelled"),
}

_STATEMENT_SENT: dict[str, Row | None] = {
    "taken": _SUBMITTED,
    "refused": _end("failed"),
    "not taken": _REQUEUED,
    "statement queued": _SUBMITTED,
    "statement running": ("running", ("submitted", "running"), _C.TRACK),
    "statement finished": _end("succeeded", "submitted"),
    "statement failed": _end("failed", "submitted"),
}

_UNDER_WAY: dict[str, list[dict[str, Row | None]]] = {
    "none": [
        _all(["request", "request, same record", "request, other payload"], _ACCEPTED),
        _all(["invalid", "invalid, same record"], _REJECTED),
        _all(["cancel", "cancel by another", "cancel, passed"], _AWAIT),
        {"settled": (None, ("rejected",), None)},
        _nothing(*_SUBMISSION, *_SEEN, *_STATEMENT, *_LATER, "cancel matched", "due"),
    ],
    "awaited": [
        _all(["request", "request, same record", "request, other payload"], _end("cancelled", "accepted")),
        _all(["invalid", "invalid, same record"], _REJECTED),
        {"cancel matched": _FORGOTTEN, "settled": ("awaited", ("rejected",), None)},
        {"expired": (None, ("rejected",), None), "cancel by another": ("awaited", ("rejected",), None)},
        _nothing(*_SUBMISSION, *_SEEN, *_STATEMENT, *_LOST, "collected", "cancel", "cancel, passed", "due"),
    ],
    "awaited, passed on": [
        _all(["request", "request, same record", "request, other payload"], _end("cancelled", "accepted")),
        _all(["invalid", "invalid, same record"], _REJECTED),
        _all(["cancel", "cancel by another"], _AWAIT),
        {"cancel matched": _FORGOTTEN, "settled": ("awaited", ("rejected",), None)},
        {"expired": _FORGOTTEN},
        _nothing(*_SUBMISSION, *_SEEN, *_STATEMENT, *_LOST, "collected", "cancel, passed", "due"),
    ],
    "rejected": [
        _wished("rejected", "rejected", ("rejected", ("rejected*",), None)),
        _all(["request", "request, other payload"], _ACCEPTED),
        {"invalid": _REJECTED, "expired": (None, (), None)},
        _nothing(*_SAME, *_SUBMISSION, *_SEEN, *_STATEMENT, *_LOST, "collected"),
    ],
    "choosing": [
        # The same request once more is answered by what comes of the choice.
        _known("choosing", "accepted") | {"request": None},
        _wished("choosing", "accepted", _end("cancelled", "accepted")),
        {"chosen": _ACCEPTED, "none fits": _REJECTED},
        _nothing(*_SUBMISSION, *_SEEN, *_STATEMENT, *_LATER),
    ],
    "choosing, late": [
        _known("choosing", "accepted") | {"request": None},
        _wished("choosing", "accepted", _end("cancelled", "accepted"), due=_end("cancelled", "accepted")),
        {"chosen": _ACCEPTED, "none fits": _REJECTED},
        _nothing(*_SUBMISSION, *_SEEN, *_STATEMENT, *_LATER),
    ],
    "queued": [
        _known("queued", "accepted"),
        _wished("queued", "accepted", _end("cancelled")),
        {"turn": ("submitting", (), _C.SUBMIT)},
        _nothing(*_SUBMISSION[1:], *_SEEN, *_STATEMENT, *_LATER),
    ],
    "queued, to be sent again": [
        _known("queued", "accepted"),
        _wished("queued", "accepted", _end("cancelled")),
        {"turn": ("submitting", (), _C.SUBMIT)},
        _nothing(*_SUBMISSION[1:], *_SEEN, *_STATEMENT, *_LATER),
    ],
    # What may have run is not reported as cancelled.
    "queued, late, a statement in doubt": [
        _known("queued", "accepted"),
        _wished("queued", "accepted", _UNKNOWN, due=_UNKNOWN),
        {"turn": _UNKNOWN},
        _nothing(*_SUBMISSION[1:], *_SEEN, *_STATEMENT, *_LATER),
    ],
    "queued, late": [
        _known("queued", "accepted"),
        _wished("queued", "accepted", _end("cancelled"), due=_end("cancelled")),
        {"turn": _end("cancelled")},
        _nothing(*_SUBMISSION[1:], *_SEEN, *_STATEMENT, *_LATER),
    ],
    "submitting, for a retry": [
        _known("submitting", "accepted"),
        _wished("submitting", "accepted", ("submitting", (), None)),
        {"taken": _SUBMITTED, "refused": _RETRY, "not taken": _REQUEUED, "in doubt": ("doubtful", (), _C.LOOK_UP)},
        _nothing("turn", "found", "two found", "not found", *_SEEN, *_STATEMENT, *_LATER),
    ],
    "submitting, to be cancelled": [
        _known("submitting", "accepted"),
        _stopped("submitting", "accepted"),
        {"taken": _SUBMITTED_KILL, "refused": _end("failed"), "not taken": _end("cancelled")},
        {"in doubt": ("doubtful", (), _C.LOOK_UP)},
        _nothing("turn", "found", "two found", "not found", *_SEEN, *_STATEMENT, *_LATER),
    ],
    "submitting, a statement to be cancelled": [
        _known("submitting", "accepted"),
        _stopped("submitting", "accepted"),
        {"taken": _SUBMITTED_KILL, "refused": _end("failed"), "not taken": _end("cancelled"), "in doubt": _UNKNOWN},
        _all(["statement queued", "statement running"], _SUBMITTED_KILL),
        # It failed by itself, before MRS was asked to stop it.
        {"statement finished": _end("succeeded", "submitted"), "statement failed": _end("failed", "submitted")},
        _nothing("turn", "found", "two found", "not found", *_SEEN, *_LATER),
    ],
    "submitting": [
        _known("submitting", "accepted"),
        _wished("submitting", "accepted", ("submitting", (), None)),
        {
            "taken": _SUBMITTED,
            "refused": _end("failed"),
            "not taken": _REQUEUED,
            "in doubt": ("doubtful", (), _C.LOOK_UP),
        },
        _nothing("turn", "found", "two found", "not found", *_SEEN, *_STATEMENT, *_LATER),
    ],
    "submitting, a statement that reads": [
        _known("submitting", "accepted"),
        _wished("submitting", "accepted", ("submitting", (), None)),
        _STATEMENT_SENT | {"in doubt": _REQUEUED},
        _nothing("turn", "found", "two found", "not found", *_SEEN, *_LATER),
    ],
    "submitting, a statement that writes": [
        _known("submitting", "accepted"),
        _wished("submitting", "accepted", ("submitting", (), None)),
        _STATEMENT_SENT | {"in doubt": _UNKNOWN},
        _nothing("turn", "found", "two found", "not found", *_SEEN, *_LATER),
    ],
    "doubtful, to be cancelled": [
        _known("doubtful", "accepted"),
        _stopped("doubtful", "accepted"),
        {"found": _SUBMITTED_KILL, "two found": _SUBMITTED_KILL, "not found": _end("cancelled")},
        _nothing("turn", "taken", "refused", "not taken", "in doubt", *_SEEN, *_STATEMENT, *_LATER),
    ],
    "doubtful, for the last time": [
        _known("doubtful", "accepted"),
        _wished("doubtful", "accepted", ("doubtful", (), None)),
        {"found": _SUBMITTED, "two found": _SUBMITTED, "not found": _UNKNOWN},
        _nothing("turn", "taken", "refused", "not taken", "in doubt", *_SEEN, *_STATEMENT, *_LATER),
    ],
    "doubtful": [
        _known("doubtful", "accepted"),
        _wished("doubtful", "accepted", ("doubtful", (), None)),
        {"found": _SUBMITTED, "two found": _SUBMITTED, "not found": _REQUEUED},
        _nothing("turn", "taken", "refused", "not taken", "in doubt", *_SEEN, *_STATEMENT, *_LATER),
    ],
    "submitted": [
        _known("submitted", "submitted"),
        _wished("submitted", "submitted", _KILL),
        _all(_RUNS, _RUNNING),
        _SEEN_ENDS,
        {"vanished": _UNKNOWN, "missing": ("submitted", (), None)},
        _nothing(*_SUBMISSION, "waiting", "unsettled", "another job", *_STATEMENT, "collected", "expired"),
    ],
    "submitted, with rows": [
        _known("submitted", "submitted"),
        _wished("submitted", "submitted", _KILL),
        _all(_RUNS, _RUNNING),
        _SEEN_ENDS | {"succeeded": _COLLECT},
        {"vanished": _UNKNOWN, "missing": ("submitted", (), None)},
        _nothing(*_SUBMISSION, "waiting", "unsettled", "another job", *_STATEMENT, "collected", "expired"),
    ],
    "submitted, a statement": [
        _known("submitted", "submitted"),
        _wished("submitted", "submitted", _KILL),
        # MRS lists no statements, so no job is ever observed under a statement's id; if one were, it would count.
        _all(_RUNS, _RUNNING),
        _SEEN_ENDS,
        {
            "statement running": _RUNNING,
            "statement finished": _end("succeeded"),
            "statement failed": _end("failed"),
            "vanished": _UNKNOWN,
            "missing": ("submitted", (), None),
        },
        _nothing(*_SUBMISSION, "waiting", "unsettled", "another job", "statement queued", "collected", "expired"),
    ],
    "running": [
        _known("running", "running"),
        _wished("running", "running", _KILL),
        {"progressed": _PROGRESS, "application known": _PROGRESS},
        _SEEN_ENDS,
        {"vanished": _UNKNOWN, "missing": ("running", (), None)},
        _nothing(*_SUBMISSION, "waiting", "running", "application left out", "unsettled", "another job"),
        _nothing(*_STATEMENT, "collected", "expired"),
    ],
    "running, late": [
        _known("running", "running"),
        _wished("running", "running", _KILL, due=_KILL),
        {"progressed": _PROGRESS, "application known": _PROGRESS},
        _SEEN_ENDS,
        {"vanished": _UNKNOWN, "missing": ("running", (), None)},
        _nothing(*_SUBMISSION, "waiting", "running", "application left out", "unsettled", "another job"),
        _nothing(*_STATEMENT, "collected", "expired"),
    ],
    "running, for a retry": [
        _known("running", "running"),
        _wished("running", "running", _KILL, due=None),
        {"progressed": _PROGRESS, "application known": _PROGRESS},
        _SEEN_ENDS | {"failed": _RETRY},
        {"vanished": _UNKNOWN, "missing": ("running", (), None)},
        _nothing(*_SUBMISSION, "waiting", "running", "application left out", "unsettled", "another job"),
        _nothing(*_STATEMENT, "collected", "expired"),
    ],
    "running, the last attempt": [
        _known("running", "running"),
        _wished("running", "running", _KILL, due=None),
        {"progressed": _PROGRESS, "application known": _PROGRESS},
        _SEEN_ENDS,
        {"vanished": _UNKNOWN, "missing": ("running", (), None)},
        _nothing(*_SUBMISSION, "waiting", "running", "application left out", "unsettled", "another job"),
        _nothing(*_STATEMENT, "collected", "expired"),
    ],
    "running, with rows": [
        _known("running", "running"),
        _wished("running", "running", _KILL),
        {"progressed": _PROGRESS, "application known": _PROGRESS},
        _SEEN_ENDS | {"succeeded": _COLLECT},
        {"vanished": _UNKNOWN, "missing": ("running", (), None)},
        _nothing(*_SUBMISSION, "waiting", "running", "application left out", "unsettled", "another job"),
        _nothing(*_STATEMENT, "collected", "expired"),
    ],
    "running, a statement": [
        _known("running", "running"),
        _wished("running", "running", _KILL),
        {"progressed": _PROGRESS, "application known": _PROGRESS},
        _SEEN_ENDS,
        {"statement finished": _end("succeeded"), "statement failed": _end("failed"), "vanished": _UNKNOWN},
        {"missing": ("running", (), None)},
        _nothing(*_SUBMISSION, "waiting", "running", "application left out", "unsettled", "another job"),
        _nothing("statement queued", "statement running", "collected", "expired"),
    ],
    "collecting, to be cancelled": [
        _known("collecting", "running"),
        _stopped("collecting", "running"),
        {"collected": _end("succeeded")},
        _nothing(*_SUBMISSION, *_SEEN, *_STATEMENT, *_LOST, "expired"),
    ],
    "cancelling": [
        _known("cancelling", "running"),
        _stopped("cancelling", "running"),
        _SEEN_ENDS,
        {"vanished": _UNKNOWN, "missing": ("cancelling", (), None)},
        _nothing(*_SUBMISSION, "waiting", *_RUNS, "unsettled", "another job", *_STATEMENT, "collected", "expired"),
    ],
    "cancelling, with rows": [
        _known("cancelling", "running"),
        _stopped("cancelling", "running"),
        _SEEN_ENDS | {"succeeded": _COLLECT},
        {"vanished": _UNKNOWN, "missing": ("cancelling", (), None)},
        _nothing(*_SUBMISSION, "waiting", *_RUNS, "unsettled", "another job", *_STATEMENT, "collected", "expired"),
    ],
    "cancelling, a statement": [
        _known("cancelling", "running"),
        _stopped("cancelling", "running"),
        _SEEN_ENDS,
        {"statement finished": _end("succeeded"), "statement failed": _end("cancelled"), "vanished": _UNKNOWN},
        {"missing": ("cancelling", (), None)},
        _nothing(*_SUBMISSION, "waiting", *_RUNS, "unsettled", "another job"),
        _nothing("statement queued", "statement running", "collected", "expired"),
    ],
    "collecting": [
        _known("collecting", "running"),
        _wished("collecting", "running", ("collecting", (), None)),
        {"collected": _end("succeeded")},
        _nothing(*_SUBMISSION, *_SEEN, *_STATEMENT, *_LOST, "expired"),
    ],
}
_ENDED: dict[str, list[dict[str, Row | None]]] = {
    state: [
        _known(state, state),
        _wished(state, state, (state, (f"{state}*",), None))
        | ({"settled": _end("succeeded")} if state == "unknown" else {}),
        {"expired": _FORGOTTEN},
        _nothing(*_SUBMISSION, *_SEEN, *_STATEMENT, *_LOST, "collected"),
    ]
    for state in ("succeeded", "failed", "cancelled", "unknown")
}
_BY_A_MESSAGE: list[dict[str, Row | None]] = [
    _known("cancelled", "cancelled"),
    # The same message once more says nothing new; another one is answered.
    {
        "cancel": None,
        "cancel by another": ("cancelled", ("cancelled*",), None),
        "cancel, passed": ("cancelled", ("cancelled*",), None),
        "settled": ("cancelled", ("cancelled*",), None),
    },
    {"expired": _FORGOTTEN},
    _nothing(*_SUBMISSION, *_SEEN, *_STATEMENT, *_LOST, "collected", "cancel matched", "due"),
]
_CHANGES = ("cluster not begun", "cluster starts", "cluster is scaled")
_CLUSTER = (*_CHANGES, "cluster is there", "cluster failed", "cluster unclear", "another cluster")
_CLUSTER_ENDS: dict[str, Row | None] = {
    "cluster is there": _end("succeeded"),
    "cluster failed": _end("failed"),
    "cluster unclear": _UNKNOWN,
}
_SENT: dict[str, Row | None] = {"taken": _SUBMITTED, "refused": _end("failed"), "not taken": _REQUEUED}
_OTHERS = ("found", "two found", "not found", *_SEEN, *_STATEMENT, *_LATER)

_CALLS: dict[str, list[dict[str, Row | None]]] = {
    "submitting, a call that deletes": [
        _known("submitting", "accepted"),
        _wished("submitting", "accepted", ("submitting", (), None)),
        _SENT | {"in doubt": _REQUEUED, "replied": _end("succeeded")},
        _nothing("turn", *_OTHERS, *_CLUSTER),
    ],
    # "No such cluster" may be the effect of the first submission, whose reply was lost.
    "submitting, a call that deletes, again": [
        _known("submitting", "accepted"),
        _wished("submitting", "accepted", ("submitting", (), None)),
        _SENT | {"in doubt": _REQUEUED, "replied": _end("succeeded"), "refused": _UNKNOWN},
        _nothing("turn", *_OTHERS, *_CLUSTER),
    ],
    "submitting, a call to be cancelled": [
        _known("submitting", "accepted"),
        _stopped("submitting", "accepted"),
        {"taken": _SUBMITTED_KILL, "refused": _end("failed"), "not taken": _end("cancelled")},
        {"in doubt": _UNKNOWN, "replied": _end("succeeded")},
        _nothing("turn", *_OTHERS, *_CLUSTER),
    ],
    "submitting, a call that reads": [
        _known("submitting", "accepted"),
        _wished("submitting", "accepted", ("submitting", (), None)),
        _SENT | {"in doubt": _REQUEUED, "replied": _end("succeeded")},
        _nothing("turn", *_OTHERS, *_CLUSTER),
    ],
    "submitting, a call that writes": [
        _known("submitting", "accepted"),
        _wished("submitting", "accepted", ("submitting", (), None)),
        _SENT | {"in doubt": _UNKNOWN, "replied": _end("succeeded")},
        _nothing("turn", *_OTHERS, *_CLUSTER),
    ],
    "submitting, a cluster to create": [
        _known("submitting", "accepted"),
        _wished("submitting", "accepted", ("submitting", (), None)),
        _SENT | {"in doubt": ("doubtful", (), _C.LOOK_UP), "replied": _end("succeeded")},
        _nothing("turn", *_OTHERS, *_CLUSTER),
    ],
    # A resize is a difference: its effect does not show for sure, and it cannot be called back.
    "submitting, a cluster to resize": [
        _known("submitting", "accepted"),
        _stopped("submitting", "accepted"),
        _SENT | {"in doubt": _UNKNOWN, "replied": _end("succeeded"), "not taken": _end("cancelled")},
        _nothing("turn", *_OTHERS, *_CLUSTER),
    ],
    "doubtful, a cluster to create": [
        _known("doubtful", "accepted"),
        _wished("doubtful", "accepted", ("doubtful", (), None)),
        {"found": _SUBMITTED, "two found": _SUBMITTED, "not found": _REQUEUED},
        _nothing("turn", "taken", "refused", "not taken", "in doubt", *_SEEN, *_STATEMENT, *_LATER),
        _nothing("replied", *_CLUSTER),
    ],
    "submitted, a cluster": [
        _known("submitted", "submitted"),
        _wished("submitted", "submitted", ("submitted", ("submitted*",), None)),
        _all(["cluster starts", "cluster is scaled"], _RUNNING),
        _CLUSTER_ENDS,
        {"vanished": _UNKNOWN, "missing": ("submitted", (), None)} | _all(_RUNS, _RUNNING) | _SEEN_ENDS,
        _nothing(*_SUBMISSION, "waiting", "unsettled", "another job", *_STATEMENT, "collected", "expired"),
        _nothing("replied", "cluster not begun", "another cluster"),
    ],
    "running, a cluster": [
        _known("running", "running"),
        _wished("running", "running", ("running", ("running*",), None)),
        _all(["cluster not begun", "cluster is scaled"], _PROGRESS),
        _CLUSTER_ENDS,
        {"vanished": _UNKNOWN, "missing": ("running", (), None)} | _all(_RUNS, _PROGRESS) | _SEEN_ENDS,
        _nothing(*_SUBMISSION, "waiting", "unsettled", "another job", *_STATEMENT, "collected", "expired"),
        _nothing("replied", "cluster starts", "another cluster"),
    ],
}
TABLE = _UNDER_WAY | _ENDED | _CALLS | {"cancelled by a message": _BY_A_MESSAGE}
TABLE["cancelled while in doubt"] = [*_BY_A_MESSAGE]
TABLE["queued, looked up in vain"] = [*TABLE["queued, to be sent again"]]
TABLE["queued, a call that reads, without reply"] = [*TABLE["queued"]]
TABLE["queued, a call in doubt"] = [*TABLE["queued"][:1], _wished("queued", "accepted", _UNKNOWN), *TABLE["queued"][2:]]
TABLE["submitting, a statement for the last time"] = [*TABLE["submitting, a statement that writes"]]
TABLE["submitted, with a duplicate"] = [*TABLE["submitted"], {"duplicates stopped": ("submitted", (), None)}]
_KEPT = ("submitted", "running", "collecting", "cancelling", "succeeded", "failed", "cancelled")
_NOTICES: dict[str, Row] = {
    name: (state, (f"{'running' if state in {'collecting', 'cancelling'} else state}*",), None)
    for name in TABLE
    for state in [name.replace(" by a message", "").partition(",")[0]]
    if state in _KEPT and name != "running, the last attempt"
}
"""A second job is reported if the first one of the same attempt is known; else it is not known which one to keep."""

_AGAIN = ("queued, to be sent again", "queued, looked up in vain")
"""Who is about to send again what MRS has after all looks it up again, as these and `_ON_ITS_WAY` do."""
_ON_ITS_WAY = ("submitting", "submitting, for a retry", "submitting, to be cancelled")
_FAILS: dict[str, Row] = {"choosing": _REJECTED, "queued": _end("failed"), "collecting": _end("succeeded")}
_FAILS |= dict.fromkeys(("doubtful", "submitted", "running", "cancelling"), _UNKNOWN)


def _fails(name: str, parts: list[dict[str, Row | None]]) -> Row | None:
    """What becomes of a job that the relay itself fails on; one on its way to MRS is in doubt."""
    if name.startswith("submitting"):
        return next(part["in doubt"] for part in parts if "in doubt" in part)
    job = samples.JOBS[name]
    was_sent = name.startswith("queued") and job is not None and (job.intent_ms or job.doubt is not None)
    return _UNKNOWN if was_sent else _FAILS.get(name.partition(",")[0])


for _name, _parts in TABLE.items():
    _parts.append({"the relay fails": _fails(_name, _parts)})
    if _name != "submitted, with a duplicate":
        _parts.append(_nothing("duplicates stopped"))
    if _name == "cancelled while in doubt":  # none of it is wanted
        _parts.append(_all(["looked again", "looked again, found two"], ("cancelled", ("cancelled*",), None)))
    elif _name in (*_AGAIN, *_ON_ITS_WAY):
        _parts.append(_all(["looked again", "looked again, found two"], ("doubtful", (), _C.LOOK_UP)))
    else:
        _parts.append(_nothing("looked again") | {"looked again, found two": _NOTICES.get(_name)})
    if not _name.startswith("choosing"):
        _parts.append(_nothing("chosen", "none fits"))
    if _name in {"none", "rejected"}:
        _parts.append({"request, without a cluster": ("choosing", (), _C.SELECT_CLUSTER)})
    if _name.startswith("awaited"):
        _parts.append({"request, without a cluster": _end("cancelled", "accepted")})
    if _name in _CALLS:
        continue
    _parts.append(_nothing("replied", *_CLUSTER))  # there is no call or cluster that facts could be about


def _cell(job: str, fact: str) -> Row | None:
    rows = [part[fact] for part in TABLE[job] if fact in part]
    assert len(rows) == 1, f"{job} x {fact}: {len(rows)} entries in the table, one is right"
    return rows[0]


def test_table_knows_every_state_and_every_fact() -> None:
    """The samples cover all states and all kinds of facts, and the table names no others."""
    assert {job.state for job in samples.JOBS.values() if job} == set(jobs.State)
    assert {type(fact) for fact in samples.FACTS.values()} == set(typing.get_args(facts.Fact))
    assert set(TABLE) == set(samples.JOBS)
    assert {name for parts in TABLE.values() for part in parts for name in part} == set(samples.FACTS)


def _decided(name: str, happened: str) -> Row | None:
    decision = transitions.decide(samples.JOBS[name], samples.FACTS[happened], samples.NOW_MS, samples.RULES)
    if decision is None:
        return None
    state = decision.job.state.value if decision.job else None
    published = tuple(event.data.state + "*" * event.data.repeated for event in decision.events)
    return state, published, decision.command


@pytest.mark.parametrize("name", samples.JOBS)
def test_fact_decides_state_events_and_command(name: str) -> None:
    """What each fact does to a job in a state is what the table says, or nothing; all cells that differ are shown."""
    found = {happened: _decided(name, happened) for happened in samples.FACTS}
    wanted = {happened: _cell(name, happened) for happened in samples.FACTS}
    different = {happened: (row, wanted[happened]) for happened, row in found.items() if row != wanted[happened]}
    assert different == {}


@pytest.mark.parametrize("name", samples.JOBS)
def test_events_are_numbered_on_and_carry_the_request(name: str) -> None:
    """Whatever is reported continues the request's numbering, under its key, identity and correlation."""
    job = samples.JOBS[name]
    first = (job.sequence if job else 0) + 1
    for fact in samples.FACTS.values():
        decision = transitions.decide(job, fact, samples.NOW_MS, samples.RULES)
        if decision is None or any(event.data.request.source == "/ops" for event in decision.events):
            continue
        assert [event.data.sequence for event in decision.events] == list(range(first, first + len(decision.events)))
        for event in decision.events:
            assert (event.key, event.time_ms, event.correlation_id) == (b"k", samples.NOW_MS, "run-7")
            assert (event.data.request.source, event.data.request.id) == ("/billing", "order-1")
            assert event.event_id.endswith(f"-{event.data.sequence}")
        assert decision.job is None or decision.job.sequence == first - 1 + len(decision.events)


@pytest.mark.parametrize("name", samples.JOBS)
def test_command_is_what_the_new_state_calls_for(name: str) -> None:
    """A command follows from the committed state alone, so a restart takes up what a fresh decision asked for."""
    job = samples.JOBS[name]
    before = commands.FOR_STATE[job.state] if job else None
    for fact in samples.FACTS.values():
        decision = transitions.decide(job, fact, samples.NOW_MS, samples.RULES)
        if decision is None or decision.job is None:
            continue
        owed = commands.FOR_STATE[decision.job.state]
        assert decision.command in ({owed} if owed is not before else {owed, None})


def test_every_state_has_a_command_and_a_trait() -> None:
    """Both tables know every state; slots are held exactly while MRS may have the job."""
    assert set(commands.FOR_STATE) == set(jobs.TRAITS) == set(jobs.State)
    holding = {state for state, trait in jobs.TRAITS.items() if trait.holds_slot}
    states = jobs.State
    assert holding == {states.SUBMITTING, states.IN_DOUBT, states.SUBMITTED, states.RUNNING, states.CANCELLING}
    settled = {states.SUCCEEDED, states.FAILED, states.CANCELLED}
    ways_on = {states.REJECTED: {states.CHOOSING, states.QUEUED, states.REJECTED}, states.UNKNOWN: settled}
    for state, trait in jobs.TRAITS.items():
        assert trait.last is (commands.FOR_STATE[state] in {_C.RELEASE, _C.AWAIT_REQUEST})
        assert not trait.last or trait.next == ways_on.get(state, set())


@pytest.mark.parametrize("name", ["none", "awaited", "awaited, passed on"])
def test_who_wanted_what_never_came_is_reported_under_his_own_id(name: str) -> None:
    """A cancel or a settling without a request is rejected under its own id, as that message's first event."""
    published: list[events.Event] = []
    for fact in (samples.FACTS["settled"], samples.FACTS["expired"]):
        decision = transitions.decide(samples.JOBS[name], fact, samples.NOW_MS, samples.RULES)
        published += decision.events if decision else []
    assert {(event.data.request.source, event.data.request.id) for event in published} == (
        {("/ops", "s-1"), ("/ops", "c-1")} if name == "awaited" else {("/ops", "s-1")}
    )
    for event in published:
        assert (event.data.state, event.data.sequence, event.key) == ("rejected", 1, b"k")
        assert event.data.reason is not None
        assert (event.data.reason.kind, event.data.reason.code) == ("invalid", "unknown_request")
