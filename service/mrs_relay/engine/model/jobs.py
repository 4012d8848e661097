"""
A job: the life of one request inside the relay, as it stands in the ledger.

Pure values: no I/O, no clock. A job is never changed; every move makes a new one, through `moved`, which refuses what
the table of legal moves does not allow.
"""

from __future__ import annotations

import enum
from typing import Any, Final, Literal

import msgspec

from mrs_relay.engine.model import job_names, job_values
from mrs_relay.messages import events

Choice = job_values.Choice
Reason = job_values.Reason
Retry = job_values.Retry
Doubt = job_values.Doubt
Span = job_values.Span

LedgerKey = job_names.LedgerKey
ledger_key = job_names.ledger_key

Api = Literal["v2", "v1.1"]
"""The two job APIs of MRS. The values are written to the ledger: never rename one."""

SUBMISSION: Final = "CreateExecuteJob"
V11_SUBMISSION: Final = "CreateAndExecuteJob"
SUBMISSIONS: Final = (SUBMISSION, V11_SUBMISSION)
"""What starts a batch job, by either API; such jobs share their cluster's slots."""

STATEMENT: Final = "ExecuteSql"

UNLIMITED_S: Final = 0.0
"""No deadline. This very object is left out of ledger records, an equal one is not."""


class State(enum.StrEnum):
    """Where a job stands. The values are written to the ledger: never rename one."""

    REJECTED = "rejected"
    CHOOSING = "choosing"
    QUEUED = "queued"
    SUBMITTING = "submitting"
    IN_DOUBT = "doubtful"
    SUBMITTED = "submitted"
    RUNNING = "running"
    COLLECTING = "collecting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    CANCELLING = "cancelling"
    PENDING_CANCEL = "awaited"


class Trait(msgspec.Struct, frozen=True):
    """
    What a state implies.

    Attributes:
        next: the states that may follow.
        shown: the event state that a repeated request is answered with.
        holds_slot: the job occupies one of the cluster's slots.
        last: nothing follows.
    """

    next: frozenset[State]
    shown: events.State
    holds_slot: bool = False
    last: bool = False


_ENDED: Final = frozenset({State.FAILED, State.CANCELLED, State.UNKNOWN})
_UNDER_WAY: Final = frozenset({State.SUBMITTED, State.RUNNING, State.COLLECTING, State.SUCCEEDED}) | _ENDED
_SETTLED: Final = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})

TRAITS: Final[dict[State, Trait]] = {
    State.PENDING_CANCEL: Trait(frozenset(), "rejected", last=True),
    State.REJECTED: Trait(frozenset({State.CHOOSING, State.QUEUED, State.REJECTED}), "rejected", last=True),
    State.CHOOSING: Trait(frozenset({State.QUEUED, State.REJECTED, State.CANCELLED}), "accepted"),
    State.QUEUED: Trait(
        frozenset({State.SUBMITTING, State.IN_DOUBT, State.CANCELLED, State.FAILED, State.UNKNOWN}), "accepted"
    ),
    State.SUBMITTING: Trait(frozenset({State.QUEUED, State.IN_DOUBT}) | _UNDER_WAY, "accepted", holds_slot=True),
    State.IN_DOUBT: Trait(
        frozenset({State.QUEUED, State.SUBMITTED, State.UNKNOWN, State.CANCELLED}), "accepted", holds_slot=True
    ),
    State.SUBMITTED: Trait(
        (_UNDER_WAY - {State.SUBMITTED}) | {State.CANCELLING, State.QUEUED}, "submitted", holds_slot=True
    ),
    State.RUNNING: Trait(
        (_UNDER_WAY - {State.SUBMITTED, State.RUNNING}) | {State.CANCELLING, State.QUEUED}, "running", holds_slot=True
    ),
    State.CANCELLING: Trait(_SETTLED | {State.COLLECTING, State.UNKNOWN}, "running", holds_slot=True),
    State.COLLECTING: Trait(frozenset({State.SUCCEEDED}), "running"),
    State.SUCCEEDED: Trait(frozenset(), "succeeded", last=True),
    State.FAILED: Trait(frozenset(), "failed", last=True),
    State.CANCELLED: Trait(frozenset(), "cancelled", last=True),
    State.UNKNOWN: Trait(_SETTLED, "unknown", last=True),
}
"""
Every state with the moves out of it.

A rejected request may be sent again, corrected: it starts anew. AWAITED is no job yet: a cancel waits there for its
request. UNKNOWN can be settled by a person. QUEUED goes back to DOUBTFUL if what was thought lost shows up, and to
UNKNOWN if it is to be stopped while an earlier submission may have an effect, or where the relay itself fails on the
job; then it is FAILED if nothing was sent. SUBMITTED and RUNNING go back to QUEUED for the next attempt of a retry.
"""


FOLLOWED: Final = frozenset({State.SUBMITTED, State.RUNNING, State.CANCELLING})
"""MRS has the job, and what it shows of it moves it on."""


class Batch(job_values.Record, frozen=True, tag="batch", gc=False):
    """
    A job for CreateExecuteJob, or for V1.1's CreateAndExecuteJob: `Job.api` says which.

    Attributes:
        job_type: MRS's job type, by V2's name.
        arguments: as MRS wants them; V1.1 gets them as one text.
        properties: the same; for V1.1, which has none, its own fields by their names.
    """

    job_type: str
    arguments: tuple[str, ...] = ()
    properties: dict[str, str] = {}  # noqa: RUF012 - msgspec copies an empty default


class Presto(job_values.Record, frozen=True, tag="presto", gc=False):
    """
    A statement for ExecuteSql.

    Attributes:
        statement: one statement without a semicolon.
        database: where it runs.
        archive_path: OBS folder for the rows of a SELECT.
        repeatable: it only reads, so running it twice does no harm.
    """

    statement: str
    database: str = "default"
    archive_path: str | None = None
    repeatable: bool = False


class TargetState(job_values.Record, frozen=True, tag="goal"):
    """
    What a cluster operation wants of its cluster, for as long as the cluster is followed.

    Attributes:
        kind: created, flowed (created, and its jobs have ended), resized or deleted.
        jobs: how many jobs come with the cluster.
        nodes: how many nodes there are to be; 0 while that is not known.
    """

    kind: Literal["created", "flowed", "resized", "deleted"]
    jobs: int = 0
    nodes: int = 0


class Call(job_values.Record, frozen=True, tag="call"):
    """
    One call of any MRS operation.

    Attributes:
        operation: the API's own name for it.
        path: its path values, without project_id.
        query: its query, by the API's names.
        body: its body, the same.
        repeatable: sent twice, it does no harm.
        goal: what the cluster is followed to; None: the reply is the end.
        reads: it changes nothing, so there is no effect that a lost reply could hide.
    """

    operation: str
    path: dict[str, str] = {}  # noqa: RUF012 - msgspec copies an empty default
    query: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies an empty default
    body: dict[str, Any] | None = None
    repeatable: bool = False
    goal: TargetState | None = None
    reads: bool = False


class Task(job_values.Record, frozen=True, tag="task"):
    """
    What a job of any further kind asks for; `Job.kind` says which.

    Attributes:
        data: as its adapter wants it, in values of JSON.
    """

    data: dict[str, Any] = msgspec.field(default_factory=dict)


Work = Batch | Presto | Call | TargetState | Task


class MrsStatus(job_values.Record, frozen=True, gc=False):
    """
    What MRS last said of the job. Times are epoch milliseconds; 0 means not yet.

    Attributes:
        job_id: MRS job id or SQL statement id; "" when a statement has none.
        job_state: as MRS spells it, in capitals.
        job_result: the same.
        progress: per cent.
    """

    job_id: str
    job_state: str = ""
    job_result: str = ""
    progress: float = 0.0
    app_id: str = ""
    tracking_url: str = ""
    submitted_ms: int = 0
    started_ms: int = 0
    finished_ms: int = 0


class Job(job_values.Record, frozen=True, gc=False):
    """
    One request's life.

    A later version's fields are kept as they were read, whatever becomes of the job. So a field may be added if it may
    stand unchanged while an earlier version works on the job. One that an earlier version must not ignore raises
    `ledger_format.FORMAT`, and so does a field inside one of the values, which earlier versions refuse.

    Attributes:
        source: with `id` the idempotency key.
        id: the request id.
        subject: what kind of request it is; names the event types.
        digest: names the payload.
        state: where it stands.
        sequence: of the last published event.
        shown: event state of the last published event.
        key: the request's Kafka key; None means that the message had none.
        arrived_ms: when the request was decided, epoch milliseconds.
        order: input offset; breaks ties of `arrived_ms`.
        cluster: MRS cluster id; "" while it is being chosen.
        choice: what it is chosen by, or looked at for, as long as CHOOSING.
        work: what to run; dropped once MRS has it, for nobody needs it then.
        statement: a Presto statement: no place in MRS's job list, no name, no slot.
        name: the wished name on MRS with the deployment's tag, without mark; "" for statements and calls.
        priority: 9 goes first.
        not_before_ms: epoch milliseconds; 0 means at once.
        labels: the sender's words.
        attempt: submissions so far.
        intent_ms: when the last submission was decided, epoch milliseconds.
        seen: what MRS said last.
        collect: rows are to be read after success.
        skip: how many leading statements of the result are the relay's, not the request's.
        reason: why it ended badly.
        location: where MRS put the rows of a Presto SELECT.
        correlation_id: the request's.
        traceparent: the request's.
        tracestate: the request's.
        expires_ms: when a finished job is forgotten, epoch milliseconds.
        retry: what the request wants after a bad end.
        queue_deadline_s: seconds that it may wait for its submission; 0 means for ever.
        queue_deadline_ms: the moment that follows from it, epoch milliseconds.
        run_deadline_s: seconds from its submission to its end; 0 means for ever.
        run_deadline_ms: the moment that follows from it, epoch milliseconds; while COLLECTING: when reading rows ends.
        stop: why it is to be stopped, once somebody wants that.
        asked_by: id of the message that asked for it.
        asked_source: source of that message; only while AWAITED.
        came_from: while AWAITED: the partition that the message was sent to, -1 for this one.
        twins: MRS ids of further jobs with the same mark, which are to be stopped.
        api: the job API that a batch job runs on; it answers for the job's id.
        tenant: whose it was when it came, `deployments.owner`; part of its mark. "" where neither deployment nor tenant
            had a name.
        doubt: submissions whose reply was lost, until MRS is seen to have the job, or it has ended.
        missing: for how long MRS has not shown the job while it is followed.
        unsettled: for how long MRS has shown that it ended and not how, or a state that no document knows.
        kind: names the kind of work; "" for kinds that the other fields tell, see `work.kinds`.
        later: fields that only a later version knows, as they stand in its record; see `later_fields`.
    """

    source: str
    id: str
    subject: events.Subject
    digest: str
    state: State
    sequence: int = 0
    shown: events.State | None = None
    key: bytes | None = None
    arrived_ms: int = 0
    order: int = 0
    cluster: str = ""
    choice: Choice | None = None
    work: Work | None = None
    statement: bool = False
    name: str = ""
    priority: int = 5
    not_before_ms: int = 0
    labels: dict[str, str] | None = None
    attempt: int = 0
    intent_ms: int = 0
    seen: MrsStatus | None = None
    collect: bool = False
    skip: int = 0
    reason: Reason | None = None
    location: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    expires_ms: int = 0
    retry: Retry | None = None
    queue_deadline_s: float = UNLIMITED_S
    queue_deadline_ms: int = 0
    run_deadline_s: float = UNLIMITED_S
    run_deadline_ms: int = 0
    stop: Reason | None = None
    asked_by: str | None = None
    asked_source: str | None = None
    came_from: int = -1
    twins: tuple[str, ...] = ()
    api: Api = "v2"
    tenant: str = ""
    doubt: Doubt | None = None
    missing: Span | None = None
    unsettled: Span | None = None
    kind: str = ""
    later: bytes = msgspec.field(default=b"", name="~later")

    @property
    def ledger_key(self) -> LedgerKey:
        """The job's key in the ledger."""
        return job_names.ledger_key(self.source, self.id)

    @property
    def mrs_name(self) -> str:
        """Name of the current attempt on MRS; "" before the first one and for what has no name there."""
        if self.attempt == 0 or not self.name:
            return ""
        return job_names.mrs_name(self.name, self.source, self.id, self.attempt, self.tenant)


def without_payload(job: Job) -> Job:
    """Who sent a request and where it stood, without what it asks for: what is kept of one that is rejected."""
    return Job(
        source=job.source,
        id=job.id,
        subject=job.subject,
        digest="",
        state=State.REJECTED,
        key=job.key,
        order=job.order,
        correlation_id=job.correlation_id,
        traceparent=job.traceparent,
        tracestate=job.tracestate,
    )


def moved(job: Job, state: State) -> Job:
    """
    The same job in another state.

    Raises:
        ValueError: the table of legal moves does not know this move. A bug, never a fact of the world.
    """
    if state not in TRAITS[job.state].next:
        raise ValueError(f"a job never moves from {job.state} to {state}")
    if (job.missing is None and job.unsettled is None) or state is State.CANCELLING:
        return msgspec.structs.replace(job, state=state)
    return msgspec.structs.replace(job, state=state, missing=None, unsettled=None)
