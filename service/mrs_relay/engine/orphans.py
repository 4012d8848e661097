"""
Compare MRS with the ledger: find jobs with a submission token that no request follows, and followed jobs that MRS lost.

A submission token shows that some relay submitted a job. The ledger identifies the relay if it holds the request; else
the deployment's tag before the token does, see `deployments`. Without either, any relay on the project may own the job.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from mrs_relay.engine.model import deployments, facts, job_names, jobs, verdict
from mrs_relay.engine.work import kinds

Kind = Literal["stranger", "foreign", "forgotten", "twin", "left", "unclaimed", "lost"]

KINDS: Final[dict[Kind, str]] = {
    "stranger": "no request here has this token, and no tag names its owner: forgotten, or another deployment's",
    "foreign": "another deployment's, by its tag",
    "forgotten": "this deployment's, by its tag, and no request here knows it any more",
    "twin": "a further job of a request that follows another one",
    "left": "the job of a request that has ended without it",
    "unclaimed": "the job of a request that is unknown",
    "lost": "a request follows it and MRS does not show it",
}
"""Kind of orphan → its description."""

_OF_NO_REQUEST: Final[dict[deployments.Belonging, Kind]] = {
    "ours": "forgotten",
    "foreign": "foreign",
    "unproved": "stranger",
}


_CONTINUES: Final = frozenset({verdict.Verdict.WAITING, verdict.Verdict.RUNNING})


class Orphan(msgspec.Struct, frozen=True):
    """
    One difference between MRS and the ledger.

    Attributes:
        kind: see `KINDS`.
        cluster: MRS cluster id.
        job_id: MRS job id.
        seen: the job's status on MRS; None when it is lost.
        name: the job's name on MRS.
        request: the job in the ledger; None if no request knows it.
        proven: no other deployment can own it, unless it has this one's name.
    """

    kind: Kind
    cluster: str
    job_id: str
    seen: jobs.MrsStatus | None
    name: str
    request: jobs.Job | None
    proven: bool = False


def find(
    ledger: Iterable[jobs.Job],
    listed: Mapping[str, Iterable[tuple[str, jobs.MrsStatus]]],
    *,
    before_ms: int,
    deployment: str = "",
) -> list[Orphan]:
    """
    Compare the ledger with the job lists of clusters.

    Args:
        ledger: all jobs of all partitions.
        listed: cluster → name and status of each of its jobs.
        before_ms: only jobs submitted before this moment count, epoch milliseconds: a younger job may not be in the
            ledger or in the list yet.
        deployment: this deployment's name; "" if it has none of its own.
    """
    known: dict[str, tuple[jobs.Job, int]] = {}
    followed: list[jobs.Job] = []
    for job in ledger:
        known.update((name, (job, number)) for number, name in enumerate(_attempt_names(job), start=1))
        if job.state in jobs.FOLLOWED and job.seen is not None and job.name and kinds.of(job).traits.is_listed:
            followed.append(job)

    # Jobs that MRS lists and no request follows.
    found: list[Orphan] = []
    shown: set[tuple[str, str]] = set()
    for cluster, sights in listed.items():
        for name, seen in sights:
            shown.add((cluster, seen.job_id))
            belonging = deployments.belonging(name, deployment)
            if belonging is None or seen.submitted_ms >= before_ms:
                continue
            request, attempt = known.get(name, (None, 0))
            kind = _OF_NO_REQUEST[belonging] if request is None else _kind(request, attempt, seen)
            if kind is not None:
                proven = belonging == "ours" if request is None else deployments.is_named(request.tenant)
                found.append(Orphan(kind, cluster, seen.job_id, seen, name, request, proven))

    # Jobs that requests follow and MRS does not list.
    for job in followed:
        job_id = job.seen.job_id if job.seen is not None else ""
        if job.cluster in listed and (job.cluster, job_id) not in shown and job.intent_ms < before_ms:
            found.append(Orphan("lost", job.cluster, job_id, None, job.mrs_name, job))
    return found


def _attempt_names(job: jobs.Job) -> list[str]:
    """Return the names of all attempts: an earlier one's job is no orphan, one without a trace may be listed late."""
    if not job.name or not kinds.of(job).traits.is_listed:
        return []
    return [
        job_names.with_token(job.name, job_names.submission_token(job.ledger_key, number, job.tenant))
        for number in range(1, job.attempt + 2)
    ]


def _kind(job: jobs.Job, attempt: int, seen: jobs.MrsStatus) -> Kind | None:
    # An earlier attempt has ended: a job of it that continues took effect late, or is a duplicate.
    if attempt < job.attempt:
        return "twin" if facts.JobObserved(seen).outcome in _CONTINUES else None
    if job.state is jobs.State.UNKNOWN:
        return "unclaimed"
    if job.seen is not None and job.seen.job_id:
        return "twin" if job.seen.job_id != seen.job_id else None
    return "left" if jobs.TRAITS[job.state].last else None
