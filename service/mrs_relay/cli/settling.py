"""
`mrs-relay resolve` for many requests at once: chosen from the ledger, shown, confirmed, and settled one message each.

The ledger holds the `unknown` requests with their partitions and Kafka keys, so each message is sent to the partition
of its request. Neighbours: `control` has the command, `ledger` reads and draws the jobs.
"""

from __future__ import annotations

import pathlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import typer

from mrs_relay.cli import audit, compose, connect, ledger, run, view
from mrs_relay.common import clock
from mrs_relay.engine.model import jobs as engine_jobs
from mrs_relay.kafka import records, topic_io
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.messages import audit as decisions
from mrs_relay.messages import codec


@dataclass(frozen=True, slots=True)
class Choice:
    """
    A filter of unknown requests; all conditions that are set must hold.

    Attributes:
        ids: request ids; None: any.
        source: their source; None: any.
        clusters: MRS clusters; empty: any.
        codes: codes of the reason for `unknown`; empty: any.
        since_s: arrived in this many last seconds; None: any time.
    """

    ids: Collection[str] | None = None
    source: str | None = None
    clusters: Collection[str] = ()
    codes: Collection[str] = ()
    since_s: float | None = None

    def takes(self, job: engine_jobs.Job, now_ms: int) -> bool:
        """Return whether the filter matches a job, provided that it is unknown."""
        return (
            (self.ids is None or job.id in self.ids)
            and (self.source is None or job.source == self.source)
            and (not self.clusters or job.cluster in self.clusters)
            and (not self.codes or (job.reason is not None and job.reason.code in self.codes))
            and (self.since_s is None or job.arrived_ms >= now_ms - self.since_s * 1000)
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """A person's decision: `verdict`, and in `note` the person and the reason."""

    verdict: str
    note: str


def ids_of(file: pathlib.Path) -> list[str]:
    """Read the ids in a file, one a line; empty lines and those that begin with # are skipped."""
    lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def message(job: engine_jobs.Job, place: records.Position, said: Verdict) -> records.Outgoing:
    """
    Make the message that settles a request of the ledger, for the partition that holds it.

    Raises:
        BadMessage: the verdict or the note is not valid.
    """
    target = {"id": job.id, "source": job.source}
    data = {"request": target, "verdict": said.verdict, "note": said.note}
    made = compose.message({"type": "mrs.job.resolve", "data": data}, compose.Defaults(key=job.id))
    return records.Outgoing(place.topic, job.key, made.value, made.headers, place.partition)


async def settle(
    kafka: kafka_settings.KafkaSettings, choice: Choice, said: Verdict, *, yes: bool, as_json: bool, tenant: str
) -> run.Code:
    """
    Settle all unknown requests of a choice, after showing them.

    Returns:
        OK, or FAILED if an id of the choice belongs to no unknown request.
    """
    now_ms = clock.SystemClock().now_ms()
    placed = await ledger.placed(kafka)
    meant = [
        (partition, job)
        for partition, job in placed
        if job.state is engine_jobs.State.UNKNOWN and choice.takes(job, now_ms)
    ]

    topic = kafka.topics.requests
    outgoing = [message(job, records.Position(topic, partition), said) for partition, job in meant]
    shown = [job for _, job in meant]
    _show(shown, said, now_ms, as_json=as_json)

    # Report the named ids that are not settled, and their states.
    others = sorted(set(choice.ids or ()) - {job.id for job in shown})
    for request_id in others:
        states = {job.state.value for _, job in placed if job.id == request_id and choice.source in {None, job.source}}
        why = f"is {', '.join(sorted(states))}, not unknown" if states else "is no request of this ledger"
        view.err().print(view.plain(f"{request_id} {why}: not settled", "red"), soft_wrap=True)

    if outgoing:
        if not yes:
            typer.confirm(f"settle {len(outgoing)} as {said.verdict}?", abort=True, err=True)
        await audit.note(kafka, *((job.id, _decision(job, said, tenant)) for job in shown))
        await topic_io.send(connect.broker(kafka), outgoing)
    return run.Code.FAILED if others else run.Code.OK


def _decision(job: engine_jobs.Job, said: Verdict, tenant: str) -> decisions.Data:
    what, before = {"id": job.id, "source": job.source}, {"state": job.state.value}
    return audit.data("resolve", said.note, what, before=before, after={"verdict": said.verdict}, tenant=tenant)


def _show(shown: Sequence[engine_jobs.Job], said: Verdict, now_ms: int, *, as_json: bool) -> None:
    if as_json:
        for job in shown:
            typer.echo(codec.encode({**ledger.as_row(job), "verdict": said.verdict}))
        return
    out = view.out()
    if shown:
        out.print(ledger.jobs_table(shown, total=len(shown), now_ms=now_ms, width=out.width))
    else:
        out.print("no unknown request is meant")
