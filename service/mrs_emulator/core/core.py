"""
MRS without a socket: a request goes in, a reply comes out. Time comes from the clock, so simulations can bend it.

    request → route → faults → signature → project → limit → handler → reply
                      (trouble on the way)                    jobs.py, presto.py, clusters.py

Scripted jobs cost neither threads nor timers. SQL runs on the warehouse's threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

import structlog

from mrs_emulator.clusters import clusters, creating, flows, resizing, scaling_policies, stages, tags
from mrs_emulator.core import (
    adjustable_clock,
    clock,
    fault_effects,
    fault_matching,
    faults,
    ids,
    limits,
    persistence,
    recent,
    refusals,
    routes,
    settings,
    state,
    tasks,
    wire,
)
from mrs_emulator.http import admin, job_page, overview, page
from mrs_emulator.iam import accounts, iam, signature
from mrs_emulator.jobs import driver_logs, jobs
from mrs_emulator.obs import service, store
from mrs_emulator.sql import obs, presto, sql, sql_jobs
from mrs_emulator.v11 import v11_api, v11_store

_log = structlog.get_logger(__name__)


class Emulator:
    """
    One project of MRS with its clusters.

    `objects` is OBS, which `http/server.py` serves on a port of its own.

    An async context manager: entering opens the data folder, leaving ends SQL and tasks. Without SQL and data it may be
    used as it is.

    Args:
        chosen: the settings.
        timer: the time; None is the machine's.

    Raises:
        CannotStart: the file of faults cannot be used.
    """

    def __init__(self, chosen: settings.EmulatorSettings, timer: clock.Clock | None = None) -> None:
        self._settings = chosen
        self._clock = adjustable_clock.AdjustableClock(timer or clock.SystemClock())
        self._ids = ids.Ids(chosen.seed)
        self._task_supervisor = tasks.TaskSupervisor(_report)
        self._state_file = persistence.StateFile(chosen.state_file, self._task_supervisor)
        self._world = state.World(
            chosen.clusters, self._clock.now_ms(), self._state_file, chosen.cluster_rules.terminated_kept_s
        )
        known = accounts.Accounts(chosen, self._ids)
        self._gate = signature.Gate(known, chosen)
        self._limiter = limits.Limiter(chosen.limits)
        self._recent = recent.Recent()
        self._warehouse = sql.Warehouse(chosen.sql, chosen.data)
        self._obs = obs.Obs(chosen.obs_dir or (chosen.data / "obs" if chosen.data else None))
        self.objects = service.Service(
            known, store.Store(lambda: self._obs.root), chosen.iam.region, chosen.iam.domain, checks=chosen.auth
        )
        self._writing_logs = asyncio.Lock()
        running = sql_jobs.SqlJobs(self._warehouse, self._task_supervisor, self._obs, self._clock, chosen.sql)
        self._logs = driver_logs.DriverLogs(self._world, chosen.obs_job_logs)
        self._jobs = jobs.Jobs(self._world, self._ids, chosen, running, self._logs)
        statements = presto.Presto(
            self._world, self._ids, self._warehouse, self._task_supervisor, self._obs, chosen.sql
        )
        acts = stages.Stages(chosen.pace, chosen.cluster_rules)
        self._flows = flows.Flows(self._world, self._jobs, acts, chosen, self._task_supervisor, self._clock)
        older = v11_api.V11Api(v11_store.Shared(self._world, self._ids, chosen, self._state_file), self._jobs)

        self._table = routes.Table(
            (
                *self._jobs.operations(),
                *statements.operations(),
                *tags.Tags(self._world, chosen.cluster_rules).operations(),
                *clusters.Clusters(self._world, chosen, acts, self._jobs).operations(),
                *creating.Creating(self._world, self._ids, chosen, acts, self._flows).operations(),
                *resizing.Resizing(self._world, chosen.cluster_rules, acts).operations(),
                *scaling_policies.ScalingPolicies(self._world).operations(),
                *older.operations(),
                *iam.Iam(known, self._gate, self._ids, chosen).operations(),
            )
        )

        played = [route.operation for route in self._table.routes]
        self._faults = faults.Faults([*played, *(f"OBS.{name}" for name in service.OPERATIONS)])
        if chosen.faults_file is not None:
            self._faults.load(chosen.faults_file)
        self._aiming = fault_matching.FaultMatcher(self._world, older)
        self._meddler = fault_effects.FaultEffects(self._world, self._jobs, self._clock)
        shown = overview.Overview(self._world, statements, self._faults, self._recent, self._clock)
        self._admin = admin.Admin(self._world, self._faults, chosen.project_id, self._clock, shown)

    async def __aenter__(self) -> Self:
        try:
            starts = await self._state_file.open()
            if self._settings.data is not None:
                await self._warehouse.open()
        except BaseException:
            await self._close()
            raise

        if starts:
            now_ms = self._clock.now_ms()
            self._ids.start_again(starts)
            self._jobs.end_cut_off(now_ms)
            self._logs.watch_all()
            self._flows.settle(now_ms)
            self._flows.watch(now_ms)

        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        await self._task_supervisor.close()
        await self._warehouse.close()
        await self._state_file.close()
        self._obs.close()

    @property
    def operations(self) -> frozenset[str]:
        """Names of the operations played, IAM's among them."""
        return frozenset(route.operation for route in self._table.routes)

    def effects(self) -> list[state.Effect]:
        """Return jobs and statements really created, oldest first."""
        return self._world.effects()

    def object_trouble(self, operation: str, place: str) -> faults.Trouble:
        """Return what happens to a call of OBS at bucket/key; deeds on the clock are done now."""
        if not self._faults:
            return faults.NO_TROUBLE
        aim = faults.Aim(f"OBS.{operation}", None, place)
        trouble = self._faults.meet(aim)
        self._meddler.before(trouble.deeds, aim)
        return trouble

    async def settle_objects(self) -> None:
        """Write what jobs have left in OBS until now."""
        async with self._writing_logs:
            if due := self._logs.due(self.now_ms()):
                await asyncio.to_thread(self._write_logs, due.values())
                self._logs.written(due)

    def _write_logs(self, due: Iterable[Mapping[str, str]]) -> None:
        for texts in due:
            for url, text in texts.items():
                self._obs.new_file(url).write_text(text, encoding="utf-8")

    def serve_pages(self) -> None:
        """Let jobs name their pages, since there is a socket through which these can be read."""
        if self._settings.admin:
            self._jobs.page_path = job_page.path

    def now_ms(self) -> int:
        """Return the emulator's time, in milliseconds since the epoch."""
        return self._clock.now_ms()

    def calls(self) -> dict[str, dict[str, int]]:
        """Count the calls of each operation since the start, by HTTP status; those of OBS begin with `OBS.`."""
        return self._recent.calls()

    def note_object_call(self, verb: str, operation: str, status: int, took_s: float) -> None:
        """Remember a call of OBS beside those of MRS, for the page."""
        entry = recent.Entry(verb, self._clock.now_ms(), f"OBS.{operation}", status, took_s * 1000)
        self._recent.note(entry)

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
        own = self._own(request)
        if own is not None:
            return own.with_header("X-Request-Id", request_id)

        entry = recent.Entry(request.verb, self._clock.now_ms())
        began_s = self._clock.monotonic_s()

        try:
            reply = await self._answer(request, request_id, entry)
            await self._state_file.written()
        except Exception:  # noqa: BLE001 - the one place where an unforeseen error of a handler is caught
            _log.exception("emulator.request_failed", verb=request.verb, path=request.path, request_id=request_id)
            reply = refusals.internal().reply(request_id, older=False)

        entry.status = reply.status
        entry.took_ms = (self._clock.monotonic_s() - began_s) * 1000
        self._recent.note(entry)
        return reply if reply.dropped else reply.with_header("X-Request-Id", request_id)

    def _own(self, request: wire.Request) -> wire.Reply | None:
        """Return the reply on the emulator's own paths: the page and the admin API."""
        if not self._settings.admin:
            return None
        if request.path == "/" and request.verb == "GET" and "text/html" in request.headers.get("accept", ""):
            return page.reply()
        if not request.path.startswith(admin.PREFIX):
            return None
        now_ms = self._clock.now_ms()
        self._flows.settle(now_ms)
        try:
            return self._admin.answer(request, now_ms)
        except refusals.Refusal as refusal:
            return refusal.reply("", older=False)

    def refuse(self, refusal: refusals.Refusal) -> wire.Reply:
        """Return the reply to a request that never gets as far as `handle`."""
        request_id = self._ids.request_id()
        return refusal.reply(request_id, older=False).with_header("X-Request-Id", request_id)

    async def _answer(self, request: wire.Request, request_id: str, entry: recent.Entry) -> wire.Reply:
        older = self._settings.quirks.business_errors_as_500
        trouble = faults.NO_TROUBLE

        try:
            route, path = self._table.match(request.verb, request.path)
            entry.operation = route.operation
            if not self._faults:
                return await self._admitted(route, path, request)

            aim = self._aiming.at(route, path, request)
            trouble = self._faults.meet(aim)
            entry.fault = trouble.names
            if trouble.delay_s:
                await asyncio.sleep(trouble.delay_s)
            reply = trouble.before(request_id)
            if reply is not None:
                return reply

            self._meddler.before(trouble.deeds, aim)
            reply = await self._admitted(route, path, request)
            self._meddler.after(trouble.deeds, aim, reply)
        except refusals.Refusal as refusal:
            reply = refusal.reply(request_id, older=older)

        return trouble.after(reply, request_id)

    async def _admitted(self, route: routes.Route, path: dict[str, str], request: wire.Request) -> wire.Reply:
        now_ms = self._clock.now_ms()
        if not route.gateway:
            return await route.handler(routes.Call(request, path, "", now_ms))
        user = self._gate.user(request, now_ms)
        if path["project_id"] != self._settings.project_id:
            raise refusals.wrong_project()
        self._limiter.admit(route.operation, route.per_minute, self._clock.monotonic_s())
        self._flows.settle(now_ms)
        return await route.handler(routes.Call(request, path, user, now_ms))


def _report(task: str, error: BaseException) -> None:
    _log.error("emulator.task_failed", task=task, exc_info=error)
