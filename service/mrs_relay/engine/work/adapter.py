"""
The questions that the engine asks about a kind of work. Each module beside this one answers them for one kind.

`WorkAdapter` is pure: it is asked when a request is read and when something is decided. `WorkCalls` makes the calls to
MRS on one connection; it waits for nothing, repeats nothing and decides nothing. The defaults suit a kind of which MRS
gives no more than a reply: an adapter says only what is different for its kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, NoReturn, Protocol, TypeVar

from mrs_relay import errors
from mrs_relay.engine import redaction
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import facts, jobs
from mrs_relay.engine.work import codes
from mrs_relay.messages import events, requests
from mrs_relay.mrs import client as clients
from mrs_relay.mrs import operation

_W = TypeVar("_W", bound=jobs.Work)

_CLOCK_SKEW_MS: Final = 86_400_000
"""
How far MRS's clock may be behind ours when a look-up asks for jobs submitted since the intent. A day costs nothing, as
the mark is in the query, too; a job that the query leaves out would be submitted again. Signatures allow 15 minutes,
tokens any difference.
"""


def list_since_ms(job: jobs.Job) -> int:
    """
    From when on, epoch milliseconds, something on MRS can be the effect of the job's submission.

    What is older carries the mark of an earlier request with the same id, which is forgotten: it must not be adopted.
    """
    return max(0, job.intent_ms - _CLOCK_SKEW_MS)


class Draft(NamedTuple):
    """
    What a request asks for: the fields of its job that depend on the kind of work.

    Attributes:
        work: what to run.
        cluster: MRS cluster id; "" where the request names none, or the choice of one is still open.
        name: the wished name on MRS; "" for what has no name there.
        skip: how many leading statements of the result are the relay's, not the request's.
        collect: the result is to be read after success.
        api: the job API that it runs on.
        statement: see `jobs.Job.statement`.
    """

    work: jobs.Work
    cluster: str
    name: str = ""
    skip: int = 0
    collect: bool = False
    api: jobs.Api = "v2"
    statement: bool = False


@dataclass(frozen=True, slots=True)
class PolicySubject:
    """
    What a tenant's policy is applied to in a request.

    Attributes:
        clusters: ids of all clusters that it names.
        job_types: types of the jobs that it starts, by their names of V2; "" for one that is not known.
        operation: the operation that it calls by name; "" for none.
        ordered: the body that orders a cluster, which has a name and tags and no id yet; None: it orders none.
    """

    clusters: list[str]
    job_types: tuple[str, ...] = ()
    operation: str = ""
    ordered: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Traits:
    """
    What is true of all jobs of a kind.

    Attributes:
        is_listed: MRS lists its jobs by name, so that a lost submission, and a duplicate, show there.
        follows_cluster: what is followed is a cluster, not a job.
        can_be_stopped: MRS can stop it.
        ends_with_reply: a reply that leaves nothing to follow is the end.
        status_has_rows: its status comes with its rows, or with an error text, in the reply to its submission, too.
        names_operation: events name the operation.
        lost_effect: what a submission without a reply may mean, for people.
        lost_advice: what may keep replies from being lost, for people; "" for nothing.
    """

    is_listed: bool = False
    follows_cluster: bool = False
    can_be_stopped: bool = True
    ends_with_reply: bool = False
    status_has_rows: bool = False
    names_operation: bool = False
    lost_effect: str = "MRS may have carried out the call"
    lost_advice: str = ""


class WorkAdapter(Protocol):
    """
    What the engine must know of one kind of work. Pure.

    Attributes:
        name: names the kind; written to the ledger for kinds that the other fields of a job do not tell.
        traits: what is true of all its jobs.
    """

    name: str
    traits: Traits

    def takes(self, request: requests.Work) -> bool:
        """Whether the request asks for work of this kind."""

    def draft(self, request: requests.Work, result_job_types: frozenset[str]) -> Draft:
        """
        Make of a request what its job runs.

        Args:
            request: one that it takes.
            result_job_types: job types whose rows are to be read after success.

        Raises:
            BadMessage: MRS's operation does not take what the request wants of it.
        """

    def connect(self, client: clients.Client, settings: engine_settings.EngineSettings) -> WorkCalls:
        """Return the calls of this kind on a connection."""

    def subject(self, request: requests.Work) -> PolicySubject:
        """Return what a tenant's policy is applied to in a request that it takes."""
        return PolicySubject(named_clusters(request))

    def operation(self, job: jobs.Job) -> str:
        """
        Return the MRS operation that the job starts with; "" when that is over.

        It names the queue, the budget and the lane of the job; those of `jobs.SUBMISSIONS` share a cluster's slots.
        """

    def is_findable(self, job: jobs.Job) -> bool:  # noqa: ARG002 - for other kinds
        """Whether MRS shows if a submission whose reply was lost took effect."""
        return False

    def is_repeatable(self, job: jobs.Job) -> bool:  # noqa: ARG002 - for other kinds
        """Whether running it twice does no harm."""
        return False

    def only_reads(self, job: jobs.Job) -> bool:  # noqa: ARG002 - for other kinds
        """Whether it changes nothing and keeps nothing busy, so that a lost submission can have left no effect."""
        return False

    def is_refusal_final(self, job: jobs.Job) -> bool:  # noqa: ARG002 - for other kinds
        """Whether a refusal cannot follow from the effect of an earlier submission of the same job."""
        return True

    def followed(self, job: jobs.Job, submitted: jobs.Job, goal: jobs.TargetState | None) -> jobs.Job:  # noqa: ARG002 - for other kinds
        """
        Return the job as it is kept while MRS works on it.

        Args:
            job: as it was submitted.
            submitted: the same, taken by MRS; without its work unless a retry needs that.
            goal: what the reply told of the goal.
        """
        return submitted

    def asked(self, job: jobs.Job) -> redaction.Asked | None:
        """Return what the request asked for, which no event may quote; None: that is not known any more."""


@dataclass(frozen=True, slots=True)
class Page:
    """
    One page of a cluster's job list.

    Attributes:
        jobs: what it shows.
        total: how many jobs match, on all pages; 0 if MRS does not say.
        last: no page follows.
    """

    jobs: tuple[jobs.MrsStatus, ...]
    total: int
    last: bool


@dataclass(frozen=True, slots=True)
class NoSuchJob:
    """MRS shows no such job, and says so in `message`."""

    message: str


Sight = facts.JobObserved | facts.StatementObserved
"""What MRS shows of one job; a kind whose states have words of their own tells them by those of V2's jobs."""


class WorkCalls(Protocol):
    """
    The calls to MRS of one kind of work. Every method raises MrsError as the client does.

    A kind that is not listed has no pages, one that is not followed by the tracker is neither shown nor stopped.

    Attributes:
        nowhere: error codes of a read that mean that the cluster has nothing of this kind at all.
        listing: the operation whose budget paces the polls; None: nothing is polled.
        page_size: jobs of a page; 0: there is no list, and each job is read by itself.
        by_moment: whether the list can begin at a moment of submission, oldest first.
    """

    nowhere: frozenset[str] = frozenset({codes.NO_SUCH_CLUSTER})
    listing: operation.AnyOperation | None = None
    page_size: int = 0
    by_moment: bool = False

    async def submit(self, job: jobs.Job) -> facts.Fact:
        """Ask MRS to run the job, once; the fact says what is certain after the reply."""

    async def find_submitted(self, job: jobs.Job) -> list[jobs.MrsStatus]:  # noqa: ARG002 - for other kinds
        """Return all that has the very name of this attempt, the oldest first."""
        _never(self, "looked up")

    async def page(self, cluster: str, number: int, since_ms: int, *, unfinished: bool) -> Page:  # noqa: ARG002 - for other kinds
        """Read page `number` (from 1) of the jobs submitted since then if the list can tell, or of all `unfinished`."""
        _never(self, "listed")

    async def show(self, cluster: str, job_id: str) -> Sight | NoSuchJob:  # noqa: ARG002 - for other kinds
        """Read one job by itself."""
        _never(self, "read")

    async def stop(self, cluster: str, job_id: str) -> None:  # noqa: ARG002 - for other kinds
        """Ask MRS to stop a job; that it was asked is no end yet, and the job may still end by itself."""
        _never(self, "stopped")

    async def collect(self, job: jobs.Job) -> events.Result:  # noqa: ARG002 - for other kinds
        """Read what MRS tells of the result of a job that has succeeded."""
        _never(self, "asked for a result")


def _never(calls: WorkCalls, what: str) -> NoReturn:
    raise NotImplementedError(f"what {type(calls).__module__} submits is never {what}")


def named_clusters(request: requests.Work) -> list[str]:
    """Return the id in a request's field `cluster`, if it has one."""
    cluster = getattr(request, "cluster", None)
    return [cluster] if isinstance(cluster, str) else []


def named_cluster(request: requests.Work) -> str:
    """Return the id in a request's field `cluster`; "" if there is none, or one is to be chosen."""
    return next(iter(named_clusters(request)), "")


def unsent(job: jobs.Job, kind: type[_W]) -> _W:
    """
    Return the work of a job that is to be submitted.

    Raises:
        MrsRefused: the job's ledger record does not hold it; nothing is sent.
    """
    if not isinstance(job.work, kind):
        text = "nothing was sent: the request's ledger record does not say what to submit"
        raise errors.MrsRefused(text, code=facts.INTERNAL_ERROR)
    return job.work


def texts(values: Iterable[str]) -> Iterable[str]:
    """Yield each value as it is, and as one line with single blanks, as MRS may quote it."""
    for value in values:
        yield value
        yield " ".join(value.split())
