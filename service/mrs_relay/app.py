"""
Runs the service that `serving` builds out of its parts, and ends it in order.

What opens last closes first: Kafka runtime, pollers, scheduler, MRS connections, HTTP. SIGTERM, SIGINT and SIGHUP end
it: intake stops, submissions in flight are answered and committed, and everything is gone within `kafka.shutdown_s`.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from mrs_relay import serving, tenancy
from mrs_relay import settings as all_settings
from mrs_relay.engine import desk, probe, views
from mrs_relay.kit import clock, logs, signals, tasks
from mrs_relay.mrs import client as clients
from mrs_relay.stream import client as stream_client
from mrs_relay.stream import supervisor
from mrs_relay.web import health, server

_log = structlog.get_logger(__name__)

_GC_ALLOCATIONS = 20_000
"""New container objects between two looks for cycles; Python's own 700 costs a tenth of the throughput here."""


def run(settings: all_settings.Settings) -> int:
    """Run `serve` in an event loop of its own, uvloop's where there is one; returns the exit code."""
    logs.setup(level=settings.log.level, style=settings.log.format)
    stream_client.quieten()
    gc.freeze()  # what is loaded now lives as long as the process; 100,000 jobs hold no cycles either
    gc.set_threshold(_GC_ALLOCATIONS, 20, 20)
    if sys.platform == "win32":
        return asyncio.run(serve(settings))
    import uvloop  # noqa: PLC0415 - not to be had on Windows

    return uvloop.run(serve(settings))


async def serve(settings: all_settings.Settings) -> int:
    """
    Run the relay until SIGTERM, SIGINT or SIGHUP; a second SIGTERM or SIGINT ends it at once.

    Returns the exit code: 0 after an orderly end.

    Raises:
        SettingsError: a setting is wrong, or Kafka's set-up for every tenant. StreamDown: only a new process helps.
    """
    time = clock.SystemClock()
    # A file that cannot be read is one connection's trouble; where it is the only one, nobody could be served.
    patient = len({one.connection for one in settings.tenancies}) > 1
    connect = functools.partial(clients.connected, now=time, patient=patient)
    async with serving.opened(settings, connect, stream_client.KafkaBroker, time) as served:
        probes = {
            one.connection.name: probe.Probe(
                one.connection.client,
                settings.connection(one.connection.name).base_url,
                tenancy.group_of(one.connection.name),
            )
            for one in served
        }
        status, counts = functools.partial(health_of, served, probes), functools.partial(snapshot, served, probes)
        _stop_on_signals(served)
        _log.info("relay_started", kafka=settings.kafka.bootstrap_servers, **_what(settings, served))
        async with server.serving(settings.web, status, counts), tasks.Crew(_report) as crew:
            for name, one in probes.items():
                crew.start(one.run(), name=f"mrs probe {name}")
            await serving.run(served)
        _log.info("relay_stopped")
    return 0


def _what(settings: all_settings.Settings, served: Sequence[serving.Served]) -> dict[str, Any]:
    """What the log says of whom is served."""
    tenants = [one.tenancy.name for one in served if one.tenancy.name]
    addresses = sorted({settings.connection(one.connection.name).base_url for one in served})
    return {"mrs": ", ".join(addresses), **({"tenants": tenants} if tenants else {})}


def snapshot(served: Sequence[serving.Served], probes: Mapping[str, probe.Probe]) -> views.Snapshot:
    """What is under way right now."""
    connections = {one.connection.name: one.connection for one in served}
    return views.Snapshot(
        tuple(_tenant_view(one, probes[one.connection.name]) for one in served),
        tuple(
            views.Connection(
                name,
                one.sending.taken,
                one.tracker.watched,
                one.tracker.lag,
                one.gate.waiting_by_cause(),
                one.gate.paused(),
            )
            for name, one in connections.items()
        ),
    )


def _tenant_view(one: serving.Served, mrs: probe.Probe) -> views.Tenant:
    account, is_ready = one.tools.account, one.kafka.status().ready and mrs.problem is None
    return views.Tenant(one.tenancy.name, one.tools.counts, account.queued, account.running, is_ready)


def health_of(served: Sequence[serving.Served], probes: Mapping[str, probe.Probe]) -> health.Health:
    """
    Whether requests are being carried out, and what is in the way; a tenant's troubles begin with its name.

    With tenants the process is ready as long as one of them is served: whoever takes it away for another one's trouble
    takes it from all.
    """
    tenants = {one.tenancy.name: _health_of(one.kafka, probes[one.connection.name]) for one in served}
    if len(tenants) == 1 and "" in tenants:
        return tenants[""]
    reasons = tuple(f"tenant {name}: {reason}" for name, one in tenants.items() for reason in one.reasons)
    return health.Health(any(one.ready for one in tenants.values()), reasons, tenants=tenants)


def _health_of(kafka: supervisor.Supervisor[desk.Notice], mrs: probe.Probe) -> health.Health:
    now = kafka.status()
    reasons = [mrs.problem] if mrs.problem else []
    if kafka.fault is not None and not now.ready:
        return health.Health(ready=False, reasons=(*reasons, f"ended, is tried again: {kafka.fault}"))
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


def _stop_on_signals(served: Sequence[serving.Served]) -> None:
    told = False

    def stop(number: signal.Signals) -> None:
        nonlocal told
        is_hang_up = number.name == "SIGHUP"  # a terminal that closes may send several, and others beside
        if told and not is_hang_up:
            os._exit(1)  # asked twice: whoever asks wants it gone now, and every step may be skipped safely
        told = told or not is_hang_up
        _log.info("stopping", signal=number.name)
        serving.stop(served)

    signals.handle(stop)


def _report(task: str, error: BaseException) -> None:
    _log.error("task_failed", task=task, exc_info=error)
