"""
Look a second time for jobs of submissions that were in doubt, as the ledger says that it is due.

A request that was late beyond all patience may take effect when the first look is over. The second one takes place
under whichever owner the partition has by then; what it finds is decided in `decide.duplicates`.
"""

from __future__ import annotations

from mrs_relay.common import tasks
from mrs_relay.engine import alarms, log_context
from mrs_relay.engine import context as contexts
from mrs_relay.engine.model import facts, jobs
from mrs_relay.kafka import lease as leases


class SecondLooks:
    """
    Take the second looks of a partition's jobs.

    Args:
        lease: of the partition. Its inbox gets the facts.
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
        self._started: set[tuple[jobs.LedgerKey, jobs.SecondLook]] = set()

    def start(self, key: jobs.LedgerKey, job: jobs.Job) -> None:
        """Wait for each look that a job is due, and take it; each is reported as a fact."""
        for look in job.second_looks:
            if (key, look) not in self._started:
                self._started.add((key, look))
                name = f"look again {job.id} {look.attempt}"
                self._task_supervisor.start(self._look(key, job, look), name=name, context=log_context.about(job))

    async def _look(self, key: jobs.LedgerKey, job: jobs.Job, look: jobs.SecondLook) -> None:
        try:
            found = await self._context.submitter.look_again(job, look)
        except Exception as error:  # noqa: BLE001 - the first look has settled the job
            alarms.note(self._context.counts, "look_again", error, request=job.id, partition=self._lease.partition)
            found = facts.DuplicatesChecked(look.attempt, ())
        self._started.discard((key, look))
        self._lease.inbox.put(contexts.FactNotice(key, found))
