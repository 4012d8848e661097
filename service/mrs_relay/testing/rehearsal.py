"""
A whole relay for the tests of other services: the real engine over a broker in memory and an emulated MRS.

    async with rehearsal.Relay() as relay, relay.client() as client:
        handle = await client.submit(sql(relay.cluster, "spark", "SELECT 1 AS one"))

No Kafka, no sockets; only SQL uses threads, and needs the extra `emulator`. `client.testing` is the lighter
alternative: it publishes the outcomes that a test sets and carries nothing out.
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Any, Final, Self

from mrs_emulator.core import core, faults, state, wire
from mrs_emulator.core import settings as emulator_settings
from mrs_relay import settings, wiring
from mrs_relay.client import relay as clients
from mrs_relay.common import clock, tasks
from mrs_relay.engine import settings as engine_settings
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka import supervisor
from mrs_relay.kafka.memory import memory_broker, memory_topic_io
from mrs_relay.mrs import client as mrs_clients
from mrs_relay.mrs import settings as mrs_settings
from mrs_relay.mrs import transport

_HOST: Final = "mrs.rehearsal"

QUICK: Final = emulator_settings.EmulatorSettings(
    pace=emulator_settings.Pace(new_s=0.02, submitted_s=0.02, accepted_s=0.02, run_s=0.1, kill_s=0.02),
    limits=emulator_settings.Limits(on=False),
)
"""An MRS whose jobs take a fifth of a second and which has no quota."""

ATTENTIVE: Final = engine_settings.EngineSettings(
    poll_interval_s=0.1, busy_wait_s=0.2, busy_most_s=1.0, kill_again_s=1.0
)
"""A relay that polls its jobs ten times a second."""


class Relay:
    """
    A deployment of one replica; an async context manager, to be entered once.

    Args:
        emulated: settings of the emulated MRS, such as `data`, a folder of tables, or slower jobs.
        engine: how jobs are submitted and followed.
        guarantee: "exactly-once" or "at-least-once".
        app_id: name of the deployment.

    Attributes:
        cluster: id of a running cluster.
        kafka: the broker in memory, for faults such as `go_down`.
    """

    def __init__(
        self,
        emulated: emulator_settings.EmulatorSettings = QUICK,
        engine: engine_settings.EngineSettings = ATTENTIVE,
        *,
        guarantee: str = "exactly-once",
        app_id: str = kafka_settings.ANY_APP_ID,
    ) -> None:
        self.cluster = emulated.clusters[0].cluster_id
        keys = emulated.credentials[0]
        mrs = mrs_settings.MrsSettings(
            endpoint=f"http://{_HOST}",
            project_id=emulated.project_id,
            access_key=keys.access_key,
            secret_key=keys.secret_key,
            budgets=emulated.limits.on,
        )

        kafka = {"guarantee": guarantee, "shutdown_s": 5.0, "app_id": app_id}
        self._settings = settings.Settings.model_validate({"kafka": kafka, "mrs": mrs, "engine": engine})
        self.kafka = memory_broker.MemoryBroker(self._settings.kafka, transactions=self._settings.kafka.transactional)

        self._clock = clock.LoopClock(clock.SystemClock().now_ms())
        self._mrs = core.Emulator(emulated, self._clock)
        self._topic_client = memory_topic_io.MemoryTopicClient(self.kafka)
        self._stack = contextlib.AsyncExitStack()
        self._error: BaseException | None = None

    async def __aenter__(self) -> Self:
        self.kafka.create_topics(1)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self._mrs)
            client = mrs_clients.Client(self._settings.mrs, _Wire(self._mrs), self._clock)
            opened = wiring.opened(
                self._settings, lambda _mrs: contextlib.nullcontext(client), lambda _kafka: self.kafka, self._clock
            )
            (served,) = await stack.enter_async_context(opened)
            service = served.kafka
            task_supervisor = await stack.enter_async_context(tasks.TaskSupervisor(self._failed))
            work = task_supervisor.start(service.run(), name="rehearsal: relay")
            stack.push_async_callback(_stop, service, work)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        if self._error is not None:
            raise self._error

    def client(self, source: str = "/tests") -> clients.RelayClient:
        """Return a client of this relay, to be entered with `async with`."""
        return clients.RelayClient(self._settings.kafka, source=source, broker=self._topic_client)

    def effects(self) -> list[state.Effect]:
        """Return the jobs and statements that MRS carried out, oldest first."""
        return self._mrs.effects()

    def trouble(self, **order: Any) -> None:  # noqa: ANN401 - fields of a fault
        """Inject a fault of MRS, such as `action="drop_after", operation="CreateExecuteJob"`; see `faults.Fault`."""
        self._mrs.add_faults(faults.Fault(**order))

    def _failed(self, _name: str, error: BaseException) -> None:
        self._error = error


class _Wire:
    """A transport that passes the relay's requests to the emulator by a function call."""

    def __init__(self, mrs: core.Emulator) -> None:
        self._mrs = mrs

    async def send(self, request: transport.Request, timeout_s: float) -> transport.Response:
        """See `transport.Transport`."""
        headers = {**request.headers, "Host": _HOST}
        try:
            async with asyncio.timeout(timeout_s):
                reply = await self._mrs.handle(wire.Request.of(request.verb, request.target, headers, request.body))
        except TimeoutError as error:
            raise transport.Lost("no reply in time") from error
        if reply.dropped:
            raise transport.Lost("the connection was closed without a reply")
        return transport.Response(reply.status, reply.body, {**reply.headers, "Content-Type": reply.content_type})


async def _stop(service: supervisor.Supervisor[Any], work: asyncio.Task[None]) -> None:
    service.stop()
    await asyncio.wait([work])
