"""
One batch's decisions, from what was taken to what is committed.

A plan is an overlay on the partition's jobs: it collects new states, records to publish and commands, and touches the
jobs themselves only once the commit has succeeded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import msgspec
import structlog

from mrs_relay.engine import commands, decide, facts, intake, jobs, passing, telling
from mrs_relay.engine import desk as desks
from mrs_relay.engine import rules as ruling
from mrs_relay.messages import dead_letters, events
from mrs_relay.stream import feed as feeds
from mrs_relay.stream import lease as leases
from mrs_relay.stream import records

Admit = Callable[[jobs.LedgerKey, jobs.Job], bool]

_log = structlog.get_logger(__name__)
_JOB_OVERHEAD_BYTES: Final = 16_384
"""Upper bound of what a job's ledger record holds besides the request's own bytes: ids, headers and Kafka key."""

_NOTE_BYTES: Final = 64
"""Upper bound of the header that tells how long a dead letter's value was before it was cut."""

_CROWDED_WAIT_MS: Final = 10_000
"""How long a cancel waits for its request when too many do."""

_MISSING: Final = "it does not fit into a Kafka record of this topic"


class Jobs(dict[jobs.LedgerKey, jobs.Job]):
    """
    A partition's jobs as committed.

    Attributes:
        awaited: how many of them are cancels that wait for their request.
        queued: how many of them wait for their submission.
    """

    awaited: int = 0
    queued: int = 0


def load(lease: leases.Lease[desks.Notice]) -> Jobs:
    """
    Read the partition's jobs out of its ledger; empties `lease.restored` on the way.

    Raises:
        StateUnreadable: a record is not a job of a format this version knows.
    """
    restored = lease.restored
    loaded = Jobs()
    while restored:
        key, value = restored.popitem()
        job = loaded[jobs.LedgerKey(key)] = jobs.decode(value)
        loaded.awaited += _is_awaited(job)
        loaded.queued += _is_queued(job)
    return loaded


class Plan:
    """
    What one batch changes.

    Args:
        base: the partition's jobs as committed; changed only by `settle`.
        desk: shared tools; only its settings, rules, clock and topics are used.
        lease: says how large a record may be.
        admit: asks for a turn for a job that has just been queued; True: it may be submitted with this very commit.
    """

    def __init__(self, base: Jobs, desk: desks.Desk, lease: leases.Lease[desks.Notice], admit: Admit) -> None:
        self._base = base
        self._desk = desk
        self._lease = lease
        self._limit_bytes = lease.limit_bytes
        self._admit = admit
        self._now_ms = desk.time.now_ms()
        self._changed: dict[jobs.LedgerKey, jobs.Job | None] = {}
        self._commands: dict[jobs.LedgerKey, commands.Command] = {}
        self._events: list[events.Event] = []
        self._dead_letters: list[dead_letters.DeadLetter] = []
        self._passed: list[records.Outgoing] = []
        self._record: records.Record | None = None
        self._awaited = base.awaited
        self._queued = base.queued
        desk.account.queue(lease, base.queued)

    def read(self, batch: feeds.Batch[desks.Notice]) -> Iterator[tuple[jobs.LedgerKey, facts.Fact]]:
        """
        Say what a batch means: facts for jobs; dead letters are noted.

        Raises:
            RuntimeError: a task of this partition failed by a bug.
        """
        self._record = None
        for notice in batch.notices:
            if isinstance(notice, desks.Broke):
                raise RuntimeError(  # noqa: TRY004 - the notice is right, the task was not
                    f"task {notice.task} failed"
                ) from notice.error
            yield notice.key, notice.fact
        settings = self._desk.settings
        most_bytes = min(settings.max_request_bytes, self._limit_bytes(None) - _JOB_OVERHEAD_BYTES)
        for record in batch.records:
            meaning = intake.read(record, settings.result_job_types, most_bytes, self._desk.account.policy)
            if isinstance(meaning, dead_letters.DeadLetter):
                _log.warning("dead_letter", reason=meaning.code, offset=record.offset, partition=record.partition)
                self._dead_letters.append(meaning)
            else:
                self._record = record
                yield meaning

    def decide(self, key: jobs.LedgerKey, fact: facts.Fact) -> None:
        """Decide one fact on top of what this plan has decided before."""
        job = self._changed[key] if key in self._changed else self._base.get(key)
        decision = decide.decide(job, self._within_limits(fact), self._now_ms, self._rules())
        if decision is None:
            return
        self._awaited += _is_awaited(decision.job) - _is_awaited(job)
        self._count_queued(_is_queued(decision.job) - _is_queued(job))
        self._changed[key] = decision.job
        self._events.extend(decision.events)
        self._pass(key, fact, decision)
        if decision.command is not None:
            self._commands[key] = decision.command
            queued = decision.command is commands.Command.ENQUEUE
            if queued and decision.job is not None and self._admit(key, decision.job):
                self.decide(key, facts.Turn())

    def _rules(self) -> telling.Rules:
        rules = self._desk.rules
        if self._awaited < self._desk.settings.max_waiting_cancels:
            return rules
        return msgspec.structs.replace(rules, cancel_wait_ms=min(rules.cancel_wait_ms, _CROWDED_WAIT_MS))

    def _within_limits(self, fact: facts.Fact) -> facts.Fact:
        """The fact; a request that comes while too many of its tenant wait is barred, should it be a new one."""
        account = self._desk.account
        most = account.most_queued
        if most is None or not isinstance(fact, facts.Requested) or fact.barred or account.queued < most:
            return fact
        return facts.Requested(fact.job, ruling.too_many_queued(account.policy, most))

    def _count_queued(self, more: int) -> None:
        if more:
            self._queued += more
            self._desk.account.queue(self._lease, self._queued)

    def _pass(self, key: jobs.LedgerKey, fact: facts.Fact, decision: telling.Decision) -> None:
        partitions = self._desk.account.share.total
        if decision.pass_on and isinstance(fact, facts.CancelAsked) and self._record is not None:
            self._passed += passing.to_others(self._record, fact, partitions)
        # NB: where a cancel came from is what a header says, and anybody can write one.
        if 0 <= decision.pass_back < partitions:
            self._passed.append(passing.back(self._desk.topics.requests, decision.pass_back, key))

    @property
    def is_empty(self) -> bool:
        """Nothing to commit."""
        return not (self._changed or self._events or self._dead_letters or self._passed)

    def changes(self) -> list[records.Change]:
        """The ledger writes."""
        return [records.Change(key, None if job is None else jobs.encode(job)) for key, job in self._changed.items()]

    def outgoing(self) -> list[records.Outgoing]:
        """Events, dead letters and latest states. What does not fit into its topic is cut, and says so."""
        topics = self._desk.topics
        told = [self._event_record(event, topics.events) for event in self._events]
        letters = map(self._dead_letter_record, self._dead_letters)
        latest = [] if topics.latest is None else self._latest(topics.latest)
        return [*told, *letters, *self._passed, *latest]

    def settle(self) -> Iterator[tuple[jobs.LedgerKey, jobs.Job, commands.Command]]:
        """Make the plan the truth, after its commit; returns what is to be done now."""
        counts = self._desk.counts
        counts.commits += 1
        counts.events.update((event.subject, event.data.state) for event in self._events)
        counts.dead_letters.update(letter.code for letter in self._dead_letters)
        for key, job in self._changed.items():
            if job is None:
                self._base.pop(key, None)
            else:
                self._base[key] = job
        self._base.awaited = self._awaited
        self._base.queued = self._queued
        for key, command in self._commands.items():
            job = self._base.get(key)
            if job is not None:
                yield key, job, command
        for key in self._changed.keys() - self._commands.keys():
            job = self._base.get(key)
            if job is not None and job.twins:
                yield key, job, commands.Command.STOP_TWINS

    def _latest(self, topic: str) -> list[records.Outgoing]:
        """
        The last event of each request that changed its state, and a tombstone for each request that is forgotten.

        NB: AWAITED is a cancel, perhaps on another partition than its request: what is forgotten then is no request.
        """
        states: dict[bytes, events.Event | None] = {}
        for key, job in self._changed.items():
            before = self._base.get(key)
            if job is None and before is not None and before.state is not jobs.State.AWAITED:
                states[key] = None
        for event in self._events:
            if event.changes_state:
                key = jobs.ledger_key(event.data.request.source, event.data.request.id)
                states[key] = msgspec.structs.replace(event, key=key)
        return [
            records.Outgoing(topic, key, None) if event is None else self._event_record(event, topic)
            for key, event in states.items()
        ]

    def _event_record(self, event: events.Event, topic: str) -> records.Outgoing:
        source, mode = self._desk.topics.source, self._desk.topics.mode
        key, value, headers = events.write(event, source, mode)
        if event.data.result is not None and records.size_bytes(key, value, headers) > self._limit_bytes(topic):
            result = events.Result(location=event.data.result.location, truncated=True, unavailable=_MISSING)
            smaller = event.data.model_copy(update={"result": result})
            key, value, headers = events.write(msgspec.structs.replace(event, data=smaller), source, mode)
        return records.Outgoing(topic, key, value, headers)

    def _dead_letter_record(self, letter: dead_letters.DeadLetter) -> records.Outgoing:
        topic = self._desk.topics.dead_letters
        bare = (("mrs_relay_cut_headers", b"%d" % len(letter.headers)),)
        keyless = (*bare, ("mrs_relay_cut_key_bytes", b"%d" % len(letter.key or b"")))
        for smaller in ({}, {"headers": (), "cut": bare}, {"headers": (), "cut": keyless, "key": None}):
            key, value, headers = msgspec.structs.replace(letter, **smaller).write()
            note = ("mrs_relay_cut_from_bytes", b"%d" % len(value))
            over_bytes = records.size_bytes(key, value, headers) - self._limit_bytes(topic)
            if 0 < over_bytes <= len(value) - _NOTE_BYTES:
                return records.Outgoing(topic, key, value[: -over_bytes - _NOTE_BYTES], (*headers, note))
            if over_bytes <= 0:
                break
        return records.Outgoing(topic, key, value, headers)


def _is_awaited(job: jobs.Job | None) -> bool:
    return job is not None and job.state is jobs.State.AWAITED


def _is_queued(job: jobs.Job | None) -> bool:
    return job is not None and job.state in {jobs.State.QUEUED, jobs.State.CHOOSING}
