"""What the demo shows: the requests while they run, how they ended, some of their rows, and how to send one's own."""

from __future__ import annotations

import csv
import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich import console, padding, table, text

from mrs_relay.cli import board, demo_requests, view

_LIVE_FRAME: Final = 6
_FEWEST: Final = 6
_ROWS: Final = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """
    How one request ended.

    Attributes:
        planned: the request.
        row: its latest event, or None when there was none.
        took_s: seconds from its first event to its last.
    """

    planned: demo_requests.Planned
    row: board.Row | None
    took_s: float

    @property
    def outcome(self) -> str:
        """The state of its last event, or what it lacks."""
        return "no event" if self.row is None else self.row.state

    @property
    def as_expected(self) -> bool:
        """Whether it ended as planned."""
        return self.outcome == self.planned.expected


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """
    One thing that must hold at the end.

    Attributes:
        holds: whether it does.
        text: what it is.
    """

    holds: bool
    text: str


def live(
    planned: Sequence[demo_requests.Planned], seen: board.Board, *, now_ms: int, start_ms: int, height: int
) -> console.Group:
    """The table while it runs: what changes stands on top, as many rows as fit."""
    by_key = {one.key: one for one in planned}
    ended = sum(row.ended for row in seen.rows())
    head = text.Text.assemble(
        (f"{view.age((now_ms - start_ms) / 1000):>6}  ", "dim"),
        (f"{ended}/{len(planned)} ended   ", "bold"),
        view.counts(seen.counts()),
    )
    made = view.grid("request", "what", "state")
    made.add_column("progress", width=12)
    for name in ("cluster", "MRS id", "time", "reason"):
        made.add_column(name, overflow="ellipsis", no_wrap=True)
    rows = [row for row in seen.rows() if row.key in by_key]
    rows.sort(key=lambda row: (row.ended, row.state == "accepted"))
    for row in rows[: max(height - _LIVE_FRAME, _FEWEST)]:
        made.add_row(
            view.plain(row.key[1]),
            by_key[row.key].what,
            view.state(row.state),
            view.bar(row),
            row.cluster,
            view.plain(row.job_id[:13]),
            view.age(((row.changed_ms if row.ended else now_ms) - row.seen_ms) / 1000),
            view.plain(row.reason[:70]),
        )
    return console.Group(head, made)


def line(one: demo_requests.Planned, row: board.Row, at_s: float) -> text.Text:
    """One request's end on one line, for output that is no terminal."""
    return text.Text.assemble(
        f"  {at_s:5.1f} s  ", (f"{row.state:<10}", view.STYLES[row.state]), f" {one.message.id:<16} {one.what}"
    )


def outcomes(ended: Sequence[Ended]) -> console.Group:
    """All requests and how they ended; what is not as planned stands out."""
    made = view.grid("", "request", "what", "cluster", "state")
    made.add_column("time", justify="right")
    made.add_column("remark", overflow="fold")
    for one in ended:
        planned = one.planned
        remark = one.row.reason if one.row is not None else ""
        if not one.as_expected:
            remark = f"expected: {planned.expected}. {remark}"
        elif planned.expected != "succeeded":
            remark = f"as it should: {remark}"
        made.add_row(
            text.Text("✓", "green") if one.as_expected else text.Text("✗", "bold red"),
            view.plain(planned.message.id),
            planned.what,
            planned.cluster,
            view.state(one.outcome),
            view.age(one.took_s),
            view.plain(_cut(remark, 90), "" if one.as_expected else "red"),
        )
    return view.titled("How the requests ended", made)


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1] + "…"


def answers(ended: Sequence[Ended], obs: pathlib.Path) -> Iterable[console.RenderableType]:
    """The rows of two TPC-H queries: one that came inside its event, one that lies where the event says."""
    rows = {one.planned.message.id: one.row for one in ended if one.row is not None}
    inline, located = rows.get("tpch-q05"), rows.get("tpch-q01")
    if inline is not None and inline.result is not None and inline.result.statements:
        yield view.rows_table(
            inline.result.statements[0].rows, title="TPC-H Q5 by Spark SQL: the rows are in the event", most=_ROWS
        )
    if located is not None and located.result is not None and located.result.location:
        place = located.result.location
        yield view.rows_table(_stored(place, obs), title=f"TPC-H Q1 by Presto SQL: the event names {place}", most=_ROWS)


def _stored(location: str, obs: pathlib.Path) -> list[Mapping[str, Any]]:
    """Rows of a CSV file at an obs:// path of the emulator."""
    path = obs / location.removeprefix("obs://")
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: _rounded(cell) for name, cell in row.items()} for row in csv.DictReader(file)]


def _rounded(cell: str) -> str:
    """Numbers with two decimals at most, so that a wide table fits."""
    try:
        return f"{float(cell):.2f}" if "." in cell else cell
    except ValueError:
        return cell


def checks(found: Sequence[Check]) -> console.Group:
    """What must hold at the end, and whether it does."""
    lines = [
        view.plain(f"{'✓' if one.holds else '✗'} {one.text}", "green" if one.holds else "bold red") for one in found
    ]
    return console.Group(text.Text("What was checked", "bold"), *(padding.Padding(one, (0, 0, 0, 2)) for one in lines))


def parts(started: Mapping[str, str]) -> table.Table:
    """What runs, and where."""
    made = table.Table(box=None, show_header=False, pad_edge=False)
    for name, where in started.items():
        made.add_row(text.Text(name, "bold"), view.plain(where))
    return made


def how_to_send(bootstrap: str, web_port: int, command: str) -> str:
    """Three ways to send a request of one's own, with the addresses of this demo."""
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
curl http://127.0.0.1:{web_port}/metrics
"""
