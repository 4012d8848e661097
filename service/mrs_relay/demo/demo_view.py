"""The output of the demo: running requests, their ends, some result rows, and how to send one's own requests."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich import console, table, text

from mrs_relay.cli import request_table, table_layout, view
from mrs_relay.demo import demo_requests, demo_stage
from mrs_relay.messages import events

_ANSWERS: Final = {
    "tpch-q04": "TPC-H Q4 by Presto SQL: MRS left the rows in OBS, the relay read them",
    "tpch-q05": "TPC-H Q5 by Spark SQL: MRS gave the rows out",
    "tpch-q03": "TPC-H Q3 by Hive SQL: its statement wrote the rows to OBS, the relay read them",
}
"""The requests whose rows are shown, with the titles above them: one of each engine."""

ENGINES_WITH_ROWS: Final = "Presto, Spark and Hive"

_LIVE_FRAME: Final = 6
_FEWEST: Final = 6
_ROWS: Final = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """
    The end of one request.

    Attributes:
        planned: the request.
        row: its latest event, or None when there was none.
        took_s: seconds from its first event to its last.
    """

    planned: demo_requests.Planned
    row: request_table.Row | None
    took_s: float

    @property
    def outcome(self) -> str:
        """The state of its last event, or "no event"."""
        return "no event" if self.row is None else self.row.state

    @property
    def as_expected(self) -> bool:
        """Whether it ended as planned."""
        return self.outcome == self.planned.expected


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """
    One condition that must hold at the end.

    Attributes:
        holds: whether it does.
        text: the condition, for people.
    """

    holds: bool
    text: str


def live(
    planned: Sequence[demo_requests.Planned],
    seen: request_table.RequestTable,
    *,
    now_ms: int,
    start_ms: int,
    size: tuple[int, int],
) -> console.Group:
    """Draw the table of running requests for a terminal of `size` (width, height): active, then ended, then waiting."""
    by_key = {one.key: one for one in planned}
    width, height = size
    rows = [row for row in seen.rows() if row.key in by_key]
    rows.sort(key=lambda row: (row.state == "accepted", row.ended))
    shown = rows[: max(height - _LIVE_FRAME, _FEWEST)]

    head = text.Text.assemble(
        (f"{view.age((now_ms - start_ms) / 1000):>6}  ", "dim"),
        (f"{sum(row.ended for row in rows)}/{len(planned)} ended   ", "bold"),
        view.counts(seen.counts()),
    )

    body = table_layout.fitted(
        [
            table_layout.Column("request", [view.plain(row.key[1]) for row in shown]),
            table_layout.Column("what", [by_key[row.key].what for row in shown]),
            table_layout.Column("state", [view.state(row.state) for row in shown]),
            table_layout.Column("progress", [view.bar(row) for row in shown], drop=1),
            table_layout.Column("cluster", [view.short(row.cluster) for row in shown], drop=2),
            table_layout.Column("MRS id", [view.short(row.job_id) for row in shown], drop=3),
            table_layout.Column("time", [view.age(view.lasted_s(row, now_ms)) for row in shown]),
        ],
        table_layout.Column("reason", [view.plain(row.reason) for row in shown]),
        width,
    )
    return view.titled(head, body)


def line(one: demo_requests.Planned, row: request_table.Row, at_s: float) -> text.Text:
    """Format one request's end on one line, for output that is no terminal."""
    return text.Text.assemble(
        f"  {at_s:5.1f} s  ", (f"{row.state:<10}", view.STYLES[row.state]), f" {one.message.id:<16} {one.what}"
    )


def outcomes(ended: Sequence[Ended], width: int) -> console.Group:
    """Draw all requests and their ends; deviations from the plan stand out."""
    marks = [text.Text("✓", "green") if one.as_expected else text.Text("✗", "bold red") for one in ended]
    body = table_layout.fitted(
        [
            table_layout.Column("", marks),
            table_layout.Column("request", [view.plain(one.planned.message.id) for one in ended]),
            table_layout.Column("what", [one.planned.what for one in ended]),
            table_layout.Column("cluster", [one.planned.cluster for one in ended], drop=1),
            table_layout.Column("state", [view.state(one.outcome) for one in ended]),
            table_layout.Column("time", [view.age(one.took_s) for one in ended]),
        ],
        table_layout.Column("remark", [_remark(one) for one in ended]),
        width,
    )
    return view.titled("How the requests ended", body)


def _remark(one: Ended) -> text.Text:
    reason = one.row.reason if one.row is not None else ""
    if not one.as_expected:
        return view.plain(f"expected: {one.planned.expected}. {reason}", "red")
    return view.plain("" if one.planned.expected == "succeeded" else f"as it should: {reason}")


def answers(ended: Sequence[Ended]) -> Iterable[console.RenderableType]:
    """Draw the rows of one TPC-H query of each engine, as they are in its last event."""
    for one in ended:
        if (title := _ANSWERS.get(one.planned.message.id)) is not None and (statement := _statement(one)) is not None:
            names = [column.name for column in statement.columns]
            yield view.rows_table(statement.rows, title=title, most=_ROWS, names=names)
    for one in ended:
        if one.row is not None and one.row.detail:
            log = one.row.detail.splitlines()[-_ROWS:]
            yield view.plain("\n".join([f"{one.planned.message.id}: {one.row.reason}", *(f"  {line}" for line in log)]))


def with_rows(ended: Sequence[Ended]) -> Check:
    """Check that one query of each engine brought its rows in its last event."""
    missing = [one.planned.what for one in ended if one.planned.message.id in _ANSWERS and not _rows(one)]
    text = f"no rows came from {', '.join(missing)}" if missing else f"rows of {ENGINES_WITH_ROWS} are in their events"
    return Check(not missing, text)


def with_cause(ended: Sequence[Ended]) -> Check:
    """Check that the job that was to run out of memory says so."""
    reasons = [one.row.reason for one in ended if one.planned.message.id == demo_requests.OUT_OF_MEMORY and one.row]
    holds = any("(out_of_memory)" in reason for reason in reasons)
    words = "was read from its log" if holds else "is not in its event"
    return Check(holds, f"the cause of {demo_requests.OUT_OF_MEMORY}'s failure {words}")


def _rows(one: Ended) -> Sequence[Any]:
    statement = _statement(one)
    return () if statement is None else statement.rows


def _statement(one: Ended) -> events.StatementResult | None:
    """Return the first statement's result in the last event of a request."""
    result = None if one.row is None else one.row.result
    return result.statements[0] if result is not None and result.statements else None


def checks(found: Sequence[Check]) -> console.Group:
    """Draw the conditions that must hold at the end, and whether they hold."""
    lines = [
        view.plain(f"  {'✓' if one.holds else '✗'} {one.text}", "green" if one.holds else "bold red") for one in found
    ]
    return console.Group(text.Text("What was checked", "bold"), *lines)


def parts(started: Mapping[str, str]) -> table.Table:
    """Draw the running parts and their addresses."""
    made = table.Table(box=None, show_header=False, pad_edge=False)
    for name, where in started.items():
        made.add_row(text.Text(name, "bold"), view.plain(where))
    return made


def how_to_send(bootstrap: str, ports: demo_stage.Ports, command: str) -> str:
    """Describe three ways to send a request, with the addresses of this demo."""
    cluster = demo_requests.ANALYTICS
    sql = "SELECT n_name, count(*) AS customers FROM customer, nation WHERE c_nationkey = n_nationkey GROUP BY n_name"
    data = {"cluster": cluster, "engine": "spark", "statement": "SELECT count(*) AS orders FROM orders"}
    plain = json.dumps({"id": "mine-1", "type": "mrs.sql.submit", "data": data})
    return f"""\
With our command line; it waits and shows the rows:

{command} submit sql --bootstrap {bootstrap} --cluster {cluster} --engine spark --wait \\
  --statement "{sql}"

With kcat; the message is plain JSON, the events are JSON too:

echo '{plain}' | kcat -P -b {bootstrap} -t mrs.requests
kcat -C -b {bootstrap} -t mrs.events -o beginning -f '%k %s\\n'

With Python (pip install aiokafka):

import asyncio, json
from aiokafka import AIOKafkaProducer

async def main():
    job = {{"job_type": "Flink", "job_name": "mine", "arguments": ["run"]}}
    request = {{"id": "mine-2", "type": "mrs.job.submit", "data": {{"cluster": "{demo_requests.BATCH}", "job": job}}}}
    async with AIOKafkaProducer(bootstrap_servers="{bootstrap}", enable_idempotence=False) as producer:
        await producer.send_and_wait("mrs.requests", json.dumps(request).encode(), key=b"{demo_requests.BATCH}")

asyncio.run(main())

To look on:

{command} watch --bootstrap {bootstrap} --from beginning
{command} jobs --bootstrap {bootstrap}
curl http://127.0.0.1:{ports.web}/metrics
The dashboard: {ports.dashboard_url}
"""
