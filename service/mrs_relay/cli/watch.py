"""
`mrs-relay watch`: show the events as they arrive, as a live table, as lines, or as JSON.

It reads with read_committed and without a consumer group, so watchers affect neither the relay nor each other.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from mrs_relay.cli import connect, follow, options, request_table, run, screen
from mrs_relay.common import clock
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka import topic_io
from mrs_relay.messages import event_reader

_REDRAW_S = 0.5


@dataclasses.dataclass(frozen=True, slots=True)
class Filter:
    """
    A filter of events; an empty part matches all.

    Attributes:
        ids: request ids.
        sources: CloudEvents sources.
        clusters: MRS cluster ids.
    """

    ids: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    clusters: frozenset[str] = frozenset()

    def lets(self, event: event_reader.ReadEvent) -> bool:
        """Return whether the filter matches this event."""
        data = event.data
        return (
            (not self.ids or data.request.id in self.ids)
            and (not self.sources or data.request.source in self.sources)
            and (not self.clusters or data.cluster in self.clusters)
        )


def watch(
    *,
    ids: Annotated[list[str] | None, typer.Option("--id", help="Only this request; repeat for more.")] = None,
    sources: Annotated[list[str] | None, typer.Option("--source", help="Only requests of this source.")] = None,
    clusters: Annotated[list[str] | None, typer.Option("--cluster", help="Only this MRS cluster.")] = None,
    since: Annotated[
        str, typer.Option("--from", metavar="WHEN", help="now, beginning, or a time back such as 10m or 2h.")
    ] = "now",
    until_done: Annotated[
        int | None,
        typer.Option("--until-done", metavar="N", min=1, help="End when N requests have had their last event."),
    ] = None,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.Tenant = None,
) -> None:
    """
    Watch requests: a live table on a terminal, else a line for each change. Ctrl-C ends it.

    With --json each event is printed as a CloudEvents JSON text on one line.
    """
    start = _start(since)
    wanted = Filter(frozenset(ids or ()), frozenset(sources or ()), frozenset(clusters or ()))
    kafka = connect.kafka(config, bootstrap, tenant)
    try:
        run.loop(_watch(kafka, start, wanted, until_done=until_done, as_json=as_json))
    except KeyboardInterrupt:
        raise typer.Exit(run.Code.OK) from None


def _start(since: str) -> topic_io.Start:
    if since == "now":
        return topic_io.NOW
    if since == "beginning":
        return topic_io.BEGINNING
    back_s = options.seconds(since)
    if back_s is None:
        raise typer.BadParameter(f"{since!r} is not now, beginning or a duration such as 10m", param_hint="--from")
    return topic_io.Start(since_ms=max(0, clock.SystemClock().now_ms() - round(back_s * 1000)))


async def _watch(
    kafka: kafka_settings.KafkaSettings,
    start: topic_io.Start,
    wanted: Filter,
    *,
    until_done: int | None,
    as_json: bool,
) -> None:
    time = clock.SystemClock()
    seen = request_table.RequestTable()
    done: set[request_table.RequestKey] = set()
    topic = kafka.topics.events

    async with topic_io.tail(connect.broker(kafka), topic, start) as tail:
        with screen.opened(topic, as_json=as_json, table=True) as shown:
            while until_done is None or len(done) < until_done:
                shown.draw(seen, time.now_ms())
                for event in follow.events_of(await tail.take(_REDRAW_S)):
                    if wanted.lets(event):
                        row = seen.see(event)
                        shown.show(event, row)
                        if row is not None and row.ended:
                            done.add(row.key)
            shown.draw(seen, time.now_ms())
