"""
Run the service that `wiring` builds, and shut it down in order.

What opens last closes first: Kafka runtime, pollers, scheduler, MRS connections, HTTP. SIGTERM and SIGINT end it:
intake stops, submissions in flight are answered and committed, and all parts close within `kafka.shutdown_s`. SIGHUP
does the same if the process has a terminal, which was closed then; else the settings are read again.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import structlog

from mrs_relay import measuring, reload, wiring
from mrs_relay import settings as all_settings
from mrs_relay import tenants as all_tenants
from mrs_relay.client import auditing
from mrs_relay.common import clock, log_settings, logs, signals, tasks
from mrs_relay.engine import context as contexts
from mrs_relay.engine import probe
from mrs_relay.engine.scheduling import controls as standing
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka import supervisor
from mrs_relay.kafka.adapter import client as kafka_client
from mrs_relay.messages import audit
from mrs_relay.mrs import client as clients
from mrs_relay.traces import opened as traces
from mrs_relay.web import health, server

_log = structlog.get_logger(__name__)

_GC_ALLOCATIONS = 20_000
"""New container objects between two runs of the cycle collector; Python's own 700 costs a tenth of the throughput."""


class Source(NamedTuple):
    """
    Where the settings come from.

    Attributes:
        load: reads them again; raises SettingsError.
        file: of which changes are noticed; None: there is none.
    """

    load: Callable[[], all_settings.Settings]
    file: pathlib.Path | None


def run(settings: all_settings.Settings, source: Source | None = None) -> int:
    """Run `serve` in an event loop of its own, uvloop's where there is one; returns the exit code."""
    log_settings.set_up(settings.log)
    kafka_client.quieten()
    gc.freeze()  # all objects loaded so far live as long as the process; 100,000 jobs hold no cycles either
    gc.set_threshold(_GC_ALLOCATIONS, 20, 20)
    if sys.platform == "win32":
        return asyncio.run(serve(settings, source))
    import uvloop  # noqa: PLC0415 - not to be had on Windows

    return uvloop.run(serve(settings, source))


_NOTE_S = 30.0


async def serve(settings: all_settings.Settings, source: Source | None = None) -> int:
    """
    Run the relay until SIGTERM or SIGINT, of which a second one ends it at once, or until its terminal is closed.

    Args:
        settings: all of them.
        source: where limits and rules are read again while it runs; None: they are not.

    Returns the exit code: 0 after an orderly end.

    Raises:
        SettingsError: a setting is wrong, or Kafka's set-up for every tenant. StreamDown: only a new process helps.
    """
    time = clock.SystemClock()
    # A credentials file that cannot be used stops the start only if its connection is the only one.
    patient = len({one.connection for one in settings.tenancies}) > 1
    async with contextlib.AsyncExitStack() as stack:
        observing = await stack.enter_async_context(traces.opened(settings.traces))
        connect = functools.partial(clients.connected, now=time, patient=patient, make=observing.client)
        opened = wiring.opened(settings, connect, kafka_client.KafkaBroker, time, observing=observing)
        served = await stack.enter_async_context(opened)
        probes = {
            one.connection.name: probe.Probe(
                one.connection.client,
                settings.connection(one.connection.name).base_url,
                all_tenants.group_of(one.connection.name),
            )
            for one in served
        }

        meter = measuring.Meter(served, settings, time)
        status = functools.partial(health_of, served, probes)
        counts = functools.partial(measuring.snapshot, served, probes, meter)
        reloader = None if source is None else _reloader(settings, source, served, time)
        _on_signals(served, reloader)
        _log.info("relay_started", kafka=settings.kafka.bootstrap_servers, **_what(settings, served))

        async with server.serving(settings.web, status, counts), tasks.TaskSupervisor(_report) as task_supervisor:
            for name, one in probes.items():
                task_supervisor.start(one.run(), name=f"mrs probe {name}")
            meter.start(task_supervisor)
            if reloader is not None:
                task_supervisor.start(reloader.run(), name="reload of settings")
            await wiring.run(served)

        _log.info("relay_stopped")
    return 0


def _what(settings: all_settings.Settings, served: Sequence[wiring.TenantService]) -> dict[str, Any]:
    """Return the log fields that name the MRS addresses and the tenants."""
    tenants = [one.tenant.name for one in served if one.tenant.name]
    addresses = sorted({settings.connection(one.connection.name).base_url for one in served})
    return {"mrs": ", ".join(addresses), **({"tenants": tenants} if tenants else {})}


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


def _reloader(
    settings: all_settings.Settings, source: Source, served: Sequence[wiring.TenantService], time: clock.Clock
) -> reload.Reloader:
    note = functools.partial(_note, settings.kafka, time)

    def adopt(read: all_settings.Settings) -> None:
        logs.set_level(read.log.level)
        wiring.adopt(served, read)

    return reload.Reloader(settings, source.load, source.file, adopt, note)


async def _note(kafka: kafka_settings.KafkaSettings, time: clock.Clock, decided: audit.Data) -> None:
    """Put a change of the settings on record. Raises RelayError, TimeoutError: it is perhaps not written."""
    async with asyncio.timeout(_NOTE_S):
        broker = kafka_client.KafkaBroker(kafka)
        await auditing.note_settings(broker, kafka.topics.audit, time, wiring.warn_of_audit, ("settings", decided))


def _on_signals(served: Sequence[wiring.TenantService], reloader: reload.Reloader | None) -> None:
    is_stopping, has_terminal = False, signals.has_terminal()

    def stop(number: signal.Signals) -> None:
        nonlocal is_stopping
        if number.name == "SIGHUP" and reloader is not None and not has_terminal:
            reloader.ask()
            return
        is_hang_up = number.name == "SIGHUP"  # a terminal that closes may send several, and other signals, too
        if is_stopping and not is_hang_up:
            os._exit(1)  # a second signal asks for an immediate end; every step may be skipped safely
        is_stopping = is_stopping or not is_hang_up
        _log.info("shutdown_started", signal=number.name)
        wiring.stop(served)

    signals.handle(stop)


def _report(task: str, error: BaseException) -> None:
    _log.error("task_failed", task=task, exc_info=error)
