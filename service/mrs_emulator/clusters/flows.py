"""
What happens to clusters by itself, computed by `settle` on each request; there is no timer.

Jobs that come with a cluster start, clusters that go with their jobs go, clusters terminated long ago are forgotten.

Only flows with SQL have a task, which wakes when the cluster runs: SQL must run even without requests.

Source: RunJobFlow (`delete_when_no_steps`) and V1.1 run-job-flow (`shutdown_cluster`). Not documented and chosen here:
the cluster goes as soon as the last job has ended, with all other jobs on it; jobs that come with a cluster count for
its slots, and are never refused for them.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from mrs_emulator.clusters import cluster_life, stages
from mrs_emulator.core import clock, records, settings, state, tasks
from mrs_emulator.jobs import jobs, life, rules


class Flows:
    """
    Catches up with what happens by itself.

    Args:
        world: the clusters.
        entering: enters jobs.
        acts: makes the segments of a delete.
        chosen: whether a cluster is deleted when a job failed, and how late its jobs exist.
        task_supervisor: owns the tasks of flows with SQL.
        timer: the time.
    """

    def __init__(
        self,
        world: state.World,
        entering: jobs.Jobs,
        acts: stages.Stages,
        chosen: settings.EmulatorSettings,
        task_supervisor: tasks.TaskSupervisor,
        timer: clock.Clock,
    ) -> None:
        self._world = world
        self._jobs = entering
        self._stages = acts
        self._rules = chosen.cluster_rules
        self._late_ms = round(chosen.quirks.late_steps_s * 1000)
        self._task_supervisor = task_supervisor
        self._clock = timer
        self._waking: set[str] = set()

    def settle(self, now_ms: int) -> None:
        """Let everything happen that is due by `now_ms`."""
        for cluster_id in list(self._world.flows):
            self._advance(self._world.clusters[cluster_id], now_ms)
        self._world.expire(now_ms)

    def watch(self, now_ms: int) -> None:
        """Make sure that SQL in flows will run in time; call it after a cluster was entered, and after a restart."""
        for cluster_id in list(self._world.flows):
            record = self._world.clusters[cluster_id].record
            flow = record.flow
            if flow is None or flow.job_ids is not None or cluster_id in self._waking:
                continue
            running_ms = record.life.first("running", now_ms)
            if running_ms is not None and any(one.runs_sql for one in flow.jobs):
                self._waking.add(cluster_id)
                due_ms = running_ms + self._late_ms
                self._task_supervisor.start(self._wake(cluster_id, due_ms), name=f"flow-{cluster_id}")

    async def _wake(self, cluster_id: str, due_ms: int) -> None:
        try:
            await asyncio.sleep(max(0, due_ms - self._clock.now_ms()) / 1000)
            self.settle(max(due_ms, self._clock.now_ms()))
        finally:
            self._waking.discard(cluster_id)

    def _advance(self, cluster: state.ClusterState, now_ms: int) -> None:
        flow = cluster.record.flow
        if flow is None or cluster.state(now_ms) in {"failed", "terminating", "terminated"}:
            self._world.change(cluster, flow=None)
            return

        if flow.job_ids is None:
            begin_ms = _began(cluster.record.life, now_ms)
            if begin_ms is None or begin_ms + self._late_ms > now_ms:
                return
            flow = self._enter(cluster, flow, begin_ms + self._late_ms)

        end_ms = self._ended_ms(cluster, flow, now_ms)
        if end_ms is None:
            return

        if flow.delete_after and not self._kept_for_failure(cluster, flow, now_ms):
            self._delete(cluster, end_ms, now_ms)
        else:
            self._world.change(cluster, flow=None)

    def _enter(self, cluster: state.ClusterState, flow: records.Flow, begin_ms: int) -> records.Flow:
        wanted = [one for one in flow.jobs if not rules.refused(one)]
        entered = tuple(self._jobs.enter(cluster, one, flow.user, begin_ms).job_id for one in wanted)
        flow = replace(flow, job_ids=entered)
        self._world.change(cluster, flow=flow)
        return flow

    def _ended_ms(self, cluster: state.ClusterState, flow: records.Flow, now_ms: int) -> int | None:
        """Return when the last job of a flow ended, or None when one has not; deleted jobs do not count."""
        last_ms = _began(cluster.record.life, now_ms) or now_ms
        for job_id in flow.job_ids or ():
            job = cluster.index.get(job_id)
            if job is None:
                continue
            if job.ending is None or job.ending.at_ms > now_ms:
                return None
            last_ms = max(last_ms, job.ending.at_ms)
        return last_ms

    def _kept_for_failure(self, cluster: state.ClusterState, flow: records.Flow, now_ms: int) -> bool:
        if self._rules.delete_after_failed_job:
            return False
        found = [cluster.index.get(job_id) for job_id in flow.job_ids or ()]
        return any(job is not None and life.result_of(job, now_ms) != "SUCCEEDED" for job in found)

    def _delete(self, cluster: state.ClusterState, end_ms: int, now_ms: int) -> None:
        """Delete from the first moment after the jobs in which the cluster can be deleted; a resize is waited for."""
        record = cluster.record
        begin_ms = record.life.first("running", end_ms)
        if begin_ms is None or begin_ms > now_ms:
            return
        play = self._stages.play("delete", record.cluster_id, record.tags)
        ahead = self._stages.deletion(begin_ms, record.life.at(begin_ms), play)
        self._world.change(cluster, life=record.life.planned(begin_ms, ahead), flow=None)
        self._jobs.end_all(cluster, begin_ms)


def _began(lived: cluster_life.Life, now_ms: int) -> int | None:
    """Return when a cluster first ran, if it has."""
    first = next((one.begin_ms for one in lived.segments if one.state == "running"), None)
    return first if first is not None and first <= now_ms else None
