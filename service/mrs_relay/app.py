"""
Run the service that `wiring` builds, and shut it down in order.

What opens last closes first: Kafka runtime, pollers, scheduler, MRS connections, HTTP. SIGTERM, SIGINT and SIGHUP end
it: intake stops, submissions in flight are answered and committed, and all parts close within `kafka.shutdown_s`.
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

from mrs_relay import settings as all_settings
from mrs_relay import tenants as all_tenants
from mrs_relay import wiring
from mrs_relay.common import clock, logs, signals, tasks
from mrs_relay.engine import context as contexts
from mrs_relay.engine import probe, views
from mrs_relay.engine.scheduling import controls as standing
from mrs_relay.kafka import supervisor
from mrs_relay.kafka.adapter import client as kafka_client
from mrs_relay.mrs import client as clients
from mrs_relay.web import health, server

_log = structlog.get_logger(__name__)

_GC_ALLOCATIONS = 20_000
"""New container objects between two runs of the cycle collector; Python's own 700 costs a tenth of the throughput."""


def run(settings: all_settings.Settings) -> int:
    """Run `serve` in an event loop of its own, uvloop's where there is one; returns the exit code."""
    logs.setup(level=settings.log.level, style=settings.log.format)
    kafka_client.quieten()
    gc.freeze()  # all objects loaded so far live as long as the process; 100,000 jobs hold no cycles either
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
    # A credentials file that cannot be used stops the start only if its connection is the only one.
    patient = len({one.connection for one in settings.tenancies}) > 1
    connect = functools.partial(clients.connected, now=time, patient=patient)
    async with wiring.opened(settings, connect, kafka_client.KafkaBroker, time) as served:
        probes = {
            one.connection.name: probe.Probe(
                one.connection.client,
                settings.connection(one.connection.name).base_url,
                all_tenants.group_of(one.connection.name),
            )
            for one in served
        }

        status, counts = functools.partial(health_of, served, probes), functools.partial(snapshot, served, probes)
        _stop_on_signals(served)
        _log.info("relay_started", kafka=settings.kafka.bootstrap_servers, **_what(settings, served))

        async with server.serving(settings.web, status, counts), tasks.TaskSupervisor(_report) as task_supervisor:
            for name, one in probes.items():
                task_supervisor.start(one.run(), name=f"mrs probe {name}")
            await wiring.run(served)

        _log.info("relay_stopped")
    return 0


def _what(settings: all_settings.Settings, served: Sequence[wiring.TenantService]) -> dict[str, Any]:
    """Return the log fields that name the MRS addresses and the tenants."""
    tenants = [one.tenant.name for one in served if one.tenant.name]
    addresses = sorted({settings.connection(one.connection.name).base_url for one in served})
    return {"mrs": ", ".join(addresses), **({"tenants": tenants} if tenants else {})}


def snapshot(served: Sequence[wiring.TenantService], probes: Mapping[str, probe.Probe]) -> views.Snapshot:
    """Return the counts and queues of all tenants and connections at this moment."""
    connections = {one.connection.name: one.connection for one in served}
    controls = served[0].context.controls  # all tenants have the same
    return views.Snapshot(
        tuple(_tenant_view(one, probes[one.connection.name]) for one in served),
        tuple(
            views.Connection(
                name,
                one.sending.taken,
                one.tracker.followed,
                one.tracker.lag,
                one.scheduler.waiting_by_cause(),
                one.scheduler.paused(),
            )
            for name, one in connections.items()
        ),
        tuple(controls),
        controls.rejected,
        controls.draining,
    )


def _tenant_view(one: wiring.TenantService, mrs: probe.Probe) -> views.Tenant:
    tenant_quota, is_ready = one.context.quota, one.kafka.status().ready and mrs.problem is None
    return views.Tenant(one.tenant.name, one.context.counts, tenant_quota.queued, tenant_quota.running, is_ready)


def health_of(served: Sequence[wiring.TenantService], probes: Mapping[str, probe.Probe]) -> health.Health:
    """
    Return whether requests are being carried out, and the reasons if not; a tenant's reasons begin with its name.

    With tenants the process is ready as long as one of them is served: an orchestrator that removes the process for
    one tenant's fault removes it for all tenants.
    """
    tenants = {
        one.tenant.name: _health_of(one.kafka, probes[one.connection.name], one.context.controls) for one in served
    }
    if len(tenants) == 1 and "" in tenants:
        return tenants[""]

    reasons = tuple(f"tenant {name}: {reason}" for name, one in tenants.items() for reason in one.reasons)
    return health.Health(any(one.ready for one in tenants.values()), reasons, tenants=tenants)


def _health_of(
    kafka: supervisor.Supervisor[contexts.Notice], mrs: probe.Probe, controls: standing.Controls
) -> health.Health:
    now = kafka.status()
    reasons = [reason for reason in (mrs.problem, controls.problem) if reason]
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


def _stop_on_signals(served: Sequence[wiring.TenantService]) -> None:
    is_stopping = False

    def stop(number: signal.Signals) -> None:
        nonlocal is_stopping
        is_hang_up = number.name == "SIGHUP"  # a terminal that closes may send several, and other signals, too
        if is_stopping and not is_hang_up:
            os._exit(1)  # a second signal asks for an immediate end; every step may be skipped safely
        is_stopping = is_stopping or not is_hang_up
        _log.info("shutdown_started", signal=number.name)
        wiring.stop(served)

    signals.handle(stop)


def _report(task: str, error: BaseException) -> None:
    _log.error("task_failed", task=task, exc_info=error)
