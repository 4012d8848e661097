"""
`mrs-relay topics`: make the Kafka topics that the relay needs, check existing ones, and print the rights on them.

Neighbour: `kafka.topics` defines the topics and their rules; `serve` runs the same check at its start.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from mrs_relay.cli import connect, options, run, topic_rights, view
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.topics import acl_plan, topic_setup
from mrs_relay.messages import codec

app = typer.Typer(
    no_args_is_help=True, help="Make the Kafka topics that the relay needs, check them, or print the rights on them."
)


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
    tenant: options.AnyTenant = None,
) -> None:
    """
    Make the topics that are missing; those that exist are left as they are.

    Requests, events, dead letters, controls, the compacted ledger of the requests, and kafka.topics.latest if it is
    set; with tenants, those of each.
    """
    changes = {"partitions": partitions, "replication_factor": replication}
    given = {name: value for name, value in changes.items() if value is not None}
    wanted = [one.kafka.model_copy(update=given) for one in connect.meant(config, bootstrap, tenant)]
    made, counts = run.loop(_create(wanted))
    _show(wanted, made, counts, as_json=as_json)


@app.command(epilog=run.epilog("mrs-relay topics check", "mrs-relay topics check --json"))
def check(
    *,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.AnyTenant = None,
) -> None:
    """Check the topics as the relay does at its start; exit 1 and a line for each problem."""
    meant = connect.meant(config, bootstrap, tenant)
    reports = run.loop(_check([one.kafka for one in meant]))
    for one, report in zip(meant, reports, strict=True):
        whose = {"tenant": one.name} if one.name else {}
        if as_json:
            typer.echo(codec.encode({**whose, **_as_json(report), "ok": not report.problems and not report.outages}))
        else:
            print_report(report, one.name)
    if any(report.problems or report.outages for report in reports):
        raise typer.Exit(run.Code.FAILED)


@app.command(
    epilog=run.epilog(
        "mrs-relay topics acls --principal User:relay", "mrs-relay topics acls --role web --strimzi kafka"
    )
)
def acls(
    *,
    role: Annotated[
        acl_plan.Role,
        typer.Option("--role", help="Who gets the rights: serve, web, or a service that sends or reads."),
    ] = "relay",
    principal: Annotated[
        str, typer.Option("--principal", metavar="USER", help="As Kafka names it.")
    ] = "User:mrs-relay",
    strimzi: Annotated[
        str | None,
        typer.Option("--strimzi", metavar="CLUSTER", help="Print KafkaTopic and KafkaUser of Strimzi, as JSON a line."),
    ] = None,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.AnyTenant = None,
) -> None:
    """Print the rights on Kafka that a role needs, as commands of `kafka-acls.sh`; nothing is asked or changed."""
    for one in connect.meant(config, bootstrap, tenant):
        rules = acl_plan.acls(one.kafka, role)
        if strimzi is None:
            for command in topic_rights.commands(rules, one.kafka.bootstrap_servers, principal):
                typer.echo(command)
        else:
            for resource in topic_rights.resources(one.kafka, rules, strimzi, principal.partition(":")[2]):
                typer.echo(codec.encode(resource))


def _as_json(report: topic_setup.Report) -> dict[str, Any]:
    """Make the row of a report for programs."""
    texts = {"problems": report.problems, "outages": report.outages, "notes": report.notes}
    return {**texts, **dataclasses.asdict(report), "limits_bytes": dict(report.limits_bytes)}


def print_report(report: topic_setup.Report, tenant: str) -> None:
    """Print problems and notes, or that there is no problem; under the tenant's name, if it has one."""
    out = view.out()
    if tenant:
        out.print(view.plain(f"tenant {tenant}", "bold"))
    for problem in (*report.problems, *report.outages):
        out.print(view.plain(f"✗ {problem}", "bold red"), soft_wrap=True)
    for note in report.notes:
        out.print(view.plain(f"· {note}", "yellow"), soft_wrap=True)
    if not report.problems and not report.outages:
        out.print(view.plain(f"✓ all topics are as they must be; requests has {report.partitions} partitions", "green"))


async def _create(wanted: Sequence[kafka_settings.KafkaSettings]) -> tuple[set[str], Mapping[str, int]]:
    async with connect.broker(wanted[0]).admin() as admin:
        made = {name for kafka in wanted for name in await topic_setup.create(admin, kafka)}
        return made, await admin.partition_counts()


async def _check(wanted: Sequence[kafka_settings.KafkaSettings]) -> list[topic_setup.Report]:
    async with connect.broker(wanted[0]).admin() as admin:
        return [await topic_setup.check_settled(admin, kafka) for kafka in wanted]


def _show(
    wanted: Sequence[kafka_settings.KafkaSettings], made: set[str], counts: Mapping[str, int], *, as_json: bool
) -> None:
    table = view.grid("topic", "partitions", "")
    for name in dict.fromkeys(name for kafka in wanted for name in topic_setup.names(kafka)):
        if as_json:
            typer.echo(codec.encode({"topic": name, "partitions": counts.get(name), "created": name in made}))
        table.add_row(name, str(counts.get(name, "?")), "created" if name in made else "was there")
    if not as_json:
        view.out().print(table)
