"""
`mrs-relay orphans`: show differences between MRS and the ledger, and let a person resolve them.

It reads the ledger, then the job lists of the clusters, through the budget of reads. Adopting settles a request that is
`unknown` by what became of its job; killing asks MRS to stop a job. Both require the ids and a confirmation.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from mrs_relay import errors, settings
from mrs_relay.cli import audit, complete, connect, ledger, options, run, settling, table_layout, view
from mrs_relay.common import clock
from mrs_relay.engine import orphans as finding
from mrs_relay.engine.model import jobs as engine_jobs
from mrs_relay.engine.model import verdict
from mrs_relay.engine.work import codes
from mrs_relay.kafka import records, topic_io
from mrs_relay.messages import audit as decisions
from mrs_relay.messages import codec

if TYPE_CHECKING:
    from mrs_relay.mrs import client as clients

_VERDICTS: Final = {
    verdict.Verdict.SUCCEEDED: "succeeded",
    verdict.Verdict.FAILED: "failed",
    verdict.Verdict.KILLED: "cancelled",
}
_ADVICE: Final[dict[finding.Kind, str]] = {
    "stranger": "--kill it by its id, if no other deployment uses this project",
    "foreign": "leave it to its deployment",
    "forgotten": "--kill it",
    "twin": "--kill it",
    "left": "--kill it",
    "unclaimed": "--adopt it once it has ended, or --kill it",
    "lost": "the relay gives it up by itself after engine.vanish_after_s",
}
Ids = list[str] | None


def orphans(
    *,
    clusters: Annotated[
        list[str] | None,
        typer.Option("--cluster", help="Only this cluster; all by default.", autocompletion=complete.clusters),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also jobs that have ended, and those of other deployments.")
    ] = False,
    adopt: Annotated[
        Ids, typer.Option("--adopt", metavar="JOB-ID", help="Settle its request by what became of this job.")
    ] = None,
    kill: Annotated[Ids, typer.Option("--kill", metavar="JOB-ID", help="Ask MRS to stop this job.")] = None,
    kill_all: Annotated[
        bool,
        typer.Option("--kill-all", help="Ask MRS to stop all that surely are this deployment's and no request lacks."),
    ] = False,
    reason: Annotated[str, typer.Option("--reason", "--note", help="Why; it is on record. --kill-all needs it.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before adopting or killing.")] = False,
    as_json: options.AsJson = False,
    config: options.Config = None,
    tenant: options.Tenant = None,
) -> None:
    """
    Show jobs on MRS that have our token and that no partition follows, and followed jobs that MRS lost.

    A deployment with a kafka.app_id of its own puts a tag into its jobs' names; those of others are shown with --all.
    With tenants: on the connection of the named one, whose other tenants' ledgers are read, too. Exit 0 if there
    are none (or all were dealt with), 1 if there are.
    """
    if kill_all and not reason.strip():
        raise typer.BadParameter("many jobs are concerned: give the reason", param_hint="--reason")
    found = settings.load(config)
    connection = connect.chosen(found.tenancies, tenant).connection
    code = run.loop(
        _orphans(
            _Where(found, connection),
            clusters or [],
            adopt=adopt or [],
            kill=_Kill(frozenset(kill or ()), everything=kill_all),
            everything=everything,
            why=reason,
            yes=yes,
            as_json=as_json,
        )
    )

    if code:
        raise typer.Exit(code)


class _Kill(NamedTuple):
    """The jobs to stop."""

    job_ids: frozenset[str]
    everything: bool


class _Listed(NamedTuple):
    """
    The jobs of a cluster.

    Attributes:
        cluster: its id.
        jobs: name and status of each.
        old_ids: ids of the jobs that only V1.1's list shows.
    """

    cluster: str
    jobs: list[tuple[str, engine_jobs.MrsStatus]]
    old_ids: frozenset[str]


class _Where(NamedTuple):
    """The connection whose jobs are compared."""

    found: settings.Settings
    connection: str

    async def placed(self) -> list[tuple[records.Position, engine_jobs.Job]]:
        """Read the jobs of all tenants of the connection: by one ledger alone, the others' jobs would look foreign."""
        return [
            (records.Position(one.kafka.topics.requests, partition), job)
            for one in self.found.tenancies
            if one.connection == self.connection
            for partition, job in await ledger.placed(one.kafka)
        ]


async def _orphans(
    where: _Where,
    clusters: list[str],
    *,
    adopt: list[str],
    kill: _Kill,
    everything: bool,
    why: str,
    yes: bool,
    as_json: bool,
) -> run.Code:
    from mrs_relay.mrs import client  # noqa: PLC0415 - aiohttp; the other commands start sooner without it

    placed = await where.placed()
    found = where.found
    time = clock.SystemClock()
    async with client.connected(found.connection(where.connection), time) as mrs:
        old_clusters = {job.cluster for _, job in placed if job.api == "v1.1"}
        lists = [await _listed(mrs, one, old_clusters) for one in clusters or await _all_clusters(mrs)]
        listed = {one.cluster: one.jobs for one in lists}
        old_ids = frozenset(job_id for one in lists for job_id in one.old_ids)
        young_s = found.engine.settle_s + found.engine.visibility_s
        seen = finding.find(
            (job for _, job in placed),
            listed,
            before_ms=time.now_ms() - round(young_s * 1000),
            deployment=found.kafka.deployment,
        )
        shown = [one for one in seen if everything or _matters(one)]
        _print(shown, as_json=as_json)
        if not (adopt or kill.job_ids or kill.everything):
            return run.Code.FAILED if shown else run.Code.OK
        by_id = {one.job_id: one for one in seen}
        for job_id in [*adopt, *kill.job_ids]:
            if job_id not in by_id:
                raise typer.BadParameter("no orphan has this id", param_hint=job_id)
        places = {_whose(job): place for place, job in placed if job.state is engine_jobs.State.UNKNOWN}
        settled = [_settling(by_id[job_id], places, why) for job_id in adopt]
        killed = [one for one in seen if one.job_id in kill.job_ids or (kill.everything and _may_go(one))]
        if not yes and (settled or killed):
            typer.confirm(f"adopt {len(settled)} and kill {len(killed)}?", abort=True, err=True)
        whys = {"adopt": [by_id[job_id] for job_id in adopt], "kill": killed}
        decided = [(one.job_id, _decision(action, one, why)) for action, several in whys.items() for one in several]
        if decided:
            await audit.note(found.kafka, *decided)
        if settled:
            await topic_io.send(connect.broker(found.kafka), settled)
        for one in killed:
            await _kill(mrs, one, _api_of(one, old_ids))
    return _leave([one for one in seen if kill.everything and one not in killed and _may_be_foreign(one)])


def _decision(action: str, one: finding.Orphan, why: str) -> decisions.Data:
    return audit.data(f"orphan.{action}", why, {"job_id": one.job_id, "cluster": one.cluster})


def _matters(one: finding.Orphan) -> bool:
    """Return whether the orphan still runs or a request waits for it; another deployment's jobs do not count."""
    return one.kind in {"unclaimed", "lost"} or (one.kind != "foreign" and _end(one) is None)


def _may_go(one: finding.Orphan) -> bool:
    """Return whether the orphan still runs, no request needs it, and no other deployment can own it."""
    return one.proven and one.kind in {"forgotten", "twin", "left"} and _end(one) is None


def _may_be_foreign(one: finding.Orphan) -> bool:
    """Return whether the orphan still runs, no request needs it, and its owner cannot be determined."""
    return not one.proven and one.kind in {"stranger", "twin", "left"} and _end(one) is None


def _leave(kept: Sequence[finding.Orphan]) -> run.Code:
    """Print the jobs that were not stopped, and how to stop them."""
    if not kept:
        return run.Code.OK
    chosen = " ".join(f"--kill {one.job_id}" for one in kept)
    text = (
        f"left {len(kept)} that another deployment could own, because their names do not say whose they are; if no "
        f"other one uses this project, stop them by their ids: mrs-relay orphans {chosen}"
    )
    view.err().print(view.plain(text), soft_wrap=True)
    return run.Code.FAILED


def _end(one: finding.Orphan) -> str | None:
    """Return how the orphan's job ended, as a verdict; None if it has not ended."""
    return _VERDICTS.get(verdict.of_job(one.seen.job_state, one.seen.job_result)) if one.seen else None


async def _all_clusters(mrs: clients.Client) -> list[str]:
    from mrs_relay.mrs.operations import lists  # noqa: PLC0415 - as above

    listed = mrs.iterate(lists.CLUSTERS, query={"clusterState": "existing"})
    return [one.cluster_id async for one in listed]


async def _listed(mrs: clients.Client, cluster: str, old_clusters: Collection[str]) -> _Listed:
    """
    List all jobs of a cluster by both job APIs; for a job in both lists, V2's entry is used.

    A cluster that refuses one of the APIs has no jobs of that API, unless the ledger holds some.
    """
    from mrs_relay.engine.work import observations  # noqa: PLC0415 - as above
    from mrs_relay.mrs.operations import lists  # noqa: PLC0415 - the same

    found: dict[str, tuple[str, engine_jobs.MrsStatus]] = {}
    old: dict[str, tuple[str, engine_jobs.MrsStatus]] = {}
    try:
        async for one in mrs.iterate(lists.JOBS, path={"cluster_id": cluster}):
            found[one.job_id] = (str(one.job_name), observations.of_job(one))
    except errors.MrsRefused as error:
        if error.code != codes.NO_NEW_JOBS:
            raise
    try:
        async for job in mrs.iterate(lists.OLD_JOBS, query={"cluster_id": cluster}):
            old[job.id] = (job.job_name, observations.of_v11_job(job))
    except errors.MrsRefused:
        if cluster in old_clusters:
            raise
    return _Listed(cluster, list({**old, **found}.values()), frozenset(old.keys() - found.keys()))


def _whose(job: engine_jobs.Job) -> tuple[str, engine_jobs.LedgerKey]:
    return job.tenant, job.ledger_key


def _settling(
    one: finding.Orphan, places: Mapping[tuple[str, engine_jobs.LedgerKey], records.Position], why: str
) -> records.Outgoing:
    """
    Make the message that settles the orphan's request, for the partition that holds it.

    Raises:
        SettingsError: there is no request to settle, or its job has not ended yet.
    """
    request, ended = one.request, _end(one)
    if one.kind != "unclaimed" or request is None:
        raise errors.SettingsError(f"{one.job_id} is a {one.kind}: there is no unknown request that could adopt it")
    if ended is None:
        raise errors.SettingsError(f"{one.job_id} has not ended yet; wait until it has, or kill it")
    note = f"adopted MRS job {one.job_id}, found by its token" + (f": {why}" if why else "")
    said = settling.Verdict(ended, note)
    return settling.message(request, places[_whose(request)], said)


def _api_of(one: finding.Orphan, old_ids: Collection[str]) -> engine_jobs.Api:
    """Return the API that stops the orphan: that of its request, or the one whose list shows it."""
    if one.request is not None:
        return one.request.api
    return "v1.1" if one.job_id in old_ids else "v2"


async def _kill(mrs: clients.Client, one: finding.Orphan, api: engine_jobs.Api) -> None:
    from mrs_relay.mrs.operations import executions  # noqa: PLC0415 - as above
    from mrs_relay.mrs.operations import jobs as calls  # noqa: PLC0415 - as above

    path = {"job_execution_id": one.job_id}
    if api == "v1.1":
        await mrs.call(executions.CANCEL_JOB_EXECUTION, path=path)
    else:
        await mrs.call(calls.STOP_JOB, path={"cluster_id": one.cluster, **path})
    view.err().print(view.plain(f"asked MRS to stop {one.job_id}"), soft_wrap=True)


def as_row(one: finding.Orphan) -> dict[str, Any]:
    """Make the row of an orphan for programs; members without a value are left out."""
    row = {
        "kind": one.kind,
        "cluster": one.cluster,
        "job_id": one.job_id,
        "job_name": one.name,
        "job_state": one.seen.job_state if one.seen else None,
        "job_result": one.seen.job_result if one.seen else None,
        "submitted_at": clock.shown(one.seen.submitted_ms) if one.seen and one.seen.submitted_ms else None,
        "request": {"id": one.request.id, "source": one.request.source} if one.request else None,
        "advice": _ADVICE[one.kind],
    }
    return {name: value for name, value in row.items() if value is not None}


def _print(shown: Sequence[finding.Orphan], *, as_json: bool) -> None:
    if as_json:
        for one in shown:
            typer.echo(codec.encode(as_row(one)))
        return
    out = view.out()
    if not shown:
        out.print("no orphans")
        return

    body = table_layout.fitted(
        [
            table_layout.Column("kind", [one.kind for one in shown]),
            table_layout.Column("MRS id", [view.plain(one.job_id) for one in shown]),
            table_layout.Column(
                "state", [view.plain(one.seen.job_state if one.seen else "not shown") for one in shown]
            ),
            table_layout.Column("name", [view.plain(one.name) for one in shown], drop=2),
            table_layout.Column("request", [view.plain(one.request.id if one.request else "") for one in shown]),
            table_layout.Column("cluster", [view.short(one.cluster) for one in shown], drop=1),
        ],
        table_layout.Column("what to do", [_ADVICE[one.kind] for one in shown]),
        out.width,
    )
    kinds = {one.kind: finding.KINDS[one.kind] for one in shown}
    out.print(view.titled("", body, "; ".join(f"{kind}: {text}" for kind, text in kinds.items())))
