"""Run `mrs-relay lineage forward`: send the run events of all tenants to the endpoint of the settings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import structlog

from mrs_relay import errors, tenants
from mrs_relay import settings as all_settings
from mrs_relay.common import backoff, logs, signals, tasks
from mrs_relay.forwarding import endpoint, forwarder
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.adapter import client as kafka_client
from mrs_relay.kafka.topics import acl_plan

_log = structlog.get_logger(__name__)

Connect = Callable[[kafka_settings.KafkaSettings], brokers.Broker]


def run(chosen: all_settings.ForwarderSettings) -> None:
    """Run the role in an event loop of its own, until SIGTERM, SIGINT or SIGHUP."""
    logs.setup(level=chosen.log.level, style=chosen.log.format, names=chosen.log.names)
    kafka_client.quieten()
    asyncio.run(_until_stopped(chosen))


async def _until_stopped(chosen: all_settings.ForwarderSettings) -> None:
    stop = asyncio.Event()
    signals.handle(lambda _number: stop.set())
    await forward(chosen, kafka_client.KafkaBroker, stop)


async def forward(chosen: all_settings.ForwarderSettings, connect: Connect, stop: asyncio.Event) -> None:
    """
    Forward until `stop` is set, or until a forwarder fails in a way that nothing handles.

    Raises:
        SettingsError: there is no topic of lineage or no endpoint, or another process has replaced this one.
    """
    failed: list[BaseException] = []

    def report(_task: str, error: BaseException) -> None:
        failed.append(error)
        stop.set()

    topics = groups(chosen.tenancies)
    async with endpoint.opened(chosen.forwarding) as opened, tasks.TaskSupervisor(report) as supervisor:
        wait = backoff.Backoff(0.5, chosen.forwarding.most_backoff_s)
        for kafka in topics:
            forwarding = forwarder.Forwarder(connect(kafka), opened.send, wait)
            supervisor.start(forwarding.run(), name=f"forward {kafka.topics.requests}")
        _log.info("forwarder_started", topics=[kafka.topics.requests for kafka in topics])
        await stop.wait()
    _log.info("forwarder_stopped")
    if failed:
        raise failed[0]


def groups(tenancies: Sequence[tenants.ResolvedTenant]) -> list[kafka_settings.KafkaSettings]:
    """
    Return the settings with which each topic of lineage is read: it is the input topic of a group of its own.

    Raises:
        SettingsError: no tenant has one.
    """
    found: dict[str, kafka_settings.KafkaSettings] = {}
    for one in tenancies:
        topic = one.kafka.topics.lineage
        if topic is not None and topic not in found:
            read = one.kafka.topics.model_copy(update={"requests": topic})
            group = acl_plan.forwarding_group(one.kafka)
            changed = {"topics": read, "group_id": group, "instance_id": None}
            found[topic] = one.kafka.model_copy(update=changed)
    if not found:
        raise errors.SettingsError(
            "kafka.topics.lineage (MRS_RELAY_KAFKA__TOPICS__LINEAGE): expected the topic of run events, got none"
        )
    return list(found.values())
