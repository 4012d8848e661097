"""
`mrs-relay status`: show what the relays publish about themselves, once or live.

It reads the topic of the status without a consumer group, so watchers affect neither the relays nor each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
import typer
from rich import console, live, text

from mrs_relay.cli import connect, options, run, table_layout, view, why
from mrs_relay.common import clock
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka import topic_io
from mrs_relay.messages import codec, status
from mrs_relay.read_model import status_board

_REDRAW_S: Final = 1.0
_MOST_ROWS: Final = 30

_Any = status_board.Seen[Any]


def show(
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show it live, until Ctrl-C.")] = False,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
) -> None:
    """
    Show the overview: partitions, clusters with slots and queues, budgets, and what is paused.

    With --json each part is a JSON text on one line; with --watch as well, each part again when a relay reports it.
    """
    kafka = connect.tenancies(config, bootstrap)[0].kafka
    time = clock.SystemClock()
    if watch:
        try:
            run.loop(_watch(kafka, time, as_json=as_json))
        except KeyboardInterrupt:
            raise typer.Exit(run.Code.OK) from None
        return

    board = run.loop(why.read_board(kafka))
    now_ms = time.now_ms()
    if as_json:
        for seen in _all(board, now_ms):
            typer.echo(codec.encode(row(seen)))
        return
    out = view.out()
    out.print(overview(board, now_ms, out.width))


async def _watch(kafka: kafka_settings.KafkaSettings, time: clock.Clock, *, as_json: bool) -> None:
    board, out, before = status_board.StatusBoard(), view.out(), set[tuple[str, int]]()
    async with topic_io.tail(connect.broker(kafka), why.topic_of(kafka), topic_io.BEGINNING) as tail:
        with live.Live(console=out, auto_refresh=False, screen=out.is_terminal and not as_json) as display:
            while True:
                for record in await tail.take(_REDRAW_S):
                    board.apply(record)
                now_ms = time.now_ms()
                if not as_json:
                    display.update(overview(board, now_ms, out.width), refresh=True)
                    continue
                shown = {(_name(seen), seen.at_ms): seen for seen in _all(board, now_ms)}
                for key in shown.keys() - before:
                    typer.echo(codec.encode(row(shown[key])))
                before = set(shown)


def _all(board: status_board.StatusBoard, now_ms: int) -> Iterator[_Any]:
    yield from board.replicas(now_ms)
    yield from board.partitions(now_ms)
    yield from board.clusters(now_ms)


def _name(seen: _Any) -> str:
    one = seen.content
    match one:
        case status.Partition():
            return status.partition_key(one.topic, one.partition)
        case status.Cluster():
            return status.cluster_key(seen.replica, one.connection, one.cluster)
    return status.replica_key(seen.replica)


def row(seen: _Any) -> Mapping[str, Any]:
    """Make the row of a part for programs."""
    content = msgspec.to_builtins(seen.content)
    origin = {"relay": seen.replica, "reported_at": clock.shown(seen.at_ms), "stale": seen.stale}
    return {"kind": content.pop("type"), **origin, **content}


def overview(board: status_board.StatusBoard, now_ms: int, width: int) -> console.Group:
    """Draw the whole overview, at most `width` characters wide."""
    replicas, clusters = board.replicas(now_ms), board.clusters(now_ms)
    parts: list[console.RenderableType] = [_head(replicas, now_ms)]
    parts += _pauses(replicas, clusters, now_ms)
    parts += _table("partitions", _partitions(board.partitions(now_ms)), "error", width)
    parts += _table("clusters", _clusters(clusters), "", width)
    parts += _table("queues", _queues(clusters, now_ms), "next", width)
    parts += _table("budgets", _budgets(replicas), "", width)
    return console.Group(*parts)


def _head(replicas: Sequence[status_board.Seen[status.Replica]], now_ms: int) -> text.Text:
    alive = [seen for seen in replicas if not seen.stale]
    tenants = [tenant for seen in alive for tenant in seen.content.tenants]
    waiting, running = sum(one.waiting for one in tenants), sum(one.running for one in tenants)
    silent = [f"{seen.replica} silent for {view.age((now_ms - seen.at_ms) / 1000)}" for seen in replicas if seen.stale]
    if not alive:
        return view.plain("no relay reports" + "".join(f"; {one}" for one in silent), "bold red")
    relays = f"{len(alive)} relay{'' if len(alive) == 1 else 's'}: {', '.join(seen.replica for seen in alive)}"
    counts = f"{waiting} waiting" + (f", {running} running" if running else "")
    return text.Text.assemble(
        view.plain(relays, "bold"), f"   {counts}", *(view.plain(f"   {one}", "yellow") for one in silent)
    )


def _pauses(
    replicas: Sequence[status_board.Seen[status.Replica]],
    clusters: Sequence[status_board.Seen[status.Cluster]],
    now_ms: int,
) -> Iterator[text.Text]:
    """Yield a line for each thing that is paused."""
    for seen in replicas:
        for one in seen.content.connections:
            if one.paused_until_ms > now_ms and not seen.stale:
                left = view.age((one.paused_until_ms - now_ms) / 1000)
                yield view.plain(f"connection {one.name} is {one.paused_for}: paused for {left}", "bold red")
    for cluster in clusters:
        for pause in cluster.content.pauses:
            if not cluster.stale:
                left = f" for {view.age((pause.until_ms - now_ms) / 1000)}" if pause.until_ms > now_ms else ""
                answer = f", last answer {pause.code} ({pause.text})" if pause.code else ""
                line = f"cluster {cluster.content.cluster} is paused{left}: {pause.operation} {pause.state}{answer}"
                yield view.plain(line, "yellow")


_Row = Mapping[str, str]


def _table(title: str, rows: Iterable[_Row], rest: str, width: int) -> Iterator[console.RenderableType]:
    """Yield a table of rows with the same names; nothing without rows."""
    found = list(rows)
    if not found:
        return
    shown = found[:_MOST_ROWS]
    names = [name for name in found[0] if name != rest]
    columns = [
        table_layout.Column(name, [view.plain(one[name]) for one in shown], drop=number if number > 1 else 0)
        for number, name in enumerate(names)
    ]
    last = table_layout.Column(rest, [view.plain(one.get(rest, "")) for one in shown])
    footer = f"… and {len(found) - len(shown)} more" if len(found) > len(shown) else ""
    yield ""
    yield view.titled(title, table_layout.fitted(columns, last, width), footer)


def _partitions(found: Sequence[status_board.Seen[status.Partition]]) -> Iterator[_Row]:
    for seen in found:
        one = seen.content
        part = f" {one.restored:.0%}" if one.restored is not None else ""
        yield {
            "partition": f"{one.topic}-{one.partition}",
            "state": "no owner" if seen.stale else f"{one.state}{part}",
            "lag": "" if one.lag is None else str(one.lag),
            "not before": _count(one.not_before.count),
            "in doubt": _count(one.in_doubt.count),
            "choosing": _count(one.choosing.count),
            "relay": seen.replica,
            "error": one.error or "",
        }


def _clusters(found: Sequence[status_board.Seen[status.Cluster]]) -> Iterator[_Row]:
    for seen in found:
        if not seen.stale:
            one = seen.content
            yield {
                "cluster": one.cluster,
                "slots": f"{one.slots_used} of {one.slots_limit}" if one.slots_limit else str(one.slots_used),
                "waiting": str(sum(queue.waiting for queue in one.queues)),
                "relay": seen.replica,
            }


def _queues(found: Sequence[status_board.Seen[status.Cluster]], now_ms: int) -> Iterator[_Row]:
    for seen in found:
        for queue in seen.content.queues:
            if not seen.stale:
                yield {
                    "cluster": seen.content.cluster,
                    "waiting": str(queue.waiting),
                    "oldest": view.age((now_ms - queue.oldest_ms) / 1000) if queue.oldest_ms else "",
                    "held by": ", ".join(cause.cause for cause in queue.causes),
                    "operation": queue.operation,
                    "tenant": queue.tenant,
                    "next": ", ".join(one.id for one in queue.line[:3]),
                }


def _budgets(found: Sequence[status_board.Seen[status.Replica]]) -> Iterator[_Row]:
    for seen in found:
        for connection in seen.content.connections:
            for one in connection.budgets:
                if not seen.stale:
                    yield {
                        "operation": one.operation,
                        "used": f"{one.used} of {one.granted}",
                        "all relays": str(one.per_minute),
                        "more wanted": "yes" if one.needed else "",
                        "connection": connection.name,
                        "relay": seen.replica,
                    }


def _count(number: int) -> str:
    return str(number) if number else ""
