"""
Build the service: the MRS side once for each connection, a context and a Kafka runtime for each tenant.

Tenants of one connection share its client, scheduler and pollers, because MRS counts quota and slots by project;
topics, consumer group, ledger and rules are each tenant's own. Without tenants there is one of each. `app` runs
the service.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import platform
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import structlog

import mrs_relay
from mrs_relay import errors, tenants
from mrs_relay import settings as all_settings
from mrs_relay.client import auditing
from mrs_relay.common import clock, tasks
from mrs_relay.engine import context as contexts
from mrs_relay.engine import control_reader, relay, status_publisher, status_report, tracing, views
from mrs_relay.engine.execution import chunk_sink, cluster_selector, submitter
from mrs_relay.engine.lineage import recorder
from mrs_relay.engine.model import cold_jobs
from mrs_relay.engine.quota_sharing import exchange
from mrs_relay.engine.scheduling import controls as standing
from mrs_relay.engine.scheduling import lanes, quota, scheduler
from mrs_relay.engine.trackers import cluster_tracker, job_tracker
from mrs_relay.engine.work import kinds
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import cold_records, hooks, runtime, supervisor
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.messages import audit, status
from mrs_relay.mrs import client as clients
from mrs_relay.mrs import settings as mrs_settings
from mrs_relay.mrs.operations import registry
from mrs_relay.obs import client as obs_clients

Connect = Callable[[mrs_settings.MrsSettings], AbstractAsyncContextManager[clients.Client]]
"""Open a client of MRS for the length of a context."""

Brokers = Callable[[kafka_settings.KafkaSettings], brokers.Broker]
"""Make the Kafka broker for a tenant's settings."""

_E = TypeVar("_E", bound=errors.RelayError)

_log = structlog.get_logger(__name__)

_DUE_UNITS: Final = 512
"""Ended jobs are forgotten in so many groups: each up to a 512th of `remember_s` late."""


@dataclass(frozen=True, slots=True)
class Connection:
    """
    One connection to MRS in this process, with the parts that its tenants share.

    Attributes:
        name: in the settings.
        client: makes the calls.
        quota: shares MRS's budgets, which are counted by project, with the other replicas.
        observing: the traces of this process.
    """

    name: str
    client: clients.Client
    scheduler: scheduler.SubmissionScheduler
    tracker: job_tracker.JobTracker
    clusters: cluster_tracker.ClusterTracker
    selector: cluster_selector.ClusterSelector
    submitter: submitter.Submitter
    sending: lanes.Lanes
    quota: exchange.QuotaExchange
    observing: tracing.Tracing = tracing.OFF


@dataclass(frozen=True, slots=True)
class TenantService:
    """One tenant's part of the service."""

    tenant: tenants.ResolvedTenant
    connection: Connection
    context: contexts.TenantContext
    kafka: supervisor.Supervisor[contexts.Notice]


@contextlib.asynccontextmanager
async def opened(
    settings: all_settings.Settings,
    connect: Connect,
    broker: Brokers,
    time: clock.Clock,
    obs: obs_clients.MakeTransport = obs_clients.over_network,
    observing: tracing.Tracing = tracing.OFF,
) -> AsyncIterator[tuple[TenantService, ...]]:
    """Open the parts of all tenants for the length of the context; the caller runs and stops their runtimes."""
    async with contextlib.AsyncExitStack() as stack:
        reader = await stack.enter_async_context(_controlled(settings.kafka, broker(settings.kafka), time))
        connections: dict[str, Connection] = {}
        served = []

        for one in settings.tenancies:
            name = one.connection
            if name not in connections:
                client = await stack.enter_async_context(connect(settings.connection(name)))
                entered = _connection(name, client, settings, reader, obs, observing)
                connections[name] = await stack.enter_async_context(entered)
            served.append(_served(settings, one, connections[name], broker(one.kafka), reader))
            if (chunks := served[-1].context.chunks) is not None:
                stack.push_async_callback(chunks.close)

        async with _publishing(settings, tuple(served), broker, time):
            yield tuple(served)


@contextlib.asynccontextmanager
async def _publishing(
    settings: all_settings.Settings, served: Sequence[TenantService], broker: Brokers, time: clock.Clock
) -> AsyncIterator[None]:
    """Publish the status for the length of the context; a bug in it ends nothing else."""
    topic = settings.kafka.topics.status
    if topic is None:
        yield
        return
    name = f"{platform.node() or 'relay'}-{secrets.token_hex(3)}"
    read = functools.partial(_status, name, served, time)
    publisher = status_publisher.StatusPublisher(broker(settings.kafka), topic, name, time, read)
    async with tasks.TaskSupervisor(status_publisher.failed) as task_supervisor:
        task_supervisor.start(publisher.run(), name="status")
        yield


def _status(replica: str, served: Sequence[TenantService], time: clock.Clock) -> Iterator[status_publisher.Described]:
    """Describe this process by the keys of `messages.status`, one after the other: there may be hundreds."""
    described, tenants_here = [], []
    for name, one in {one.connection.name: one.connection for one in served}.items():
        now_ms = time.now_ms()
        seen = one.scheduler.overview(status_report.MOST_CLUSTERS, status.FIRST)
        described.append(status_report.connection(name, seen, one.client.limits, one.sending.taken, now_ms))
        for cluster in seen.clusters:
            made = status_report.cluster(name, cluster, seen.slots, now_ms)
            yield status.cluster_key(replica, name, cluster.cluster), made

    for service in served:
        partitions, context = service.kafka.status().partitions, service.context
        owned = [seen_partition.partition for seen_partition in partitions]
        tenants_here.append(status_report.tenant(context, service.connection.name, owned))
        for seen_partition in partitions:
            held = context.held.get(seen_partition.partition)
            key = status.partition_key(seen_partition.topic, seen_partition.partition)
            yield key, status_report.partition(service.tenant.name, seen_partition, held)

    whole = status.Replica(version=mrs_relay.__version__, tenants=tenants_here, connections=described)
    yield status.replica_key(replica), whole


async def run(served: Sequence[TenantService]) -> None:
    """
    Run all runtimes until they are stopped.

    A runtime that ends with an error is restarted in the background, as long as another tenant has no such error.

    Raises:
        SettingsError, StreamError: every tenant has failed; names each with its error. All have shut down in order.
    """
    faults: list[errors.RelayError] = []

    async def follow(one: TenantService) -> None:
        try:
            await one.kafka.run(lambda: any(other.kafka.fault is None for other in served))
        except errors.RelayError as error:
            faults.append(error)
            stop(served)

    async with asyncio.TaskGroup() as group:
        for one in served:
            group.create_task(follow(one), name=f"kafka {one.tenant.kafka.topics.requests}")
    if faults:
        raise _with_tenants(faults[0], served)


def adopt(served: Sequence[TenantService], settings: all_settings.Settings) -> None:
    """
    Take over limits and rules of settings that were read again; what is under way is left alone.

    Only what `reload.is_reloadable` names is looked at: topics, connections and all else stay as they were opened.
    """
    policies = {one.name: one.policy for one in settings.tenancies}
    for one in served:
        present = one.context.quota.policy
        if (policy := policies.get(one.tenant.name)) is not None:
            fixed = {name: getattr(present, name) for name in ("deployment", "results", "causes")}
            one.context.quota.adopt(replace(policy, **fixed))
    for scheduling in {id(one.connection): one.connection.scheduler for one in served}.values():
        scheduling.set_slots(settings.engine.slots_per_cluster)
        scheduling.look_again()


def stop(served: Sequence[TenantService]) -> None:
    """Begin the shutdown of all runtimes."""
    for one in served:
        one.kafka.stop()


def _with_tenants(error: _E, served: Sequence[TenantService]) -> _E:
    """Replace the text of the last error by the faults of all tenants."""
    lines = [f"tenant {one.tenant.name}: {one.kafka.fault}" for one in served if one.tenant.name and one.kafka.fault]
    if lines:
        error.args = ("\n".join(lines), *error.args[1:])
    return error


@contextlib.asynccontextmanager
async def _controlled(
    kafka: kafka_settings.KafkaSettings, broker: brokers.Broker, time: clock.Clock
) -> AsyncIterator[control_reader.ControlReader]:
    """Read the control topic for the length of the context: one reader for all tenants."""
    reader = control_reader.ControlReader(broker, kafka.topics.control, standing.Controls(time.now_ms), time)
    async with tasks.TaskSupervisor(reader.failed) as task_supervisor:
        task_supervisor.start(reader.run(), name="controls")
        task_supervisor.start(reader.drains.run(), name="drains")
        try:
            yield reader
        finally:
            reader.close()


@contextlib.asynccontextmanager
async def _connection(
    name: str,
    client: clients.Client,
    settings: all_settings.Settings,
    reader: control_reader.ControlReader,
    obs: obs_clients.MakeTransport,
    observing: tracing.Tracing,
) -> AsyncIterator[Connection]:
    engine, time = settings.engine, reader.time
    objects = None
    if tenants.reads_obs(settings.tenancies, name):
        objects = obs_clients.opened(settings.obs, settings.connection(name).region, lambda: client.keys, obs)

    def spend(operation: str) -> float:
        return client.limits.try_acquire(registry.OPERATIONS[operation])

    admitting = scheduler.SubmissionScheduler(engine, time, spend, reader.controls)
    pollers = job_tracker.JobTracker(client, engine, time)
    watcher = cluster_tracker.ClusterTracker(client, engine, time)
    sharing = exchange.QuotaExchange(client.limits, time, admitting.look_again)
    task_supervisor = tasks.TaskSupervisor(sharing.failed)
    task_supervisor.start(sharing.run(), name=f"quota {name}")
    try:
        yield Connection(
            name=name,
            client=client,
            scheduler=admitting,
            tracker=pollers,
            clusters=watcher,
            selector=cluster_selector.ClusterSelector(client, admitting.load, engine, time),
            submitter=observing.submitter(client, admitting.pauses, engine, time, objects),
            sending=lanes.Lanes(engine.max_in_flight, engine.max_others_in_flight),
            quota=sharing,
            observing=observing,
        )
    finally:
        await task_supervisor.close()
        admitting.close()
        await pollers.close()
        await watcher.close()


def _served(
    settings: all_settings.Settings,
    one: tenants.ResolvedTenant,
    connection: Connection,
    broker: brokers.Broker,
    reader: control_reader.ControlReader,
) -> TenantService:
    share = quota.Share()

    def note_share(owned: int, total: int) -> None:
        share.owned, share.total = owned, total
        connection.quota.look_again()
        connection.scheduler.look_again()

    chunks = chunk_sink.of_topic(one.kafka, one.event_source, broker, reader.time)
    context = replace(_context(settings, one, connection, share, reader), chunks=chunks)
    accepted = _AcceptedLoss(one, broker, context.time)

    async def before_join() -> None:
        await reader.require()
        await accepted.note()

    def begin() -> runtime.Runtime[contexts.Notice]:
        return runtime.Runtime(
            one.kafka,
            broker,
            functools.partial(relay.relay, context=context),
            context.time,
            hooks=hooks.Hooks(note_share, before_join),
            cold=_cold_rule(context),
        )

    def note_end() -> None:
        note_share(0, share.total)

    supervised = supervisor.Supervisor(begin, one.kafka.topics.requests, note_end)
    connection.quota.boards.append(supervised)
    connection.sending.share_between(len(connection.quota.boards))
    return TenantService(one, connection, context, supervised)


class _AcceptedLoss:
    """Puts on record, once, that a tenant's partitions may go on without state that is gone."""

    def __init__(self, one: tenants.ResolvedTenant, broker: brokers.Broker, time: clock.Clock) -> None:
        self._kafka = one.kafka
        self._tenant = one.name
        self._broker = broker
        self._time = time
        self._is_noted = not one.kafka.accept_loss

    async def note(self) -> None:
        """Write the record before a partition begins; raises StreamError: it is perhaps not written."""
        if self._is_noted:
            return
        topics = self._kafka.topics
        decided = audit.Data(
            action="loss.accept",
            via="settings",
            place=auditing.host(),
            tenant=self._tenant,
            what={"requests": topics.requests, "ledger": topics.ledger},
            after={"kafka.accept_loss": True},
        )
        subject = topics.requests, decided
        await auditing.note_settings(self._broker, topics.audit, self._time, warn_of_audit, subject)
        self._is_noted = True


def warn_of_audit(text: str) -> None:
    """Log that decisions are not kept."""
    _log.warning("audit_not_kept", reason=text)


def _cold_rule(context: contexts.TenantContext) -> cold_records.ColdRule:
    def due_ms(values: Iterable[bytes | None]) -> list[int | None]:
        return cold_jobs.due_ms(values, context.time.now_ms(), quota.RECENT_MS, kinds.is_known)

    return cold_records.ColdRule(due_ms, max(1000, context.config.remember_ms // _DUE_UNITS))


def _context(
    settings: all_settings.Settings,
    one: tenants.ResolvedTenant,
    connection: Connection,
    share: quota.Share,
    reader: control_reader.ControlReader,
) -> contexts.TenantContext:
    engine, topics, target = settings.engine, one.kafka.topics, _lineage(one)
    spark_parent = target.namespace if target is not None and target.rules.spark_parent else None
    return contexts.TenantContext(
        settings=engine,
        commit_interval_s=one.kafka.commit_interval_s,
        config=engine.decisions(spark_parent, one.policy.causes.rules, one.policy.results.kept_s),
        topics=contexts.Topics(
            topics.requests,
            topics.events,
            topics.dead_letters,
            one.event_source,
            settings.event_mode,
            topics.latest,
        ),
        lineage=None if target is None else recorder.ready(target),
        time=reader.time,
        scheduler=connection.scheduler,
        tracker=connection.tracker,
        cluster_tracker=connection.clusters,
        cluster_selector=connection.selector,
        submitter=connection.submitter,
        lanes=connection.sending,
        counts=views.Counts(),
        quota=quota.TenantQuota(one.policy, share, reader.time),
        controls=reader.controls,
        ledger_format=one.kafka.ledger_format,
        traces=connection.observing.tenant(topics.requests, topics.events, reader.time),
    )


def _lineage(one: tenants.ResolvedTenant) -> recorder.Target | None:
    """Return where a tenant's run events go; None: they are not written."""
    topic = one.kafka.topics.lineage
    return None if topic is None else recorder.Target(topic, one.lineage.namespace or one.event_source, one.lineage)
