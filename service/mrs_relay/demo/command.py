"""
`mrs-relay demo`: the whole service on this machine, with about thirty requests, in a minute.

`demo_stage` starts the parts, `demo_requests` lists the requests and their expected ends, `demo_view` draws. This
module sends the requests, follows them and checks the ends.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import pathlib
import shutil
import sys
import webbrowser
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import typer
from rich import live, text

from mrs_emulator.sql import tpch
from mrs_relay.cli import follow, processes, request_table, run, view
from mrs_relay.common import clock, signals
from mrs_relay.demo import demo_requests, demo_stage, demo_view
from mrs_relay.kafka import records, topic_io
from mrs_relay.messages import event_reader

_REDRAW_S: Final = 0.25
_DEAD_LETTER_S: Final = 10.0
_TERMINATED: Final = 143


def demo(
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave it running for your own messages, until Ctrl-C.")] = False,
    scale: Annotated[
        float, typer.Option("--scale", min=0.001, max=1.0, help="Size of the TPC-H data; 0.1 is 32 MB of Parquet.")
    ] = 0.05,
    speed: Annotated[
        float, typer.Option("--speed", min=0.1, max=100.0, help="How fast MRS plays its jobs; 2 halves their times.")
    ] = 1.0,
    timeout_s: Annotated[float, typer.Option("--timeout", min=1, help="Seconds the requests may take in all.")] = 100.0,
    kafka_port: Annotated[int, typer.Option("--kafka-port", help="Of the embedded broker; 0: a free one.")] = 0,
    mrs_port: Annotated[int, typer.Option("--mrs-port", help="Of the emulator; 0: a free one.")] = 0,
    obs_port: Annotated[int, typer.Option("--obs-port", help="Of the emulator's OBS; 0: a free one.")] = 0,
    web_port: Annotated[int, typer.Option("--web-port", help="Of the relay's health and metrics; 0: a free one.")] = 0,
    dashboard_port: Annotated[int, typer.Option("--dashboard-port", help="Of the dashboard; 0: a free one.")] = 0,
    open_: Annotated[bool, typer.Option("--open", help="Open the dashboard in a browser.")] = False,
) -> None:
    """
    See it work on this machine: embedded Kafka, an emulated MRS over TPC-H data, the relay, a dashboard, 30 requests.

    Exits 0 only if every request ended as planned. Nothing is left behind.
    """
    given = {
        "--kafka-port": kafka_port,
        "--mrs-port": mrs_port,
        "--obs-port": obs_port,
        "--web-port": web_port,
        "--dashboard-port": dashboard_port,
    }

    ports = demo_stage.Ports(
        *(processes.require_free(port, name) if port else processes.free_port() for name, port in given.items())
    )

    try:
        code = run.loop(_demo(ports, scale=scale, speed=speed, timeout_s=timeout_s, keep=keep, browse=open_))
    except asyncio.CancelledError:
        raise typer.Exit(_TERMINATED) from None
    if code:
        raise typer.Exit(code)


async def _demo(
    ports: demo_stage.Ports, *, scale: float, speed: float, timeout_s: float, keep: bool, browse: bool
) -> run.Code:
    with _ended_by_signals():
        out = view.out()
        out.print(text.Text("Starting", "bold"))
        time = clock.SystemClock()
        start_s = time.monotonic_s()

        def report(name: str, where: str) -> None:
            out.print(
                text.Text.assemble(
                    ("  ✓ ", "green"),
                    (f"{name:<6}", "bold"),
                    view.plain(where),
                    (f"  {time.monotonic_s() - start_s:.1f} s", "dim"),
                ),
                soft_wrap=True,
            )

        async with demo_stage.built(ports, scale=scale, speed=speed, report=report) as stage:
            if browse:
                await asyncio.to_thread(webbrowser.open, ports.dashboard_url)
            code = await _play(stage, timeout_s)
            if keep:
                await _keep(stage)
            else:
                out.print(
                    text.Text(
                        "\nTo send messages of your own, and to use the dashboard: mrs-relay demo --keep --open", "dim"
                    )
                )
            return code


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the demo like Ctrl-C: by cancelling its task, so that everything is cleaned up."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    if task is None:
        raise RuntimeError("the demo runs in a task")
    handled = signals.handle(lambda _number: task.cancel(), signals.FROM_OUTSIDE)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)


async def _play(stage: demo_stage.Stage, timeout_s: float) -> run.Code:
    out = view.out()
    planned = demo_requests.plan(tpch.query)
    async with topic_io.tail(stage.broker, stage.kafka.topics.events, topic_io.NOW) as tail:
        sent = await _send(stage, planned)
        out.print(
            text.Text.assemble(
                ("\nSending", "bold"), f" {sent} messages; MRS takes one job a second, as the real one does\n"
            )
        )
        story = _Story(planned)
        await _follow(stage, tail, story, timeout_s)

    ended = story.ended()
    out.print()
    out.print(demo_view.outcomes(ended, out.width))
    for answer in demo_view.answers(ended):
        out.print()
        out.print(answer)

    found = [
        *story.checks(),
        demo_view.with_rows(ended),
        demo_view.with_cause(ended),
        await _dead_letter(stage),
        await _effects(stage, ended),
    ]
    out.print()
    out.print(demo_view.checks(found))
    return run.Code.OK if all(check.holds for check in found) else run.Code.FAILED


async def _send(stage: demo_stage.Stage, planned: Sequence[demo_requests.Planned]) -> int:
    topic = stage.kafka.topics.requests
    outgoing = [
        records.Outgoing(topic, one.message.key, one.message.value, one.message.headers)
        for one in planned
        for _ in range(one.times)
    ]

    # The unreadable message goes into the middle, so that valid requests follow it.
    outgoing.insert(len(outgoing) // 2, records.Outgoing(topic, b"torn", demo_requests.UNREADABLE))
    await topic_io.send(stage.broker, outgoing)
    return len(outgoing)


class _Story:
    """The events of the demo's requests, and the checks on them."""

    def __init__(self, planned: Sequence[demo_requests.Planned]) -> None:
        self.planned = planned
        self.seen = request_table.RequestTable()
        self.by_key = {one.key: one for one in planned}
        self._sequences: dict[request_table.RequestKey, list[int]] = collections.defaultdict(list)

    def hear(self, event: event_reader.ReadEvent) -> request_table.Row | None:
        """Record one event; returns the changed row if the event is new and belongs to the demo."""
        key = (event.data.request.source, event.data.request.id)
        if key not in self.by_key:
            return None
        self._sequences[key].append(event.data.sequence)
        return self.seen.see(event)

    @property
    def complete(self) -> bool:
        """Whether all requests have ended."""
        return all((row := self.seen.get(key)) is not None and row.ended for key in self.by_key)

    def ended(self) -> list[demo_view.Ended]:
        """Return the ends of all requests, in the order in which they were sent."""
        rows = [(one, self.seen.get(one.key)) for one in self.planned]
        return [demo_view.Ended(one, row, (row.changed_ms - row.seen_ms) / 1000 if row else 0.0) for one, row in rows]

    def checks(self) -> list[demo_view.Check]:
        """Check that every request ended as planned, and that its events are numbered without gap or repeat."""
        ended = self.ended()
        good = sum(one.as_expected for one in ended)
        counted = all(found == list(range(1, len(found) + 1)) for found in self._sequences.values())
        total = sum(map(len, self._sequences.values()))
        return [
            demo_view.Check(good == len(ended), f"{good} of {len(ended)} requests ended as they should"),
            demo_view.Check(counted, f"{total} events, those of each request in order, none missing, none twice"),
        ]


async def _follow(stage: demo_stage.Stage, tail: topic_io.Tail, story: _Story, timeout_s: float) -> None:
    """Show the events until all requests have ended, or the time is up."""
    time = clock.SystemClock()
    start_s, start_ms = time.monotonic_s(), time.now_ms()
    out = view.out()
    screen = live.Live(console=out, auto_refresh=False, transient=True) if out.is_terminal else None

    # On a terminal the table is redrawn; other outputs get a line for each request that has ended.
    with screen or contextlib.nullcontext():
        while not story.complete and time.monotonic_s() - start_s < timeout_s:
            stage.family.check()
            for event in follow.events_of(await tail.take(_REDRAW_S)):
                row = story.hear(event)
                if screen is None and row is not None and row.ended:
                    out.print(demo_view.line(story.by_key[row.key], row, time.monotonic_s() - start_s))
            if screen is not None:
                shown = demo_view.live(
                    story.planned, story.seen, now_ms=time.now_ms(), start_ms=start_ms, size=out.size
                )
                screen.update(shown, refresh=True)


async def _dead_letter(stage: demo_stage.Stage) -> demo_view.Check:
    """Check that the dead-letter topic holds the unreadable message, byte by byte, with the reason."""
    topic = stage.kafka.topics.dead_letters
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DEAD_LETTER_S), topic_io.tail(stage.broker, topic, topic_io.BEGINNING) as tail:
            async for record in tail:
                if record.value == demo_requests.UNREADABLE:
                    reason = dict(record.headers).get("mrs_relay_reason", b"?").decode()
                    return demo_view.Check(True, f"the unreadable message lies in {topic} as it came ({reason})")
    return demo_view.Check(False, f"the unreadable message is not in {topic}")


async def _effects(stage: demo_stage.Stage, ended: Sequence[demo_view.Ended]) -> demo_view.Check:
    """Check that MRS ran each accepted request once, also the one that was sent twice."""
    status, body = await processes.fetch(stage.ports.mrs, "/emulator/effects")
    if not status:
        return demo_view.Check(False, "the emulator does not say what it ran")
    ran = int(json.loads(body)["count"])
    accepted = sum(one.planned.expected != "rejected" for one in ended)
    return demo_view.Check(
        ran == accepted,
        f"MRS ran {ran} jobs and statements for {accepted} accepted requests, though one was sent twice",
    )


async def _keep(stage: demo_stage.Stage) -> None:
    """Print how to send messages, and wait for Ctrl-C."""
    out = view.out()
    command = "mrs-relay" if shutil.which("mrs-relay") else _own_command()
    out.print(text.Text("\nThe demo keeps running. Send your own requests:\n", "bold"))
    out.print(view.plain(demo_view.how_to_send(stage.kafka.bootstrap_servers, stage.ports, command)), soft_wrap=True)
    out.print(view.plain(f"Logs: {stage.folder}   Ctrl-C ends everything.", "dim"), soft_wrap=True)
    stop = run.stop_on_signals()
    while not stop.is_set():
        stage.family.check()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 1.0)


def _own_command() -> str:
    """Return the shell command that started this program."""
    called = pathlib.Path(sys.argv[0])
    return str(called) if called.name == "mrs-relay" else f"{sys.executable} -m mrs_relay"
