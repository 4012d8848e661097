"""Run `mrs-relay lineage forward`: send the run events of all tenants to the endpoint of the settings."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Callable, Sequence

import structlog

from mrs_relay import errors, role, tenants
from mrs_relay import settings as all_settings
from mrs_relay.common import backoff, http_server, tasks
from mrs_relay.forwarding import endpoint, forwarder, metrics, status
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.adapter import client as kafka_client
from mrs_relay.kafka.topics import acl_plan
from mrs_relay.web import health, server

_log = structlog.get_logger(__name__)

Connect = Callable[[kafka_settings.KafkaSettings], brokers.Broker]

_PORT = "forwarding.port (MRS_RELAY_FORWARDING__PORT)"


def run(chosen: all_settings.ForwarderSettings) -> None:
    """Run the role until SIGTERM, SIGINT or SIGHUP; see `role.run`."""
    role.run(chosen.log, functools.partial(running, chosen, kafka_client.KafkaBroker))


@contextlib.asynccontextmanager
async def running(chosen: all_settings.ForwarderSettings, connect: Connect, report: role.Report) -> AsyncIterator[int]:
    """
    Run the role for the length of the context; yields the port of its probes and metrics.

    Args:
        chosen: the settings.
        connect: makes the client of Kafka.
        report: called when a task failed in a way that nothing here handles, such as that another process has
            replaced this one in the group.

    Raises:
        SettingsError: there is no topic of lineage or no endpoint, or the server cannot listen.
    """
    read = groups(chosen.tenancies)
    async with endpoint.opened(chosen.forwarding) as opened, tasks.TaskSupervisor(report) as supervisor:
        wait = backoff.Backoff(0.5, chosen.forwarding.most_backoff_s)
        forwarders = [forwarder.Forwarder(one.topics.requests, connect(one), opened.send, wait) for one in read]
        described = functools.partial(_described, forwarders)
        address = http_server.Address(chosen.forwarding.host, chosen.forwarding.port, _PORT)
        registry = http_server.registry_of(metrics.Collector(described))
        async with server.answering(address, lambda: _health(described()), registry) as port:
            for one in forwarders:
                supervisor.start(one.run(), name=f"forward {one.topic}")
            _log.info("forwarder_started", topics=[one.topic for one in forwarders])
            yield port


def _described(forwarders: Sequence[forwarder.Forwarder]) -> list[status.Status]:
    return [one.status() for one in forwarders]


def _health(topics: Sequence[status.Status]) -> health.Health:
    """Return whether run events are forwarded, and the reasons if not."""
    reasons = tuple(status.reasons(topics))
    return health.Health(not reasons, reasons)


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
