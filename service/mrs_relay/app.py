"""
Builds the service out of its parts, runs it, and ends it in order.

What opens last closes first: Kafka runtime, pollers, gate, MRS connections, HTTP. SIGTERM and SIGINT end it: intake
stops, submissions in flight are answered and committed, and everything is gone within `kafka.shutdown_s`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator

import structlog

from mrs_relay import settings as all_settings
from mrs_relay.engine import choosing, clusters, decide, desk, gate, probe, relay, submitter, tracker, views
from mrs_relay.kit import clock, logs, tasks
from mrs_relay.mrs import client as clients
from mrs_relay.mrs.operations import registry
from mrs_relay.stream import broker as brokers
from mrs_relay.stream import client as stream_client
from mrs_relay.stream import lease as leases
from mrs_relay.stream import runtime
from mrs_relay.web import health, server

_log = structlog.get_logger(__name__)

_GC_ALLOCATIONS = 20_000
"""New container objects between two looks for cycles; Python's own 700 costs a tenth of the throughput here."""


@contextlib.asynccontextmanager
async def desk_for(
    settings: all_settings.Settings, client: clients.Client, time: clock.Clock
) -> AsyncIterator[desk.Desk]:
    """The engine's shared tools for the length of the context, on top of an MRS client."""

    def spend(operation: str) -> float:
        return client.limits.try_acquire(registry.OPERATIONS[operation])

    engine = settings.engine
    doors = gate.Gate(engine, time, spend)
    pollers = tracker.Tracker(client, engine, time)
    watcher = clusters.Watcher(client, engine, time)
    topics = settings.kafka.topics
    try:
        yield desk.Desk(
            settings=engine,
            commit_interval_s=settings.kafka.commit_interval_s,
            rules=decide.Rules(
                round(engine.remember_s * 1000), engine.progress_step, round(engine.cancel_wait_s * 1000)
            ),
            topics=desk.Topics(
                topics.requests,
                topics.events,
                topics.dead_letters,
                settings.event_source,
                settings.event_mode,
                topics.latest,
            ),
            time=time,
            gate=doors,
            tracker=pollers,
            clusters=watcher,
            chooser=choosing.Chooser(client, doors.load, engine, time),
            submitter=submitter.Submitter(client, doors.hold, engine, time),
            sending=asyncio.Semaphore(engine.max_in_flight),
            counts=views.Counts(),
            share=desk.Share(),
        )
    finally:
        doors.close()
        await pollers.close()
        await watcher.close()


def run(settings: all_settings.Settings) -> int:
    """Run `serve` in an event loop of its own, uvloop's where there is one; returns the exit code."""
    logs.setup(level=settings.log.level, style=settings.log.format)
    gc.freeze()  # what is loaded now lives as long as the process; 100,000 jobs hold no cycles either
    gc.set_threshold(_GC_ALLOCATIONS, 20, 20)
    if sys.platform == "win32":
        return asyncio.run(serve(settings))
    import uvloop  # noqa: PLC0415 - not to be had on Windows

    return uvloop.run(serve(settings))


async def serve(settings: all_settings.Settings) -> int:
    """
    Run the relay until SIGTERM or SIGINT; a second signal ends it at once.

    Returns the exit code: 0 after an orderly end.

    Raises:
        SettingsError: a setting, or the set-up of Kafka, is wrong. StreamDown: only a new process helps.
    """
    time = clock.SystemClock()
    broker = stream_client.KafkaBroker(settings.kafka)
    async with clients.connected(settings.mrs, time) as client, desk_for(settings, client, time) as tools:
        kafka = runtime_for(settings, broker, client, tools, time)
        mrs = probe.Probe(client, settings.mrs.base_url)
        status, counts = functools.partial(health_of, kafka, mrs), functools.partial(snapshot, tools)
        _stop_on_signals(kafka)
        _log.info("relay_started", kafka=settings.kafka.bootstrap_servers, mrs=settings.mrs.base_url)
        async with server.serving(settings.web, status, counts), tasks.Crew(_report) as crew:
            crew.start(mrs.run(), name="mrs probe")
            await kafka.run()
        _log.info("relay_stopped")
    return 0


def runtime_for(
    settings: all_settings.Settings,
    broker: brokers.Broker,
    client: clients.Client,
    tools: desk.Desk,
    time: leases.Clock,
) -> runtime.Runtime[desk.Notice]:
    """
    The Kafka runtime with the engine as its handler; the caller runs and stops it.

    Of MRS's budgets, which are counted by tenant, this process spends its share of the partitions: so all replicas
    together stay below the limit without talking.
    """

    def note_share(owned: int, total: int) -> None:
        tools.share.owned, tools.share.total = owned, total
        if owned and total:
            client.limits.set_share(min(1.0, owned / total))

    return runtime.Runtime(settings.kafka, broker, lambda lease: relay.relay(lease, tools), time, on_share=note_share)


def snapshot(tools: desk.Desk) -> views.Snapshot:
    """What is under way right now."""
    return views.Snapshot(
        tools.counts, tools.gate.waiting, tools.gate.in_flight, tools.tracker.watched, tools.tracker.lag
    )


def health_of(kafka: runtime.Runtime[desk.Notice], mrs: probe.Probe) -> health.Health:
    """Whether requests are being carried out, and what is in the way."""
    now = kafka.status()
    reasons = [mrs.problem] if mrs.problem else []
    reasons += [] if now.connected else [f"Kafka does not answer: {now.error or 'no reply yet'}"]
    reasons += [now.error] if now.connected and now.error else []
    reasons += [] if now.joined else ["the consumer group has not given us our share yet"]
    reasons += ["shutting down"] if now.stopping else []
    reasons += [f"partition {one.partition} is {one.state.value}: {one.error}" for one in now.partitions if one.error]
    partitions = [
        {"partition": one.partition, "state": one.state.value, "lag": one.lag, "waiting": one.waiting}
        for one in now.partitions
    ]
    return health.Health(now.ready and mrs.problem is None, tuple(reasons), {"partitions": partitions})


def _stop_on_signals(kafka: runtime.Runtime[desk.Notice]) -> None:
    loop = asyncio.get_running_loop()
    told = False

    def stop(name: str) -> None:
        nonlocal told
        if told:
            os._exit(1)  # asked twice: whoever asks wants it gone now, and every step may be skipped safely
        told = True
        _log.info("stopping", signal=name)
        kafka.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number.name)


def _report(task: str, error: BaseException) -> None:
    _log.error("task_failed", task=task, exc_info=error)
