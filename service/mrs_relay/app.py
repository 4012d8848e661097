"""
Runs the service that `serving` builds out of its parts, and ends it in order.

What opens last closes first: Kafka runtime, pollers, gate, MRS connections, HTTP. SIGTERM and SIGINT end it: intake
stops, submissions in flight are answered and committed, and everything is gone within `kafka.shutdown_s`.
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
from mrs_relay.kit import clock, logs, tasks
from mrs_relay.mrs import client as clients
from mrs_relay.stream import client as stream_client
from mrs_relay.stream import runtime
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
    Run the relay until SIGTERM or SIGINT; a second signal ends it at once.

    Returns the exit code: 0 after an orderly end.

    Raises:
        SettingsError: a setting, or the set-up of Kafka, is wrong. StreamDown: only a new process helps.
    """
    time = clock.SystemClock()
    connect = functools.partial(clients.connected, now=time)
    async with serving.opened(settings, connect, stream_client.KafkaBroker, time) as served:
        probes = {
            one.connection.name: probe.Probe(
                one.connection.client,
                settings.connection(one.connection.name).base_url,
                tenancy.group_of(one.connection.name),
            )
            for one in served
        }
        status, counts = functools.partial(health_of, served, probes), functools.partial(snapshot, served)
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


def snapshot(served: Sequence[serving.Served]) -> views.Snapshot:
    """What is under way right now."""
    connections = {one.connection.name: one.connection for one in served}
    return views.Snapshot(
        tuple(_tenant_view(one) for one in served),
        tuple(
            views.Connection(name, one.gate.in_flight, one.tracker.watched, one.tracker.lag)
            for name, one in connections.items()
        ),
    )


def _tenant_view(one: serving.Served) -> views.Tenant:
    account = one.tools.account
    return views.Tenant(one.tenancy.name, one.tools.counts, account.queued, account.running, one.kafka.status().ready)


def health_of(served: Sequence[serving.Served], probes: Mapping[str, probe.Probe]) -> health.Health:
    """Whether requests are being carried out, and what is in the way; a tenant's troubles begin with its name."""
    found = [(one.tenancy.name, _health_of(one.kafka, probes[one.connection.name])) for one in served]
    if len(found) == 1 and not found[0][0]:
        return found[0][1]
    reasons = tuple(f"tenant {name}: {reason}" for name, one in found for reason in one.reasons)
    details = {name: one.as_json() for name, one in found}
    return health.Health(all(one.ready for _, one in found), reasons, {"tenants": details})


def _health_of(kafka: runtime.Runtime[desk.Notice], mrs: probe.Probe) -> health.Health:
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


def _stop_on_signals(served: Sequence[serving.Served]) -> None:
    loop = asyncio.get_running_loop()
    told = False

    def stop(name: str) -> None:
        nonlocal told
        if told:
            os._exit(1)  # asked twice: whoever asks wants it gone now, and every step may be skipped safely
        told = True
        _log.info("stopping", signal=name)
        serving.stop(served)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number.name)


def _report(task: str, error: BaseException) -> None:
    _log.error("task_failed", task=task, exc_info=error)
