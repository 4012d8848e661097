"""
Define the interface of a kind of work: `WorkAdapter` and `WorkCalls`. The other modules here implement it.

`WorkAdapter` is pure: the engine uses it to read a request and to decide on a fact. `WorkCalls` makes the calls to MRS
on one connection; it does not wait, repeat or decide. The defaults suit a kind of work that ends with MRS's reply: an
adapter overrides what is different for its kind.
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
How far MRS's clock may be behind the relay's when a look-up asks for jobs submitted since the intent. A day costs
nothing, as the query names the token, too; a job that the query leaves out would be submitted again. Signatures of
requests allow a difference of 15 minutes, access tokens any.
"""


def list_since_ms(job: jobs.Job) -> int:
    """
    Return the earliest moment, epoch milliseconds, at which the job's submission can have taken effect on MRS.

    An older job with this token belongs to an earlier request with the same id that is no longer kept: it must not be
    adopted.
    """
    return max(0, job.intent_ms - _CLOCK_SKEW_MS)


class Draft(NamedTuple):
    """
    The fields of a request's job that depend on the kind of work.

    Attributes:
        work: the work to submit.
        cluster: MRS cluster id; "" where the request names none, or the choice of one is still open.
        name: the requested name on MRS; "" for a kind without names.
        skip: number of leading statements of the result that are the relay's, not the request's.
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
    The parts of a request that a tenant's policy is applied to.

    Attributes:
        clusters: ids of all clusters that it names.
        job_types: types of the jobs that it starts, by V2's names; "" for an unknown type.
        operation: the operation that it calls by name; "" for none.
        ordered: the body that creates a cluster, which has a name and tags and no id yet; None: it creates none.
    """

    clusters: list[str]
    job_types: tuple[str, ...] = ()
    operation: str = ""
    ordered: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Traits:
    """
    The properties that all jobs of a kind share.

    Attributes:
        is_listed: MRS lists its jobs by name, so that the list shows a lost submission, and a duplicate.
        follows_cluster: the relay follows a cluster, not a job.
        can_be_stopped: MRS can stop it.
        ends_with_reply: the job ends with a reply that leaves nothing to follow.
        status_has_rows: its status contains its rows, or an error text, in the reply to its submission, too.
        names_operation: events name the operation.
        leaves_log: a job that has ended leaves its driver's log, which may be read.
        lost_effect: the possible effect of a submission without a reply, for people.
        lost_advice: advice against lost replies, for people; "" for none.
    """

    is_listed: bool = False
    follows_cluster: bool = False
    can_be_stopped: bool = True
    ends_with_reply: bool = False
    status_has_rows: bool = False
    names_operation: bool = False
    leaves_log: bool = False
    lost_effect: str = "MRS may have carried out the call"
    lost_advice: str = ""


class WorkAdapter(Protocol):
    """
    The engine's interface to one kind of work. Pure.

    Attributes:
        name: of the kind; written to the ledger for kinds that do not follow from the other fields of a job.
        traits: the properties that all its jobs share.
    """

    name: str
    traits: Traits

    def takes(self, request: requests.Work) -> bool:
        """Return whether the request asks for work of this kind."""

    def draft(self, request: requests.Work, result_job_types: frozenset[str]) -> Draft:
        """
        Make the work of a request's job.

        Args:
            request: one of this kind.
            result_job_types: job types whose rows are to be read after success.

        Raises:
            BadMessage: MRS's operation does not accept the request's values.
        """

    def connect(self, client: clients.Client, settings: engine_settings.EngineSettings) -> WorkCalls:
        """Return the calls of this kind on a connection."""

    def subject(self, request: requests.Work) -> PolicySubject:
        """Return the parts of a request that a tenant's policy is applied to."""
        return PolicySubject(named_clusters(request))

    def operation(self, job: jobs.Job) -> str:
        """
        Return the MRS operation that submits the job; "" when it has been submitted.

        It names the queue, the budget and the lane of the job; the jobs of `jobs.SUBMISSIONS` share a cluster's slots.
        """

    def is_findable(self, job: jobs.Job) -> bool:  # noqa: ARG002 - for other kinds
        """Return whether MRS shows if a submission whose reply was lost took effect."""
        return False

    def is_repeatable(self, job: jobs.Job) -> bool:  # noqa: ARG002 - for other kinds
        """Return whether running it twice does no harm."""
        return False

    def only_reads(self, job: jobs.Job) -> bool:  # noqa: ARG002 - for other kinds
        """Return whether it changes nothing and keeps nothing busy, so that a lost submission leaves no effect."""
        return False

    def is_refusal_final(self, job: jobs.Job) -> bool:  # noqa: ARG002 - for other kinds
        """Return whether a refusal cannot follow from the effect of an earlier submission of the same job."""
        return True

    def followed(self, job: jobs.Job, submitted: jobs.Job, target: jobs.TargetState | None) -> jobs.Job:  # noqa: ARG002 - for other kinds
        """
        Return the job as it is kept while it is followed.

        Args:
            job: as it was submitted.
            submitted: the same job after MRS accepted it; without its work unless a retry may need that.
            target: the target as known after the reply.
        """
        return submitted

    def asked(self, job: jobs.Job) -> redaction.Asked | None:
        """Return the request's texts that no event may quote; None: they are not known any more."""


@dataclass(frozen=True, slots=True)
class Page:
    """
    One page of a cluster's job list.

    Attributes:
        jobs: the jobs on the page.
        total: number of matching jobs on all pages; 0 if MRS does not report it.
        last: no page follows.
    """

    jobs: tuple[jobs.MrsStatus, ...]
    total: int
    last: bool


@dataclass(frozen=True, slots=True)
class NoSuchJob:
    """MRS shows no such job; `message` is its answer."""

    message: str


Sight = facts.JobObserved | facts.StatementObserved
"""The status of one job on MRS; a kind with state names of its own translates them to those of V2's jobs."""


class WorkCalls(Protocol):
    """
    The calls to MRS of one kind of work. Every method raises MrsError as the client does.

    A kind that MRS does not list has no pages. A kind that the tracker does not follow is neither shown nor stopped.

    Attributes:
        nowhere: error codes of a read that mean that the cluster has no work of this kind at all.
        listing: the operation whose budget paces the polls; None: nothing is polled.
        page_size: jobs per page; 0: there is no list, and each job is read by itself.
        by_moment: whether the list can begin at a moment of submission, oldest first.
    """

    nowhere: frozenset[str] = frozenset({codes.NO_SUCH_CLUSTER})
    listing: operation.AnyOperation | None = None
    page_size: int = 0
    by_moment: bool = False

    async def submit(self, job: jobs.Job) -> facts.Fact:
        """Submit the job to MRS, once; return what is certain after the reply."""

    async def find_submitted(self, job: jobs.Job) -> list[jobs.MrsStatus]:  # noqa: ARG002 - for other kinds
        """Return all jobs with exactly the name of this attempt, the oldest first."""
        _never(self, "looked up")

    async def page(self, cluster: str, number: int, since_ms: int, *, unfinished: bool) -> Page:  # noqa: ARG002 - for other kinds
        """Read page `number` (from 1) of the jobs since a time, if the list can begin there, or of all `unfinished`."""
        _never(self, "listed")

    async def show(self, cluster: str, job_id: str) -> Sight | NoSuchJob:  # noqa: ARG002 - for other kinds
        """Read one job by itself."""
        _never(self, "read")

    async def stop(self, cluster: str, job_id: str) -> None:  # noqa: ARG002 - for other kinds
        """Ask MRS to stop a job. The request alone does not end the job, which may still end by itself."""
        _never(self, "stopped")

    async def collect(self, job: jobs.Job) -> events.Result:  # noqa: ARG002 - for other kinds
        """Read the result of a job that has succeeded, as far as MRS has it."""
        _never(self, "asked for a result")


def _never(calls: WorkCalls, what: str) -> NoReturn:
    raise NotImplementedError(f"what {type(calls).__module__} submits is never {what}")


def named_clusters(request: requests.Work) -> list[str]:
    """Return the id in a request's field `cluster`, if it has one."""
    cluster = getattr(request, "cluster", None)
    return [cluster] if isinstance(cluster, str) else []


def named_cluster(request: requests.Work) -> str:
    """Return the id in a request's field `cluster`; "" if there is none, or a cluster is to be chosen."""
    cluster = getattr(request, "cluster", None)
    return cluster if isinstance(cluster, str) else ""


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
    """Yield each value unchanged, and as one line with single blanks, as MRS may quote it."""
    for value in values:
        yield value
        yield " ".join(value.split())
