"""
`mrs-relay why`: say what holds a request, from the ledger and the status of the relays.

The same function answers over HTTP, see `read_model.why`. The ledger has the request also before its first event.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import typer
from rich import text

from mrs_relay import errors, tenants
from mrs_relay.cli import complete, connect, ledger, options, run, view
from mrs_relay.cli import holds as control_commands
from mrs_relay.common import clock
from mrs_relay.engine.model import jobs as engine_jobs
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka import topic_io
from mrs_relay.messages import codec
from mrs_relay.messages import controls as control_messages
from mrs_relay.read_model import holds, status_board
from mrs_relay.read_model import why as reasons

_SHOWN: Final = 5


def why(
    request_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the request.", autocompletion=complete.ids)],
    *,
    source: Annotated[str | None, typer.Option("--source", help="Its source, if several requests have the id.")] = None,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.Tenant = None,
) -> None:
    """
    Say what holds a request, in the order in which it has to end, and what ends each of it.

    It reads the ledger and what the relays publish on kafka.topics.status. Exit code 1: there is no such request.
    """
    chosen = connect.chosen(connect.tenancies(config, bootstrap), tenant)
    found, known = run.loop(_read(chosen))
    meant = [job for job in found if job.id == request_id and source in {None, job.source}]
    if not meant:
        text_ = f"the ledger has no request {request_id!r}: it has not been read yet, or was forgotten after its time"
        view.err().print(view.plain(text_, "bold red"), soft_wrap=True)
        raise typer.Exit(run.Code.FAILED)

    now_ms = clock.SystemClock().now_ms()
    for job in meant:
        asked = asked_of(job, chosen.name)
        held = reasons.explain(asked, known, now_ms)
        if as_json:
            typer.echo(codec.encode(_row(asked, job, held)))
        else:
            for line in _lines(asked, job, held, now_ms):
                view.out().print(line, soft_wrap=True)


async def _read(chosen: tenants.ResolvedTenant) -> tuple[list[engine_jobs.Job], holds.Known]:
    found = [job for job in await ledger.read(chosen.kafka) if job.state is not engine_jobs.State.PENDING_CANCEL]
    board, controls, problems = status_board.StatusBoard(), list[control_messages.Control](), list[str]()
    try:
        board = await read_board(chosen.kafka)
    except errors.SettingsError as error:  # a deployment from before the topic
        problems.append(str(error))
    with contextlib.suppress(errors.SettingsError):  # without the topic there are no controls
        controls = await control_commands.in_effect([chosen])
    return found, holds.Known(board, problems, controls)


async def read_board(kafka: kafka_settings.KafkaSettings) -> status_board.StatusBoard:
    """
    Read what the relays have published to the present end.

    Raises:
        SettingsError: there is no such topic. StreamDown: Kafka cannot be reached.
    """
    board = status_board.StatusBoard()
    async for record in topic_io.read_all(connect.broker(kafka), topic_of(kafka)):
        board.apply(record)
    return board


def topic_of(kafka: kafka_settings.KafkaSettings) -> str:
    """Return the topic of the status. Raises SettingsError if none is set."""
    if kafka.topics.status is None:
        raise errors.SettingsError("kafka.topics.status is empty: the relays publish no status")
    return kafka.topics.status


def asked_of(job: engine_jobs.Job, tenant: str) -> holds.Asked:
    """Describe a job of the ledger as `why` asks about it."""
    trait, seen = engine_jobs.TRAITS[job.state], job.seen
    return holds.Asked(
        tenant=tenant,
        source=job.source,
        id=job.id,
        state=trait.shown,
        ended=trait.last,
        updated_ms=(seen.finished_ms if seen is not None and trait.last else 0) or job.arrived_ms,
        cluster=job.cluster,
        kafka_key=job.key or b"",
        reason="" if job.reason is None else f"{job.reason.code}: {job.reason.message}",
        job_id="" if seen is None else seen.job_id,
        progress=None if seen is None else seen.progress,
        kind=job.subject,
        labels=job.labels or {},
        not_before_ms=job.not_before_ms if job.state is engine_jobs.State.QUEUED else 0,
    )


def _row(asked: holds.Asked, job: engine_jobs.Job, held: Sequence[holds.Hold]) -> Mapping[str, Any]:
    return {
        "tenant": asked.tenant,
        "source": asked.source,
        "id": asked.id,
        "state": job.state.value,
        "ended": asked.ended,
        "holds": [holds.members(one) for one in held],
    }


def _lines(
    asked: holds.Asked, job: engine_jobs.Job, held: Sequence[holds.Hold], now_ms: int
) -> Iterator[text.Text | str]:
    since = f", arrived {view.age((now_ms - job.arrived_ms) / 1000)} ago"
    yield text.Text.assemble(view.plain(asked.id, "bold"), "  ", view.state(job.state.value), since)
    for number, one in enumerate(held, start=1):
        yield text.Text.assemble(f" {number}  ", view.plain(one.code, "yellow"), "  ", view.plain(one.text))
        for line in _details(one, now_ms):
            yield view.plain(f"    {line}", "dim")


def _details(one: holds.Hold, now_ms: int) -> Iterator[str]:
    yield f"clears: {one.clears}"
    if one.earliest_ms:
        left_s = (one.earliest_ms - now_ms) / 1000
        yield f"not before: {clock.shown(one.earliest_ms)}, in {view.age(left_s)}"
    if one.jobs:
        more = f" and {len(one.jobs) - _SHOWN} more" if len(one.jobs) > _SHOWN else ""
        yield f"waits for: {', '.join(job.id for job in one.jobs[:_SHOWN])}{more}"
    if one.replica:
        stale = ", which is silent or has left: this may no longer be true" if one.stale else ""
        yield f"says: relay {one.replica}, {view.age((now_ms - one.at_ms) / 1000)} ago{stale}"
