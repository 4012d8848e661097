"""
Follow clusters that jobs create, resize or delete, until they have reached their target state.

One task for each such job reads the cluster's details at intervals, under the read budget. A failed read changes
nothing. `judge`, which is pure, compares a cluster with its target state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from mrs_relay import errors
from mrs_relay.common import clock, faults, tasks
from mrs_relay.engine import log_context
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import facts, jobs, verdict
from mrs_relay.engine.trackers import tracked_jobs
from mrs_relay.engine.work import cluster as cluster_work
from mrs_relay.engine.work import observations
from mrs_relay.mrs import client as clients
from mrs_relay.mrs.models import clusters as models
from mrs_relay.mrs.operations import lists

_log = structlog.get_logger(__name__)

_State = models.ClusterState
_Verdict = verdict.Verdict

_SCALING: Final = frozenset({_State.SCALING_OUT, _State.SCALING_IN})
_LOST: Final = frozenset({_State.FAILED, _State.TERMINATING, _State.TERMINATED})
_ORDERED: Final = frozenset({"created", "flowed"})
_SCALING_FAILED: Final = "scaling-error"
_ENDS: Final = frozenset({_Verdict.SUCCEEDED, _Verdict.FAILED, _Verdict.UNSETTLED})


def judge(
    target: jobs.TargetState,
    shown: models.Cluster | None,
    *,
    changing: bool,
    overdue: bool,
    ends: Sequence[_Verdict] = (),
) -> _Verdict:
    """
    Judge how far a cluster is from its target state.

    Args:
        target: the target state.
        shown: the cluster as MRS shows it; None when MRS knows no such cluster.
        changing: whether the change has been observed in progress.
        overdue: whether the time for the change to show has passed.
        ends: verdicts of the jobs that came with the cluster.

    Returns:
        UNSETTLED when the outcome cannot be known any more.

    Source: cluster lifecycle of the V1.1 reference. A resize ends in `running` whether it succeeded or not; then
    `scale` and the number of nodes decide. `abnormal` after a creation is no documented outcome: it counts as failed.
    """
    state = shown.cluster_state if shown is not None else _State.TERMINATED
    match target.kind:
        case "created":
            return _created(state)
        case "flowed":
            return _flowed(state, target.jobs, ends)
        case "deleted":
            if state == _State.TERMINATED:
                return _Verdict.SUCCEEDED
            return _Verdict.RUNNING if state == _State.TERMINATING else _late(overdue=overdue)
        case "resized":
            return _resized(target, shown, state, changing=changing, overdue=overdue)


def _created(state: str) -> _Verdict:
    if state == _State.RUNNING:
        return _Verdict.SUCCEEDED
    return _Verdict.FAILED if state in _LOST or state == _State.ABNORMAL else _Verdict.RUNNING


def _flowed(state: str, count: int, ends: Sequence[_Verdict]) -> _Verdict:
    if state in {_State.FAILED, _State.ABNORMAL}:
        return _Verdict.FAILED
    ended = [end for end in ends if end not in {_Verdict.WAITING, _Verdict.RUNNING, _Verdict.UNSETTLED}]
    if count and len(ended) >= count:
        return _Verdict.SUCCEEDED if all(end is _Verdict.SUCCEEDED for end in ended) else _Verdict.FAILED
    return _Verdict.UNSETTLED if state == _State.TERMINATED else _Verdict.RUNNING


def _resized(
    target: jobs.TargetState, shown: models.Cluster | None, state: str, *, changing: bool, overdue: bool
) -> _Verdict:
    if state in _SCALING:
        return _Verdict.RUNNING
    if shown is None or state in _LOST or state == _State.ABNORMAL:
        return _Verdict.FAILED
    # NB: `scale` may still show an earlier failure before the change has begun.
    if shown.scale == _SCALING_FAILED and (changing or overdue):
        return _Verdict.FAILED
    if target.nodes and shown.total_node_num == target.nodes:
        return _Verdict.SUCCEEDED
    if not target.nodes and changing:
        return _Verdict.SUCCEEDED
    return _late(overdue=overdue)


def _late(*, overdue: bool) -> _Verdict:
    return _Verdict.UNSETTLED if overdue else _Verdict.WAITING


class ClusterTracker:
    """
    Follow clusters.

    Args:
        client: the MRS client.
        settings: `cluster_poll_s` and `cluster_settle_s`.
        time: the clock.
    """

    def __init__(self, client: clients.Client, settings: engine_settings.EngineSettings, time: clock.Clock) -> None:
        self._client = client
        self._settings = settings
        self._time = time
        self._task_supervisor = tasks.TaskSupervisor(
            lambda task, error: _log.error("watch_failed", task=task, exc_info=error)
        )
        self._watches: dict[tuple[str, jobs.LedgerKey], tuple[tracked_jobs.Owner, asyncio.Task[None]]] = {}

    def follow(self, job: jobs.Job, key: jobs.LedgerKey, owner: tracked_jobs.Owner) -> None:
        """
        Follow the cluster of a job that MRS has taken, until `unfollow`; a second call has no effect.

        Args:
            job: with its cluster's id in `seen` and its target state as work.
            key: its ledger key.
            owner: its partition; gets a fact for each change.
        """
        name = (job.tenant, key)
        if name in self._watches and self._watches[name][0] is owner:
            return
        self.unfollow(job)
        if (target := cluster_work.target_of(job)) is not None and job.seen is not None:
            following = self._end_on_error(job, target, job.seen.job_id, key, owner)
            task = f"follow cluster {job.seen.job_id}"
            watch = self._task_supervisor.start(following, name=task, context=log_context.about(job))
            self._watches[name] = owner, watch

    def unfollow(self, job: jobs.Job) -> None:
        """Stop following a job's cluster."""
        watch = self._watches.pop((job.tenant, job.ledger_key), None)
        if watch is not None:
            watch[1].cancel()

    def drop_owner(self, owner: tracked_jobs.Owner) -> None:
        """Stop following all clusters of a partition."""
        for name, (follower, watch) in list(self._watches.items()):
            if follower is owner:
                watch.cancel()
                del self._watches[name]

    async def close(self) -> None:
        """Stop following."""
        self._watches.clear()
        await self._task_supervisor.close()

    async def _end_on_error(
        self, job: jobs.Job, target: jobs.TargetState, cluster_id: str, key: jobs.LedgerKey, owner: tracked_jobs.Owner
    ) -> None:
        """Follow the cluster; end the job on an unexpected error, because no other task follows it."""
        try:
            await self._follow(job, target, cluster_id, key, owner)
        except Exception as error:  # noqa: BLE001 - any error becomes a fact of the job
            _log.error("watch_failed", error=faults.name(error), stack=faults.stack(error))
            owner.report(key, facts.InternalFailure(faults.name(error)))

    async def _follow(
        self, job: jobs.Job, target: jobs.TargetState, cluster_id: str, key: jobs.LedgerKey, owner: tracked_jobs.Owner
    ) -> None:
        changing = was_shown = job.state is jobs.State.RUNNING
        reported: facts.Fact | None = None
        while True:
            try:
                shown = await cluster_work.show_cluster(self._client, cluster_id)
                ends = await self._ends(job, shown) if target.kind == "flowed" and shown is not None else ()
            except errors.MrsError as error:
                _log.warning("cluster_not_read", request=job.id, cluster=cluster_id, error=str(error))
            else:
                changing = changing or (shown is not None and shown.cluster_state in _SCALING)
                overdue = self._time.now_ms() - job.intent_ms > self._settings.cluster_settle_s * 1000

                outcome = judge(target, shown, changing=changing, overdue=overdue, ends=ends)
                fact = facts.ClusterObserved(_seen(cluster_id, shown), outcome, _message(shown))

                # NB: MRS has just taken the order: a new cluster that it does not show yet gets no verdict.
                was_shown = was_shown or shown is not None
                is_hidden = not was_shown and target.kind in _ORDERED and not overdue
                if fact != reported and not is_hidden:
                    reported = fact
                    owner.report(key, fact)
                if outcome in _ENDS and not is_hidden:
                    return
            await asyncio.sleep(self._settings.cluster_poll_s)

    async def _ends(self, job: jobs.Job, shown: models.Cluster) -> Sequence[_Verdict]:
        """
        Return the verdicts of a cluster's jobs; none where they cannot be listed and its state says enough.

        MRS may refuse the list because of that very state: of a cluster that has failed, or is there no more.

        Raises:
            MrsError: the cluster is there no more, and the list may still say how its jobs have ended.
        """
        try:
            return await self._job_verdicts(shown.cluster_id)
        except errors.MrsError as error:
            if shown.cluster_state == _State.TERMINATED and not cluster_work.is_about(error):
                raise
            _log.warning("cluster_jobs_not_read", request=job.id, cluster=shown.cluster_id, error=str(error))
            return ()

    async def _job_verdicts(self, cluster_id: str) -> list[_Verdict]:
        """Return the verdicts of the jobs on a cluster."""
        listed = self._client.iterate(lists.JOBS, path={"cluster_id": cluster_id})
        seen = [observations.of_job(detail) async for detail in listed]
        return [verdict.of_job(one.job_state, one.job_result) for one in seen]


def _seen(cluster_id: str, shown: models.Cluster | None) -> jobs.MrsStatus:
    return jobs.MrsStatus(
        cluster_id, job_state=(shown.cluster_state if shown is not None else _State.TERMINATED).upper()
    )


def _message(shown: models.Cluster | None) -> str:
    if shown is None:
        return "MRS knows no such cluster any more"
    words = [f"cluster state {shown.cluster_state}", shown.scale, shown.stage_desc, shown.error_info]
    return ", ".join(word for word in words if word)
