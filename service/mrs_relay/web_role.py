"""Run `mrs-relay web`: read the topics into the read model and serve the HTTP API and the dashboard from it."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import uuid
from collections.abc import AsyncIterator, Callable, Sequence

import structlog

from mrs_relay import role, tenants
from mrs_relay import settings as all_settings
from mrs_relay.api import guards, models, server
from mrs_relay.api.access import authentication
from mrs_relay.client import auditing, sending
from mrs_relay.common import clock, tasks
from mrs_relay.dashboard import pages
from mrs_relay.engine import trial
from mrs_relay.kafka import records, topic_io
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.adapter import client as kafka_client
from mrs_relay.read_model import database, projector, sent

_log = structlog.get_logger(__name__)

Connect = Callable[[kafka_settings.KafkaSettings], topic_io.TopicClient]


def run(chosen: all_settings.WebRoleSettings) -> None:
    """Run the role until SIGTERM, SIGINT or SIGHUP; see `role.run`."""
    role.run(chosen.log, functools.partial(running, chosen, kafka_client.KafkaBroker, clock.SystemClock()))


@contextlib.asynccontextmanager
async def running(
    chosen: all_settings.WebRoleSettings,
    connect: Connect,
    time: clock.Clock,
    report: role.Report,
) -> AsyncIterator[int]:
    """
    Run the role for the length of the context; yields the port.

    Args:
        chosen: the settings.
        connect: makes the client of Kafka.
        time: the clock.
        report: called when a task failed in a way that nothing here handles.

    Raises:
        SettingsError: the server cannot listen, or a file of it cannot be read.
        DatabaseDown: the database cannot be opened.
    """
    topics = topics_of(chosen)
    owner = str(uuid.uuid4())

    async with (
        authentication.opened(chosen.api.access, guards.OwnAddresses(chosen.api.addresses), time) as authenticator,
        database.opened(chosen.read_model) as opened,
    ):
        kafka = connect(chosen.kafka)
        reading = projector.Projector(kafka, topics, opened, chosen.read_model, time, owner)
        kafkas = {one.name: one.kafka for one in chosen.tenancies}
        sender = sending.Sender(kafka)

        writing = server.Writing(
            kafkas,
            sender,
            sent.Sent(opened, time, chosen.api.remember_s),
            kafka,
            Trial(chosen.tenancies).run,
            auditing.AuditTrail(kafka, topics.audit, chosen.api.source, sender.send_all, time, _warn),
            time,
        )

        async with tasks.TaskSupervisor(report) as supervisor:
            supervisor.start(reading.run(), name="read model")
            supervisor.start(reading.controls.run(), name="controls")
            supervisor.start(reading.status.run(), name="status of the relays")
            supervisor.start(writing.sender.run(), name="messages")
            api = server.Api(chosen.api, opened, topics, reading, writing, authenticator)
            shown = pages.made(api, chosen.api, opened, topics, lambda: reading.progress, time)
            async with server.serving(api, chosen.api, shown) as port:
                _log.info("web_role_started", kafka=chosen.kafka.bootstrap_servers)
                yield port


def topics_of(chosen: all_settings.WebRoleSettings) -> projector.Topics:
    """Return the topics of all tenants, and whose they are."""
    tenancies = chosen.tenancies
    return projector.Topics(
        events=frozenset(one.kafka.topics.events for one in tenancies),
        dead_letters=frozenset(one.kafka.topics.dead_letters for one in tenancies),
        tenants={one.event_source: one.name for one in tenancies},
        tenants_by_topic={one.kafka.topics.requests: one.name for one in tenancies},
        control=chosen.kafka.topics.control,
        audit=chosen.kafka.topics.audit,
        status=chosen.kafka.topics.status,
    )


def _warn(text: str) -> None:
    _log.warning("audit_not_kept", reason=text)


class Trial:
    """
    Says what the engine would do with a message.

    Args:
        tenancies: the tenants and their rules.
    """

    def __init__(self, tenancies: Sequence[tenants.ResolvedTenant]) -> None:
        self._tenancies = {one.name: one for one in tenancies}

    async def run(self, tenant: str, record: records.Record) -> models.DryRun:
        """Return what would become of a message of a tenant."""
        served = self._tenancies[tenant]
        found = await trial.run(record, served.policy, served.kafka.record_bytes)
        reason, call = found.reason, found.call
        return models.DryRun(
            accepted=reason is None,
            reason=reason and models.Reason(kind=reason.kind, code=reason.code, message=reason.message),
            call=call and models.MrsCall(**dataclasses.asdict(call)),
            chooses_cluster=found.chooses_cluster,
            not_before=clock.shown(found.not_before_ms) if found.not_before_ms else None,
            limits=dict(found.limits) or None,
        )
