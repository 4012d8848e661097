"""
Stop jobs on MRS: a job that is cancelled or out of time, and duplicates of a job, for which MRS is looked at again.

MRS may lose, refuse or ignore a stop, so each call is repeated until the job has ended. The executor starts and ends
these tasks; a tracker observes the end of a cancelled job.

A request that was late beyond all patience may take effect when the look-up of its submission is over. The second look
that finds it is due as the ledger says, under the owner that the partition has by then; `decide.duplicates` decides.
"""

from __future__ import annotations

import asyncio

from mrs_relay.common import tasks
from mrs_relay.engine import alarms, log_context
from mrs_relay.engine import context as contexts
from mrs_relay.engine.model import facts, jobs
from mrs_relay.kafka import lease as leases


class JobStopper:
    """
    Repeat the calls that stop a partition's jobs.

    Args:
        lease: of the partition; no call is made while it must not act. Its inbox gets the facts.
        context: dependencies shared by the tenant's partitions.
        task_supervisor: runs the tasks; ends with the lease.
    """

    def __init__(
        self,
        lease: leases.Lease[contexts.Notice],
        context: contexts.TenantContext,
        task_supervisor: tasks.TaskSupervisor,
    ) -> None:
        self._lease = lease
        self._context = context
        self._task_supervisor = task_supervisor
        self._duplicates: set[str] = set()
        self._looks: set[tuple[jobs.LedgerKey, jobs.SecondLook]] = set()

    def stop(self, job: jobs.Job) -> asyncio.Task[None]:
        """Start to stop a job; the caller cancels the task when the job has ended."""
        name = f"kill {job.mrs_name or job.id}"
        return self._task_supervisor.start(self._stop(job), name=name, context=log_context.about(job))

    async def _stop(self, job: jobs.Job) -> None:
        while True:
            if self._lease.may_act():
                try:
                    await self._context.submitter.stop(job)
                except Exception as error:  # noqa: BLE001 - the call is repeated, as after a refusal
                    self._note(job, "stop", error)
            await asyncio.sleep(self._context.settings.kill_again_s)

    def stop_duplicates(self, key: jobs.LedgerKey, job: jobs.Job) -> None:
        """
        Start to stop a job's duplicates, each until MRS shows that it has ended; each is reported as a fact.

        What is still to be looked for is looked for when it is due.
        """
        self._look_again(key, job)
        for job_id in job.duplicates:
            if job_id not in self._duplicates:
                self._duplicates.add(job_id)
                work, name = self._stop_duplicate(key, job, job_id), f"stop duplicate {job_id} of {job.mrs_name}"
                self._task_supervisor.start(work, name=name, context=log_context.about(job))

    async def _stop_duplicate(self, key: jobs.LedgerKey, job: jobs.Job, job_id: str) -> None:
        while True:
            if self._lease.may_act() and await self._is_duplicate_stopped(job, job_id):
                break
            await asyncio.sleep(self._context.settings.kill_again_s)
        self._duplicates.discard(job_id)
        self._lease.inbox.put(contexts.FactNotice(key, facts.DuplicatesStopped((job_id,))))

    def _look_again(self, key: jobs.LedgerKey, job: jobs.Job) -> None:
        for look in job.second_looks:
            if (key, look) not in self._looks:
                self._looks.add((key, look))
                name = f"look again {job.id} {look.attempt}"
                self._task_supervisor.start(self._look(key, job, look), name=name, context=log_context.about(job))

    async def _look(self, key: jobs.LedgerKey, job: jobs.Job, look: jobs.SecondLook) -> None:
        try:
            found = await self._context.submitter.look_again(job, look)
        except Exception as error:  # noqa: BLE001 - the first look has settled the job
            self._note(job, "look_again", error)
            found = facts.DuplicatesChecked(look.attempt, ())
        self._looks.discard((key, look))
        self._lease.inbox.put(contexts.FactNotice(key, found))

    async def _is_duplicate_stopped(self, job: jobs.Job, job_id: str) -> bool:
        try:
            return await self._context.submitter.stop_duplicate(job, job_id)
        except Exception as error:  # noqa: BLE001 - the call is repeated, as after a refusal
            self._note(job, "stop_duplicate", error)
            return False

    def _note(self, job: jobs.Job, step: str, error: Exception) -> None:
        alarms.note(self._context.counts, step, error, request=job.id, partition=self._lease.partition)
