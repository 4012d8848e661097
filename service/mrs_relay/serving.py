"""
Builds what serves: a set of tools for each connection to MRS, a desk and a Kafka runtime for each tenant.

Tenants of one connection share its client, scheduler and pollers, because MRS counts quota and slots by project;
topics, consumer group, ledger and rules are each tenant's own. Without tenants there is one of each. `app` runs
what is built.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeVar

from mrs_relay import errors, tenancy
from mrs_relay import settings as all_settings
from mrs_relay.engine import choosing, clusters, decide, desk, relay, submitter, tracker, views
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.quota_sharing import exchange
from mrs_relay.engine.scheduling import lanes, quota, scheduler
from mrs_relay.kit import clock, tasks
from mrs_relay.mrs import client as clients
from mrs_relay.mrs import settings as mrs_settings
from mrs_relay.mrs.operations import registry
from mrs_relay.stream import broker as brokers
from mrs_relay.stream import lease as leases
from mrs_relay.stream import runtime, supervisor
from mrs_relay.stream import settings as stream_settings

Connect = Callable[[mrs_settings.MrsSettings], AbstractAsyncContextManager[clients.Client]]
"""Opens a client of MRS for the length of a context."""

Brokers = Callable[[stream_settings.KafkaSettings], brokers.Broker]
"""The Kafka for a tenant's settings."""

_E = TypeVar("_E", bound=errors.RelayError)


@dataclass(frozen=True, slots=True)
class Connection:
    """
    One connection to MRS in this process, with what its tenants share.

    Attributes:
        name: in the settings.
        client: makes the calls.
        quota: shares MRS's budgets, which are counted by project, with the other replicas.
    """

    name: str
    client: clients.Client
    gate: scheduler.SubmissionScheduler
    tracker: tracker.Tracker
    clusters: clusters.Watcher
    chooser: choosing.Chooser
    submitter: submitter.Submitter
    sending: lanes.Lanes
    quota: exchange.QuotaExchange


@dataclass(frozen=True, slots=True)
class Served:
    """One tenant's part of the service."""

    tenancy: tenancy.Tenancy
    connection: Connection
    tools: desk.Desk
    kafka: supervisor.Supervisor[desk.Notice]


@contextlib.asynccontextmanager
async def opened(
    settings: all_settings.Settings, connect: Connect, broker: Brokers, time: clock.Clock
) -> AsyncIterator[tuple[Served, ...]]:
    """All tenants' parts of the service, for the length of the context; the caller runs and stops their runtimes."""
    async with contextlib.AsyncExitStack() as stack:
        connections: dict[str, Connection] = {}
        served = []
        for one in settings.tenancies:
            name = one.connection
            if name not in connections:
                client = await stack.enter_async_context(connect(settings.connection(name)))
                entered = _connection(name, client, settings.engine, time)
                connections[name] = await stack.enter_async_context(entered)
            served.append(_served(settings, one, connections[name], broker(one.kafka), time))
        yield tuple(served)


async def run(served: Sequence[Served]) -> None:
    """
    Run all runtimes until they are stopped.

    One that ends by an error is begun anew in the background, as long as a tenant is left that has no such trouble.

    Raises:
        SettingsError, StreamError: all tenants are in trouble; names each with its own. They have left in order.
    """
    faults: list[errors.RelayError] = []

    async def follow(one: Served) -> None:
        try:
            await one.kafka.run(lambda: any(other.kafka.fault is None for other in served))
        except errors.RelayError as error:
            faults.append(error)
            stop(served)

    async with asyncio.TaskGroup() as group:
        for one in served:
            group.create_task(follow(one), name=f"kafka {one.tenancy.kafka.topics.requests}")
    if faults:
        raise _told(faults[0], served)


def stop(served: Sequence[Served]) -> None:
    """Begin the shutdown of all runtimes."""
    for one in served:
        one.kafka.stop()


def _told(error: _E, served: Sequence[Served]) -> _E:
    """The error that was the last straw, with what is wrong with each tenant as its text."""
    lines = [f"tenant {one.tenancy.name}: {one.kafka.fault}" for one in served if one.tenancy.name and one.kafka.fault]
    if lines:
        error.args = ("\n".join(lines), *error.args[1:])
    return error


@contextlib.asynccontextmanager
async def _connection(
    name: str, client: clients.Client, engine: engine_settings.EngineSettings, time: clock.Clock
) -> AsyncIterator[Connection]:
    def spend(operation: str) -> float:
        return client.limits.try_acquire(registry.OPERATIONS[operation])

    admitting = scheduler.SubmissionScheduler(engine, time, spend)
    pollers = tracker.Tracker(client, engine, time)
    watcher = clusters.Watcher(client, engine, time)
    sharing = exchange.QuotaExchange(client.limits, time, admitting.look_again)
    crew = tasks.Crew(sharing.failed)
    crew.start(sharing.run(), name=f"quota {name}")
    try:
        yield Connection(
            name=name,
            client=client,
            gate=admitting,
            tracker=pollers,
            clusters=watcher,
            chooser=choosing.Chooser(client, admitting.load, engine, time),
            submitter=submitter.Submitter(client, admitting.pauses, engine, time),
            sending=lanes.Lanes(engine.max_in_flight, engine.max_others_in_flight),
            quota=sharing,
        )
    finally:
        await crew.close()
        admitting.close()
        await pollers.close()
        await watcher.close()


def _served(
    settings: all_settings.Settings,
    one: tenancy.Tenancy,
    connection: Connection,
    broker: brokers.Broker,
    time: clock.Clock,
) -> Served:
    share = quota.Share()

    def note_share(owned: int, total: int) -> None:
        share.owned, share.total = owned, total
        connection.quota.look_again()
        connection.gate.look_again()

    tools = _desk(settings, one, connection, share, time)

    def begin() -> runtime.Runtime[desk.Notice]:
        return runtime.Runtime(one.kafka, broker, _handler(tools), time, on_share=note_share)

    def note_end() -> None:
        note_share(0, share.total)

    supervised = supervisor.Supervisor(begin, one.kafka.topics.requests, note_end)
    connection.quota.boards.append(supervised)
    connection.sending.share_between(len(connection.quota.boards))
    return Served(one, connection, tools, supervised)


def _handler(tools: desk.Desk) -> Callable[[leases.Lease[desk.Notice]], Awaitable[None]]:
    return lambda lease: relay.relay(lease, tools)


def _desk(
    settings: all_settings.Settings,
    one: tenancy.Tenancy,
    connection: Connection,
    share: quota.Share,
    time: clock.Clock,
) -> desk.Desk:
    engine, topics = settings.engine, one.kafka.topics
    return desk.Desk(
        settings=engine,
        commit_interval_s=one.kafka.commit_interval_s,
        rules=_rules(engine),
        topics=desk.Topics(
            topics.requests,
            topics.events,
            topics.dead_letters,
            one.event_source,
            settings.event_mode,
            topics.latest,
        ),
        time=time,
        gate=connection.gate,
        tracker=connection.tracker,
        clusters=connection.clusters,
        chooser=connection.chooser,
        submitter=connection.submitter,
        sending=connection.sending,
        counts=views.Counts(),
        account=quota.TenantQuota(one.policy, share, time),
    )


def _rules(engine: engine_settings.EngineSettings) -> decide.Rules:
    return decide.Rules(
        remember_ms=round(engine.remember_s * 1000),
        progress_step=engine.progress_step,
        cancel_wait_ms=round(engine.cancel_wait_s * 1000),
        repeat_attempts=engine.repeat_attempts,
        resubmit_attempts=engine.resubmit_attempts,
        repeat_backoff_ms=round(engine.repeat_backoff_s * 1000),
        collect_within_ms=round(engine.collect_within_s * 1000),
        remember_rejected_ms=round(engine.remember_rejected_s * 1000),
    )
