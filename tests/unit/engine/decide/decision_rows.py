"""Rows of the decision table: jobs under way and ended, whatever their kind of work."""

from __future__ import annotations

from collections.abc import Iterable

from mrs_relay.engine.model import commands

C = commands.Command
States = tuple[str, ...]
Row = tuple[str | None, States, commands.Command | None]
"""State afterwards (None: forgotten), states of the events (`*`: repeated), command."""
TURN = ("turn", "held back", "rejected by a control", "a control may reject it")
SUBMISSION = (*TURN, "taken", "refused", "not taken", "in doubt", "found", "two found", "not found")
RUNS = ("running", "progressed", "application known", "application left out")
ENDS = ("succeeded", "failed", "killed")
SEEN = ("waiting", *RUNS, "unsettled", *ENDS, "another job")
STATEMENT = ("statement queued", "statement running", "statement finished", "statement failed")
LOST = ("vanished", "missing")
LATER = (*LOST, "collected", "rows removed", "expired")
LOG = ("log read", "log not read")


def turn_of(turn: Row, rejected: Row) -> dict[str, Row | None]:
    """Return what a queued job does with its turn; under a control it stays in the queue, or ends as rejected."""
    return {"turn": turn, "held back": REQUEUED, "rejected by a control": rejected} | nothing("a control may reject it")


def nothing(*names: str) -> dict[str, Row | None]:
    return dict.fromkeys(names)


def each(names: Iterable[str], row: Row) -> dict[str, Row | None]:
    return dict.fromkeys(names, row)


def known(state: str, shown: str) -> dict[str, Row | None]:
    """Return the answer to a known request, whatever its job does: its state, or a rebuff; the job continues."""
    return {
        "request": (state, (f"{shown}*",), None),
        "request, other payload": (state, ("rejected",), None),
        "request, without a cluster": (state, ("rejected",), None),
        "invalid": (state, ("rejected",), None),
    }


def wished(state: str, shown: str, cancelled: Row | None, *, due: Row | None = None) -> dict[str, Row | None]:
    """Return what people and deadlines can do to a job without a stop request."""
    cancels = dict.fromkeys(("cancel", "cancel by another", "cancel, passed"), cancelled)
    return {**cancels, "cancel matched": None, "settled": (state, (f"{shown}*",), None), "due": due}


def stopped(state: str, shown: str) -> dict[str, Row | None]:
    """Stop once more: a further cancel changes nothing, and its partition gets the reply that the job is here."""
    return {**wished(state, shown, None), "cancel, passed": (state, (), None)}


REJECTED: Row = ("rejected", ("rejected",), C.RELEASE)
ACCEPTED: Row = ("queued", ("accepted",), C.ENQUEUE)
SUBMITTED: Row = ("submitted", ("submitted",), C.TRACK)
REQUEUED: Row = ("queued", (), C.ENQUEUE)
UNKNOWN: Row = ("unknown", ("unknown",), C.RELEASE)
RUNNING: Row = ("running", ("running",), None)
PROGRESS: Row = ("running", ("progress",), None)
COLLECT: Row = ("collecting", (), C.COLLECT)


def end(state: str, *before: str) -> Row:
    return (state, (*before, state), C.RELEASE)


KILL: Row = ("cancelling", (), C.KILL)
SUBMITTED_KILL: Row = ("cancelling", ("submitted",), C.KILL)
AWAIT: Row = ("awaited", (), C.AWAIT_REQUEST)
FORGOTTEN: Row = (None, (), None)
RETRY: Row = ("queued", ("retrying",), C.ENQUEUE)
SEEN_ENDS: dict[str, Row | None] = {
    "succeeded": end("succeeded"),
    "failed": end("failed"),
    "killed": end("cancelled"),
}
STATEMENT_SENT: dict[str, Row | None] = {
    "taken": SUBMITTED,
    "refused": end("failed"),
    "not taken": REQUEUED,
    "statement queued": SUBMITTED,
    "statement running": ("running", ("submitted", "running"), C.TRACK),
    "statement finished": end("succeeded", "submitted"),
    "statement failed": end("failed", "submitted"),
}
UNDER_WAY: dict[str, list[dict[str, Row | None]]] = {
    "none": [
        each(["request", "request, other payload"], ACCEPTED),
        {"invalid": REJECTED},
        each(["cancel", "cancel by another", "cancel, passed"], AWAIT),
        {"settled": (None, ("rejected",), None)},
        nothing(*SUBMISSION, *SEEN, *STATEMENT, *LATER, "cancel matched", "due"),
    ],
    "awaited": [
        each(["request", "request, other payload"], end("cancelled", "accepted")),
        {"invalid": REJECTED},
        {"cancel matched": FORGOTTEN, "settled": ("awaited", ("rejected",), None)},
        {"expired": (None, ("rejected",), None), "cancel by another": ("awaited", ("rejected",), None)},
        nothing(*SUBMISSION, *SEEN, *STATEMENT, *LOST, "collected", "rows removed", "cancel", "cancel, passed", "due"),
    ],
    "awaited, passed on": [
        each(["request", "request, other payload"], end("cancelled", "accepted")),
        {"invalid": REJECTED},
        each(["cancel", "cancel by another"], AWAIT),
        {"cancel matched": FORGOTTEN, "settled": ("awaited", ("rejected",), None)},
        {"expired": FORGOTTEN},
        nothing(*SUBMISSION, *SEEN, *STATEMENT, *LOST, "collected", "rows removed", "cancel, passed", "due"),
    ],
    "rejected": [
        wished("rejected", "rejected", ("rejected", ("rejected*",), None)),
        each(["request", "request, other payload"], ACCEPTED),
        {"invalid": REJECTED, "expired": (None, (), None)},
        nothing(*SUBMISSION, *SEEN, *STATEMENT, *LOST, "collected", "rows removed"),
    ],
    "choosing": [
        # The same request once more is answered by what comes of the choice.
        known("choosing", "accepted") | {"request": None},
        wished("choosing", "accepted", end("cancelled", "accepted")),
        {"chosen": ACCEPTED, "none fits": REJECTED},
        nothing(*SUBMISSION, *SEEN, *STATEMENT, *LATER),
    ],
    "choosing, late": [
        known("choosing", "accepted") | {"request": None},
        wished("choosing", "accepted", end("cancelled", "accepted"), due=end("cancelled", "accepted")),
        {"chosen": ACCEPTED, "none fits": REJECTED},
        nothing(*SUBMISSION, *SEEN, *STATEMENT, *LATER),
    ],
    "queued": [
        known("queued", "accepted"),
        wished("queued", "accepted", end("cancelled")),
        turn_of(("submitting", (), C.SUBMIT), end("cancelled")),
        nothing(*SUBMISSION[len(TURN) :], *SEEN, *STATEMENT, *LATER),
    ],
    "queued, to be sent again": [
        known("queued", "accepted"),
        wished("queued", "accepted", end("cancelled")),
        turn_of(("submitting", (), C.SUBMIT), end("cancelled")),
        nothing(*SUBMISSION[len(TURN) :], *SEEN, *STATEMENT, *LATER),
    ],
    # What may have run is not reported as cancelled.
    "queued, late, a statement in doubt": [
        known("queued", "accepted"),
        wished("queued", "accepted", UNKNOWN, due=UNKNOWN),
        turn_of(UNKNOWN, UNKNOWN),
        nothing(*SUBMISSION[len(TURN) :], *SEEN, *STATEMENT, *LATER),
    ],
    "queued, late": [
        known("queued", "accepted"),
        wished("queued", "accepted", end("cancelled"), due=end("cancelled")),
        turn_of(end("cancelled"), end("cancelled")),
        nothing(*SUBMISSION[len(TURN) :], *SEEN, *STATEMENT, *LATER),
    ],
    "submitting, for a retry": [
        known("submitting", "accepted"),
        wished("submitting", "accepted", ("submitting", (), None)),
        {"taken": SUBMITTED, "refused": RETRY, "not taken": REQUEUED, "in doubt": ("doubtful", (), C.LOOK_UP)},
        nothing(*TURN, "found", "two found", "not found", *SEEN, *STATEMENT, *LATER),
    ],
    "submitting, to be cancelled": [
        known("submitting", "accepted"),
        stopped("submitting", "accepted"),
        {"taken": SUBMITTED_KILL, "refused": end("failed"), "not taken": end("cancelled")},
        {"in doubt": ("doubtful", (), C.LOOK_UP)},
        nothing(*TURN, "found", "two found", "not found", *SEEN, *STATEMENT, *LATER),
    ],
    "submitting, a statement to be cancelled": [
        known("submitting", "accepted"),
        stopped("submitting", "accepted"),
        {"taken": SUBMITTED_KILL, "refused": end("failed"), "not taken": end("cancelled"), "in doubt": UNKNOWN},
        each(["statement queued", "statement running"], SUBMITTED_KILL),
        # It failed by itself, before MRS was asked to stop it.
        {"statement finished": end("succeeded", "submitted"), "statement failed": end("failed", "submitted")},
        nothing(*TURN, "found", "two found", "not found", *SEEN, *LATER),
    ],
    "submitting": [
        known("submitting", "accepted"),
        wished("submitting", "accepted", ("submitting", (), None)),
        {
            "taken": SUBMITTED,
            "refused": end("failed"),
            "not taken": REQUEUED,
            "in doubt": ("doubtful", (), C.LOOK_UP),
        },
        nothing(*TURN, "found", "two found", "not found", *SEEN, *STATEMENT, *LATER),
    ],
    "submitting, a statement that reads": [
        known("submitting", "accepted"),
        wished("submitting", "accepted", ("submitting", (), None)),
        STATEMENT_SENT | {"in doubt": REQUEUED},
        nothing(*TURN, "found", "two found", "not found", *SEEN, *LATER),
    ],
    "submitting, a statement that writes": [
        known("submitting", "accepted"),
        wished("submitting", "accepted", ("submitting", (), None)),
        STATEMENT_SENT | {"in doubt": UNKNOWN},
        nothing(*TURN, "found", "two found", "not found", *SEEN, *LATER),
    ],
    "doubtful, to be cancelled": [
        known("doubtful", "accepted"),
        stopped("doubtful", "accepted"),
        {"found": SUBMITTED_KILL, "two found": SUBMITTED_KILL, "not found": end("cancelled")},
        nothing(*TURN, "taken", "refused", "not taken", "in doubt", *SEEN, *STATEMENT, *LATER),
    ],
    "doubtful, for the last time": [
        known("doubtful", "accepted"),
        wished("doubtful", "accepted", ("doubtful", (), None)),
        {"found": SUBMITTED, "two found": SUBMITTED, "not found": UNKNOWN},
        nothing(*TURN, "taken", "refused", "not taken", "in doubt", *SEEN, *STATEMENT, *LATER),
    ],
    "doubtful": [
        known("doubtful", "accepted"),
        wished("doubtful", "accepted", ("doubtful", (), None)),
        {"found": SUBMITTED, "two found": SUBMITTED, "not found": REQUEUED},
        nothing(*TURN, "taken", "refused", "not taken", "in doubt", *SEEN, *STATEMENT, *LATER),
    ],
    "submitted": [
        known("submitted", "submitted"),
        wished("submitted", "submitted", KILL),
        each(RUNS, RUNNING),
        SEEN_ENDS,
        {"vanished": UNKNOWN, "missing": ("submitted", (), None)},
        nothing(*SUBMISSION, "waiting", "unsettled", "another job", *STATEMENT, "collected", "rows removed", "expired"),
    ],
    "submitted, with rows": [
        known("submitted", "submitted"),
        wished("submitted", "submitted", KILL),
        each(RUNS, RUNNING),
        SEEN_ENDS | {"succeeded": COLLECT},
        {"vanished": UNKNOWN, "missing": ("submitted", (), None)},
        nothing(*SUBMISSION, "waiting", "unsettled", "another job", *STATEMENT, "collected", "rows removed", "expired"),
    ],
    "submitted, a statement": [
        known("submitted", "submitted"),
        wished("submitted", "submitted", KILL),
        # MRS lists no statements, so no job is ever observed under a statement's id; if one were, it would count.
        each(RUNS, RUNNING),
        SEEN_ENDS,
        {
            "statement running": RUNNING,
            "statement finished": end("succeeded"),
            "statement failed": end("failed"),
            "vanished": UNKNOWN,
            "missing": ("submitted", (), None),
        },
        nothing(
            *SUBMISSION,
            "waiting",
            "unsettled",
            "another job",
            "statement queued",
            "collected",
            "rows removed",
            "expired",
        ),
    ],
    "running": [
        known("running", "running"),
        wished("running", "running", KILL),
        {"progressed": PROGRESS, "application known": PROGRESS},
        SEEN_ENDS,
        {"vanished": UNKNOWN, "missing": ("running", (), None)},
        nothing(*SUBMISSION, "waiting", "running", "application left out", "unsettled", "another job"),
        nothing(*STATEMENT, "collected", "rows removed", "expired"),
    ],
    "running, late": [
        known("running", "running"),
        wished("running", "running", KILL, due=KILL),
        {"progressed": PROGRESS, "application known": PROGRESS},
        SEEN_ENDS,
        {"vanished": UNKNOWN, "missing": ("running", (), None)},
        nothing(*SUBMISSION, "waiting", "running", "application left out", "unsettled", "another job"),
        nothing(*STATEMENT, "collected", "rows removed", "expired"),
    ],
    "running, for a retry": [
        known("running", "running"),
        wished("running", "running", KILL, due=None),
        {"progressed": PROGRESS, "application known": PROGRESS},
        SEEN_ENDS | {"failed": RETRY},
        {"vanished": UNKNOWN, "missing": ("running", (), None)},
        nothing(*SUBMISSION, "waiting", "running", "application left out", "unsettled", "another job"),
        nothing(*STATEMENT, "collected", "rows removed", "expired"),
    ],
    "running, the last attempt": [
        known("running", "running"),
        wished("running", "running", KILL, due=None),
        {"progressed": PROGRESS, "application known": PROGRESS},
        SEEN_ENDS,
        {"vanished": UNKNOWN, "missing": ("running", (), None)},
        nothing(*SUBMISSION, "waiting", "running", "application left out", "unsettled", "another job"),
        nothing(*STATEMENT, "collected", "rows removed", "expired"),
    ],
    "running, with rows": [
        known("running", "running"),
        wished("running", "running", KILL),
        {"progressed": PROGRESS, "application known": PROGRESS},
        SEEN_ENDS | {"succeeded": COLLECT},
        {"vanished": UNKNOWN, "missing": ("running", (), None)},
        nothing(*SUBMISSION, "waiting", "running", "application left out", "unsettled", "another job"),
        nothing(*STATEMENT, "collected", "rows removed", "expired"),
    ],
    "running, a statement": [
        known("running", "running"),
        wished("running", "running", KILL),
        {"progressed": PROGRESS, "application known": PROGRESS},
        SEEN_ENDS,
        {"statement finished": end("succeeded"), "statement failed": end("failed"), "vanished": UNKNOWN},
        {"missing": ("running", (), None)},
        nothing(*SUBMISSION, "waiting", "running", "application left out", "unsettled", "another job"),
        nothing("statement queued", "statement running", "collected", "rows removed", "expired"),
    ],
    "collecting": [
        known("collecting", "running"),
        wished("collecting", "running", ("collecting", (), None)),
        {"collected": end("succeeded")},
        nothing(*SUBMISSION, *SEEN, *STATEMENT, *LOST, "expired", "rows removed"),
    ],
}
ENDED: dict[str, list[dict[str, Row | None]]] = {
    state: [
        known(state, state),
        wished(state, state, (state, (f"{state}*",), None))
        | ({"settled": end("succeeded")} if state == "unknown" else {}),
        {"expired": FORGOTTEN},
        nothing(*SUBMISSION, *SEEN, *STATEMENT, *LOST, "collected", "rows removed"),
    ]
    for state in ("succeeded", "failed", "cancelled", "unknown")
}
BY_A_MESSAGE: list[dict[str, Row | None]] = [
    known("cancelled", "cancelled"),
    # The same message once more says nothing new; another one is answered.
    {
        "cancel": None,
        "cancel by another": ("cancelled", ("cancelled*",), None),
        "cancel, passed": ("cancelled", ("cancelled*",), None),
        "settled": ("cancelled", ("cancelled*",), None),
    },
    {"expired": FORGOTTEN},
    nothing(*SUBMISSION, *SEEN, *STATEMENT, *LOST, "collected", "rows removed", "cancel matched", "due"),
]
