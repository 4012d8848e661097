"""
The V1.1 operations that run jobs: submit-job, job-exes, executing a job object, job-executions.

Every run is a job of its cluster, so V1.1 and V2 share slots, life and SQL; V2's list shows runs, V1.1 does not show
V2's jobs. Both families of reads know both kinds of runs, as their examples suggest. Chosen where the pages are
silent: lists start with the newest, a page past the end is empty, deleting a run that has not ended kills it first,
cancelling one that has ended changes nothing, and Spark SQL cannot be cancelled (user guide).

Source: API reference V1.1, pages mrs_02_0040, 0043, 0046, 0047, 0050 to 0053 (2022 to 2025).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from mrs_emulator.clusters import cluster_life
from mrs_emulator.core import checks, refusals, routes, state, wire
from mrs_emulator.jobs import jobs, life, rules
from mrs_emulator.v11 import binaries, sources, templates, v11_paging, v11_refusals, v11_runs, v11_store, v11_validation

_OK = 200
_ACCEPTED = 202
_NO_CONTENT = 204
_BASE = "/v1.1/{project_id}"
_PAGE_MAX = 100
_FILTER_STATES = frozenset({"-1", "2", "3", "4"})
_EXECUTION_FIELDS = ("id", "created_at", "updated_at", "start_time", "end_time", "cluster_id", "job_id", "name")
_SPARK_SQL = 7


class V11Jobs:
    """
    Handlers of the operations that run V1.1 jobs.

    Args:
        shared: what all handlers of V1.1 share.
        playing: enters, kills and forgets the jobs of clusters.
        found: all runs.
        objects: the job objects.
        programs: the binaries that job objects refer to.
        data: the data sources.
    """

    def __init__(
        self,
        shared: v11_store.Shared,
        playing: jobs.Jobs,
        found: v11_runs.Runs,
        objects: templates.Templates,
        programs: v11_store.Collection[binaries.JobBinary],
        data: v11_store.Collection[sources.DataSource],
    ) -> None:
        self._world = shared.world
        self._quirks = shared.chosen.quirks
        self._old = shared.chosen.v11
        self._print = v11_runs.Printer(shared.chosen)
        self._jobs = playing
        self._runs = found
        self._templates = objects
        self._binaries = programs
        self._sources = data

    def operations(self) -> Iterable[routes.Route]:
        """Return the operations; no limit is documented for V1.1."""
        one = f"{_BASE}/job-executions/{{job_execution_id}}"
        return (
            routes.Route("CreateAndExecuteJob", "POST", f"{_BASE}/jobs/submit-job", self.submit),
            routes.Route("ListExecuteJob", "GET", f"{_BASE}/job-exes", self.list_exes),
            routes.Route("ShowJobExes", "GET", f"{_BASE}/job-exes/{{job_exe_id}}", self.show_exe),
            routes.Route("ExecuteJob", "POST", f"{_BASE}/jobs/{{job_id}}/execute", self.execute),
            routes.Route("ListJobExecutions", "GET", f"{_BASE}/job-executions", self.list_executions),
            routes.Route("ShowJobExecution", "GET", one, self.show_execution),
            routes.Route("CancelJobExecution", "GET", f"{one}/cancel", self.cancel),
            routes.Route("DeleteJobExecution", "DELETE", one, self.delete),
        )

    async def submit(self, call: routes.Call) -> wire.Reply:
        """Answer CreateAndExecuteJob: enter a job and start it."""
        order = v11_validation.order(call.body(), self._quirks, self._old)
        cluster = self._cluster_for(order.cluster_id, order.submission(), call.now_ms)
        job = self._jobs.enter(cluster, order.submission(), call.user, call.now_ms)

        run = v11_runs.Run(
            run_id=job.job_id,
            cluster_id=order.cluster_id,
            type_code=order.type_code,
            name=order.name,
            user=call.user,
            created_ms=job.timetable.created_ms,
            texts=v11_runs.texts(order),
        )

        self._runs.put(run)
        members = self._print.submitted(run, job, call.now_ms)
        return wire.as_json(_OK, members if self._old.flat_submit_reply else {"job_execution": members})

    async def execute(self, call: routes.Call) -> wire.Reply:
        """Answer ExecuteJob: run a job object with input and output data sources."""
        template = self._templates.find(call)
        body = call.body()
        cluster_id = v11_validation.text(body, "cluster_id", most=64)
        if not cluster_id:
            raise refusals.invalid("cluster_id must be the id of a cluster")

        used = {name: self._source_id(body, name) for name in ("input_id", "output_id")}
        configs = _job_configs(body)
        submission = self._submission(template, configs)
        cluster = self._cluster_for(cluster_id, submission, call.now_ms)
        job = self._jobs.enter(cluster, submission, call.user, call.now_ms)
        programs = [one for one in map(self._binaries.get, template.libs + template.mains) if one is not None]
        places = {name: source.url for name, one in used.items() if (source := self._sources.get(one)) is not None}

        run = v11_runs.Run(
            run_id=job.job_id,
            cluster_id=cluster_id,
            type_code=template.type_code,
            name=template.name,
            user=call.user,
            created_ms=job.timetable.created_ms,
            texts={
                "jar_path": programs[0].url if programs else "",
                "arguments": v11_validation.hidden(" ".join(configs.get("args", ()))),
                "input": places.get("input_id", ""),
                "output": places.get("output_id", ""),
            },
            template_id=template.row_id,
            binary_ids=template.libs + template.mains,
            input_id=used["input_id"],
            output_id=used["output_id"],
            job_configs=configs,
        )

        self._runs.put(run)
        return wire.as_json(_ACCEPTED, {"job_execution": self._print.execution(run, job, call.now_ms)})

    async def list_exes(self, call: routes.Call) -> wire.Reply:
        """Answer ListExecuteJob: a page of the runs of a cluster."""
        query = dict(call.request.pairs())
        cluster_id = query.get("cluster_id") or query.get("clusterId") or ""
        if not cluster_id:
            raise refusals.invalid("cluster_id must be the id of a cluster")

        cluster = self._world.cluster(cluster_id)
        self._check_kerberos(cluster)
        size = checks.whole_number(query, "page_size", least=1) or 10
        if size > _PAGE_MAX:
            raise refusals.invalid(f"page_size must not exceed {_PAGE_MAX}")

        number = checks.whole_number(query, "current_page", least=1) or 1
        wanted = checks.one_of(query, "state", _FILTER_STATES)
        listed_until_ms = call.now_ms - round(self._quirks.late_listing_s * 1000)

        matches = [
            (run, job)
            for run, job in self._runs
            if run.cluster_id == cluster_id
            and run.created_ms <= listed_until_ms
            and self._matches(run, query)
            and (wanted is None or int(wanted) == self._print.state(job, call.now_ms, listed=True)[0])
        ]

        page = islice(reversed(matches), (number - 1) * size, number * size)
        found = {
            "totalRecord": str(len(matches)) if self._quirks.numbers_as_strings else len(matches),
            "job_executions": [self._print.exe(run, job, call.now_ms, listed=True) for run, job in page],
        }

        return wire.as_json(_OK, found)

    async def show_exe(self, call: routes.Call) -> wire.Reply:
        """Answer ShowJobExes: one run with its state; an unknown one is 400, whatever the settings say."""
        run, job = self._find(call.path["job_exe_id"], 400)
        return wire.as_json(_OK, {"job_execution": self._print.exe(run, job, call.now_ms, listed=False)})

    async def list_executions(self, call: routes.Call) -> wire.Reply:
        """Answer ListJobExecutions: a page of the project's runs."""
        printed = [self._print.execution(run, job, call.now_ms) | {"name": run.name} for run, job in self._runs]
        query = dict(call.request.pairs())
        neighbours, page = v11_paging.paged(
            printed, query, _EXECUTION_FIELDS, lambda: v11_refusals.unknown_run(self._old.missing_status)
        )
        for one in page:
            del one["name"]
        return wire.as_json(_OK, {"markers": neighbours, "job_executions": page})

    async def show_execution(self, call: routes.Call) -> wire.Reply:
        """Answer ShowJobExecution: one run; without whether it succeeded."""
        run, job = self._find(call.path["job_execution_id"], self._old.missing_status)
        return wire.as_json(_OK, {"job_execution": self._print.execution(run, job, call.now_ms)})

    async def cancel(self, call: routes.Call) -> wire.Reply:
        """Answer CancelJobExecution: a GET that kills a run soon."""
        run, job = self._find(call.path["job_execution_id"], self._old.missing_status)
        if run.type_code == _SPARK_SQL:
            raise v11_refusals.coded("12000054", why="cancelling a Spark SQL job")
        if not job.ended(call.now_ms):
            self._jobs.kill(self._world.cluster(run.cluster_id), job, call.now_ms)
            run = v11_runs.cancelled(run, call.now_ms)
            self._runs.put(run)
        job = self._world.cluster(run.cluster_id).index.get(run.run_id) or job
        return wire.as_json(_OK, {"job_execution": self._print.execution(run, job, call.now_ms)})

    async def delete(self, call: routes.Call) -> wire.Reply:
        """Answer DeleteJobExecution: forget a run; one that has not ended is killed first."""
        run, job = self._find(call.path["job_execution_id"], self._old.missing_status)
        cluster = self._world.cluster(run.cluster_id)
        if not job.ended(call.now_ms):
            self._jobs.kill(cluster, job, call.now_ms)
        self._jobs.forget(cluster, run.run_id)
        self._runs.remove(run.run_id)
        return wire.Reply(_NO_CONTENT)

    def _find(self, run_id: str, missing_status: int) -> tuple[v11_runs.Run, life.Job]:
        found = self._runs.get(run_id)
        if found is None:
            raise v11_refusals.unknown_run(missing_status)
        self._check_kerberos(self._world.cluster(found[0].cluster_id))
        return found

    def _cluster_for(self, cluster_id: str, wanted: checks.Submission, now_ms: int) -> state.ClusterState:
        """
        Return the cluster, if it can take the job now.

        Raises:
            Refusal: with the code for what stands against it.
        """
        cluster = self._world.cluster(cluster_id)
        self._check_kerberos(cluster)
        record = cluster.record
        if self._old.needs_old_version and record.version.removeprefix("MRS").strip()[:1] not in {"1", "2"}:
            raise v11_refusals.coded("12000085")

        seen = cluster.state(now_ms)
        if seen not in cluster_life.TAKES_JOBS:
            raise v11_refusals.coded("12000062", state=seen)
        if wanted.job_type.startswith("Spark") and not cluster.has("Spark2x", "Spark"):
            raise v11_refusals.coded("12000063")

        jobs.check_components(record.components, wanted.job_type)
        if wanted.runs_sql:
            jobs.check_sql()
        if rules.refused(wanted):
            raise v11_refusals.coded("12000061", cluster=cluster_id, name=wanted.name, job="")
        if record.slots and cluster.index.unfinished(now_ms) >= record.slots:
            raise v11_refusals.coded("12000060", slots=record.slots)

        return cluster

    def _check_kerberos(self, cluster: state.ClusterState) -> None:
        if cluster.record.kerberos:
            raise v11_refusals.coded("12000064")

    def _matches(self, run: v11_runs.Run, query: Mapping[str, str]) -> bool:
        if query.get("id") not in {None, "", run.run_id}:
            return False
        name = query.get("job_name") or None
        if name is None:
            return True
        return name in run.name if self._quirks.job_name_contains else name == run.name

    def _source_id(self, body: Mapping[str, Any], name: str) -> str:
        wanted = body.get(name)
        if not isinstance(wanted, str) or self._sources.get(wanted) is None:
            raise refusals.invalid(f"{name} must be the id of a data source")
        return wanted

    def _submission(self, template: templates.Template, configs: Mapping[str, Any]) -> checks.Submission:
        """Return the execution as V2 knows jobs: scripts are the first of the mains, everything else is scripted."""
        job_type = v11_validation.TYPES[template.type_code]
        words = tuple(v11_validation.hidden(one) for one in configs.get("args", ()))
        properties = {**configs.get("configs", {}), **configs.get("params", {})}
        program = self._program(template)
        if job_type in checks.SQL_TYPES:  # a binary is a file, so these types run it as a script
            job_type = f"{job_type.removesuffix('Sql')}Script"
        if job_type in checks.SCRIPT_TYPES:
            if program is None:
                raise v11_refusals.coded("12000068")
            words = (*words, v11_validation.obs_url(program))
        elif program is not None:
            words = (program, *words)
        return checks.Submission(template.name, job_type, words, properties)

    def _program(self, template: templates.Template) -> str | None:
        wanted = (template.mains or template.libs) if template.type_code in {3, 4, 6, 7} else template.libs
        found = self._binaries.get(wanted[0]) if wanted else None
        return found.url if found else None


def _job_configs(body: Mapping[str, Any]) -> dict[str, Any]:
    """Check configs, args and params of an execution; raises 12000002."""
    found = body.get("job_configs")
    if not isinstance(found, dict):
        raise refusals.invalid("job_configs must be an object")
    for name in ("configs", "params"):
        one = found.get(name)
        if one is not None and not (isinstance(one, dict) and all(isinstance(value, str) for value in one.values())):
            raise refusals.invalid(f"job_configs.{name} must be an object of strings")
    args = found.get("args")
    if args is not None and not (isinstance(args, list) and all(isinstance(one, str) for one in args)):
        raise refusals.invalid("job_configs.args must be an array of strings")
    return {name: one for name, one in found.items() if one is not None}
