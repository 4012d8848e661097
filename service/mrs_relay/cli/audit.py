"""`mrs-relay audit`: who decided what; and the records of decisions that other commands write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich import table

from mrs_relay.cli import complete, compose, connect, options, run, view
from mrs_relay.client import auditing
from mrs_relay.common import clock
from mrs_relay.kafka import records as kafka_records
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka import topic_io
from mrs_relay.messages import audit as records


def audit(
    *,
    since: Annotated[str, typer.Option("--since", metavar="DURATION", help="Only of the last 10m, 2h or 1d.")] = "7d",
    action: Annotated[str | None, typer.Option("--action", help="Only of this kind, such as cancel.")] = None,
    by: Annotated[str | None, typer.Option("--by", help="Only by this person or program.")] = None,
    subject: Annotated[
        str | None,
        typer.Option("--id", help="Only on this request, or whatever else it concerns.", autocompletion=complete.ids),
    ] = None,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.Tenant = None,
) -> None:
    """
    Show the decisions of people and programs: who, from where, what, why, and what changed.

    The events that its message caused say what became of a decision: `mrs-relay watch --id …`.
    """
    since_s = options.seconds(since)
    if since_s is None:
        raise typer.BadParameter(f"{since!r} is no duration such as 90s, 10m or 2h", param_hint="--since")
    wanted = {"action": action, "by": by, "subject": subject}
    found = run.loop(_read(connect.kafka(config, bootstrap, tenant), since_s, wanted))

    if not as_json:
        view.out().print(_table(found) if found else "no decision was made")
        return
    for one in found:
        typer.echo(records.write(one))


async def _read(
    kafka: kafka_settings.KafkaSettings, since_s: float, wanted: Mapping[str, str | None]
) -> Sequence[records.Record]:
    since_ms = max(1, clock.SystemClock().now_ms() - round(since_s * 1000))
    found = []
    async for record in topic_io.read_all(connect.broker(kafka), kafka.topics.audit, topic_io.Start(since_ms)):
        try:
            one = records.read(record.value)
        except ValueError:
            continue  # a record of somebody else
        given = {"action": one.data.action, "by": one.sender and one.sender.authid, "subject": one.subject}
        if all(value is None or given[name] == value for name, value in wanted.items()):
            found.append(one)
    return sorted(found, key=lambda one: one.time_ms)


def _table(found: Sequence[records.Record]) -> table.Table:
    shown = table.Table(box=None, header_style="bold")
    for name in ("time", "who", "from", "did", "to", "before", "why"):
        shown.add_column(name, overflow="fold")
    for one in found:
        data = one.data
        who = one.sender.authid if one.sender else "-"
        before = ", ".join(map(str, data.before.values()))
        place = f"{data.via} {data.place or ''}".strip()
        row = (clock.shown(one.time_ms), who, place, data.action, one.subject, before, data.why)
        shown.add_row(*(view.plain(cell) for cell in row))
    return shown


async def note(kafka: kafka_settings.KafkaSettings, *decided: tuple[str, records.Data]) -> None:
    """
    Note decisions of the person who runs this command, before they are carried out.

    Args:
        kafka: the settings.
        decided: what each concerns, and the decision.

    Raises:
        StreamError: they are perhaps not written; nothing must be carried out then.
    """
    broker = connect.broker(kafka)

    async def send(outgoing: Sequence[kafka_records.Outgoing]) -> None:
        await topic_io.send(broker, outgoing)

    def warn(text: str) -> None:
        view.err().print(view.plain(text, "yellow"), soft_wrap=True)

    trail = auditing.AuditTrail(broker, kafka.topics.audit, compose.SOURCE, send, clock.SystemClock(), warn)
    await trail.write(auditing.person(), *decided)


def data(action: str, why: str, what: Mapping[str, Any], **more: Any) -> records.Data:  # noqa: ANN401 - other fields
    """Return a decision that is made on the command line of this host."""
    return records.Data(action=action, via="cli", place=auditing.host(), why=why, what=what, **more)
