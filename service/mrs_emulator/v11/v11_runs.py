"""
Runs of V1.1 jobs: what was submitted or executed, and how it prints in the three shapes that V1.1 knows.

A run is a job of its cluster like any other, with the same life, slots and SQL; here is what only V1.1 remembers of it.
States are numbers: 1 starting, 2 running, 3 completed, 4 abnormal, -1 terminated; `job_final_status` is 0 unfinished,
1 failed, 2 succeeded, 3 cancelled. The pages pair the two inconsistently, so they are paired by meaning.

Source: API reference V1.1, pages mrs_02_0040, 0043, 0046, 0047, 0050 to 0053.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mrs_emulator.core import ids, persistence, settings, state
from mrs_emulator.jobs import life
from mrs_emulator.v11 import v11_store, v11_validation

STARTING, RUNNING, COMPLETED, ABNORMAL, TERMINATED = 1, 2, 3, 4, -1

_ENDS: Mapping[str, tuple[int, int]] = {
    "SUCCEEDED": (COMPLETED, 2),
    "FAILED": (ABNORMAL, 1),
    "KILLED": (TERMINATED, 3),
}
_STATUS: Mapping[str, str] = {"SUCCEEDED": "SUCCEEDED", "FAILED": "FAILED", "KILLED": "KILLED"}
_TIMES = ("created_at", "updated_at", "create_at", "update_at", "start_time", "end_time", "postpone_at")


@dataclass(frozen=True, slots=True)
class Run:
    """
    One run; texts that were not sent are empty.

    Attributes:
        run_id: its id, that of the cluster's job.
        cluster_id: where it runs.
        type_code: number of its type.
        name: job_name, or the name of the job object.
        user: who started it.
        created_ms: when, in milliseconds since the epoch.
        texts: jar_path, arguments, input, output, job_log, hive_script_path, file_action and hql, as shown.
        template_id: job object that was executed; empty for submit-job.
        binary_ids: binaries of that job object.
        input_id: its input data source.
        output_id: its output data source.
        job_configs: configs, args and params of the execution.
        cancelled_ms: when it was asked to stop.
    """

    run_id: str
    cluster_id: str
    type_code: int
    name: str
    user: str
    created_ms: int
    texts: Mapping[str, str] = field(default_factory=dict)
    template_id: str = ""
    binary_ids: tuple[str, ...] = ()
    input_id: str | None = None
    output_id: str | None = None
    job_configs: Mapping[str, Any] | None = None
    cancelled_ms: int | None = None

    @property
    def row_id(self) -> str:
        """The same as `run_id`: a run is a row, too."""
        return self.run_id


def texts(order: v11_validation.Order) -> dict[str, str]:
    """Return what is shown of a submit-job body."""
    return {
        "jar_path": order.jar_path,
        "arguments": v11_validation.hidden(order.arguments),
        "input": order.input,
        "output": order.output,
        "job_log": order.job_log,
        "hive_script_path": order.hive_script_path,
        "file_action": order.file_action,
        "hql": order.hql,
    }


class Runs:
    """
    All runs that are still somewhere.

    A run whose job is gone (deleted by V2, lost, its cluster vanished) is gone, too.

    Args:
        world: clusters and their jobs.
        state_file: keeps the runs over a restart.
    """

    def __init__(self, world: state.World, state_file: persistence.StateFile) -> None:
        self._world = world
        self._runs = v11_store.Collection(Run, "runs", state_file)

    def __iter__(self) -> Iterator[tuple[Run, life.Job]]:
        for run in self._runs:
            job = self._job(run)
            if job is not None:
                yield run, job

    def get(self, run_id: str) -> tuple[Run, life.Job] | None:
        """Return a run and its job."""
        run = self._runs.get(run_id)
        job = self._job(run) if run else None
        return (run, job) if run and job else None

    def put(self, run: Run) -> None:
        """Add a run, or put it in the place of its older version."""
        self._runs.put(run)

    def remove(self, run_id: str) -> None:
        """Forget a run."""
        self._runs.remove(run_id)

    def use_source(self, source_id: str) -> bool:
        """Return whether a run refers to this data source."""
        return any(source_id in {run.input_id, run.output_id} for run, _ in self)

    def use_template(self, template_id: str) -> bool:
        """Return whether a run executes this job object."""
        return any(run.template_id == template_id for run, _ in self)

    def waiting(self, now_ms: int) -> Iterable[Run]:
        """Return executions that have not begun to run."""
        return (run for run, job in self if run.template_id and not life.stage(job, now_ms).started_ms)

    def _job(self, run: Run) -> life.Job | None:
        cluster = self._world.clusters.get(run.cluster_id)
        return cluster.index.get(run.run_id) if cluster else None


class Printer:
    """
    Prints runs.

    Args:
        chosen: project, and disputed behaviour.
    """

    def __init__(self, chosen: settings.EmulatorSettings) -> None:
        self._project_id = chosen.project_id
        self._old = chosen.v11
        self._as_strings = chosen.quirks.numbers_as_strings

    def submitted(self, run: Run, job: life.Job, now_ms: int) -> dict[str, Any]:
        """Return a run as submit-job answers; times in seconds."""
        created_s = run.created_ms // 1000
        members = {
            "templated": False,
            "created_at": created_s,
            "updated_at": created_s,
            "id": run.run_id,
            "job_id": "",
            "input_id": None,
            "output_id": None,
            "start_time": created_s,
            "end_time": None,
            "engine_job_id": None,
            "return_code": None,
            "is_public": None,
            "is_protected": False,
            **self._common(run, job, now_ms, listed=False),
            "postpone_at": created_s,
            "credentials": "",
            "user_id": ids.derived("user", run.user),
            "job_configs": None,
            "extra": None,
            "data_source_urls": None,
            "info": None,
        }

        return self._encoded(members)

    def exe(self, run: Run, job: life.Job, now_ms: int, *, listed: bool) -> dict[str, Any]:
        """Return a run as job-exes prints it; times in milliseconds."""
        seen = life.stage(job, now_ms)
        ended_ms = seen.finished_ms or None

        members = {
            "id": run.run_id,
            "create_at": run.created_ms,
            "update_at": _changed_ms(run, job, now_ms),
            "job_id": "" if listed else run.run_id,
            "start_time": run.created_ms,
            "end_time": ended_ms,
            **self._common(run, job, now_ms, listed=listed),
            "postpone_at": run.created_ms,
            "spend_time": None if ended_ms is None else round((ended_ms - run.created_ms) / 1000),
            "step_seq": 0,
            "progress": f"{seen.progress}%",
        }

        return self._encoded(members)

    def execution(self, run: Run, job: life.Job, now_ms: int) -> dict[str, Any]:
        """Return a run as job-executions prints it; it says when the run ended, not how."""
        seen = life.stage(job, now_ms)
        return {
            "created_at": v11_store.stamp(run.created_ms),
            "updated_at": v11_store.stamp(_changed_ms(run, job, now_ms)),
            "id": run.run_id,
            "tenant_id": self._project_id,
            "job_id": run.template_id,
            "start_time": v11_store.stamp(run.created_ms),
            "end_time": v11_store.stamp(seen.finished_ms or None),
            "cluster_id": run.cluster_id,
            "oozie_job_id": None,
            "return_code": None,
            "input_id": run.input_id,
            "output_id": run.output_id,
            "is_protected": None if run.template_id else False,
            "is_public": None,
            "engine_job_id": None,
            "job_configs": run.job_configs,
            "data_source_urls": None,
            "info": {"status": _sahara_status(run, seen)} if self._old.execution_info else None,
        }

    def state(self, job: life.Job, now_ms: int, *, listed: bool) -> tuple[int, int]:
        """Return job_state and job_final_status; lists know no 1."""
        seen = life.stage(job, now_ms)
        if seen.finished_ms:
            return _ENDS.get(seen.result, (ABNORMAL, 1))
        starting = not seen.started_ms and self._old.starting_shown and not listed
        return (STARTING if starting else RUNNING), 0

    def _common(self, run: Run, job: life.Job, now_ms: int, *, listed: bool) -> dict[str, Any]:
        job_state, final_status = self.state(job, now_ms, listed=listed)
        user_id = ids.derived("user", run.user)
        shown = {name: run.texts.get(name, "") for name in ("jar_path", "input", "output", "job_log")}

        return {
            "tenant_id": self._project_id,
            "job_name": run.name,
            "cluster_id": run.cluster_id,
            "group_id": run.run_id,
            **shown,
            "job_type": run.type_code,
            "file_action": run.texts.get("file_action", ""),
            "arguments": run.texts.get("arguments", ""),
            "hql": run.texts.get("hql", ""),
            "job_state": job_state,
            "job_final_status": final_status,
            "hive_script_path": run.texts.get("hive_script_path", ""),
            "create_by": user_id,
            "finished_step": 0,
            "job_main_id": "",
            "job_step_id": "",
            "step_name": "",
            "step_num": 0,
            "task_num": 0,
            "update_by": user_id,
        }

    def _encoded(self, members: dict[str, Any]) -> dict[str, Any]:
        """Return by setting, times alone or all numbers and flags become texts, as the samples of 2021 print them."""
        if self._old.times_as_text:
            times = {name: str(members[name]) for name in _TIMES if members.get(name) is not None}
            members = {**members, **times}
        if not self._as_strings:
            return members
        return {
            name: str(one).lower() if isinstance(one, bool) else str(one) if isinstance(one, int | float) else one
            for name, one in members.items()
        }


def cancelled(run: Run, now_ms: int) -> Run:
    """Return the run after it was asked to stop."""
    return replace(run, cancelled_ms=now_ms)


def _changed_ms(run: Run, job: life.Job, now_ms: int) -> int:
    seen = life.stage(job, now_ms)
    return max(run.created_ms, seen.started_ms, run.cancelled_ms or 0, seen.finished_ms)


def _sahara_status(run: Run, seen: life.Stage) -> str:
    if seen.finished_ms:
        return _STATUS.get(seen.result, "FAILED")
    if run.cancelled_ms is not None:
        return "TOBEKILLED"
    return "RUNNING" if seen.started_ms else "PENDING"
