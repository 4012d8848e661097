"""Jobs in every state and facts of every kind, by name: the rows and columns of the decision table."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from mrs_relay.engine.decide import transitions
from mrs_relay.engine.model import decisions, facts, jobs, verdict
from mrs_relay.kafka import records
from mrs_relay.messages import events

NOW_MS: Final = 1_795_420_800_000
RULES: Final = decisions.DecisionConfig()
CLUSTER: Final = "6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01"
JOB_ID: Final = "j-1"
RESULT_TYPES: Final = frozenset({"SparkSql", "SparkScript"})

BATCH: Final = jobs.Batch("SparkSubmit", ("--class", "A"), {"k": "v"})
SPARK_SQL: Final = jobs.Batch("SparkSql", ("select 1",))
READ: Final = jobs.Presto("select 1", repeatable=True)
WRITE: Final = jobs.Presto("insert into t values 1")

CALL: Final = jobs.Call("ShowClusterDetails", {"cluster_id": CLUSTER}, repeatable=True, reads=True)
DELETING_CALL: Final = jobs.Call("DeleteCluster", {"cluster_id": CLUSTER}, repeatable=True)
WRITING_CALL: Final = jobs.Call("CreateDataSource", body={"data_source": {"name": "d"}})
CREATION: Final = jobs.Call("CreateCluster", body={"cluster_name": "nightly"}, target=jobs.TargetState("created"))
RESIZE: Final = jobs.Call("UpdateClusterScaling", {"cluster_id": CLUSTER}, target=jobs.TargetState("resized"))

ROWS: Final = events.Result(statements=[events.StatementResult(rows=[["a"]], row_count=1)])
REFUSAL: Final = jobs.Reason("refused", "0167", "no such cluster")
NO_CLUSTER: Final = jobs.Reason("invalid", "no_cluster", "no running cluster", field="data.cluster", retryable=True)
STOP: Final = jobs.Reason("cancelled", "requested", "no longer needed")
BY_HAND: Final = jobs.Reason("resolved", "by_hand", "the rows are there")
LOST: Final = jobs.Doubt(1, is_open=True, message="no reply within 30 s")
SEARCHED: Final = jobs.Doubt(1, message="no reply within 30 s")
FAULT: Final = jobs.Reason("invalid", "missing_field", "`data.cluster`: is required", field="data.cluster")

LOGS: Final = decisions.LogRules("obs://lake/logs/")
LOG_RULES: Final = decisions.DecisionConfig(logs=LOGS)
LOG: Final = f"obs://lake/logs/{CLUSTER}/{JOB_ID}/stderr"
FAILED: Final = jobs.Reason("job_failed", "job_result", "the job failed on MRS (job_result FAILED)")
ENDING: Final = jobs.Ending(1, "failed", FAILED, (LOG,), NOW_MS + 30_000)

_replace = msgspec.structs.replace


def _subject(work: jobs.Work) -> events.Subject:
    if isinstance(work, jobs.Call):
        return "cluster" if work.target else "call"
    return "job" if isinstance(work, jobs.Batch) else "sql"


def request(work: jobs.Work = BATCH, **changes: Any) -> jobs.Job:
    """Make the job that a valid request would become."""
    job = jobs.Job(
        source="/billing",
        id="order-1",
        subject=_subject(work),
        digest="d",
        state=jobs.State.QUEUED,
        key=b"k",
        order=9,
        cluster=CLUSTER,
        work=work,
        statement=isinstance(work, jobs.Presto),
        name="" if isinstance(work, jobs.Presto | jobs.Call) else "nightly",
        collect=work is SPARK_SQL,
        correlation_id="run-7",
    )

    return _replace(job, **changes)


_S = jobs.State
CHOOSING: Final[dict[str, Any]] = {
    "choice": jobs.Choice("etl", {"team": "billing"}),
    "cluster": "",
    "attempt": 0,
    "sequence": 0,
    "shown": None,
    "intent_ms": 0,
}
"""What is different about a request whose cluster is being chosen."""


def _job(state: jobs.State, work: jobs.Work | None = BATCH, **changes: Any) -> jobs.Job:
    trait = jobs.TRAITS[state]
    whole = request(work or BATCH, state=state, order=5, arrived_ms=NOW_MS - 9000, sequence=3, shown=trait.shown)
    if state is not jobs.State.QUEUED:
        whole = _replace(whole, attempt=1, intent_ms=NOW_MS - 5000)
    if state in {_S.SUBMITTED, _S.RUNNING, _S.CANCELLING, _S.COLLECTING} or trait.last:
        whole = _replace(whole, work=None, seen=jobs.MrsStatus(JOB_ID))
    if state is jobs.State.RUNNING:
        whole = _replace(whole, seen=jobs.MrsStatus(JOB_ID, "RUNNING", "UNDEFINED", 20.0, "app-1"))
    if trait.last:
        whole = _replace(whole, expires_ms=NOW_MS)
    return _replace(whole, **changes)


def _stopped(state: jobs.State, work: jobs.Work | None = BATCH, **changes: Any) -> jobs.Job:
    return _job(state, work, stop=STOP, asked_by="c-1", **changes)


def pending_cancel(came_from: int = -1) -> jobs.Job:
    """Make what a cancel leaves behind whose request has not come yet."""
    return jobs.Job(
        source="/billing",
        id="order-1",
        subject="job",
        digest="",
        state=_S.PENDING_CANCEL,
        key=b"k",
        order=5,
        stop=STOP,
        asked_by="c-1",
        asked_source="/ops",
        came_from=came_from,
        correlation_id="run-7",
        expires_ms=NOW_MS,
    )


JOBS: Final[dict[str, jobs.Job | None]] = {
    "none": None,
    "awaited": pending_cancel(),
    "awaited, passed on": pending_cancel(came_from=1),
    "rejected": _job(_S.REJECTED, digest="", attempt=0, cluster="", seen=None, intent_ms=0, reason=FAULT),
    "choosing": _job(_S.CHOOSING, **CHOOSING),
    "choosing, late": _job(_S.CHOOSING, **CHOOSING, queue_deadline_s=60, queue_deadline_ms=NOW_MS),
    "queued": _job(_S.QUEUED),
    "queued, to be sent again": _job(_S.QUEUED, attempt=1, intent_ms=NOW_MS - 5000),
    "queued, late": _job(_S.QUEUED, queue_deadline_s=60, queue_deadline_ms=NOW_MS),
    "queued, looked up in vain": _job(_S.QUEUED, attempt=1, intent_ms=NOW_MS - 5000, doubt=SEARCHED),
    "queued, late, a statement in doubt": _job(
        _S.QUEUED, READ, attempt=1, doubt=LOST, queue_deadline_s=60, queue_deadline_ms=NOW_MS
    ),
    "queued, a call in doubt": _job(_S.QUEUED, DELETING_CALL, attempt=1, doubt=LOST),
    "queued, a call that reads, without reply": _job(_S.QUEUED, CALL, attempt=1, doubt=SEARCHED),
    "submitting": _job(_S.SUBMITTING),
    "submitting, for a retry": _job(_S.SUBMITTING, retry=jobs.Retry(2, 30.0, ("refused",))),
    "submitting, to be cancelled": _stopped(_S.SUBMITTING),
    "submitting, a statement to be cancelled": _stopped(_S.SUBMITTING, READ),
    "submitting, a statement that reads": _job(_S.SUBMITTING, READ),
    "submitting, a statement that writes": _job(_S.SUBMITTING, WRITE),
    "submitting, a call that reads": _job(_S.SUBMITTING, CALL),
    "submitting, a call that deletes": _job(_S.SUBMITTING, DELETING_CALL),
    "submitting, a call that deletes, again": _job(_S.SUBMITTING, DELETING_CALL, doubt=LOST),
    "submitting, a call to be cancelled": _stopped(_S.SUBMITTING, DELETING_CALL),
    "submitting, a statement for the last time": _job(_S.SUBMITTING, READ, doubt=_replace(LOST, sent=4)),
    "submitting, a call that writes": _job(_S.SUBMITTING, WRITING_CALL),
    "submitting, a cluster to create": _job(_S.SUBMITTING, CREATION, name="nightly"),
    "submitting, a cluster to resize": _stopped(_S.SUBMITTING, RESIZE),
    "doubtful, a cluster to create": _job(_S.IN_DOUBT, CREATION, name="nightly"),
    "submitted, a cluster": _replace(_job(_S.SUBMITTED, CREATION), work=CREATION.target),
    "running, a cluster": _replace(
        _job(_S.RUNNING, CREATION), work=CREATION.target, seen=jobs.MrsStatus(JOB_ID, "STARTING")
    ),
    "doubtful": _job(_S.IN_DOUBT),
    "doubtful, for the last time": _job(_S.IN_DOUBT, doubt=_replace(LOST, sent=20)),
    "doubtful, to be cancelled": _stopped(_S.IN_DOUBT),
    "submitted": _job(_S.SUBMITTED),
    "submitted, with a duplicate": _job(_S.SUBMITTED, duplicates=("j-2",)),
    "submitted, with rows": _job(_S.SUBMITTED, SPARK_SQL),
    "submitted, a statement": _job(_S.SUBMITTED, READ),
    "running": _job(_S.RUNNING),
    "running, late": _job(_S.RUNNING, run_deadline_s=60, run_deadline_ms=NOW_MS),
    "running, for a retry": _replace(_job(_S.RUNNING, retry=jobs.Retry(2, 30.0, ("job_failed",))), work=BATCH),
    "running, the last attempt": _job(_S.RUNNING, attempt=2, retry=jobs.Retry(2, 30.0, ("job_failed",))),
    "running, with rows": _job(_S.RUNNING, SPARK_SQL),
    "running, a statement": _job(_S.RUNNING, READ),
    "running, its log is read": _replace(_job(_S.RUNNING, ending=ENDING), work=BATCH),
    "running, its log is read, it was killed": _job(_S.RUNNING, ending=_replace(ENDING, state="cancelled")),
    "running, its log is read, for a retry after a cause": _replace(
        _job(_S.RUNNING, ending=ENDING, retry=jobs.Retry(2, 30.0, ("preempted",))), work=BATCH
    ),
    "running, its log is read, to be cancelled": _stopped(_S.RUNNING, ending=ENDING),
    "running, a log of an earlier attempt": _job(_S.RUNNING, attempt=2, ending=ENDING),
    "submitted, its log is read": _job(_S.SUBMITTED, ending=ENDING),
    "collecting": _job(_S.COLLECTING, SPARK_SQL),
    "collecting, to be cancelled": _stopped(_S.COLLECTING, SPARK_SQL),
    "cancelling": _stopped(_S.CANCELLING),
    "cancelling, with rows": _stopped(_S.CANCELLING, SPARK_SQL),
    "cancelling, a statement": _stopped(_S.CANCELLING, READ),
    "succeeded": _job(_S.SUCCEEDED, location="obs://b/x"),
    "failed": _job(_S.FAILED, reason=REFUSAL),
    "cancelled": _job(_S.CANCELLED, reason=jobs.Reason("job_killed", "job_result", "killed")),
    "cancelled while in doubt": _stopped(_S.CANCELLED, reason=STOP, seen=None, attempt=1),
    "cancelled by a message": _stopped(_S.CANCELLED, reason=STOP),
    "unknown": _job(_S.UNKNOWN, reason=jobs.Reason("unresolved", "job_vanished", "gone")),
}
"""A job in each state, more than one where the state alone does not decide; "none": nothing under this key."""


def _identity(order: int) -> jobs.Job:
    return _replace(request(), state=_S.REJECTED, order=order, digest="", cluster="", name="", work=None)


def _seen(state: str, result: str = "UNDEFINED", **more: Any) -> facts.JobObserved:
    return facts.JobObserved(jobs.MrsStatus(JOB_ID, state, result, **more))


def _statement(status: str, **more: Any) -> facts.StatementObserved:
    return facts.StatementObserved(jobs.MrsStatus(JOB_ID, status), **more)


def _cluster(state: str, outcome: verdict.Verdict) -> facts.ClusterObserved:
    return facts.ClusterObserved(jobs.MrsStatus(JOB_ID, state), outcome, f"cluster state {state.lower()}")


def _sender() -> jobs.Job:
    return jobs.Job(
        source="/ops", id="s-1", subject="job", digest="", state=_S.REJECTED, key=b"k", correlation_id="run-7"
    )


FACTS: Final[dict[str, facts.Fact]] = {
    "request": facts.Requested(request()),
    "request, without a cluster": facts.Requested(
        request(state=_S.CHOOSING, digest="f", cluster="", choice=jobs.Choice("etl", {"team": "billing"}))
    ),
    "chosen": facts.ClusterSelected(CLUSTER),
    "none fits": facts.NoClusterFits(NO_CLUSTER),
    "request, other payload": facts.Requested(request(order=9, digest="e")),
    "invalid": facts.InvalidRequest(_identity(order=9), FAULT),
    "cancel": facts.CancelRequested(_replace(pending_cancel(), stop=None, asked_by=None, expires_ms=0), STOP, "c-1"),
    "cancel, passed": facts.CancelRequested(
        _replace(pending_cancel(), stop=None, asked_by=None, expires_ms=0), STOP, "c-2", 1
    ),
    "cancel by another": facts.CancelRequested(
        _replace(pending_cancel(), stop=None, asked_by=None, expires_ms=0), STOP, "c-3"
    ),
    "cancel matched": facts.CancelMatched(),
    "settled": facts.ResolveRequested(_S.SUCCEEDED, BY_HAND, "s-1", _sender()),
    "due": facts.DeadlineReached(),
    "turn": facts.Admitted(),
    "held back": facts.HeldBack(),
    "rejected by a control": facts.HeldBack(jobs.Reason("cancelled", "control_rejected", "reject of all: why")),
    "a control may reject it": facts.RejectionDue(),
    "taken": facts.SubmissionAccepted(JOB_ID),
    "refused": facts.SubmissionRefused(REFUSAL),
    "not taken": facts.SubmissionNotApplied(),
    "in doubt": facts.SubmissionInDoubt("reply lost", "r-1"),
    "found": facts.SubmissionFound(jobs.MrsStatus(JOB_ID, "RUNNING")),
    "two found": facts.SubmissionFound(jobs.MrsStatus(JOB_ID, "RUNNING"), ("j-2",)),
    "not found": facts.SubmissionNotFound(),
    "duplicates stopped": facts.DuplicatesStopped(("j-2", "j-3")),
    "looked again": facts.DuplicatesChecked(1, (JOB_ID,)),
    "looked again, found two": facts.DuplicatesChecked(1, (JOB_ID, "j-3")),
    "waiting": _seen("ACCEPTED"),
    "running": _seen("RUNNING", progress=20.0, app_id="app-1"),
    "progressed": _seen("RUNNING", progress=30.0, app_id="app-1"),
    "application known": _seen("RUNNING", progress=20.0, app_id="app-2"),
    "application left out": _seen("RUNNING", progress=20.0),
    "unsettled": _seen("FINISHED"),
    "succeeded": _seen("FINISHED", "SUCCEEDED", progress=100.0),
    "failed": _seen("FINISHED", "FAILED"),
    "killed": _seen("KILLED", "KILLED"),
    "another job": facts.JobObserved(jobs.MrsStatus("j-2", "FINISHED", "SUCCEEDED")),
    "statement queued": _statement("QUEUED"),
    "statement running": _statement("RUNNING"),
    "statement finished": _statement("FINISHED", result=ROWS),
    "statement failed": _statement("FAILED", message="line 1: no such table"),
    "replied": facts.CallReplied(events.Result(reply={"cluster": {}})),
    "cluster not begun": _cluster("RUNNING", verdict.Verdict.WAITING),
    "cluster starts": _cluster("STARTING", verdict.Verdict.RUNNING),
    "cluster is scaled": _cluster("SCALING-OUT", verdict.Verdict.RUNNING),
    "cluster is there": _cluster("RUNNING", verdict.Verdict.SUCCEEDED),
    "cluster failed": _cluster("FAILED", verdict.Verdict.FAILED),
    "cluster unclear": _cluster("RUNNING", verdict.Verdict.UNSETTLED),
    "another cluster": facts.ClusterObserved(jobs.MrsStatus("c-2", "RUNNING"), verdict.Verdict.SUCCEEDED),
    "vanished": facts.JobLost("not shown for 300 s"),
    "missing": facts.WaitsNoted(JOB_ID, missing=jobs.Span(NOW_MS - 9000, NOW_MS)),
    "collected": facts.ResultCollected(ROWS),
    "log read": facts.LogRead(1, "preempted", "Container preempted by scheduler", log=LOG),
    "log not read": facts.LogRead(1, unavailable="OBS has no such object"),
    "log of another attempt": facts.LogRead(3, "disk", "No space left on device", log=LOG),
    "the relay fails": facts.InternalFailure("RecursionError"),
    "expired": facts.Expired(),
    "rows removed": facts.RowsRemoved(),
}
"""A fact of every kind, more than one where the kind alone does not decide."""


def record(value: object = ..., *, headers: Any = (), **changes: Any) -> records.Record:
    """Make a record of the input topic; a value other than bytes or None is written as JSON."""
    if value is ...:
        value = message()
    raw = value if isinstance(value, bytes | None) else json.dumps(value).encode()
    return _replace(records.Record("mrs.requests", 0, 17, NOW_MS, b"k", raw, headers), **changes)


def message(data: Any = ..., kind: str = "mrs.job.submit", **changes: Any) -> dict[str, Any]:
    """Make a valid message in plain form."""
    if data is ...:
        data = {"cluster": CLUSTER, "job": {"job_type": "SparkSubmit", "arguments": ["--class", "A"]}}
    return {"id": "order-1", "source": "/billing", "type": kind, "data": data, **changes}


def sql(statement: str, engine: str = "presto", **more: Any) -> dict[str, Any]:
    """Make a valid message with a SQL statement in plain form."""
    return message({"cluster": CLUSTER, "engine": engine, "statement": statement, **more}, "mrs.sql.submit")


def job(name: str, **changes: object) -> jobs.Job:
    """Return the job of `JOBS` with this name, with some of its fields changed."""
    found = JOBS[name]
    assert found is not None
    return msgspec.structs.replace(found, **changes)


def decide(before: jobs.Job | None, fact: facts.Fact | str, now_ms: int = NOW_MS) -> decisions.Decision:
    """Decide on a fact, or on the fact of `FACTS` with this name; fail if it changes nothing."""
    decision = transitions.decide(before, FACTS[fact] if isinstance(fact, str) else fact, now_ms, RULES)
    assert decision is not None
    return decision


def only_event(decision: decisions.Decision) -> events.EventBody:
    """Return the content of the decision's one event."""
    (event,) = decision.events
    return event.data
