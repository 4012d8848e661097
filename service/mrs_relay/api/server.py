"""
Serve the API, health, readiness and metrics of `mrs-relay web` on one port.

Health says that the event loop turns; readiness that the topics have been read once and the database answers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from aiohttp import web
from prometheus_client import registry

from mrs_relay.api import (
    composing,
    controls,
    decisions,
    guards,
    headers,
    letters,
    metrics,
    openapi,
    problems,
    relays,
    replays,
    requests,
    retries,
    routes,
    settings,
    streams,
    submissions,
    trials,
)
from mrs_relay.api.access import authentication, certificates, least_roles
from mrs_relay.client import auditing, sending
from mrs_relay.common import addresses, clock, http_server
from mrs_relay.common import certificates as expiry
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka import topic_io
from mrs_relay.messages import codec
from mrs_relay.read_model import database, projector, sent

_SHUTDOWN_S: Final = 2.0
_LINE_BYTES: Final = 65_536
"""The longest address or header: a position has up to 20 characters for each partition."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Writing:
    """
    Where messages go, and what writes them.

    Attributes:
        tenants: the settings of Kafka of each tenant by its name; "" without tenants.
        sender: writes records.
        memory: which payloads were sent under which ids.
        kafka: reads the topics of requests.
        attempt: says what would become of a message.
        trail: writes records of decisions.
        time: the clock.
    """

    tenants: Mapping[str, kafka_settings.KafkaSettings]
    sender: sending.Sender
    memory: sent.Sent
    kafka: topic_io.TopicClient
    attempt: trials.Try
    trail: auditing.AuditTrail
    time: clock.Clock


@dataclass(frozen=True, slots=True)
class Pages:
    """
    The pages beside the API.

    Attributes:
        routes: of the pages.
        problem: makes the page of a problem.
    """

    routes: Sequence[web.AbstractRouteDef]
    problem: problems.Page


class Api:
    """
    The HTTP application.

    Args:
        chosen: the settings.
        opened: the database.
        topics: what is read into it.
        reading: reads it, in this process.
        writing: where messages go, and what writes them.
        authenticator: tells who calls.

    Attributes:
        own: addresses of this service.
        authenticator: tells who calls.
        asked: finds requests.
        submitted: sends messages about them.
        repeated: sends them again.
        controlled: lists, sets and lifts controls.
        reported: what the relays report.
        lettered: finds dead letters.
        replayed: sends them once more.
        noted: what people and programs decided.
    """

    def __init__(
        self,
        chosen: settings.ApiSettings,
        opened: database.Database,
        topics: projector.Topics,
        reading: projector.Projector,
        writing: Writing,
        authenticator: authentication.Authenticator,
    ) -> None:
        self._settings = chosen
        self.own = authenticator.own
        self.authenticator = authenticator
        self._reading = reading
        self._cut_off = 0
        self._readers = streams.EventReaders(opened, topics, reading.changes, lambda: reading.progress, chosen.streams)
        self._streams = streams.Streams(self._readers, chosen, self._count_cut)
        self.asked = requests.Requests(opened)
        composer = composing.Composer(writing.tenants, chosen.source)
        self.noted = decisions.Decisions(opened, writing.trail)
        self.submitted = submissions.Submissions(
            composer, submissions.Output(writing.sender, writing.memory, self.noted), self.asked, self._readers, chosen
        )
        self.repeated = retries.Retries(composer, self.asked, self.submitted, writing.kafka, self.noted)
        self.lettered = letters.Letters(opened, writing.kafka)
        output = replays.Output(writing.sender, writing.kafka, self.noted, writing.time)
        self.replayed = replays.Replays(composer, self.lettered, output, opened, chosen)
        tried = trials.Trials(composer, writing.attempt)
        self.reported = relays.Relays(opened, self.asked, reading)
        self.controlled = controls.Controls(
            opened, reading.controls, writing.sender, topics.control, chosen, self.noted
        )

        self._routes = routes.routes(
            routes.Handlers(
                asked=self.asked,
                streamed=self._streams,
                submitted=self.submitted,
                repeated=self.repeated,
                tried=tried,
                controlled=self.controlled,
                noted=self.noted,
                reported=self.reported,
                lettered=self.lettered,
                replayed=self.replayed,
            )
        )

        self._document = codec.encode(openapi.document(self._routes, is_open=not chosen.access.is_set))
        self._files = [("api.tls.certificate", chosen.tls.certificate)] if chosen.tls.certificate else []
        self._expiries: Mapping[str, float] = {}
        self._metrics = registry.CollectorRegistry()
        self._metrics.register(metrics.Collector(self._snapshot))

    def application(self, pages: Pages) -> web.Application:
        """Return the application, with the pages; needs a running loop."""
        application = web.Application(
            client_max_size=self._settings.body_bytes,
            middlewares=[
                problems.middleware(pages.problem),
                guards.own_addresses(self.own),
                authentication.middleware(self.authenticator),
                guards.rate(guards.Bucket(self._settings.requests_per_s)),
            ],
        )

        application.add_routes(routes.resources(self._routes))
        application.add_routes(
            [
                web.get("/v1/openapi.json", self._openapi),
                web.get("/health", http_server.alive),
                web.get("/ready", self._ready),
                web.get("/metrics", self._measured),
            ]
        )

        application.add_routes(pages.routes)
        least_roles.require_complete(application)
        application.on_response_prepare.append(headers.add)
        application.on_shutdown.append(self._close)
        return application

    async def _close(self, _application: web.Application) -> None:
        self._streams.close()

    def _count_cut(self) -> None:
        self._cut_off += 1

    async def _openapi(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._document, content_type=routes.JSON)

    async def _ready(self, request: web.Request) -> web.Response:
        now = self._reading.progress
        reasons = [now.problem] if now.problem else []
        reasons += [] if now.caught_up else ["the topics are still being read for the first time"]
        body: dict[str, Any] = {"ready": not reasons, "writes": now.writes}
        if await self.authenticator.knows(request):  # names of topics and of the database are not for everybody
            body |= {"reasons": reasons, "behind": now.behind or {}}
        return web.json_response(body, status=503 if reasons else 200)

    async def _measured(self, request: web.Request) -> web.Response:
        if self._files:
            self._expiries = await asyncio.to_thread(expiry.expiries, self._files)
        return await http_server.metrics(request, self._metrics)

    def _snapshot(self) -> metrics.Snapshot:
        return metrics.Snapshot(self._reading.progress, self._readers.count, self._cut_off, self._expiries)


@contextlib.asynccontextmanager
async def serving(api: Api, chosen: settings.ApiSettings, pages: Pages) -> AsyncIterator[int]:
    """
    Serve the API, and the pages beside it, for the length of the context; yields the port.

    Raises:
        SettingsError: the server cannot listen on the address, or the files of TLS cannot be used.
    """
    tls = certificates.server_context(chosen.tls)
    if tls is None and not addresses.is_loopback(chosen.host):
        _log.warning("api_without_tls", host=chosen.host)
    runner = web.AppRunner(
        api.application(pages),
        access_log=None,
        shutdown_timeout=_SHUTDOWN_S,
        max_line_size=_LINE_BYTES,
        max_field_size=_LINE_BYTES,
    )
    address = http_server.Address(chosen.host, chosen.port, "api.port (MRS_RELAY_API__PORT)")
    async with http_server.listening(runner, address, tls) as port:
        _log.info("api_started", host=chosen.host, port=port, tls=tls is not None, open=not chosen.access.is_set)
        yield port
