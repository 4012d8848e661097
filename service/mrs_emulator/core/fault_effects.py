"""Does the deeds of faults: jobs that get stuck, lost or wrong, clusters that vanish, time that jumps or stops."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from mrs_emulator.core import adjustable_clock, faults, state, wire
from mrs_emulator.jobs import jobs

_FAILED = 300


class FaultEffects:
    """
    Does to jobs, clusters and clock what faults order.

    Args:
        world: clusters and their jobs.
        playing: changes jobs.
        clock: the emulator's clock.
    """

    def __init__(self, world: state.World, playing: jobs.Jobs, clock: adjustable_clock.AdjustableClock) -> None:
        self._world = world
        self._jobs = playing
        self._clock = clock

    def before(self, deeds: Sequence[faults.Fault], aim: faults.Aim) -> None:
        """Apply deeds before MRS sees the call: all but those on a job that does not exist yet."""
        for deed in deeds:
            match deed.action:
                case faults.Action.VANISH_CLUSTER:
                    cluster = self._world.clusters.get(aim.cluster_id or "")
                    if cluster is not None:
                        self._world.remove(cluster)
                case faults.Action.STOP_CLOCK:
                    self._clock.stop()
                case faults.Action.JUMP_CLOCK:
                    self._clock.advance(deed.seconds)
                case _ if aim.job_id is not None:
                    self._touch(deed.action, aim.cluster_id, aim.job_id)
                case _:
                    pass

    def after(self, deeds: Sequence[faults.Fault], aim: faults.Aim, reply: wire.Reply) -> None:
        """Apply deeds to the job that the call has submitted."""
        if not aim.submits or reply.status >= _FAILED:
            return
        for deed in deeds:
            job_id = _submitted(reply) if deed.action in faults.JOB_ACTIONS else None
            if job_id is not None:
                self._touch(deed.action, aim.cluster_id, job_id)

    def _touch(self, action: faults.Action, cluster_id: str | None, job_id: str) -> None:
        cluster = self._world.clusters.get(cluster_id or "")
        job = cluster.index.get(job_id) if cluster else None
        if cluster is None or job is None:
            return
        if action is faults.Action.LOST_JOB:
            self._jobs.forget(cluster, job_id)
        elif action is faults.Action.WRONG_RESULT:
            self._jobs.flip(cluster, job)
        elif not job.ended(self._clock.now_ms()):
            self._jobs.stick(cluster, job)


def _submitted(reply: wire.Reply) -> str | None:
    """Return the id of the job in the reply to a submission of V2 or V1.1."""
    value = msgspec.json.decode(reply.body)
    inner = value.get("job_submit_result") or value.get("job_execution") or value
    found = inner.get("job_id") if "job_submit_result" in value else inner.get("id")
    return found if isinstance(found, str) else None
