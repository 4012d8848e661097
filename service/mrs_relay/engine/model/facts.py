"""
All that can happen to a job: a request, our turn, the reply to a submission, a look-up, a poll result, a timer.

Facts are values; they come through the partition's inbox and end in `transitions`. A fact that comes too late changes
nothing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mrs_relay.engine.model import jobs, verdict
from mrs_relay.kafka import records
from mrs_relay.messages import digests, events

INTERNAL_ERROR: Final = "internal_error"
"""Code of reasons for which the relay itself is to blame."""


class Requested(msgspec.Struct, frozen=True):
    """
    A valid request arrived.

    Attributes:
        job: what it would become, in state QUEUED or CHOOSING with sequence 0.
        rejection: why it must not become that, by the tenant's rules; None: it may.
        record: the message as it came.
    """

    job: jobs.Job
    rejection: jobs.Reason | None = None
    record: records.Record | None = None

    def repeats(self, job: jobs.Job) -> bool:
        """Whether it asks for the same as the job's own request, which version 0.1 may have remembered."""
        if self.job.digest == job.digest:
            return True
        came = self.record
        if came is None or not digests.is_old(job.digest):
            return False
        return job.digest == digests.old(came.topic, came.value, came.headers)


class InvalidRequest(msgspec.Struct, frozen=True):
    """
    A request with a readable id arrived that can never be carried out.

    Attributes:
        job: its identity, in state REJECTED with sequence 0.
        reason: what is wrong with it.
    """

    job: jobs.Job
    reason: jobs.Reason


class ClusterSelected(msgspec.Struct, frozen=True):
    """
    A cluster was chosen for a request that names none by its id.

    Attributes:
        cluster: its id.
    """

    cluster: str


class NoClusterFits(msgspec.Struct, frozen=True):
    """No cluster is, or will soon be, what a request asks for."""

    reason: jobs.Reason


class CancelRequested(msgspec.Struct, frozen=True):
    """
    Somebody wants a request not to be carried out.

    Attributes:
        job: what to remember if the request has not come yet, in state AWAITED.
        reason: of the cancelling, for the last event.
        by: id of the message.
        came_from: the partition that passed the message on, which is told of a match; -1 if it was sent to this one.
    """

    job: jobs.Job
    reason: jobs.Reason
    by: str
    came_from: int = -1


class CancelMatched(msgspec.Struct, frozen=True):
    """Another partition has the request that a cancel waits for here."""


class ResolveRequested(msgspec.Struct, frozen=True):
    """
    A person settles a job that is `unknown`.

    Attributes:
        verdict: SUCCEEDED, FAILED or CANCELLED.
        reason: who says so and why.
        by: id of the message.
        sender: the message's own identity, in state REJECTED: who is told when there is nothing to settle.
    """

    verdict: jobs.State
    reason: jobs.Reason
    by: str
    sender: jobs.Job


class DeadlineReached(msgspec.Struct, frozen=True):
    """
    A deadline of the job may have come.

    Attributes:
        why: what the job waits for, if it waits for its submission.
    """

    why: str = ""


class Admitted(msgspec.Struct, frozen=True):
    """The scheduler lets the job go: there is a slot, and budget for one submission."""


class SubmissionAccepted(msgspec.Struct, frozen=True):
    """
    MRS took the job and gave it an id.

    Attributes:
        job_id: of the job, statement or cluster.
        goal: what a cluster is to be followed to, as far as its order tells.
    """

    job_id: str
    goal: jobs.TargetState | None = None


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
    """Surely without effect (cluster full, throttled, not sent): back to the queue, no attempt used up."""


class SubmissionInDoubt(msgspec.Struct, frozen=True):
    """The submission may have had an effect: its reply was lost, or an earlier owner of the partition left it open."""

    message: str
    mrs_request_id: str | None = None


class SubmissionFound(msgspec.Struct, frozen=True):
    """
    The look-up found the mark on MRS: the submission had taken effect.

    Attributes:
        seen: the job that is kept.
        duplicates: ids of further jobs with this mark, which nobody wants.
    """

    seen: jobs.MrsStatus
    duplicates: tuple[str, ...] = ()


class DuplicatesChecked(msgspec.Struct, frozen=True):
    """
    What MRS shows of an attempt that was in doubt, some time after it was settled.

    Attributes:
        attempt: which one.
        job_ids: of all jobs with its mark.
    """

    attempt: int
    job_ids: tuple[str, ...]


class DuplicatesStopped(msgspec.Struct, frozen=True):
    """Further jobs with the mark are stopped, or had ended."""

    job_ids: tuple[str, ...]


class SubmissionNotFound(msgspec.Struct, frozen=True):
    """The mark did not show up during the whole visibility window: the submission had no effect."""


class JobObserved(msgspec.Struct, frozen=True):
    """MRS shows a job of ours."""

    seen: jobs.MrsStatus

    @property
    def outcome(self) -> verdict.Verdict:
        """What its state and its result mean."""
        return verdict.of_job(self.seen.job_state, self.seen.job_result)

    @property
    def is_documented(self) -> bool:
        """Whether MRS's documents know its state."""
        return verdict.is_documented(self.seen.job_state)


class StatementObserved(msgspec.Struct, frozen=True):
    """
    MRS shows a statement of ours, in the reply to its submission or later.

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
        """What its status means."""
        return verdict.of_statement(self.seen.job_state)

    @property
    def is_documented(self) -> bool:
        """Whether MRS's documents know its status."""
        return verdict.is_documented_status(self.seen.job_state)


class ClusterObserved(msgspec.Struct, frozen=True):
    """
    MRS shows a cluster that a job of ours changes.

    Attributes:
        seen: its id and state (in `job_state`).
        outcome: how far it is from the goal.
        message: what MRS says of it, for people.
    """

    seen: jobs.MrsStatus
    outcome: verdict.Verdict
    message: str = ""


class JobLost(msgspec.Struct, frozen=True):
    """
    MRS has not shown the job, or how it ended, for too long.

    Attributes:
        message: what it shows, for how long.
        code: of the reason.
    """

    message: str
    code: str = "job_vanished"


class WaitsNoted(msgspec.Struct, frozen=True):
    """
    How long a followed job has been missing or unsettled, for the ledger: a takeover goes on from there.

    Attributes:
        job_id: of the job on MRS.
        missing: None: MRS shows it.
        unsettled: None: MRS shows that it goes on, or how it ended.
    """

    job_id: str
    missing: jobs.Span | None = None
    unsettled: jobs.Span | None = None


class ResultCollected(msgspec.Struct, frozen=True):
    """The rows of a job that succeeded, or why there are none."""

    result: events.Result


class InternalFailure(msgspec.Struct, frozen=True):
    """
    The relay itself failed on this job: by a bug, or because the job's record has become too large.

    Attributes:
        error: the class of the error, or sizes; never the error's own text, which could quote the request.
        code: of the reason.
    """

    error: str
    code: str = INTERNAL_ERROR


class Expired(msgspec.Struct, frozen=True):
    """The time for which a finished job is remembered has passed."""


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
    | InternalFailure
    | Expired
)
