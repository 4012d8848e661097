"""
Define a job: the life of one request inside the relay, as the ledger records it.

Pure values: no I/O, no clock. A job is immutable. Each change of state makes a new one through `moved`, which refuses a
move that the table of legal moves does not contain.
"""

from __future__ import annotations

import enum
from typing import Any, Final, Literal

import msgspec

from mrs_relay.engine.model import job_names, job_values
from mrs_relay.messages import envelope, events

Choice = job_values.Choice
Delivery = job_values.Delivery
Reason = job_values.Reason
Retry = job_values.Retry
Doubt = job_values.Doubt
Ending = job_values.Ending
Cause = job_values.Cause
SecondLook = job_values.SecondLook
Span = job_values.Span
MrsStatus = job_values.MrsStatus

LedgerKey = job_names.LedgerKey
ledger_key = job_names.ledger_key

Api = Literal["v2", "v1.1"]
"""The two job APIs of MRS. The values are written to the ledger: never rename one."""

SUBMISSION: Final = "CreateExecuteJob"
V11_SUBMISSION: Final = "CreateAndExecuteJob"
SUBMISSIONS: Final = (SUBMISSION, V11_SUBMISSION)
"""Operations that start a batch job, of either API; such jobs share their cluster's slots."""

STATEMENT: Final = "ExecuteSql"

UNLIMITED_S: Final = 0
"""No deadline: in a ledger record nothing by name, and one byte by place. An equal float is written as a float."""


class State(enum.StrEnum):
    """The states of a job. The values are written to the ledger: never rename one."""

    __hash__ = str.__hash__  # an enum's own is a call of Python, and a state is looked up many times for each fact

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
    The properties of a state.

    Attributes:
        next: the states that may follow.
        shown: the event state in the answer to a repeated request.
        holds_slot: the job occupies one of the cluster's slots.
        last: the job has ended.
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
Each state with the moves out of it.

- REJECTED: a corrected request with the same id may start the job again.
- PENDING_CANCEL is no job yet: a cancel waits there for its request.
- UNKNOWN can be settled by a person.
- QUEUED moves to IN_DOUBT if MRS shows a submission that was believed lost. It moves to UNKNOWN if the job is to be
  stopped while an earlier submission may have an effect. If the relay itself fails on the job, it moves to UNKNOWN, or
  to FAILED if nothing was sent.
- SUBMITTED and RUNNING move back to QUEUED for the next attempt of a retry.
"""


FOLLOWED: Final = frozenset({State.SUBMITTED, State.RUNNING, State.CANCELLING})
"""States in which MRS has the job, so that its status on MRS changes the state."""


class Batch(job_values.Record, frozen=True, tag="batch", gc=False):
    """
    A job for CreateExecuteJob, or for V1.1's CreateAndExecuteJob: `Job.api` says which.

    Attributes:
        job_type: MRS's job type, by V2's name.
        arguments: in MRS's form; V1.1 gets them as one text.
        properties: in MRS's form; for V1.1, which has none, its own fields by their names.
    """

    job_type: str
    arguments: tuple[str, ...] = ()
    properties: dict[str, str] = {}  # noqa: RUF012 - msgspec copies an empty default


class Presto(job_values.Record, frozen=True, tag="presto", gc=False):
    """
    A statement for ExecuteSql.

    Attributes:
        statement: one statement without a semicolon.
        database: the database that it runs in.
        archive_path: OBS folder for the rows of a SELECT.
        repeatable: it only reads, so running it twice does no harm.
    """

    statement: str
    database: str = "default"
    archive_path: str | None = None
    repeatable: bool = False


class TargetState(job_values.Record, frozen=True, tag="goal"):
    """
    The state that a cluster operation is to bring its cluster into; kept while the cluster is followed.

    Attributes:
        kind: created, flowed (created, and its jobs have ended), resized or deleted.
        jobs: number of jobs that are ordered with the cluster.
        nodes: number of nodes that the cluster is to have; 0 while that is not known.
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
        body: its body, by the API's names.
        repeatable: sending it twice does no harm.
        target: the state that the cluster is followed to; None: the job ends with the reply.
        reads: it changes nothing, so a lost reply cannot hide an effect.
    """

    operation: str
    path: dict[str, str] = {}  # noqa: RUF012 - msgspec copies an empty default
    query: dict[str, Any] = {}  # noqa: RUF012 - msgspec copies an empty default
    body: dict[str, Any] | None = None
    repeatable: bool = False
    target: TargetState | None = msgspec.field(default=None, name="goal")
    reads: bool = False


class Task(job_values.Record, frozen=True, tag="task"):
    """
    The work of a job of any further kind; `Job.kind` names the kind.

    Attributes:
        data: JSON values in the form that the kind's adapter defines.
    """

    data: dict[str, Any] = msgspec.field(default_factory=dict)


Work = Batch | Presto | Call | TargetState | Task


class Job(job_values.Record, frozen=True, gc=False):
    """
    The life of one request.

    Fields that only a later version knows are kept as they were read, through all changes of the job. So a new field is
    compatible if it may stay unchanged while an earlier version works on the job; it is the last one, since format 2
    has them by their places. A field that an earlier version must
    not ignore raises `ledger_format.FORMAT`. A field inside one of the values raises it, too: earlier versions refuse
    such a value.

    Attributes:
        source: with `id` the idempotency key.
        id: the request id.
        subject: the kind of the request; part of the event types.
        digest: of the payload.
        state: the job's state.
        sequence: of the last published event.
        shown: event state of the last published event.
        key: the request's Kafka key; None means that the message had none.
        arrived_ms: when the request was decided, epoch milliseconds.
        order: input offset, in the requests topic of its time; breaks ties of `arrived_ms`.
        cluster: MRS cluster id; "" while it is being chosen.
        choice: the conditions that a cluster is chosen by, or is checked against; only while CHOOSING.
        work: the work to submit; dropped once MRS has the job, unless a retry may need it.
        statement: a Presto statement: not in MRS's job list, without name and slot.
        name: the requested name on MRS with the deployment's tag, without token; "" for statements and calls.
        priority: 0 to 9; 9 is first.
        not_before_ms: epoch milliseconds; 0 means at once.
        labels: the sender's labels, returned in each event.
        attempt: submissions so far.
        intent_ms: when the last submission was decided, epoch milliseconds.
        seen: the last status from MRS.
        collect: rows are to be read after success.
        skip: number of leading statements of the result that are the relay's, not the request's.
        reason: of a bad end.
        location: of the rows of a Presto SELECT, as MRS reported it, or the folder that the work writes them to.
        correlation_id: the request's.
        traceparent: the request's.
        tracestate: the request's.
        sender: who sent the request, as its message says; None: it does not say so, or the job has ended.
        expires_ms: when a finished job is forgotten, epoch milliseconds.
        retry: the request's rule for further attempts after a bad end.
        queue_deadline_s: seconds that it may wait for its submission; 0 means for ever.
        queue_deadline_ms: the moment that follows from it, epoch milliseconds.
        run_deadline_s: seconds from its submission to its end; 0 means for ever.
        run_deadline_ms: the moment that follows from it, epoch milliseconds; while COLLECTING: when reading rows ends.
        stop: the reason to stop it; None: nothing has requested a stop.
        asked_by: id of the message that requested the stop.
        asked_source: source of that message; only while PENDING_CANCEL.
        asked_sender: who sent that message, as it says; while PENDING_CANCEL it is `sender`.
        came_from: while PENDING_CANCEL: the partition that the message was sent to, -1 for this one.
        duplicates: MRS ids of further jobs with the same token, which are to be stopped.
        api: the job API that a batch job runs on; it is the one that knows the job's id.
        tenant: the owner at the time of its arrival, see `deployments.owner`; part of its token. "" where neither
            deployment nor tenant had a name.
        doubt: submissions whose reply was lost, until MRS is seen to have the job, or it has ended.
        missing: for how long MRS has not shown the job while it is followed.
        unsettled: for how long MRS has shown an end without its outcome, or a state that no document knows.
        kind: names the kind of work; "" for kinds that follow from the other fields, see `work.kinds`.
        delivery: how its rows are delivered, where the request says so.
        later: fields by name that only a later version knows, as its record of format 1 holds them; see `later_fields`.
        after: fields by place, likewise, as its record of format 2 holds them.
        ending: how the attempt ended whose log is being read, see `is_ending`. An earlier version follows the job on,
            and reports its end without a cause.
        cause: what the log shows, once the job has ended.
        late_until_ms: until when rows are read that a success came without, epoch milliseconds; 0: they are not.
        rows_until_ms: when the folders that it wrote rows to are removed, epoch milliseconds; 0: there are none.
        rows_removed: they have been removed once; at `rows_until_ms` what was written since is removed, too.
        arrow: its rows come as Arrow; an earlier version brings them as `delivery.format` says.
        second_looks: those that are due for its attempts; an earlier version leaves them out.
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
    sender: envelope.Sender | None = None
    expires_ms: int = 0
    retry: Retry | None = None
    queue_deadline_s: int | job_values.Finite = UNLIMITED_S
    queue_deadline_ms: int = 0
    run_deadline_s: int | job_values.Finite = UNLIMITED_S
    run_deadline_ms: int = 0
    stop: Reason | None = None
    asked_by: str | None = None
    asked_source: str | None = None
    asked_sender: envelope.Sender | None = None
    came_from: int = -1
    duplicates: tuple[str, ...] = msgspec.field(default=(), name="twins")
    api: Api = "v2"
    tenant: str = ""
    doubt: Doubt | None = None
    missing: Span | None = None
    unsettled: Span | None = None
    kind: str = ""
    delivery: Delivery | None = None
    later: bytes = msgspec.field(default=b"", name="~later")
    after: bytes = msgspec.field(default=b"", name="~after")
    ending: Ending | None = None
    cause: Cause | None = None
    late_until_ms: int = 0
    rows_until_ms: int = 0
    rows_removed: bool = False
    arrow: bool = False
    second_looks: tuple[SecondLook, ...] = ()

    @property
    def ledger_key(self) -> LedgerKey:
        """Return the job's key in the ledger."""
        return job_names.ledger_key(self.source, self.id)

    @property
    def mrs_name(self) -> str:
        """Return the current attempt's name on MRS; "" before the first attempt and for a kind without names."""
        if self.attempt == 0 or not self.name:
            return ""
        return job_names.mrs_name(self.name, self.source, self.id, self.attempt, self.tenant)


def is_ending(job: Job) -> bool:
    """Return whether the present attempt has ended badly on MRS, and its log is being read."""
    return job.ending is not None and job.ending.attempt == job.attempt and job.state in FOLLOWED


def holds_slot(job: Job) -> bool:
    """Return whether the job occupies one of its cluster's slots."""
    return TRAITS[job.state].holds_slot and not is_ending(job)


def without_payload(job: Job) -> Job:
    """Return a rejected request as it is kept: its sender and its input offset, without its work."""
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
        sender=job.sender,
    )


def moved(job: Job, state: State) -> Job:
    """
    Return the same job in another state.

    Raises:
        ValueError: the table of legal moves does not contain this move. That is always a bug of the relay.
    """
    if state not in TRAITS[job.state].next:
        raise ValueError(f"a job never moves from {job.state} to {state}")

    # Both spans end with the state, except that CANCELLING keeps them: the job is still followed.
    if (job.missing is None and job.unsettled is None) or state is State.CANCELLING:
        return msgspec.structs.replace(job, state=state)
    return msgspec.structs.replace(job, state=state, missing=None, unsettled=None)
