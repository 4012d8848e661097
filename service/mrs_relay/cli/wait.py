"""
Send messages and follow their requests to the last event.

`deliver` opens the reader of the events before it sends, so that no event is missed, however fast the relay is.
Neighbours: `submit` chooses the messages, `request_table` keeps the state of their requests, `view` draws it.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Final

import typer

from mrs_relay.cli import compose, connect, follow, request_table, run, screen, view
from mrs_relay.common import clock
from mrs_relay.kafka import records, topic_io
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.messages import codec

_REDRAW_S: Final = 0.5
_WISHES: Final = frozenset({"mrs.job.cancel", "mrs.job.resolve"})
"""Types that are answered by events of the request that they name; only a rejection has their own id."""

_SILENCE_S: Final = 15.0
"""Seconds without any event after which a hint says that perhaps no relay runs."""


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
        return await _follow(tail, followed, how)


def _print_sent(messages: Sequence[compose.Message], how: How) -> None:
    if how.as_json and how.wait:
        return
    for message in messages:
        if how.as_json:
            typer.echo(codec.encode({"id": message.id, "source": message.source, "type": message.type}))
        else:
            typer.echo(message.id)


async def _follow(tail: topic_io.Tail, messages: Sequence[compose.Message], how: How) -> run.Code:
    wanted = {(message.source, message.id) for message in messages}
    seen = request_table.RequestTable(most=len(wanted) + 1)
    time = clock.SystemClock()
    start_s = time.monotonic_s()
    warned = how.as_json

    with screen.opened("requests", as_json=how.as_json, table=len(wanted) > 1) as shown:
        while not all((row := seen.get(key)) and row.ended for key in wanted):
            waited_s = time.monotonic_s() - start_s
            if how.timeout_s is not None and waited_s >= how.timeout_s:
                break

            if not warned and waited_s > _SILENCE_S and not seen.rows():
                shown.hint(f"No event after {_SILENCE_S:.0f} s: does a relay serve this Kafka? Still waiting.")
                warned = True

            for event in follow.events_of(await tail.take(_REDRAW_S)):
                if (event.data.request.source, event.data.request.id) in wanted:
                    shown.show(event, seen.see(event))
            shown.draw(seen, time.now_ms())

    return _conclude(seen, messages, how)


def _conclude(seen: request_table.RequestTable, messages: Sequence[compose.Message], how: How) -> run.Code:
    code = run.Code.OK

    for message in messages:
        row = seen.get((message.source, message.id))
        if row is None or not row.ended:
            state = f"still {row.state}" if row else "no event at all"
            limit = f" within {how.timeout_s:g} s" if how.timeout_s is not None else ""
            view.err().print(view.plain(f"{message.id}: not ended{limit} ({state})", "red"), soft_wrap=True)
        elif row.state == "succeeded":
            if row.result is not None and not how.as_json:
                view.out().print(*view.result(row.result, name=message.id), sep="\n")
            continue  # the only end that leaves the exit code as it is
        else:
            view.err().print(view.plain(f"{message.id}: {row.state}: {row.reason}", "red"), soft_wrap=True)
            for line in row.detail.splitlines():
                view.err().print(view.plain(f"  {line}"), soft_wrap=True)
        code = run.Code.FAILED

    return code
