"""
`mrs-relay jobs`: show the present jobs, read from the ledger.

It reads each ledger partition once to its end with read_committed and keeps the latest record of each key. The content
of a request (arguments, properties, SQL) is in the ledger until MRS has it, and is never shown.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich import console

from mrs_relay.cli import complete, connect, options, run, table_layout, view
from mrs_relay.common import clock
from mrs_relay.engine.model import job_records
from mrs_relay.engine.model import jobs as engine_jobs
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka import topic_io
from mrs_relay.messages import codec


def jobs(
    *,
    states: Annotated[
        list[str] | None, typer.Option("--state", metavar="STATE", help="Only this state; repeat for more.")
    ] = None,
    clusters: Annotated[
        list[str] | None, typer.Option("--cluster", help="Only this MRS cluster.", autocompletion=complete.clusters)
    ] = None,
    ids: Annotated[
        list[str] | None, typer.Option("--id", help="Only this request id.", autocompletion=complete.ids)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Rows at most, newest first; 0 shows all.")] = 50,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.Tenant = None,
) -> None:
    """Show the jobs as the relay's ledger has them, newest first."""
    known = {state.value for state in engine_jobs.State}
    if unknown := set(states or ()) - known:
        raise typer.BadParameter(
            f"no state {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}", param_hint="--state"
        )

    kafka = connect.kafka(config, bootstrap, tenant)
    found = run.loop(read(kafka))
    wanted = [
        job
        for job in found
        if (not states or job.state in states)
        and (not clusters or job.cluster in clusters)
        and (not ids or job.id in ids)
    ]
    wanted.sort(key=lambda job: (job.arrived_ms, job.order), reverse=True)
    shown = wanted[:limit] if limit else wanted

    if as_json:
        for job in shown:
            typer.echo(codec.encode(as_row(job)))
        return
    out = view.out()
    out.print(jobs_table(shown, total=len(wanted), now_ms=clock.SystemClock().now_ms(), width=out.width))
    out.print(view.counts(collections.Counter(job.state.value for job in wanted)))


async def read(kafka: kafka_settings.KafkaSettings) -> list[engine_jobs.Job]:
    """Read all jobs of all partitions, as last committed."""
    return [job for _, job in await placed(kafka)]


async def placed(kafka: kafka_settings.KafkaSettings) -> list[tuple[int, engine_jobs.Job]]:
    """
    Read all jobs as last committed, each with its partition.

    Several partitions may hold one key: a cancel waits in each partition that does not have its request.
    """
    latest: dict[tuple[int, bytes], bytes] = {}
    async for record in topic_io.read_all(connect.broker(kafka), kafka.topics.ledger):
        if record.key is None or record.key.startswith(b"\0"):
            continue
        if record.value is None:
            latest.pop((record.partition, record.key), None)
        else:
            latest[record.partition, record.key] = record.value
    return [(partition, job_records.decode(value)) for (partition, _), value in latest.items()]


def as_row(job: engine_jobs.Job) -> dict[str, Any]:
    """Make the row of a job for programs, without its content; members without a value are left out."""
    seen = job.seen
    row = {
        "id": job.id,
        "source": job.source,
        "type": job.subject,
        "api": job.api if job.api != "v2" else None,
        "state": job.state.value,
        "sequence": job.sequence,
        "cluster": job.cluster,
        "priority": job.priority,
        "attempt": job.attempt,
        "arrived_at": clock.shown(job.arrived_ms),
        "labels": job.labels,
        "job_name": job.mrs_name,
        "job_id": seen.job_id if seen else None,
        "job_state": seen.job_state if seen else None,
        "job_result": seen.job_result if seen else None,
        "progress": seen.progress if seen else None,
        "app_id": seen.app_id if seen else None,
        "finished_at": clock.shown(seen.finished_ms) if seen and seen.finished_ms else None,
        "location": job.location,
        "reason": _reason(job.reason, job.cause),
    }

    return {name: value for name, value in row.items() if value not in (None, "", {})}


def _reason(reason: engine_jobs.Reason | None, cause: engine_jobs.Cause | None) -> Mapping[str, Any] | None:
    if reason is None:
        return None

    known = cause or engine_jobs.Cause()
    log = {
        "cause": known.name,
        "detail": known.detail,
        "log_location": known.log,
        "detail_unavailable": known.unavailable,
    }

    return {
        "class": reason.kind,
        "code": reason.code,
        "message": reason.message,
        **({"mrs_request_id": reason.mrs_request_id} if reason.mrs_request_id else {}),
        **{name: value for name, value in log.items() if value},
    }


def jobs_table(shown: Sequence[engine_jobs.Job], *, total: int, now_ms: int, width: int) -> console.Group:
    """Draw the jobs as a table of at most `width` characters, in the given order."""
    body = table_layout.fitted(
        [
            table_layout.Column("request", [view.plain(job.id) for job in shown]),
            table_layout.Column("type", [job.subject for job in shown], drop=3),
            table_layout.Column("state", [view.state(job.state.value) for job in shown]),
            table_layout.Column("cluster", [view.short(job.cluster) for job in shown], drop=2),
            table_layout.Column("MRS id", [view.plain(job.seen.job_id if job.seen else "") for job in shown], drop=1),
            table_layout.Column("arrived", [f"{view.age((now_ms - job.arrived_ms) / 1000)} ago" for job in shown]),
            table_layout.Column("attempt", [str(job.attempt) for job in shown], drop=4),
            table_layout.Column("source", [view.plain(job.source) for job in shown], drop=5),
        ],
        table_layout.Column("reason", [view.plain(_reason_line(job)) for job in shown]),
        width,
    )
    footer = f"the newest {len(shown)} of {total}; --limit 0 shows all" if len(shown) < total else ""

    return view.titled("", body, footer)


def _reason_line(job: engine_jobs.Job) -> str:
    if job.reason is None:
        return ""
    cause = f" ({job.cause.name})" if job.cause is not None and job.cause.name else ""
    return " ".join(f"{job.reason.code}{cause}: {job.reason.message}".split())
