"""
MRS without a socket: a request goes in, a reply comes out. Time comes from the clock, so simulations can bend it.

    request → route → faults → signature → project → limit → handler → reply
                      (trouble on the way)                    jobs.py, presto.py, clusters.py

Scripted jobs cost neither threads nor timers. SQL runs on the warehouse's threads.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import structlog

from mrs_relay.emulator import (
    admin,
    clusters,
    faults,
    ids,
    jobs,
    limits,
    obs,
    presto,
    refusals,
    routes,
    settings,
    signature,
    sql,
    sqljobs,
    state,
    wire,
)
from mrs_relay.kit import clock, tasks

_log = structlog.get_logger(__name__)


class Emulator:
    """
    One project of MRS with its clusters.

    An async context manager: entering opens the data folder, leaving ends SQL and tasks. Without SQL and data it may be
    used as it is.

    Args:
        chosen: the settings.
        timer: the time; None is the machine's.
    """

    def __init__(self, chosen: settings.EmulatorSettings, timer: clock.Clock | None = None) -> None:
        self._settings = chosen
        self._clock = timer or clock.SystemClock()
        self._ids = ids.Ids(chosen.seed)
        self._world = state.World(chosen.clusters, self._clock.now_ms())
        self._gate = signature.Gate(chosen.credentials, chosen.project_id, on=chosen.auth)
        self._limiter = limits.Limiter(chosen.limits)
        self._faults = faults.Faults()
        self._crew = tasks.Crew(_report)
        self._warehouse = sql.Warehouse(chosen.sql, chosen.data)
        self._obs = obs.Obs(chosen.obs_dir or (chosen.data / "obs" if chosen.data else None))
        running = sqljobs.SqlJobs(self._warehouse, self._crew, self._obs, self._clock, chosen.sql)
        self._jobs = jobs.Jobs(self._world, self._ids, chosen, running)
        statements = presto.Presto(self._world, self._ids, self._warehouse, self._crew, self._obs, chosen.sql)
        reads = clusters.Clusters(self._world, chosen.project_id)
        self._table = routes.Table((*self._jobs.operations(), *statements.operations(), *reads.operations()))
        operations = frozenset(route.operation for route in self._table.routes)
        self._admin = admin.Admin(self._world, self._faults, operations, chosen.project_id)

    async def __aenter__(self) -> Self:
        if self._settings.data is not None:
            try:
                await self._warehouse.open()
            except BaseException:
                await self._warehouse.close()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._crew.close()
        await self._warehouse.close()
        self._obs.close()

    @property
    def obs_root(self) -> Path:
        """The folder that plays OBS."""
        return self._obs.root

    def effects(self) -> list[state.Effect]:
        """Jobs and statements really created, oldest first."""
        return self._world.effects()

    def add_faults(self, *orders: faults.Fault) -> None:
        """Put faults in force, as POST /emulator/faults does."""
        self._faults.add(orders)

    def clear_faults(self) -> None:
        """Lift all faults."""
        self._faults.clear()

    async def handle(self, request: wire.Request) -> wire.Reply:
        """
        Answer one request; never raises, except when the task itself is cancelled.

        A dropped reply means that the client gets none, whatever happened.
        """
        request_id = self._ids.request_id()
        try:
            reply = await self._answer(request, request_id)
        except Exception:  # noqa: BLE001 - the one place where an unforeseen error of a handler is caught
            _log.exception("emulator.request_failed", verb=request.verb, path=request.path, request_id=request_id)
            reply = refusals.internal().reply(request_id, older=False)
        return reply if reply.dropped else reply.with_header("X-Request-Id", request_id)

    def refuse(self, refusal: refusals.Refusal) -> wire.Reply:
        """The reply to a request that never gets as far as `handle`."""
        request_id = self._ids.request_id()
        return refusal.reply(request_id, older=False).with_header("X-Request-Id", request_id)

    async def _answer(self, request: wire.Request, request_id: str) -> wire.Reply:
        older = self._settings.quirks.business_errors_as_500
        trouble = faults.NO_TROUBLE
        try:
            if self._settings.admin and request.path.startswith(admin.PREFIX):
                return self._admin.answer(request, self._clock.now_ms())
            route, path = self._table.match(request.verb, request.path)
            if self._faults:
                trouble = self._faults.meet(self._aim(route, path, request))
                if trouble.delay_s:
                    await asyncio.sleep(trouble.delay_s)
            reply = trouble.before(request_id)
            if reply is not None:
                return reply
            reply = await self._admitted(route, path, request)
        except refusals.Refusal as refusal:
            reply = refusal.reply(request_id, older=older)
        return trouble.after(reply, request_id)

    async def _admitted(self, route: routes.Route, path: dict[str, str], request: wire.Request) -> wire.Reply:
        now_ms = self._clock.now_ms()
        user = self._gate.user(request, now_ms)
        if path["project_id"] != self._settings.project_id:
            raise refusals.wrong_project()
        self._limiter.admit(route.operation, route.per_minute, self._clock.monotonic_s())
        return await route.handler(routes.Call(request, path, user, now_ms))

    def _aim(self, route: routes.Route, path: dict[str, str], request: wire.Request) -> faults.Aim:
        """What a fault can tell a call by; only worked out while faults are in force."""
        cluster_id = path.get("cluster_id")
        if "job_execution_id" in path:
            name = self._jobs.name_of(str(cluster_id), path["job_execution_id"])
        elif route.verb == "GET":
            name = dict(request.pairs()).get("job_name", "")
        else:
            name = _name_in(request.body)
        return faults.Aim(route.operation, cluster_id, name)


def _name_in(body: bytes) -> str:
    """The job's name in a submit body, or the statement of ExecuteSql."""
    try:
        value = msgspec.json.decode(body or b"null")
    except msgspec.DecodeError:
        return ""
    found = (value.get("job_name") or value.get("sql_content")) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def _report(task: str, error: BaseException) -> None:
    _log.error("emulator.task_failed", task=task, exc_info=error)
