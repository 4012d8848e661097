"""
Define all facts about a job: a request, its admission, the reply to a submission, a look-up, a poll result, a timer.

Facts are values. They arrive in the partition's inbox, and `transitions` decides what follows. A fact that arrives too
late changes nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mrs_relay.engine.model import jobs, verdict
from mrs_relay.kafka import records
from mrs_relay.messages import digests, events, reasons

INTERNAL_ERROR: Final = "internal_error"
"""Reason code of failures of the relay itself."""


class Requested(msgspec.Struct, frozen=True, gc=False):
    """
    A valid request arrived.

    Attributes:
        job: the job that it would become, in state QUEUED or CHOOSING with sequence 0.
        rejection: the reason why the tenant's rules forbid a new job; None: they allow it.
        record: the message as it was read.
    """

    job: jobs.Job
    rejection: jobs.Reason | None = None
    record: records.Record | None = None

    def repeats(self, job: jobs.Job) -> bool:
        """Return whether it equals the job's own request; the digest of that may have been computed by version 0.1."""
        if self.job.digest == job.digest:
            return True

        # Only a digest of version 0.1's form is worth comparing with the record's old digest.
        came = self.record
        if came is None or not digests.is_old(job.digest):
            return False
        return job.digest == digests.old(came.topic, came.value, came.headers)


class InvalidRequest(msgspec.Struct, frozen=True):
    """
    A request with a readable id arrived that can never be carried out.

    Attributes:
        job: its identity, in state REJECTED with sequence 0.
        reason: the reason of its rejection.
    """

    job: jobs.Job
    reason: jobs.Reason


class ClusterSelected(msgspec.Struct, frozen=True):
    """The cluster with this id was chosen for a request that names none by its id."""

    cluster: str


class NoClusterFits(msgspec.Struct, frozen=True):
    """No cluster meets the conditions of a request, or will meet them soon."""

    reason: jobs.Reason


class CancelRequested(msgspec.Struct, frozen=True):
    """
    A message asks to cancel a request.

    Attributes:
        job: the job to record if the request has not arrived yet, in state PENDING_CANCEL.
        reason: of the cancellation, for the last event.
        by: id of the message.
        came_from: the partition that broadcast the message and gets a reply to a match; -1 if it was sent to this one.
        is_ahead: the message is decided once more, in its turn; until then it only stops a job.
    """

    job: jobs.Job
    reason: jobs.Reason
    by: str
    came_from: int = -1
    is_ahead: bool = False

    @property
    def was_broadcast(self) -> bool:
        """Whether another partition got the message, and passed it on."""
        return self.came_from >= 0


class CancelMatched(msgspec.Struct, frozen=True):
    """Another partition has the request of a cancel that waits on this one."""


class ResolveRequested(msgspec.Struct, frozen=True):
    """
    A message settles a job that is `unknown`.

    Attributes:
        verdict: SUCCEEDED, FAILED or CANCELLED.
        reason: the sender's note, for the last event.
        by: id of the message.
        sender: the message's own identity, in state REJECTED: the subject of the event if there is nothing to settle.
    """

    verdict: jobs.State
    reason: jobs.Reason
    by: str
    sender: jobs.Job


class DeadlineReached(msgspec.Struct, frozen=True):
    """
    A deadline of the job may have been reached.

    Attributes:
        why: the reason why the job still waits for its submission; "" if it does not.
    """

    why: str = ""


class Admitted(msgspec.Struct, frozen=True):
    """The scheduler admitted the job: there is a slot, and budget for one submission."""


class HeldBack(msgspec.Struct, frozen=True):
    """
    The job got its turn, and a control holds it before the intent to submit it is decided.

    Attributes:
        rejection: the reason to end the job instead; None: it stays in the queue.
    """

    rejection: jobs.Reason | None = None


class RejectionDue(msgspec.Struct, frozen=True):
    """
    A control rejected the job while it was held; it has no turn.

    The controls are asked again when this is decided: if none rejects the job any more, nothing happens.
    """


class SubmissionAccepted(msgspec.Struct, frozen=True, gc=False):
    """
    MRS accepted the job and gave it an id.

    Attributes:
        job_id: of the job, statement or cluster.
        target: the state that a cluster is followed to, as far as it follows from the order.
    """

    job_id: str
    target: jobs.TargetState | None = None


class CallReplied(msgspec.Struct, frozen=True):
    """
    MRS carried out a call.

    Attributes:
        result: its reply.
    """

    result: events.Result


class SubmissionRefused(msgspec.Struct, frozen=True):
    """MRS refused the submission; repeating it unchanged would not help."""

    reason: jobs.Reason


class SubmissionNotApplied(msgspec.Struct, frozen=True):
    """The submission certainly had no effect (cluster full, throttled, not sent): it uses up no attempt."""


class SubmissionInDoubt(msgspec.Struct, frozen=True):
    """The submission may have had an effect: the reply was lost, or the partition's earlier owner may have sent it."""

    message: str
    mrs_request_id: str | None = None


class SubmissionFound(msgspec.Struct, frozen=True):
    """
    The look-up found the token on MRS: the submission had taken effect.

    Attributes:
        seen: the job that is kept.
        duplicates: ids of further jobs with this token, which are to be stopped.
    """

    seen: jobs.MrsStatus
    duplicates: tuple[str, ...] = ()


class DuplicatesChecked(msgspec.Struct, frozen=True):
    """The jobs that MRS shows for an attempt some time after a look-up; `failed`: those that failed or were killed."""

    attempt: int
    job_ids: tuple[str, ...]
    failed: tuple[str, ...] = ()


class DuplicatesStopped(msgspec.Struct, frozen=True):
    """Duplicates are stopped, or had ended."""

    job_ids: tuple[str, ...]


class SubmissionNotFound(msgspec.Struct, frozen=True):
    """MRS did not show the token during the whole visibility window; `is_gone`: as the cluster is there no more."""

    is_gone: bool = False


class JobObserved(msgspec.Struct, frozen=True, gc=False):
    """MRS shows a job that the relay submitted."""

    seen: jobs.MrsStatus

    @property
    def outcome(self) -> verdict.Verdict:
        """Return the verdict of its state and its result."""
        return verdict.of_job(self.seen.job_state, self.seen.job_result)

    @property
    def is_documented(self) -> bool:
        """Whether MRS's documents know its state."""
        return verdict.is_documented(self.seen.job_state)


class StatementObserved(msgspec.Struct, frozen=True):
    """
    MRS shows a statement that the relay submitted, in the reply to its submission or later.

    Attributes:
        seen: id and status (in `job_state`).
        message: the engine's error text.
        result: rows or location; only when it has finished.
    """

    seen: jobs.MrsStatus
    message: str = ""
    result: events.Result | None = None

    @property
    def outcome(self) -> verdict.Verdict:
        """Return the verdict of its status."""
        return verdict.of_statement(self.seen.job_state)

    @property
    def is_documented(self) -> bool:
        """Whether MRS's documents know its status."""
        return verdict.is_documented_status(self.seen.job_state)


class ClusterObserved(msgspec.Struct, frozen=True):
    """
    MRS shows a cluster that a job creates or changes.

    Attributes:
        seen: its id and state (in `job_state`).
        outcome: the verdict of its state, compared with the target.
        message: MRS's description of it, for people.
    """

    seen: jobs.MrsStatus
    outcome: verdict.Verdict
    message: str = ""


class JobLost(msgspec.Struct, frozen=True):
    """
    MRS has not shown the job, or how it ended, for too long.

    Attributes:
        message: what MRS shows, and for how long.
        code: of the reason.
    """

    message: str
    code: str = "job_vanished"


class WaitsNoted(msgspec.Struct, frozen=True):
    """
    The times for which a followed job has been missing or unsettled. In the ledger they survive a takeover.

    Attributes:
        job_id: of the job on MRS.
        missing: None: MRS shows it.
        unsettled: None: MRS shows that it is not over, or how it ended.
    """

    job_id: str
    missing: jobs.Span | None = None
    unsettled: jobs.Span | None = None


class ResultCollected(msgspec.Struct, frozen=True):
    """
    The rows of a job that succeeded, or the reason why there are none.

    Attributes:
        result: the rows or the reason.
        may_follow: OBS has not given the rows out in time, and may do so later.
    """

    result: events.Result
    may_follow: bool = False


class LogRead(msgspec.Struct, frozen=True):
    """
    The end of the log of a job that has ended badly, or the reason why it was not read.

    Attributes:
        attempt: whose log it is.
        cause: what it shows clearly; None: nothing.
        text: the piece of the log to show, without secrets, see `log_redaction.piece`; "" if it was not read.
        from_start: that piece counts from its beginning, where the report of the cause is.
        log: path of the log; "" if it was not read.
        unavailable: why it was not read; "" if it was.
    """

    attempt: int
    cause: reasons.Cause | None = None
    text: str = ""
    from_start: bool = False
    log: str = ""
    unavailable: str = ""


class InternalFailure(msgspec.Struct, frozen=True):
    """
    The relay itself failed on this job, by a bug or because the job's record has become too large.

    Attributes:
        error: the class of the error, or sizes; never the error's own text, which could quote the request.
        code: of the reason.
    """

    error: str
    code: str = INTERNAL_ERROR


class Expired(msgspec.Struct, frozen=True):
    """The time for which a finished job is kept has passed."""


class RowsRemoved(msgspec.Struct, frozen=True):
    """The folders that a job's rows were written to are removed, or are given up; for the first or the second time."""


Fact = (
    Requested
    | InvalidRequest
    | ClusterSelected
    | NoClusterFits
    | CancelRequested
    | CancelMatched
    | ResolveRequested
    | DeadlineReached
    | Admitted
    | HeldBack
    | RejectionDue
    | SubmissionAccepted
    | CallReplied
    | SubmissionRefused
    | SubmissionNotApplied
    | SubmissionInDoubt
    | SubmissionFound
    | SubmissionNotFound
    | DuplicatesChecked
    | DuplicatesStopped
    | JobObserved
    | StatementObserved
    | ClusterObserved
    | JobLost
    | WaitsNoted
    | ResultCollected
    | LogRead
    | InternalFailure
    | Expired
    | RowsRemoved
)
