"""
Send messages and follow their requests to the last event, or follow requests that were sent before.

`deliver` opens the reader of the events before it sends, so that no event is missed, however fast the relay is.
Neighbours: `submit` chooses the messages, `wait_command` the requests of before, `request_table` keeps the state of
their requests, `view` draws it.
"""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import Final

import typer

from mrs_relay.cli import compose, connect, follow, request_table, run, screen, view
from mrs_relay.common import clock
from mrs_relay.kafka import records, topic_io
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.messages import codec, event_reader

_REDRAW_S: Final = 0.5
_WISHES: Final = frozenset({"mrs.job.cancel", "mrs.job.resolve"})
"""Types that are answered by events of the request that they name; only a rejection has their own id."""

_SILENCE_S: Final = 15.0
"""Seconds without any event after which a hint says what may be wrong."""

_NO_RELAY: Final = "does a relay serve this Kafka?"
_NOT_FOUND: Final = "is the id right, and --since early enough?"

Name = tuple[str | None, str]
"""Source and id of a request; None: of any source."""


@dataclasses.dataclass(frozen=True, slots=True)
class How:
    """
    Options of sending, waiting and output.

    Attributes:
        config: settings file.
        bootstrap: Kafka address that wins over the settings.
        tenant: owner of the topics; None: the only tenant.
        wait: follow until the last event.
        timeout_s: longest wait in seconds; None: no limit.
        as_json: one JSON text a line, nothing else on standard output.
    """

    config: pathlib.Path | None = None
    bootstrap: str | None = None
    tenant: str | None = None
    wait: bool = False
    timeout_s: float | None = None
    as_json: bool = False


async def deliver(messages: Sequence[compose.Message], kafka: kafka_settings.KafkaSettings, how: How) -> run.Code:
    """
    Send `messages`; with `how.wait` follow those that become a job.

    Returns:
        OK, or FAILED if a request did not succeed in time.

    Raises:
        StreamDown: Kafka cannot be reached.
    """
    broker = connect.broker(kafka)
    topic = kafka.topics.requests
    outgoing = [records.Outgoing(topic, message.key, message.value, message.headers) for message in messages]
    followed = [message for message in messages if message.type not in _WISHES]
    how = dataclasses.replace(how, wait=how.wait and bool(followed))
    if not how.wait:
        await topic_io.send(broker, outgoing)
        _print_sent(messages, how)
        return run.Code.OK
    async with topic_io.tail(broker, kafka.topics.events, topic_io.NOW) as tail:
        await topic_io.send(broker, outgoing)
        _print_sent(messages, how)
        return await _follow(tail, [(message.source, message.id) for message in followed], how, _NO_RELAY)


async def attach(
    names: Sequence[Name], start: topic_io.Start, kafka: kafka_settings.KafkaSettings, how: How
) -> run.Code:
    """
    Follow requests that were sent before, from `start` on, to their last events.

    Returns:
        OK, or FAILED if a request did not succeed in time.

    Raises:
        StreamDown: Kafka cannot be reached.
    """
    async with topic_io.tail(connect.broker(kafka), kafka.topics.events, start) as tail:
        return await _follow(tail, names, how, _NOT_FOUND)


def _print_sent(messages: Sequence[compose.Message], how: How) -> None:
    if how.as_json and how.wait:
        return
    for message in messages:
        if how.as_json:
            typer.echo(codec.encode({"id": message.id, "source": message.source, "type": message.type}))
        else:
            typer.echo(message.id)


class _Followed:
    """The requests that are followed, with what is known of them."""

    def __init__(self, names: Sequence[Name]) -> None:
        self._keys: dict[Name, list[request_table.RequestKey]] = {name: [] for name in names}
        self.table = request_table.RequestTable(most=sys.maxsize)

    def see(self, event: event_reader.ReadEvent) -> request_table.Row | None:
        """Take one event of them; returns the row that it changed."""
        key = (event.data.request.source, event.data.request.id)
        for name in (key, (None, key[1])):
            if (keys := self._keys.get(name)) is not None and key not in keys:
                keys.append(key)
        return self.table.see(event)

    def has(self, event: event_reader.ReadEvent) -> bool:
        """Return whether an event is of one of them."""
        request = event.data.request
        return (request.source, request.id) in self._keys or (None, request.id) in self._keys

    def rows(self) -> Iterable[tuple[Name, request_table.Row | None]]:
        """Yield each request with its present row; None: there is no event of it."""
        for name, keys in self._keys.items():
            if not keys:
                yield name, None
            for key in keys:
                yield name, self.table.get(key)

    @property
    def ended(self) -> bool:
        """Whether all of them have had their last event."""
        return all(row is not None and row.ended for _, row in self.rows())


async def _follow(tail: topic_io.Tail, names: Sequence[Name], how: How, doubt: str) -> run.Code:
    followed = _Followed(names)
    time = clock.SystemClock()
    start_s = time.monotonic_s()
    warned = how.as_json

    with screen.opened("requests", as_json=how.as_json, table=len(names) > 1) as shown:
        while not followed.ended:
            waited_s = time.monotonic_s() - start_s
            if how.timeout_s is not None and waited_s >= how.timeout_s:
                break

            if not warned and waited_s > _SILENCE_S and not followed.table.rows():
                shown.hint(f"No event after {_SILENCE_S:.0f} s: {doubt} Still waiting.")
                warned = True

            for event in follow.events_of(await tail.take(_REDRAW_S)):
                if followed.has(event):
                    shown.show(event, followed.see(event))
            shown.draw(followed.table, time.now_ms())

    return _conclude(followed, how)


def _conclude(followed: _Followed, how: How) -> run.Code:
    code = run.Code.OK

    for (_, request_id), row in followed.rows():
        if row is None or not row.ended:
            state = f"still {row.state}" if row else "no event at all"
            limit = f" within {how.timeout_s:g} s" if how.timeout_s is not None else ""
            view.err().print(view.plain(f"{request_id}: not ended{limit} ({state})", "red"), soft_wrap=True)
        elif row.state == "succeeded":
            if row.result is not None and not how.as_json:
                view.out().print(*view.result(row.result, name=request_id), sep="\n")
            continue  # the only end that leaves the exit code as it is
        else:
            view.err().print(view.plain(f"{request_id}: {row.state}: {row.reason}", "red"), soft_wrap=True)
            for line in row.detail.splitlines():
                view.err().print(view.plain(f"  {line}"), soft_wrap=True)
        code = run.Code.FAILED

    return code
