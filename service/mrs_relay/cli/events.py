"""
`mrs-relay events` and `mrs-relay watch`: show past events, and new ones as they arrive.

Both read with read_committed and without a consumer group, so readers affect neither the relay nor each other. `watch`
is `events --follow` with a live table on a terminal, and with bare CloudEvents for programs.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Annotated, Final, get_args

import msgspec
import typer

from mrs_relay import tenants
from mrs_relay.cli import complete, connect, follow, options, request_table, run, screen, view
from mrs_relay.common import clock
from mrs_relay.kafka import records, topic_io
from mrs_relay.messages import codec, event_reader
from mrs_relay.messages import events as message_events
from mrs_relay.read_model import positions

_REDRAW_S: Final = 0.5
_PAST: Final = "1h"

Ids = Annotated[
    list[str] | None,
    typer.Option("--id", help="Only this request; repeat for more.", autocompletion=complete.ids),
]
Sources = Annotated[list[str] | None, typer.Option("--source", help="Only requests of this source.")]
Clusters = Annotated[
    list[str] | None, typer.Option("--cluster", help="Only this MRS cluster.", autocompletion=complete.clusters)
]
UntilDone = Annotated[
    int | None,
    typer.Option("--until-done", metavar="N", min=1, help="End when N requests have had their last event."),
]


@dataclasses.dataclass(frozen=True, slots=True)
class Filter:
    """
    A filter of events; an empty part matches all.

    Attributes:
        ids: request ids.
        sources: CloudEvents sources of the requests.
        clusters: MRS cluster ids.
        states: states as events have them.
        kinds: kinds of requests.
        labels: that a request has, all of them.
        origins: CloudEvents sources of the events, which name a tenant.
    """

    ids: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    clusters: frozenset[str] = frozenset()
    states: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    origins: frozenset[str] = frozenset()

    def lets(self, event: event_reader.ReadEvent) -> bool:
        """Return whether the filter matches this event."""
        data = event.data
        pairs = (
            (self.ids, data.request.id),
            (self.sources, data.request.source),
            (self.clusters, data.cluster),
            (self.states, data.state),
            (self.kinds, request_table.kind_of(event)),
            (self.origins, event.attributes.get("source")),
        )
        if any(wanted and found not in wanted for wanted, found in pairs):
            return False
        return self.labels.items() <= (data.labels or {}).items()


@dataclasses.dataclass(frozen=True, slots=True)
class _Plan:
    """
    What to read and show.

    Attributes:
        start: where to begin in each topic.
        after: the position to continue from, instead of `start`.
        endless: continue with new events.
        until_done: end when so many requests have ended.
        table: draw a live table on a terminal.
        as_json: one JSON text a line.
        with_position: with `as_json`: the position behind each event beside it.
    """

    start: topic_io.Start = topic_io.NOW
    after: positions.Position | None = None
    endless: bool = True
    until_done: int | None = None
    table: bool = False
    as_json: bool = False
    with_position: bool = False


def events(
    *,
    endless: Annotated[bool, typer.Option("--follow", "-f", help="Continue with new events, until Ctrl-C.")] = False,
    ids: Ids = None,
    states: Annotated[
        list[str] | None, typer.Option("--state", metavar="STATE", help="Only events of this state; repeat for more.")
    ] = None,
    kinds: Annotated[
        list[str] | None, typer.Option("--type", metavar="KIND", help="Only of a kind: job, sql, cluster or call.")
    ] = None,
    clusters: Clusters = None,
    labels: Annotated[
        list[str] | None, typer.Option("--label", metavar="NAME=VALUE", help="Only requests with this label.")
    ] = None,
    sources: Sources = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            help="now, beginning, a time back such as 10m or 2h, or 2026-11-24T06:00:00Z. Unless it is given, 1h; with "
            "--follow now.",
        ),
    ] = None,
    after: Annotated[
        str | None, typer.Option("--after", metavar="POSITION", help="Continue behind a position that --json printed.")
    ] = None,
    until_done: UntilDone = None,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.AnyTenant = None,
) -> None:
    """
    Show events, a line for each change: the past ones, with --follow also new ones as they are committed.

    With --json each line has an event and the position behind it, from which `--after` continues without gap or repeat.
    GET /v1/events has the same lines, filters and positions. Exit 1: the events behind the position are gone.
    """
    if since is not None and after is not None:
        raise typer.BadParameter("give --since or --after, not both", param_hint="--after")
    wanted = _filter(ids, sources, clusters, states=states, kinds=kinds, labels=labels)
    plan = _Plan(
        start=_start(since or ("now" if endless else _PAST), "--since"),
        after=None if after is None else _position(after),
        endless=endless,
        until_done=until_done,
        as_json=as_json,
        with_position=True,
    )
    _run(connect.meant(config, bootstrap, tenant), plan, wanted, named=tenant is not None)


def watch(
    *,
    ids: Ids = None,
    sources: Sources = None,
    clusters: Clusters = None,
    since: Annotated[
        str, typer.Option("--from", metavar="WHEN", help="now, beginning, or a time back such as 10m or 2h.")
    ] = "now",
    until_done: UntilDone = None,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.AnyTenant = None,
) -> None:
    """
    Watch requests: a live table on a terminal, else as `mrs-relay events --follow`. Ctrl-C ends it.

    With --json each event is printed as a CloudEvents JSON text on one line, without its position.
    """
    plan = _Plan(start=_start(since, "--from"), until_done=until_done, table=True, as_json=as_json)
    _run(connect.meant(config, bootstrap, tenant), plan, _filter(ids, sources, clusters), named=tenant is not None)


def _filter(
    ids: Iterable[str] | None,
    sources: Iterable[str] | None,
    clusters: Iterable[str] | None,
    *,
    states: Iterable[str] | None = None,
    kinds: Iterable[str] | None = None,
    labels: Iterable[str] | None = None,
) -> Filter:
    known = {"--state": (states, get_args(message_events.State)), "--type": (kinds, get_args(message_events.Subject))}
    for option, (given, possible) in known.items():
        if unknown := sorted(set(given or ()) - set(possible)):
            text = f"unknown {', '.join(unknown)}; expected {', '.join(possible)}"
            raise typer.BadParameter(text, param_hint=option)
    return Filter(
        ids=frozenset(ids or ()),
        sources=frozenset(sources or ()),
        clusters=frozenset(clusters or ()),
        states=frozenset(states or ()),
        kinds=frozenset(kinds or ()),
        labels=options.pairs(labels, option="--label"),
    )


def _start(since: str, option: str) -> topic_io.Start:
    if since == "now":
        return topic_io.NOW
    if since == "beginning":
        return topic_io.BEGINNING
    return topic_io.Start(since_ms=max(0, options.moment_ms(since, option, "now, beginning, ")))


def _position(text: str) -> positions.Position:
    try:
        return positions.read(text)
    except positions.BadPosition as error:
        raise typer.BadParameter(f"{error}, as --json prints it", param_hint="--after") from None


def _run(found: Sequence[tenants.ResolvedTenant], plan: _Plan, wanted: Filter, *, named: bool) -> None:
    """Read until the end that the plan names, or Ctrl-C, which is a good end as well."""
    if named and found[0].name:
        wanted = dataclasses.replace(wanted, origins=frozenset(one.event_source for one in found))
    try:
        run.loop(_read(found, plan, wanted))
    except KeyboardInterrupt:
        raise typer.Exit(run.Code.OK) from None


class _Followed:
    """
    One topic that is read.

    Args:
        topic: its name.
        life: which topic of this name it is.
        tail: reads it.
        ends: where it ended when the reading began.
    """

    def __init__(self, topic: str, life: str, tail: topic_io.Tail, ends: Mapping[int, int]) -> None:
        self.topic = topic
        self._life = life
        self._tail = tail
        self._ends = ends
        self._offsets = dict(tail.places)

    @property
    def place(self) -> positions.Place:
        """Where the next record is shown."""
        return positions.Place(self._life, self._offsets)

    async def take(self, timeout_s: float) -> Sequence[records.Record]:
        """Return the next records, or none after `timeout_s` seconds."""
        return await self._tail.take(timeout_s)

    def passed(self, record: records.Record) -> None:
        """Note that a record has been looked at."""
        self._offsets[record.partition] = record.offset + 1

    async def is_at_end(self) -> bool:
        """Return whether all is read that was there when the reading began; moves beyond what is no record."""
        self._offsets.update(await self._tail.positions())
        return all(self._offsets[partition] >= end for partition, end in self._ends.items())


class _WithPositions(screen.Json):
    """Print each event with the position behind it, as GET /v1/events does for NDJSON."""

    def __init__(self, followed: Sequence[_Followed]) -> None:
        self._followed = followed

    def show(self, event: event_reader.ReadEvent, row: request_table.Row | None) -> None:  # noqa: ARG002 - all events
        """Print the event and where the next one is read."""
        typer.echo(codec.encode({"position": self._text(), "event": msgspec.Raw(event.as_json())}))

    def end(self) -> None:
        """Print where to continue."""
        typer.echo(codec.encode({"position": self._text()}))

    def _text(self) -> str:
        return positions.text_of({one.topic: one.place for one in self._followed})


async def _read(found: Sequence[tenants.ResolvedTenant], plan: _Plan, wanted: Filter) -> None:
    time = clock.SystemClock()
    seen = request_table.RequestTable()
    done: set[request_table.RequestKey] = set()

    async with contextlib.AsyncExitStack() as stack:
        topics = sorted({one.kafka.topics.events for one in found})
        if foreign := sorted((plan.after or {}).keys() - set(topics)):
            raise typer.BadParameter(f"topic {foreign[0]} of the position is not read here", param_hint="--after")
        broker = connect.broker(found[0].kafka)
        followed = [await stack.enter_async_context(_followed(broker, topic, plan)) for topic in topics]
        shown = stack.enter_context(_screen(followed, plan))

        while plan.until_done is None or len(done) < plan.until_done:
            shown.draw(seen, time.now_ms())
            for one in followed:
                for record in await one.take(_REDRAW_S / len(followed)):
                    one.passed(record)
                    done.update(_shown(shown, seen, wanted, record))
            if not plan.endless and all([await one.is_at_end() for one in followed]):
                break
        shown.draw(seen, time.now_ms())
        if isinstance(shown, _WithPositions):
            shown.end()


def _shown(
    shown: screen.Lines, seen: request_table.RequestTable, wanted: Filter, record: records.Record
) -> Iterable[request_table.RequestKey]:
    """Show the event of a record if it is wanted; yields its request if it has ended with it."""
    for event in follow.events_of([record]):
        if wanted.lets(event):
            row = seen.see(event)
            shown.show(event, row)
            if row is not None and row.ended:
                yield row.key


@contextlib.asynccontextmanager
async def _followed(broker: topic_io.TopicClient, topic: str, plan: _Plan) -> AsyncIterator[_Followed]:
    """Open one topic where the plan begins. Raises typer.Exit: the events behind the position are gone."""
    bounds = await topic_io.bounds_of(broker, topic)
    life = positions.life(next((one.topic_id for one in bounds.values()), None) or "")
    start = plan.start
    if plan.after is not None:
        place = plan.after.get(topic) or positions.Place(life, {})
        if gone := _gone(topic, life, place, {number: (one.first, one.end) for number, one in bounds.items()}):
            text = f"{gone}: begin again with --since, and compare with `mrs-relay jobs`"
            view.err().print(view.plain(text, "bold red"), soft_wrap=True)
            raise typer.Exit(run.Code.FAILED)
        start = topic_io.Start(at=place.offsets)
    async with topic_io.tail(broker, topic, start) as tail:
        yield _Followed(topic, life, tail, {number: one.end for number, one in bounds.items()})


def _gone(topic: str, life: str, place: positions.Place, bounds: Mapping[int, tuple[int, int]]) -> str | None:
    """Say why events behind a place are no longer there; None: they are."""
    if place.life != life:
        return f"topic {topic} was created again, or has lost records"
    for partition, offset in place.offsets.items():
        first, end = bounds.get(partition, (0, 0))
        if offset < first:
            return f"events before offset {first} of {topic}-{partition} are no longer kept"
        if offset > end:
            return f"{topic}-{partition} ends at offset {end}, before the position: it has lost records"
    return None


def _screen(followed: Sequence[_Followed], plan: _Plan) -> AbstractContextManager[screen.Lines]:
    if plan.as_json and plan.with_position:
        return contextlib.nullcontext(_WithPositions(followed))
    title = ", ".join(one.topic for one in followed)
    return screen.opened(title, as_json=plan.as_json, table=plan.table)
