"""
`mrs-relay topics`: make the Kafka topics that the relay needs, and check those that are there.

Neighbour: `stream.topics` knows which and how; `serve` runs the same check at its start.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated

import typer

from mrs_relay.cli import connect, options, run, view
from mrs_relay.messages import codec
from mrs_relay.stream import settings as stream_settings
from mrs_relay.stream import topics

app = typer.Typer(no_args_is_help=True, help="Make the Kafka topics that the relay needs, or check them.")


@app.command(
    epilog=run.epilog(
        "mrs-relay topics create --partitions 12 --replication 3", "mrs-relay topics create --bootstrap kafka:9092"
    )
)
def create(
    *,
    partitions: Annotated[
        int | None,
        typer.Option(
            "--partitions", min=1, help="Of requests, ledger and events. Default: the setting kafka.partitions."
        ),
    ] = None,
    replication: Annotated[
        int | None,
        typer.Option(
            "--replication", min=1, help="Replicas. Default: the setting kafka.replication_factor, or the broker's."
        ),
    ] = None,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
) -> None:
    """
    Make the topics that are missing; those that exist are left as they are.

    Requests, events, dead letters, the compacted ledger of the requests, and kafka.topics.latest if it is set.
    """
    kafka = connect.kafka(config, bootstrap)
    changes = {"partitions": partitions, "replication_factor": replication}
    kafka = kafka.model_copy(update={name: value for name, value in changes.items() if value is not None})
    made, counts = run.loop(_create(kafka))
    _show(kafka, made, counts, as_json=as_json)


@app.command(epilog=run.epilog("mrs-relay topics check", "mrs-relay topics check --json"))
def check(
    *,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
) -> None:
    """Check the topics as the relay does at its start; exit 1 and a line for each problem."""
    kafka = connect.kafka(config, bootstrap)
    report = run.loop(_check(kafka))
    if as_json:
        told = dataclasses.asdict(report)
        typer.echo(codec.encode({**told, "limits_bytes": dict(report.limits_bytes), "ok": not report.problems}))
    else:
        print_report(report)
    if report.problems:
        raise typer.Exit(run.Code.FAILED)


def print_report(report: topics.Report) -> None:
    """Problems, notes and, if there is no problem, a word of comfort."""
    out = view.out()
    for problem in report.problems:
        out.print(view.plain(f"✗ {problem}", "bold red"), soft_wrap=True)
    for note in report.notes:
        out.print(view.plain(f"· {note}", "yellow"), soft_wrap=True)
    if not report.problems:
        out.print(view.plain(f"✓ all topics are as they must be; requests has {report.partitions} partitions", "green"))


async def _create(kafka: stream_settings.KafkaSettings) -> tuple[tuple[str, ...], Mapping[str, int]]:
    async with connect.broker(kafka).admin() as admin:
        made = await topics.create(admin, kafka)
        return made, await admin.partition_counts()


async def _check(kafka: stream_settings.KafkaSettings) -> topics.Report:
    async with connect.broker(kafka).admin() as admin:
        return await topics.check(admin, kafka)


def _show(
    kafka: stream_settings.KafkaSettings, made: tuple[str, ...], counts: Mapping[str, int], *, as_json: bool
) -> None:
    table = view.grid("topic", "partitions", "")
    for name in topics.names(kafka):
        if as_json:
            typer.echo(codec.encode({"topic": name, "partitions": counts.get(name), "created": name in made}))
        table.add_row(name, str(counts.get(name, "?")), "created" if name in made else "was there")
    if not as_json:
        view.out().print(table)
