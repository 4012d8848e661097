"""
What MRS and the ledger disagree about: jobs that carry our mark and nobody follows, followed jobs that MRS lost. Pure.

A mark tells that some relay submitted a job. Which one, the ledger tells of a request that it holds, and else the
deployment's tag before the mark, see `deployments`; without either it may be anybody's on the same project.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from mrs_relay.engine.model import deployments, job_names, jobs
from mrs_relay.engine.work import kinds

Kind = Literal["stranger", "foreign", "forgotten", "twin", "left", "unclaimed", "lost"]

KINDS: Final[dict[Kind, str]] = {
    "stranger": "no request here knows the mark, and no tag tells whose it is: forgotten, or another deployment's",
    "foreign": "another deployment's, by its tag",
    "forgotten": "this deployment's, by its tag, and no request here knows it any more",
    "twin": "a further job of a request that follows another one",
    "left": "the job of a request that has ended without it",
    "unclaimed": "the job of a request that is unknown",
    "lost": "a request follows it and MRS does not show it",
}
"""What each kind of orphan is."""

_OF_NO_REQUEST: Final[dict[deployments.Belonging, Kind]] = {
    "ours": "forgotten",
    "foreign": "foreign",
    "unproved": "stranger",
}


class Orphan(msgspec.Struct, frozen=True):
    """
    One disagreement.

    Attributes:
        kind: what kind; see `KINDS`.
        cluster: MRS cluster id.
        job_id: MRS job id.
        seen: what MRS says of the job; None when it is lost.
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
        listed: cluster → name and sight of each of its jobs.
        before_ms: only what was submitted before this moment counts, epoch milliseconds: anything younger may be on its
            way into the ledger, or not yet in the list.
        deployment: this deployment's name; "" if it has none of its own.
    """
    known: dict[str, tuple[jobs.Job, int]] = {}
    followed: list[jobs.Job] = []
    for job in ledger:
        known.update((name, (job, number)) for number, name in enumerate(_names(job), start=1))
        if job.state in jobs.FOLLOWED and job.seen is not None and job.name and kinds.of(job).traits.is_listed:
            followed.append(job)
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
    for job in followed:
        job_id = job.seen.job_id if job.seen is not None else ""
        if job.cluster in listed and (job.cluster, job_id) not in shown and job.intent_ms < before_ms:
            found.append(Orphan("lost", job.cluster, job_id, None, job.mrs_name, job))
    return found


def _names(job: jobs.Job) -> list[str]:
    """The names of all attempts: an earlier one's job is nobody's orphan, one that left no trace may yet show up."""
    if not job.name or not kinds.of(job).traits.is_listed:
        return []
    return [
        job_names.with_token(job.name, job_names.submission_token(job.ledger_key, number, job.tenant))
        for number in range(1, job.attempt + 2)
    ]


def _kind(job: jobs.Job, attempt: int, seen: jobs.MrsStatus) -> Kind | None:
    if attempt < job.attempt:
        return None  # an earlier attempt's, which has ended
    if job.state is jobs.State.UNKNOWN:
        return "unclaimed"
    if job.seen is not None and job.seen.job_id:
        return "twin" if job.seen.job_id != seen.job_id else None
    return "left" if jobs.TRAITS[job.state].last else None
