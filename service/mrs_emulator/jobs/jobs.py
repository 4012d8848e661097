"""
The job operations of V2: submit, read, list, kill, delete, and the results of SQL jobs.

Success is 202 for all of them, unless a quirk says 200. How a job's life goes is in `rules.py` and `life.py`.

Source: API reference, pages mrs_02_0085 to mrs_02_0090 (2022 to 2025); error codes as in the current table.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

from mrs_emulator.clusters import cluster_life
from mrs_emulator.core import checks, failures, ids, refusals, routes, settings, state, wire
from mrs_emulator.jobs import driver_logs, job_json, life, listing, rules
from mrs_emulator.sql import sql, sql_jobs, values

_WITH_RESULTS = frozenset({"SparkSql", "SparkScript"})
_BASE = "/v2/{project_id}/clusters/{cluster_id}/job-executions"


class Jobs:
    """
    Handlers of the job operations.

    Args:
        world: clusters and their jobs.
        making: source of ids.
        chosen: pace and quirks.
        running: runs SQL jobs.
        logs: writes their logs.

    Attributes:
        page_path: path of the page of a job, by cluster and job; None where pages are not served.
    """

    def __init__(
        self,
        world: state.World,
        making: ids.Ids,
        chosen: settings.EmulatorSettings,
        running: sql_jobs.SqlJobs,
        logs: driver_logs.DriverLogs,
    ) -> None:
        self._world = world
        self._ids = making
        self._pace = chosen.pace
        self._quirks = chosen.quirks
        self._sql = running
        self._logs = logs
        self.page_path: Callable[[str, str], str] | None = None

    def operations(self) -> Iterable[routes.Route]:
        """Return the operations and their documented calls per minute."""
        one = f"{_BASE}/{{job_execution_id}}"
        return (
            routes.Route("CreateExecuteJob", "POST", _BASE, self.create, 60),
            routes.Route("ShowJobExeListNew", "GET", _BASE, self.list_page, 1000),
            routes.Route("BatchDeleteJobs", "POST", f"{_BASE}/batch-delete", self.delete, 60),
            routes.Route("ShowSingleJobExe", "GET", one, self.show, 1000),
            routes.Route("StopJob", "POST", f"{one}/kill", self.stop, 60),
            routes.Route("ShowSqlResultWithJob", "GET", f"{one}/sql-result", self.results, 1000),
        )

    async def create(self, call: routes.Call) -> wire.Reply:
        """Answer CreateExecuteJob: enter a job and start it."""
        cluster = self._world.cluster(call.path["cluster_id"])
        wanted = checks.submission(call.body(), self._quirks)
        seen = cluster.state(call.now_ms)
        if seen not in cluster_life.TAKES_JOBS:
            raise refusals.business("0056", state=seen)

        check_components(cluster.record.components, wanted.job_type)
        if wanted.runs_sql:
            check_sql()
        if rules.refused(wanted):
            return wire.as_json(self._quirks.job_status, {"job_submit_result": {"state": "FAILED"}})

        slots = cluster.record.slots
        if slots and cluster.index.unfinished(call.now_ms) >= slots:
            raise refusals.business("0177", slots=slots)
        job = self.enter(cluster, wanted, call.user, call.now_ms)
        return wire.as_json(self._quirks.job_status, {"job_submit_result": {"job_id": job.job_id, "state": "COMPLETE"}})

    def enter(self, cluster: state.ClusterState, wanted: checks.Submission, user: str, now_ms: int) -> life.Job:
        """Enter a job that was checked, and start it; SQL needs the event loop to be running."""
        records = cluster.index
        arguments, properties = job_json.java_list(wanted.arguments), job_json.java_map(wanted.properties)
        earlier = 0

        if rules.counts_earlier(wanted):
            before = map(records.at, records.arrived(records.span(None, None), newest_first=False))
            earlier = sum((one.arguments, one.properties) == (arguments, properties) for one in before)

        planned = rules.plan(wanted, self._pace, records.arrival_ms(now_ms), earlier)
        job = life.Job(
            job_id=self._ids.uuid(),
            number=records.next_number(),
            name=wanted.name,
            job_type="SparkSubmit" if wanted.job_type == "SparkPython" else wanted.job_type,
            user=user,
            arguments=arguments,
            properties=properties,
            timetable=planned.timetable,
            ending=planned.ending,
            error=planned.error,
        )

        records.add(job)
        cluster_id = cluster.record.cluster_id
        self._world.note(state.Effect("job", job.job_id, job.name, cluster_id, job.timetable.created_ms))
        self._logs.watch(cluster_id, job.job_id)
        if wanted.runs_sql:
            self._sql.start(records, job, wanted)

        return job

    def end_all(self, cluster: state.ClusterState, now_ms: int) -> None:
        """Kill what has not ended: the cluster goes away. Source: none; no page says what becomes of its jobs."""
        for job in cluster.index.open_jobs(now_ms):
            self.kill(cluster, job, now_ms)

    def end_cut_off(self, now_ms: int) -> None:
        """Let the SQL jobs fail that were under way when the emulator stopped."""
        for cluster in self._world.clusters.values():
            for job in cluster.index.open_jobs(now_ms):
                if job.ending is None and job.job_type in checks.SQL_TYPES | checks.SCRIPT_TYPES:
                    ending = rules.failure(job.job_type, max(now_ms, job.timetable.created_ms))
                    cluster.index.replace(replace(job, ending=ending, error="the emulator was restarted"))

    async def show(self, call: routes.Call) -> wire.Reply:
        """Answer ShowSingleJobExe: one job as it is now."""
        cluster, job = self._find(call)
        return wire.as_json(self._quirks.job_status, {"job_detail": self._json(call, cluster, job)})

    async def list_page(self, call: routes.Call) -> wire.Reply:
        """Answer ShowJobExeListNew: a page of jobs."""
        cluster = self._world.cluster(call.path["cluster_id"])
        query = listing.read(dict(call.request.pairs()), self._quirks)
        total, jobs = listing.page(cluster.index, query, call.now_ms, self._quirks)
        found: dict[str, Any] = {
            "total_record": str(total) if self._quirks.numbers_as_strings else total,
            "job_list": [self._json(call, cluster, job) for job in jobs],
        }
        return wire.as_json(self._quirks.job_status, found)

    async def stop(self, call: routes.Call) -> wire.Reply:
        """Answer StopJob: kill a job soon; it may still end by itself before."""
        cluster, job = self._find(call)
        if job.ended(call.now_ms):
            if self._quirks.stop_of_ended_refused:
                raise refusals.business("0175")
            return wire.Reply(self._quirks.job_status)
        if life.stage(job, call.now_ms).state == "NEW":
            raise refusals.business("0180")
        self.kill(cluster, job, call.now_ms)
        return wire.Reply(self._quirks.job_status)

    async def delete(self, call: routes.Call) -> wire.Reply:
        """Answer BatchDeleteJobs: forget ended jobs, all of those named or none."""
        cluster = self._world.cluster(call.path["cluster_id"])
        wanted = call.body().get("job_id_list")
        if not isinstance(wanted, list) or not wanted or not all(isinstance(one, str) for one in wanted):
            raise refusals.invalid("job_id_list must be an array of job ids")
        jobs = [cluster.index.get(job_id) for job_id in dict.fromkeys(wanted)]
        if any(job is None for job in jobs):
            raise refusals.business("0176")
        if not all(job.ended(call.now_ms) for job in jobs if job):
            raise refusals.business("0183")
        for job in jobs:
            if job:
                self.forget(cluster, job.job_id)
        return wire.Reply(self._quirks.job_status)

    async def results(self, call: routes.Call) -> wire.Reply:
        """Answer ShowSqlResultWithJob: the rows of each statement of an ended Spark SQL job."""
        _, job = self._find(call)
        if job.job_type not in _WITH_RESULTS:
            raise refusals.business("0179")
        if not job.ended(call.now_ms):
            submitting = life.stage(job, call.now_ms).state == "NEW"
            raise refusals.business("0180" if submitting else "0183")

        outcome = self._sql.outcome(job.job_id)
        if outcome is None or outcome.error is not None:
            raise refusals.business("0172")
        if any(answer.cut for answer in outcome.answers):
            raise refusals.business("0182")

        found = {str(index): self._rows(answer) for index, answer in enumerate(outcome.answers)}
        if not any(found.values()):
            raise refusals.business("0181")
        return wire.as_json(self._quirks.job_status, {"sql_results": found})

    def name_of(self, cluster_id: str, job_id: str) -> str:
        """Name of a job, or nothing when there is no such job; faults are aimed by it."""
        cluster = self._world.clusters.get(cluster_id)
        job = cluster.index.get(job_id) if cluster else None
        return job.name if job else ""

    def forget(self, cluster: state.ClusterState, job_id: str) -> None:
        """Remove a job's record and its results; SQL under way continues."""
        cluster.index.remove(job_id)
        self._sql.forget(job_id)

    def stick(self, cluster: state.ClusterState, job: life.Job) -> None:
        """Let a job that has not ended never end by itself; a kill still ends it."""
        timetable = replace(job.timetable, expected_end_ms=None)
        cluster.index.replace(replace(job, ending=None, timetable=timetable))
        self._sql.stick(job.job_id)

    def flip(self, cluster: state.ClusterState, job: life.Job) -> None:
        """Let a job's result be the opposite of what it was, or would be."""
        if job.ending is None:
            self._sql.flip(job.job_id)
        else:
            cluster.index.replace(replace(job, ending=life.flipped(job.ending)))

    def kill(self, cluster: state.ClusterState, job: life.Job, now_ms: int) -> None:
        """End a job soon, unless it ends by itself before."""
        killed_ms = now_ms + round(self._pace.kill_s * 1000 / self._pace.speed)
        if job.ending is None or job.ending.at_ms > killed_ms:
            cluster.index.replace(replace(job, ending=life.Ending(killed_ms, "KILLED", "KILLED")))
            self._sql.stop(job.job_id)

    def _find(self, call: routes.Call) -> tuple[state.ClusterState, life.Job]:
        cluster = self._world.cluster(call.path["cluster_id"])
        job = cluster.index.get(call.path["job_execution_id"])
        if job is None:
            raise refusals.business("0176")
        return cluster, job

    def _json(self, call: routes.Call, cluster: state.ClusterState, job: life.Job) -> dict[str, Any]:
        as_strings = self._quirks.numbers_as_strings
        host = call.request.headers.get("host", "")
        page = (
            f"http://{host}{self.page_path(cluster.record.cluster_id, job.job_id)}" if self.page_path and host else ""
        )
        return job_json.render(job, cluster.created_ms, call.now_ms, numbers_as_strings=as_strings, page=page)

    def _rows(self, answer: sql.Answer) -> list[dict[str, Any]]:
        if not answer.columns:
            return [{"result": "succeed"}]
        if self._quirks.numbers_as_strings:
            return [dict(zip(answer.columns, map(values.text, row), strict=True)) for row in answer.rows]
        return [dict(zip(answer.columns, map(values.plain, row), strict=True)) for row in answer.rows]


def check_components(installed: Collection[str], job_type: str) -> None:
    """
    Make sure that a cluster with these components can run jobs of a type.

    Raises:
        Refusal: 0057, 0168 or 0169.
    """
    if job_type.startswith("Spark") and not {"Spark2x", "Spark"} & set(installed):
        raise refusals.business("0057")
    if job_type.startswith("Hive") and "Hive" not in installed:
        raise refusals.business("0168")
    if job_type == "Flink" and "Flink" not in installed:
        raise refusals.business("0169")


def check_sql() -> None:
    """
    Make sure that SQL jobs can run.

    Raises:
        Refusal: 0173, DuckDB or sqlglot is not installed.
    """
    try:
        sql.check_installed()
    except failures.SqlMissing as error:
        raise refusals.business("0173", why=error) from error
