"""
Collect the decisions of one commit.

A unit of work is an overlay on the partition's jobs. It collects new states, records to publish and commands. It
changes the jobs themselves only after the commit has succeeded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from typing import Final, NamedTuple

import msgspec

from mrs_relay.engine import (
    alarms,
    decision_log,
    durations,
    message_reading,
    outgoing,
    partition_jobs,
    recall,
    rewriting,
    unit_counts,
)
from mrs_relay.engine import context as contexts
from mrs_relay.engine.decide import transitions
from mrs_relay.engine.intake import cancel_routing, reader
from mrs_relay.engine.lineage import recorder
from mrs_relay.engine.model import commands, decisions, facts, job_records, jobs
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import records
from mrs_relay.messages import dead_letters, events

Admit = Callable[[jobs.LedgerKey, jobs.Job], bool]

_JOB_OVERHEAD_BYTES: Final = 16_384
"""Upper bound of a job's ledger record without the request's own bytes: ids, headers and Kafka key."""

_GROWTH_BYTES: Final = 4096
"""Bytes that a ledger record keeps free at acceptance: for the job's attempts, its status on MRS and its stop."""

_TOKEN_BYTES: Final = 64
"""Upper bound of the header that the ledger adds to a record."""

_NO_KEY: Final = jobs.LedgerKey(b"")
_ADMITTED: Final = facts.Admitted()
_UNDER_CONTROLS: Final = (facts.Admitted, facts.RejectionDue)


class _Step(NamedTuple):
    """A decision on a job, with all records that it writes."""

    before: jobs.Job | None
    fact: facts.Fact
    decision: decisions.Decision
    value: bytes | None
    published: list[records.Outgoing]
    passed: list[records.Outgoing]
    size_bytes: int


class UnitOfWork:
    """
    Collect what one commit changes: a batch, or as much of it as fits into the commit's budget of bytes.

    A fact is decided and encoded as a whole, or leaves no trace. An error in a fact leaves the unit unchanged; then the
    record is rejected, or the job ends, see `internal_errors`.

    Args:
        base: the partition's jobs as committed; changed only by `apply`.
        context: dependencies; only its settings, config, quota, counts, clock and topics are used.
        lease: knows the largest size of a record.
        admit: asks for a turn for a job that has just been queued; True: it may be submitted with this very commit.

    Attributes:
        rest: the part of the batch that does not fit into this commit; the next unit reads it.
        bytes: upper bound of the bytes to write so far.
    """

    def __init__(
        self,
        base: partition_jobs.Jobs,
        context: contexts.TenantContext,
        lease: leases.Lease[contexts.Notice],
        admit: Admit,
    ) -> None:
        self._base = base
        self._context = context
        self._lease = lease
        self._ledger_limit_bytes = lease.limit_bytes(None)
        self._writer = outgoing.Writer(context.topics, lease.limit_bytes)
        self._admit = admit
        self._now_ms = context.time.now_ms()
        self.rest: inboxes.Batch[contexts.Notice] | None = None
        self.bytes = 0
        self._changed: dict[jobs.LedgerKey, jobs.Job | None] = {}
        self._written: dict[jobs.LedgerKey, bytes | None] = {}
        self._commands: dict[jobs.LedgerKey, commands.Command] = {}
        self._taken: list[decision_log.Taken] = []
        self._events: list[events.Event] = []
        self._published: list[records.Outgoing] = []
        self._dead_letters: list[dead_letters.DeadLetter] = []
        self._letters: list[records.Outgoing] = []
        self._passed: list[records.Outgoing] = []
        self._record: records.Record | None = None
        self._counts = unit_counts.UnitCounts(base, context, lease)
        self._oldest = iter(base.rejected)
        self._runs = None if context.lineage is None else recorder.Recorder(context.lineage, self._alarm)
        self._messages = message_reading.MessageReading(context, lease, self._ledger_limit_bytes - _JOB_OVERHEAD_BYTES)
        self._recall = recall.Recall(base, self._changed, self._messages.meaning)

    def read(self, batch: inboxes.Batch[contexts.Notice]) -> Iterator[tuple[jobs.LedgerKey, facts.Fact]]:
        """
        Turn a batch into facts, and collect its dead letters.

        Ends early when the budget is used up, or at a fact whose job is not in memory.

        Raises:
            RuntimeError: a task of this partition failed by a bug.
        """
        # Facts from outside come first: each is already decoded.
        self._record = None
        for number, notice in enumerate(batch.notices):
            if self._is_large_enough(0):
                self.rest = replace(batch, notices=batch.notices[number:])
                return
            if isinstance(notice, contexts.TaskCrashed):
                raise RuntimeError(  # noqa: TRY004 - the notice is right, the task was not
                    f"task {notice.task} failed"
                ) from notice.error
            yield notice.key, notice.fact
            if self.cold:
                self.rest = replace(batch, notices=batch.notices[number:])
                self._recall.look_ahead(self.rest)
                return

        # Then the messages of the input topic.
        for number, (record, meaning) in enumerate(self._messages.meanings(batch.records)):
            if self._is_large_enough(len(record.value or b"")):
                self.rest = replace(batch, notices=(), records=batch.records[number:])
                return
            self._record = record
            if isinstance(meaning, dead_letters.DeadLetter):
                self._keep(meaning)
            else:
                yield meaning
            if self.cold:
                self.rest = replace(batch, notices=(), records=batch.records[number:])
                self._recall.look_ahead(self.rest)
                return

    def _is_large_enough(self, coming_bytes: int) -> bool:
        """Return whether the next item belongs to the next commit; the first item of a commit always fits."""
        return self.bytes > 0 and self.bytes + coming_bytes > self._lease.budget_bytes

    @property
    def next_offset(self) -> int:
        """Offset of the first input record that neither this unit nor an earlier one holds."""
        if self.rest is not None and self.rest.records:
            return self.rest.records[0].offset
        return self._lease.inbox.next_offset

    def decide(self, key: jobs.LedgerKey, fact: facts.Fact) -> None:
        """Decide one fact on top of this unit's earlier decisions; the content of a fact never makes it raise."""
        self._decide(key, fact, self._record)

    def _decide(self, key: jobs.LedgerKey, fact: facts.Fact, record: records.Record | None) -> None:
        if self._recall.is_needed(key, fact):
            return
        try:
            step = self._step(key, fact)
        except Exception as error:  # noqa: BLE001 - an error in one fact must not stop the others
            if isinstance(fact, facts.CancelRequested) and fact.is_ahead:
                return  # the message is rejected in its turn; the job has done nothing wrong
            # A record that brings too large a request is an ordinary rejection, not an error of the relay.
            if record is None or not isinstance(error, records.TooLarge):
                self._alarm(error, "decide", key)
            self._decide_instead(key, fact, record, error)
        else:
            self._take(key, step)

    def _decide_instead(
        self, key: jobs.LedgerKey, fact: facts.Fact, record: records.Record | None, error: Exception
    ) -> None:
        """Reject the record whose fact cannot be decided or written; without a record, end the job."""
        instead: tuple[jobs.LedgerKey, facts.Fact] | dead_letters.DeadLetter
        fault = outgoing.fault(error)
        if record is not None:
            instead = reader.rejected(record, fault)
        elif isinstance(fact, facts.InternalFailure):
            return  # the job stays as it is: even its internal failure cannot be decided
        else:
            instead = key, facts.InternalFailure(fault.message, fault.code)

        try:
            if not isinstance(instead, dead_letters.DeadLetter):
                if not self._recall.is_needed(*instead):
                    self._take(instead[0], self._step(*instead))
                return
        except Exception as another:  # noqa: BLE001 - as above
            self._alarm(another, "reject", key)
            if record is None:
                return
            # The rejection cannot be written either: the record becomes a dead letter.
            instead = reader.undecided(record, error)
        self._keep(instead)

    def _step(self, key: jobs.LedgerKey, fact: facts.Fact) -> _Step | None:
        """
        Decide a fact and encode its records; changes nothing in this unit.

        Raises:
            TooLarge: one of its records does not fit into its topic.
        """
        most_growth_bytes = 0
        if isinstance(fact, facts.Requested):
            fact, most_growth_bytes = self._counts.within_limits(fact), _GROWTH_BYTES
        before = self._changed[key] if key in self._changed else self._base.get(key)
        if before is None:
            fact = self._context.traces.started(fact)
        if isinstance(fact, _UNDER_CONTROLS) and before is not None:
            fact = self._context.controls.applied(fact, before, self._context.quota.policy.tenant)
        decision = transitions.decide(before, fact, self._now_ms, self._counts.config())
        if decision is None:
            return None

        # The ledger record; that of a new request keeps room to grow.
        value = job_records.encode_after(decision.job, fact, self._context.ledger_format)
        size_bytes = self._fitting_bytes(key, value, most_growth_bytes)

        topic = self._context.topics.events
        published = [self._writer.event(event, topic) for event in decision.events]
        if published:
            size_bytes += records.rough_bytes(published)

        passed: list[records.Outgoing] = []
        if decision.pass_on or decision.pass_back >= 0:
            passed = self._passed_on(key, fact, decision)
            for sent in passed:
                self._writer.require_fit(sent)
            size_bytes += records.rough_bytes(passed)

        step = _Step(before, fact, decision, value, published, passed, size_bytes)
        return self._admitted(key, step) if decision.command is commands.Command.ENQUEUE else step

    def _fitting_bytes(self, key: jobs.LedgerKey, value: bytes | None, growth_bytes: int = 0) -> int:
        """Return the size of a ledger record, or raise TooLarge if it does not fit with so much growth."""
        size_bytes = records.size_bytes(key, value)
        with_room_bytes = size_bytes + _TOKEN_BYTES + growth_bytes
        if with_room_bytes > self._ledger_limit_bytes:
            raise records.TooLarge(outgoing.LEDGER, with_room_bytes, self._ledger_limit_bytes)
        return size_bytes

    def _admitted(self, key: jobs.LedgerKey, step: _Step) -> _Step:
        """
        Add the job's admission to its acceptance, so that one commit holds both, if its turn comes at once.

        An error leaves the acceptance as it is: its command, ENQUEUE, gives back a turn and asks again.
        """
        job = step.decision.job
        try:
            if job is None or not self._admit(key, job):
                return step
            if (then := transitions.decide(job, _ADMITTED, self._now_ms, self._counts.config())) is None:
                return step
            value = job_records.encode_after(then.job, _ADMITTED, self._context.ledger_format)
            size_bytes = step.size_bytes - records.size_bytes(key, step.value) + self._fitting_bytes(key, value)
            published = [self._writer.event(event, self._context.topics.events) for event in then.events]
            size_bytes += records.rough_bytes(published)
        except Exception as error:  # noqa: BLE001 - as in `_decide`
            self._alarm(error, "admit", key)
            return step

        both = (*step.decision.events, *then.events)
        decision = msgspec.structs.replace(step.decision, job=then.job, events=both, command=then.command)
        return _Step(step.before, step.fact, decision, value, step.published + published, step.passed, size_bytes)

    def _take(self, key: jobs.LedgerKey, step: _Step | None) -> None:
        """Add a decision to this unit."""
        if step is None:
            return

        decision = step.decision
        self._counts.note(step.before, decision.job)
        self._changed[key] = decision.job
        self._written[key] = step.value
        self._taken.append(decision_log.Taken(step.before, step.fact, decision))
        self._events.extend(decision.events)
        self._published += step.published
        self._passed += step.passed
        self.bytes += step.size_bytes + (0 if self._runs is None else self._runs.note(step.before, decision))
        if decision.job is not None and decision.job.state is jobs.State.REJECTED:
            self._forget_oldest()
        if decision.command is not None:
            self._commands[key] = decision.command

    def _forget_oldest(self) -> None:
        """Forget the oldest rejections beyond the bound, except those that this commit has changed itself."""
        while self._counts.rejected > self._context.settings.max_rejected:
            key = next((key for key in self._oldest if key not in self._changed), None)
            if key is None:
                return
            self._counts.rejected -= 1
            self._changed[key] = self._written[key] = None
            self.bytes += records.size_bytes(key, None)

    def _keep(self, letter: dead_letters.DeadLetter) -> None:
        """Add a dead letter to this unit."""
        record = self._writer.dead_letter(letter)
        self._dead_letters.append(letter)
        self._letters.append(record)
        self.bytes += records.rough_bytes([record])

    def _alarm(self, error: Exception, step: str, key: jobs.LedgerKey = _NO_KEY) -> None:
        where: dict[str, str | int] = {"partition": self._lease.partition}
        if self._record is not None:
            where["offset"] = self._record.offset
        if key:
            where["request"] = key.decode(errors="replace")
        alarms.note(self._context.counts, step, error, **where)

    def _passed_on(self, key: jobs.LedgerKey, fact: facts.Fact, decision: decisions.Decision) -> list[records.Outgoing]:
        partitions = self._context.quota.share.total
        passed: list[records.Outgoing] = []
        if decision.pass_on and isinstance(fact, facts.CancelRequested) and self._record is not None:
            passed += cancel_routing.broadcast(self._record, fact, partitions)
        # NB: the partition that a cancel came from is a header, which any producer can write: check its range.
        if 0 <= decision.pass_back < partitions:
            passed.append(cancel_routing.reply(self._context.topics.requests, decision.pass_back, key))
        return passed

    @property
    def cold(self) -> Collection[jobs.LedgerKey]:
        """Keys of jobs that must be recalled before `rest` can be decided."""
        return self._recall.keys

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (self._changed or self._events or self._dead_letters or self._passed)

    def has_progress(self, batch: inboxes.Batch[contexts.Notice]) -> bool:
        """Return whether there is something to commit: changes, or an offset behind the records of the batch."""
        return not self.is_empty or (bool(batch.records) and self.next_offset > self._lease.next_offset)

    def changes(self) -> list[records.Change]:
        """Return the ledger writes: what has changed, and jobs whose records lie too far behind."""
        written = [records.Change(key, value) for key, value in self._written.items()]
        bytes_left, now_s = self._lease.budget_bytes - self.bytes, self._context.time.monotonic_s()
        ledger = self._context.ledger_format
        return written + rewriting.changes(self._lease, self._base, self._written, bytes_left, now_s, ledger)

    def outgoing(self) -> list[records.Outgoing]:
        """Return events, dead letters and latest states."""
        topics = self._context.topics
        latest = [] if topics.latest is None else self._latest(topics.latest)
        return [*self._published, *self._letters, *self._passed, *latest]

    async def add_lineage(self) -> None:
        """Add the run events of this unit to what it publishes, where they are written."""
        if self._runs is not None:
            self._published += await self._runs.outgoing(self._lease.limit_bytes)

    def apply(self) -> Iterator[tuple[jobs.LedgerKey, jobs.Job, commands.Command]]:
        """Apply the changes to the partition's jobs after the commit; yields the commands to carry out now."""
        counts = self._context.counts
        counts.commits += 1
        counts.events.update((event.subject, event.word) for event in self._events)
        counts.dead_letters.update(letter.code for letter in self._dead_letters)
        decision_log.write(self._taken, self._dead_letters, self._lease.partition)
        self._context.traces.committed(self._lease.partition, self._now_ms, self._changed, self._base, self._events)

        for key, job in self._changed.items():
            durations.note(counts, self._base.get(key), job, self._now_ms)
            self._base.commit(key, job)
        self._counts.apply()

        for key, command in self._commands.items():
            if (job := self._changed[key]) is not None:
                yield key, job, command

        # Any command stops the duplicates of its job, too; a job that changed without a command needs one for that.
        for key in self._changed.keys() - self._commands.keys():
            job = self._base.get(key)
            if job is not None and job.duplicates:
                yield key, job, commands.Command.STOP_DUPLICATES

    def _latest(self, topic: str) -> list[records.Outgoing]:
        """Encode the latest state of each request, as far as it fits into the topic."""
        latest = []
        for name, last in outgoing.last_states(self._changed, self._base, self._events).items():
            try:
                latest.append(records.Outgoing(topic, name, None) if last is None else self._writer.event(last, topic))
            except records.TooLarge as error:  # the topic's limit is below that of the events: it keeps an older state
                self._alarm(error, "latest", jobs.LedgerKey(name))
        return latest
