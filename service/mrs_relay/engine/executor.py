"""
Run committed commands and report their outcomes as facts.

An executor belongs to one lease and ends with it. It starts submissions, look-ups and collections as tasks, passes jobs
to the shared tracker and scheduler, and puts every outcome into the partition's inbox. It decides nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Self

import structlog

from mrs_relay.common import faults, tasks
from mrs_relay.engine import activity, alarms, early_cancels, expiry, held_jobs, resting_jobs, sender, stopper, timers
from mrs_relay.engine import context as contexts
from mrs_relay.engine import row_removal as row_removals
from mrs_relay.engine.decide import transitions
from mrs_relay.engine.log_context import about
from mrs_relay.engine.model import commands, facts, jobs
from mrs_relay.engine.scheduling import entries, waits
from mrs_relay.engine.work import kinds
from mrs_relay.kafka import cold_records
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import lease as leases

_log = structlog.get_logger(__name__)

_LOOK_AGAIN_MS = 1000
"""Wait before a queued job checks again whether the partition may act."""


class CommandExecutor:
    """
    Carry out the commands of one lease.

    Args:
        lease: of the partition; checked before every effect.
        context: dependencies shared by the tenant's partitions.
    """

    def __init__(self, lease: leases.Lease[contexts.Notice], context: contexts.TenantContext) -> None:
        self._lease = lease
        self._context = context
        self._activities = activity.Activities()
        self._sender = sender.SubmissionSender(lease, context, self._activities, self._replied, self._on_error)
        self._others = tasks.TaskSupervisor(self._on_error)
        self._stopper = stopper.JobStopper(lease, context, self._others)
        self._held = held_jobs.HeldJobs()
        self._timers = timers.Timers(context.time.now_ms)
        self._expiry = expiry.Expiry(lease, context, self._others, self._forget)
        self._rejections = expiry.Rejections(self._expiry, self._timers, context.time, self._forget)
        self._cold_expiry = expiry.ColdExpiry(lease.cold, self._expiry, self._timers, self._others, context.time)
        self._removal = row_removals.RowRemoval(context, self._timers, self._others, self.report)
        self._next_commit_s = 0.0

    async def __aenter__(self) -> Self:
        self._context.scheduler.join(self, self._context.quota)
        self._context.held[self._lease.partition] = self._held
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timers.close()
        if self._context.held.get(self._lease.partition) is self._held:
            del self._context.held[self._lease.partition]
        self._context.scheduler.leave(self)
        self._context.quota.leave(self._lease)
        self._context.controls.leave(self)
        self._context.tracker.drop_owner(self)
        self._context.cluster_tracker.drop_owner(self)
        await self._others.close()
        await self._sender.close()

    async def resume(
        self, restored: resting_jobs.RestingJobs, rejected: Mapping[jobs.LedgerKey, int] = expiry.NO_REJECTIONS
    ) -> None:
        """
        Resume every job of the ledger, with pauses: slots first, so that nothing is submitted over the limit.

        Args:
            restored: all jobs in memory; a live view, read again later.
            rejected: key of each remembered rejection -> when to forget it, the oldest first; a live view as well.
        """
        self._held.in_memory = restored
        self._context.controls.join(self, self._context.quota.policy.tenant, restored)
        self._expiry.start()
        self._rejections.start(rejected)
        self._cold_expiry.look_in_time()
        if self._lease.cold is not None and not self._lease.cold.is_complete:
            self._lease.inbox.hold_records()  # a new request and a repeated one look the same
            self._others.start(self._await_index(self._lease.cold, restored), name="await the index")
        now_ms = self._context.time.now_ms()
        held = restored.all_at_once()
        self._context.quota.recall((now_ms - job.intent_ms) / 1000 for _, job in held)
        async for part in tasks.slices(resting_jobs.in_order(held)):
            for key, job in part:
                self._resume(key, job)

        cold = len(self._lease.cold or ())
        if held or cold:
            under_way = sum(not jobs.TRAITS[job.state].last for _, job in held)
            _log.info("jobs_restored", under_way=under_way, remembered=len(held) - under_way + cold)

    def _resume(self, key: jobs.LedgerKey, job: jobs.Job) -> None:
        """Take a restored job's slot, and run what its state requires."""
        try:
            if jobs.holds_slot(job):
                self._context.scheduler.occupy(key, job, self)
            owed = transitions.recover(job)
            if isinstance(owed, commands.Command):
                self._run_command(key, job, owed, self._lease.act_epoch)
            else:
                self.report(key, owed)
        except Exception as error:  # noqa: BLE001 - as in `execute`
            self._failed(key, job, "recover", error)

    def rest(self, held: resting_jobs.RestingJobs) -> None:
        """Keep the jobs small to which nothing happens."""
        resting_jobs.Rest(held, self._timers, self._context.time.now_ms).start()

    async def take(self) -> inboxes.Batch[contexts.Notice] | None:
        """
        Wait for messages and facts; collects them so that commits keep their interval under load.

        Returns None when the process stops and the reply of the last submission in flight has been taken.
        """
        while True:
            try:
                batch = await self._lease.inbox.take(
                    self._context.settings.batch_records, self._next_commit_s, self._most_records
                )
            except inboxes.Closed:
                # The process stops: wait for the replies of submissions in flight, which arrive as facts.
                if not await self._sender.next_landed():
                    return None
            else:
                # On the loop's clock, as its timers are: uvloop's stands still within a millisecond.
                self._next_commit_s = asyncio.get_running_loop().time() + self._context.commit_interval_s
                return batch

    async def _await_index(self, cold: cold_records.ColdRecords, in_memory: Mapping[jobs.LedgerKey, jobs.Job]) -> None:
        """Let messages wait until all remembered requests are indexed, but for the cancels of jobs under way."""
        cancels = early_cancels.EarlyCancels(self._lease.inbox, self._context, in_memory)
        await cancels.look_until(cold, self._lease.keep_fresh)
        self._lease.inbox.release_records()
        self._cold_expiry.look_in_time()

    def _most_records(self) -> int:
        most, room = self._context.settings.batch_records, self._context.scheduler.room(self)
        return most if room is None else room

    def admit(self, key: jobs.LedgerKey, job: jobs.Job) -> bool:
        """Ask for a turn for a job that is being queued; False leaves it to the ENQUEUE command that follows."""
        return (
            job.not_before_ms <= self._context.time.now_ms()
            and self._lease.may_act()
            and self._context.scheduler.enter_at_once(self._entry(key, job))
        )

    def execute(self, key: jobs.LedgerKey, job: jobs.Job, command: commands.Command, epoch: int) -> None:
        """
        Carry out a command for a committed job.

        Args:
            key: the job's ledger key.
            job: as committed.
            command: the command that its new state requires.
            epoch: of the commit; a submission is sent only in this epoch.
        """
        try:
            self._run_command(key, job, command, epoch)
        except Exception as error:  # noqa: BLE001 - a bug that one job triggers must not stop its partition
            self._failed(key, job, "act", error)

    @contextlib.contextmanager
    def _alone(self, key: jobs.LedgerKey, job: jobs.Job, step: str) -> Iterator[None]:
        """End this job, and no other, on an unexpected error."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - as in `execute`
            self._failed(key, job, step, error)

    def _failed(self, key: jobs.LedgerKey, job: jobs.Job, step: str, error: Exception) -> None:
        alarms.note(self._context.counts, step, error, request=job.id, partition=self._lease.partition)
        self.report(key, facts.InternalFailure(faults.name(error)))

    def _run_command(self, key: jobs.LedgerKey, job: jobs.Job, command: commands.Command, epoch: int) -> None:
        self._stopper.stop_duplicates(key, job)

        # NB: a job that stops duplicates may have just been admitted: nothing else of it has changed.
        if command is not commands.Command.STOP_DUPLICATES and not jobs.holds_slot(job):
            self._context.scheduler.release(key, job, self)

        match command:
            case commands.Command.SUBMIT:
                self._context.quota.occupy((self, key))
                self._sender.start(key, job, epoch)
            case commands.Command.SELECT_CLUSTER | commands.Command.ENQUEUE:
                self._due_at(key, job.queue_deadline_ms)
                self._enqueue(key, job)
            case commands.Command.LOOK_UP:
                self._cancel_submission(key)
                self._context.scheduler.occupy(key, job, self)
                self._others.start(self._look_up(key, job), name=f"look up {job.mrs_name}", context=about(job))
            case commands.Command.TRACK:
                follows_cluster = kinds.of(job).traits.follows_cluster
                (self._context.cluster_tracker if follows_cluster else self._context.tracker).follow(job, key, self)
                self._due_at(key, job.run_deadline_ms)
            case commands.Command.KILL:
                self._context.tracker.follow(job, key, self)
                self._due_at(key, 0)
                self._activities.stop_stopping(key)
                self._activities.of(key).stopping = self._stopper.stop(job)
            case commands.Command.AWAIT_REQUEST:
                waits = expiry.Kind.PASSED_CANCEL if job.came_from < 0 else expiry.Kind.CANCEL
                self._due_at(key, job.expires_ms, waits)
            case commands.Command.COLLECT | commands.Command.READ_LOG:
                self._due_at(key, 0)
                self._activities.stop_stopping(key)
                self._context.tracker.unfollow(job)
                self._start_reading(key, job, command)
            case commands.Command.RELEASE | commands.Command.COLLECT_LATE:
                self._due_at(key, 0)
                self._forget_later(key)
                self._activities.stop_choosing(key)
                self._context.scheduler.withdraw(key, self)
                self._activities.stop_stopping(key)
                self._context.tracker.unfollow(job)
                self._context.cluster_tracker.unfollow(job)
                self._finish(key, job)

    def _finish(self, key: jobs.LedgerKey, job: jobs.Job) -> None:
        if job.late_until_ms:
            self._start_reading(key, job, commands.Command.COLLECT_LATE)
        elif job.state is jobs.State.REJECTED:
            self._rejections.forget_in_time()
        elif job.rows_until_ms:
            self._removal.remove_in_time(key, job, self._held.in_memory)
        elif self._lease.cold is not None and key not in self._held.in_memory:
            self._cold_expiry.look_in_time()
        else:
            self._timers.at(job.expires_ms, functools.partial(self._expiry.due, key, expiry.Kind.JOB))

    def _forget(self, key: jobs.LedgerKey) -> None:
        self.report(key, facts.Expired())

    def _due_at(self, key: jobs.LedgerKey, when_ms: int, cancel: expiry.Kind | None = None) -> None:
        """
        Set the timer of the job's only deadline; 0: it has none. Drops the timer of another deadline.

        A job may return to the queue many times before its deadline: the timer of the same deadline stays.
        """
        now = self._activities.get(key)
        if when_ms == (0 if now is None else now.deadline_ms):
            return
        now = self._activities.of(key)
        if now.deadline is not None:
            self._timers.drop(now.deadline)
        now.deadline_ms, now.deadline = when_ms, None
        if when_ms:
            now.deadline = self._timers.at(when_ms, functools.partial(self._due, key, cancel))
        self._activities.drop_if_over(key)

    def _due(self, key: jobs.LedgerKey, cancel: expiry.Kind | None) -> None:
        now = self._activities.of(key)
        now.deadline_ms, now.deadline = 0, None
        self._activities.drop_if_over(key)

        # A waiting cancel expires only after the messages sent before this moment have been read.
        if cancel is not None:
            self._expiry.due(key, cancel)
            return

        # The event of a missed deadline says why the job was still waiting.
        waiting = self.why_waiting(key)
        self.report(key, facts.DeadlineReached("" if waiting is None else str(waiting)))

    def why_waiting(self, key: jobs.LedgerKey) -> waits.Waiting | None:
        """Return why a job waits for its submission; None: it does not wait, or it has just been admitted."""
        now = self._activities.get(key)
        if now is not None and now.choosing is not None:
            return waits.Waiting(waits.Cause.CHOICE)
        if now is not None and now.entry is not None:
            return waits.Waiting(waits.Cause.NOT_BEFORE)
        return self._context.scheduler.why(key, self)

    def _enqueue(self, key: jobs.LedgerKey, job: jobs.Job) -> None:
        if self._lease.stopping:
            return  # the job stays queued in the ledger; the partition's next owner resumes it

        now_ms = self._context.time.now_ms()
        if job.choice is not None:
            selecting = self._select_cluster(key, job, job.choice)
            choosing = self._others.start(selecting, name=f"choose for {job.id}", context=about(job))
            self._activities.of(key).choosing = choosing
        elif job.not_before_ms > now_ms:
            self._enqueue_at(job.not_before_ms, key, job)
        elif not self._lease.may_act():
            # NB: a turn now would end unsent, and would cost a token of the quota each time.
            self._enqueue_at(now_ms + _LOOK_AGAIN_MS, key, job)
        elif self._context.scheduler.enter(self._entry(key, job)):
            self._admitted(key)

    def _entry(self, key: jobs.LedgerKey, job: jobs.Job) -> entries.QueueEntry:
        aging_s = self._context.settings.priority_aging_s
        return entries.queue_entry(key, job, self, self._admitted, self._rejection_due, aging_s)

    def _enqueue_at(self, when_ms: int, key: jobs.LedgerKey, job: jobs.Job) -> None:
        self._forget_later(key)
        self._held.not_before[key] = when_ms
        self._activities.of(key).entry = self._timers.at(when_ms, functools.partial(self._enqueue_now, key, job))

    def _enqueue_now(self, key: jobs.LedgerKey, job: jobs.Job) -> None:
        self._activities.of(key).entry = None
        self._held.not_before.pop(key, None)
        self._activities.drop_if_over(key)
        self._enqueue(key, job)

    def _forget_later(self, key: jobs.LedgerKey) -> None:
        """Drop the timer of a job's next attempt to enter the queue."""
        now = self._activities.get(key)
        if now is not None and now.entry is not None:
            self._timers.drop(now.entry)
            now.entry = None
            self._held.not_before.pop(key, None)
            self._activities.drop_if_over(key)

    def _cancel_submission(self, key: jobs.LedgerKey) -> None:
        """
        Cancel a submission that a look-up replaces.

        The job leaves the queue. A submission that waits in its lane is not sent. The reply to one that is on its way
        is ignored, because the look-up answers for it: that reply must not be taken for the reply to a later attempt.
        """
        self._forget_later(key)
        self._activities.await_no_reply(key)
        self._context.scheduler.withdraw(key, self)

    def _admitted(self, key: jobs.LedgerKey) -> None:
        self.report(key, facts.Admitted())

    def _rejection_due(self, key: jobs.LedgerKey) -> None:
        self.report(key, facts.RejectionDue())

    def _replied(self, key: jobs.LedgerKey, fact: facts.Fact) -> None:
        self._context.scheduler.completed(key, self)
        self.report(key, fact)

    async def _select_cluster(self, key: jobs.LedgerKey, job: jobs.Job, choice: jobs.Choice) -> None:
        with self._alone(key, job, "choose"):
            self._held.choosing.add(key)
            try:
                fact = await self._context.cluster_selector.select(job, choice, self._context.quota.policy)
            finally:
                self._held.choosing.discard(key)
            self._activities.of(key).choosing = None
            self._activities.drop_if_over(key)
            self.report(key, fact)

    async def _look_up(self, key: jobs.LedgerKey, job: jobs.Job) -> None:
        look_up_s = self._context.settings.settle_s + self._context.settings.visibility_s
        self._held.in_doubt[key] = self._context.time.now_ms() + round(look_up_s * 1000)
        try:
            with self._alone(key, job, "look_up"):
                self.report(key, await self._context.submitter.look_up(job))
        finally:
            self._held.in_doubt.pop(key, None)

    def _start_reading(self, key: jobs.LedgerKey, job: jobs.Job, command: commands.Command) -> None:
        self._others.start(self._read(key, job, command), name=f"{command.name.lower()} {job.id}", context=about(job))

    async def _read(self, key: jobs.LedgerKey, job: jobs.Job, command: commands.Command) -> None:
        reader, logs, chunks = self._context.submitter, self._context.config.logs, self._context.chunks
        with self._alone(key, job, command.name.lower()):
            is_log = command is commands.Command.READ_LOG
            self.report(key, await (reader.read_log(job, logs) if is_log else reader.collect(job, chunks)))

    def report(self, key: jobs.LedgerKey, fact: facts.Fact) -> None:
        """Put a fact into the partition's inbox."""
        self._lease.inbox.put(contexts.FactNotice(key, fact))

    def _on_error(self, task: str, error: BaseException) -> None:
        self._lease.inbox.put(contexts.TaskCrashed(task, error))
