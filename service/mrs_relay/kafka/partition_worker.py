"""
Work on one assigned partition: restore it, run the handler, and restore again after a failure, until it is revoked.

One worker lasts as long as the partition stays with this process, also through a rebalance that brings it back. Its
task ends only when `runtime.py` disposes of it or shuts down. Failures of Kafka or of the handler lead to a restore
after a growing pause and never touch another partition.

    restoring → running → parked → running → …          (parked: a rebalance is under way)
        ↑          ↓ failed
        └────── waiting                 unreadable: needs a person; the partition stops, the others continue
                                        leaderless: shown instead of the state while Kafka has no leader
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Sequence
from typing import Generic, TypeVar

import structlog

from mrs_relay import errors
from mrs_relay.common import backoff, faults, tasks
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import leaders as leading
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import ledger as ledgers
from mrs_relay.kafka import ledger_format, older_records, partition_claim, records, start_offset, worker_context

T = TypeVar("T")

_UNWIND_S = 5.0  # for a handler to leave by itself after its commit failed; then it is cancelled
_SUCCEED_S = 5.0  # for the same partition's last task to end

log = structlog.get_logger(__name__)


class State(enum.Enum):
    """State of a partition's worker."""

    RESTORING = "restoring"
    RUNNING = "running"
    PARKED = "parked"
    WAITING = "waiting"
    UNREADABLE = "unreadable"
    LEADERLESS = "leaderless"
    ENDED = "ended"


_MAY_LACK_LEADER = frozenset({State.RESTORING, State.RUNNING, State.WAITING})


class PartitionWorker(Generic[T]):
    """
    The worker of one partition.

    `run` is its task. The runtime calls all other methods, and they do not wait unless their text says so.

    Attributes:
        is_too_new: only a newer version can read the partition's ledger.

    Args:
        position: the input partition.
        common: dependencies that all workers share.
        predecessor: the partition's last task in this process; the new one waits for its end.
    """

    def __init__(
        self,
        position: records.Position,
        common: worker_context.WorkerContext[T],
        predecessor: asyncio.Task[None] | None = None,
    ) -> None:
        self.position = position
        self.state = State.RESTORING
        self.failures = 0
        self.crashes = 0
        self.error: str | None = None
        self.lease: leases.Lease[T] | None = None
        self.is_too_new = False

        self._common = common
        self._predecessor = predecessor
        self._claim = partition_claim.PartitionClaim(position, common)
        self._backoff = backoff.Backoff(common.kafka.retry_first_s, common.kafka.retry_most_s)
        self._leaving = asyncio.Event()
        self._parked = False
        self._scope: asyncio.Timeout | None = None
        self._death: errors.StreamError | None = None
        self._ledger: ledgers.Ledger | None = None
        self._before_unreadable = False
        self._log = log.bind(topic=position.topic, partition=position.partition)

    async def run(self) -> None:
        """Hold one lease after the other, until disposed of or stopped."""
        if self._predecessor is not None:
            await asyncio.wait([self._predecessor], timeout=_SUCCEED_S)

        loop = asyncio.get_running_loop()
        try:
            while not self._leaving.is_set():
                await self._await_leader()
                began_s = loop.time()
                if not self._leaving.is_set():
                    await self._try_once()

                # The lease ended during a rebalance: the next assignment disposes of this worker.
                if self._parked:
                    await self._leaving.wait()

                # After a long run the count of failures in a row starts again.
                if loop.time() - began_s > self._common.kafka.retry_most_s:
                    self.failures = 0
                if not self._leaving.is_set():
                    self.failures += 1
                    await self._pause()
        finally:
            self._enter(State.ENDED)
            if (offset := self._claim.committed_offset) is not None:
                self._log.info("partition_released", next_offset=offset)

    # Called by the runtime

    @property
    def accepts_records(self) -> bool:
        """Whether records may be delivered."""
        lease = self.lease
        if lease is None or self._before_unreadable:
            return False
        return lease.state is leases.State.RUNNING and lease.inbox.accepts_records

    @property
    def shown_state(self) -> State:
        """State for people: also unreadable or restoring while jobs continue and the messages of the partition wait."""
        if self.missing_leader is not None or self.state is not State.RUNNING:
            return self.state if self.missing_leader is None else State.LEADERLESS
        if self._before_unreadable:
            return State.UNREADABLE
        return State.RUNNING if self.restored is None else State.RESTORING

    @property
    def missing_leader(self) -> str | None:
        """The leader that the partition waits for; None if it has all leaders, or waits for another reason."""
        if self.state not in _MAY_LACK_LEADER:
            return None
        return self._common.leaders.awaited(self.position, failed=self.failures > 0)

    @property
    def restored(self) -> float | None:
        """Part of the ledger that has been read, from 0 to 1; None while it is not being restored."""
        if self.state is State.RUNNING and self.lease is not None:
            return self.lease.indexed
        return self._ledger.read_part if self.state is State.RESTORING and self._ledger is not None else None

    @property
    def lag_offset(self) -> int | None:
        """Offset up to which everything that can be read is committed; None without a lease."""
        return None if self.lease is None else self.lease.done_to

    @property
    def committed_offset(self) -> int | None:
        """The input offset known to be committed, or None before the first lease."""
        return self._claim.committed_offset if self.lease is None else self.lease.next_offset

    def deliver(self, arrived: Sequence[records.Record]) -> None:
        """Deliver records of this partition to the inbox."""
        if arrived and self.lease is not None and self.lease.state is leases.State.RUNNING:
            self.lease.inbox.deliver(arrived)
            self.lease.touch()

    def passed(self, offset: int) -> None:
        """Note that no readable record is left below an offset, except those that were delivered."""
        if self.lease is not None and self.lease.state is leases.State.RUNNING:
            self.lease.inbox.advance_to(offset)

    async def catch_up(self) -> None:
        """Commit an offset behind markers and aborted records, so that they do not count as waiting messages."""
        lease = self.lease
        if lease is not None and self.state is State.RUNNING:
            try:
                await lease.catch_up()
            except errors.StreamError as error:  # the lease has died of it, and `run` restores
                self._log.info("catch_up_failed", error=str(error))

    def rewind(self) -> None:
        """Read records again that were polled but not delivered."""
        if self.lease is not None and self.lease.state is leases.State.RUNNING:
            with contextlib.suppress(errors.StreamError):  # it is being revoked; the next assignment sets the offset
                self._common.consumer.flow(self.position, self.lease.inbox.expected_offset)

    def touch(self) -> None:
        """Note that Kafka answered for this partition."""
        if self.state is State.RUNNING and self.lease is not None:
            self.lease.touch()

    def check_fresh(self) -> None:
        """Restore after a silence longer than the session, where nothing fences us; transactions fence at a commit."""
        fenced = self._common.kafka.transactional or self._before_unreadable  # without fetches there are no answers
        if not fenced and self.state is State.RUNNING and self.lease is not None and self.lease.stale:
            self._end_lease(errors.StreamDown(f"Kafka has been silent about {self.position} for too long"))

    async def drain(self) -> None:
        """Wait until the handler has committed what it took, or has ended; for a rebalance."""
        if (lease := self.lease) is not None:
            lease.drain()
            await lease.inbox.idle()
            try:
                await lease.settle()
            except errors.StreamError as error:
                self._log.info("settle_failed", error=str(error))

    def park(self) -> None:
        """Stop work until the next assignment; without transactions the lease ends."""
        self._parked = True
        if self.state is State.RUNNING and self.lease is not None and self._common.kafka.transactional:
            self.lease.park()
            self._enter(State.PARKED)
        else:
            self.dispose()

    def resume(self) -> bool:
        """Go on after a rebalance that left us the partition, or brought it back; False if it needs a restore."""
        lease = self.lease
        if not self._parked:
            if self._look_again():
                self.rewind()
            return self.state is not State.UNREADABLE  # what a person has repaired is read again
        if self.state is not State.PARKED or lease is None or lease.state is not leases.State.PARKED:
            return False
        try:
            self._common.consumer.flow(self.position, lease.inbox.next_offset)
        except errors.StreamError:
            return False

        self._parked = False
        self._look_again()
        self._claim.forget()
        self._enter(State.RUNNING)
        lease.resume()
        return True

    def _look_again(self) -> bool:
        """Say whether a batch stops the reading; it will again, unless it was removed."""
        if not self._before_unreadable:
            return False
        self.error, self._before_unreadable = None, False
        return True

    def unreadable(self, error: errors.StreamError) -> None:
        """Stop work on the partition until a person has repaired it."""
        self._end_lease(errors.StateUnreadable(str(error)))

    def stop_reading(self, error: brokers.BatchUnreadable) -> None:
        """Stop reading until a person has decided on the batch; one in `kafka.skip_unreadable` becomes a record."""
        batch = {"first": error.first, "next_offset": error.next_offset, "error": str(error)}
        if f"{self.position.partition}@{error.first}" in self._common.kafka.skip_unreadable:
            self._log.warning("batch_skipped", **batch)
            self.deliver([records.Record(*self.position, error.next_offset - 1, 0, None, None, (), str(error))])
            self.rewind()
        elif self.state is State.RUNNING:
            self._log.error("partition_unreadable", **batch)
            self.error, self._before_unreadable = str(error), True
            self._common.on_change()

    def check_topic(self, topic_id: str | None) -> None:
        """Restore if the input topic was deleted and created again while we read it; `start_offset` decides how."""
        known = self._claim.topic_id
        if self.state is State.RUNNING and None not in {known, topic_id} and topic_id != known:
            at = self.committed_offset
            self._end_lease(errors.StreamDown(start_offset.recreated(self.position, at, known, topic_id)))

    def stop(self) -> None:
        """Begin the shutdown: let the handler finish, start no other."""
        self._leaving.set()
        if self.lease is not None:
            self.lease.stop()
        else:
            self._cancel_after(0.0)

    def dispose(self) -> None:
        """End at once: the partition was revoked, or the time for the shutdown is over."""
        self._leaving.set()
        self._end_lease(errors.Fenced(f"{self.position} is no longer ours"))

    # The task

    async def _await_leader(self) -> None:
        """Wait while Kafka has no leader for a topic partition that this one needs; other workers continue."""
        leaders = self._common.leaders
        while (missing := leaders.awaited(self.position, failed=self.failures > 0)) and not self._leaving.is_set():
            self.error = missing
            self._enter(State.WAITING)
            await tasks.sleep_until(self._leaving, leading.LOOK_S)

    async def _try_once(self) -> None:
        self._enter(State.RESTORING)
        self._death = None

        try:
            async with asyncio.timeout(None) as self._scope:
                await self._hold()
        except errors.StreamError as error:
            await self._failed(error)
        except Exception as error:  # noqa: BLE001 - the partition's loop: one handler's bug must not end the others
            # A task group in the handler wraps the error of a commit: the lease's death is the cause.
            if (cause := self._cut_by()) is not None:
                await self._failed(cause)
            else:
                self.crashes += 1
                self.error = repr(error) if type(error) is RuntimeError else faults.name(error)  # our own text
                self._log.error("handler_failed", crashes=self.crashes, error=self.error, stack=faults.stack(error))
        finally:
            self._scope = None

    async def _hold(self) -> None:
        """Hold one lease, from the claim to the end of the handler."""
        common, kafka = self._common, self._common.kafka
        transactional_id = kafka.transactional_id(self.position.partition) if kafka.transactional else None
        # A claim takes the partition from any other owner: wait until the group has decided whose it is.
        await common.settled.wait()
        self._ledger = ledger = ledgers.Ledger(self.position, common.options, common.broker, transactional_id)
        is_restored, begun_s = False, asyncio.get_running_loop().time()
        try:
            lease = await self._claim.open_lease(ledger, confirm=self.failures > 0)
            self._adopt(lease)
            is_restored = True
            common.counts.takeovers.add(asyncio.get_running_loop().time() - begun_s)
            self._log.info("partition_owned", next_offset=lease.next_offset, keys=len(lease.restored))
            async with older_records.indexing(ledger.index_older, lease, begun_s, common.counts.restores):
                await common.handler(lease)

            if lease.death is not None:
                raise lease.death
            if not self._leaving.is_set():
                raise RuntimeError(f"the handler of {self.position} ended although it was not asked to")
            await lease.settle()
        finally:
            common.counts.restore_failures += not is_restored and not self._leaving.is_set()
            self._let_go()
            await ledger.kill()

    def _adopt(self, lease: leases.Lease[T]) -> None:
        """Start reading for a new lease, unless the partition was taken away during the claim."""
        if self._leaving.is_set():
            raise errors.Fenced(f"{self.position} is no longer ours")
        lease.on_dead(lambda _error: self._cancel_after(_UNWIND_S))
        self._common.consumer.flow(self.position, lease.next_offset)
        self.lease = lease
        self.error, self._before_unreadable = None, False
        self._enter(State.RUNNING)

    def _end_lease(self, error: errors.StreamError) -> None:
        if self.lease is not None:
            self.lease.die(error)
        self._cancel_after(0.0)

    def _cancel_after(self, delay_s: float) -> None:
        """Cancel the work for this lease in `delay_s` seconds."""
        if self._scope is not None:
            with contextlib.suppress(RuntimeError):  # it is being cancelled already
                self._scope.reschedule(asyncio.get_running_loop().time() + delay_s)

    def _let_go(self) -> None:
        lease, self.lease = self.lease, None
        if lease is not None:
            self._death = lease.death
            self._claim.committed_offset = lease.next_offset
            lease.die(errors.Fenced(f"the handler of {self.position} has ended"))
            lease.inbox.end()
            # One that leaves may have a successor by now, if the partition has come back meanwhile.
            if not self._leaving.is_set():
                self._common.consumer.park(self.position)

    def _cut_by(self) -> errors.StreamError | None:
        if self._death is None and self._scope is not None and self._scope.expired():
            return errors.Fenced(f"{self.position} was given up")
        return self._death

    async def _failed(self, error: errors.StreamError) -> None:
        if self._leaving.is_set():
            return
        self.error = str(error)
        if isinstance(error, errors.StateUnreadable):
            self.is_too_new = isinstance(error, ledger_format.NewerFormat)
            self._enter(State.UNREADABLE)
            self._log.error("partition_unreadable", error=self.error)
            await self._leaving.wait()
        else:
            self._log.warning("partition_failed", error=self.error, failures=self.failures + 1)

    async def _pause(self) -> None:
        self._enter(State.WAITING)
        await tasks.sleep_until(self._leaving, self._backoff.delay_s(self.failures))

    def _enter(self, state: State) -> None:
        if state is not self.state:
            self.state = state
            self._common.on_change()
