"""
Send committed submissions: each once, in its lane, and only while its intent is good.

An intent is good until a look-up replaces it, a cancel arrives with it, it has waited too long, or the partition is
lost. The executor starts the submissions of its lease and gets their outcomes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mrs_relay.common import faults, tasks
from mrs_relay.engine import activity, alarms, log_context
from mrs_relay.engine import context as contexts
from mrs_relay.engine.decide import internal_errors
from mrs_relay.engine.model import facts, jobs
from mrs_relay.engine.work import kinds
from mrs_relay.kafka import lease as leases


class SubmissionSender:
    """
    Send the submissions of one lease.

    Args:
        lease: of the partition; asked immediately before each call.
        context: dependencies shared by the tenant's partitions.
        activities: note which submissions still await their reply.
        replied: called with the outcome of each submission that still awaits it.
        on_error: called when a submission's task fails by a bug; it must not raise.
    """

    def __init__(
        self,
        lease: leases.Lease[contexts.Notice],
        context: contexts.TenantContext,
        activities: activity.Activities,
        replied: Callable[[jobs.LedgerKey, facts.Fact], None],
        on_error: Callable[[str, BaseException], None],
    ) -> None:
        self._lease = lease
        self._context = context
        self._activities = activities
        self._replied = replied
        self._on_error = on_error
        self._tasks = tasks.TaskSupervisor(self._crashed)
        self._landed = asyncio.Event()

    def start(self, key: jobs.LedgerKey, job: jobs.Job, epoch: int) -> None:
        """
        Send the submission of a job as soon as its lane has a free place.

        Args:
            key: the job's ledger key.
            job: as committed, in state SUBMITTING.
            epoch: of that commit; the submission is sent only in this epoch.
        """
        self._activities.of(key).sent = job
        self._tasks.start(self._submit(key, job, epoch), name=f"submit {job.id}", context=log_context.about(job))

    async def next_landed(self) -> bool:
        """Wait until one of the submissions in flight has its outcome; returns False at once if there is none."""
        if not self._tasks:
            return False
        self._landed.clear()
        await self._landed.wait()
        return True

    async def close(self) -> None:
        """Cancel all submissions."""
        await self._tasks.close()

    async def _submit(self, key: jobs.LedgerKey, job: jobs.Job, epoch: int) -> None:
        committed_s = self._context.time.monotonic_s()

        def still_ours() -> bool:
            if job.stop is not None or not self._activities.awaits_reply(key, job):
                return False  # a cancel came in the batch of the intent, or the submission thought lost was found
            age_s = self._context.time.monotonic_s() - committed_s
            return age_s <= self._context.settings.send_within_s and self._lease.may_act(epoch)

        lane = self._context.lanes.of(kinds.of(job).operation(job))
        group = (self._context.quota, job.cluster)

        try:
            await lane.acquire(group)
            try:
                fact = await self._context.submitter.submit(job, still_ours)
            finally:
                lane.release(group)
        except Exception as error:  # noqa: BLE001 - the request may have been sent: its outcome is in doubt, like after a lost reply
            alarms.note(self._context.counts, "submit", error, request=job.id, partition=self._lease.partition)
            fact = internal_errors.as_doubt(facts.InternalFailure(faults.name(error)))

        # A look-up may have replaced this submission meanwhile: then its outcome is ignored.
        if self._activities.awaits_reply(key, job):
            self._activities.await_no_reply(key)
            self._replied(key, fact)
        self._landed.set()

    def _crashed(self, task: str, error: BaseException) -> None:
        self._on_error(task, error)
        self._landed.set()
