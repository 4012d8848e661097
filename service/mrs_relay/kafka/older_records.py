"""
Index the remembered records of a ledger that lie before its tail, beside the work on the jobs under way.

The tail, see `live_tail`, has everything that memory must hold. What lies before it is remembered, deleted, or was
written again in the tail. So no value is kept here, and what the tail says of a key counts.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import structlog

from mrs_relay import errors
from mrs_relay.common import histograms, tasks
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import cold_records, ledger_format, log_reading, records
from mrs_relay.kafka import lease as leases

T = TypeVar("T")

_STATE: Final = b"\1"
"""Keys of values are not below this: those of the ledger itself begin with a zero byte."""

log = structlog.get_logger(__name__)


class OlderDiffers(errors.StreamDown):
    """A ledger's older part has what should be in its tail: the next restore reads the whole."""


class OlderReplay:
    """
    Indexes what a ledger remembers before its tail, and holds no value.

    Args:
        position: the input partition, for people.
        end: where the tail begins.
        cold: gets what is remembered.

    Attributes:
        done: the tail has been reached.
        live: keys of values that memory must hold, as far as this part of the ledger says.
        stale: keys of ignored records that no other has followed.
    """

    def __init__(self, position: records.Position, end: int, cold: cold_records.ColdRecords) -> None:
        self.done = False
        self.live: set[bytes] = set()
        self.stale: set[bytes] = set()
        self._position = position
        self._end = end
        self._cold = cold
        self._newest_claim = -1

    def add(self, read: Sequence[records.Stored]) -> None:
        """
        Index the next records, in order. All are committed: owners of the tail have read and repaired them.

        Raises:
            NewerFormat: a newer version of the software has written here.
        """
        if read and read[-1].offset >= self._end:
            self.done = True
            read = [record for record in read if record.offset < self._end]

        newest = {record.key: record for record in read}
        special = [record for record in read if record.headers or record.key is None or record.key < _STATE]
        outdated = {record.offset for record in special if self._is_outdated(record)}
        if outdated:
            newest.clear()
            for record in read:
                if record.offset in outdated and record.key is not None:
                    self._index(newest)
                    newest.clear()
                    self.stale.add(record.key)
                elif record.key is not None and record.key >= _STATE:
                    newest[record.key] = record
        for record in special:
            if record.key is None or record.key < _STATE:
                newest.pop(record.key, None)
        self._index(newest)

    def _is_outdated(self, record: records.Stored) -> bool:
        """Return whether to ignore a record, since its writer had been replaced; looks at the ledger's own records."""
        key = record.key
        if key is not None and key < _STATE:
            ledger_format.require_known_format(self._position, record)
            if key == ledger_format.CLAIM:
                self._newest_claim = record.offset
            return False
        written_under = ledger_format.written_under(record)
        return written_under is not None and written_under < self._newest_claim

    def _index(self, newest: Mapping[Any, records.Stored]) -> None:
        """Index the newest records of some keys, each later than all that were indexed before."""
        self.stale -= newest.keys()  # the right value is here, as a later owner has written it
        self.live -= newest.keys()
        self.live.update(self._cold.add_older(newest))


@dataclass(frozen=True, slots=True)
class Older:
    """
    The part of a ledger before its tail.

    Attributes:
        whose: the input partition, for people.
        place: the ledger partition.
        end: where the tail begins.
        timeout_s: longest time without progress, in seconds.
    """

    whose: records.Position
    place: records.Position
    end: int
    timeout_s: float


async def index(broker: brokers.Broker, older: Older, cold: cold_records.ColdRecords) -> None:
    """
    Index all remembered records of a ledger before its tail; then `cold` is complete.

    Raises:
        OlderDiffers: a value that memory must hold is not in the tail.
        NewerFormat, StateUnreadable, StreamDown: as when the whole is read.
    """
    loop = asyncio.get_running_loop()
    begun_s, replay = loop.time(), OlderReplay(older.whose, older.end, cold)
    async with broker.reader(older.place, None) as reader:
        while not replay.done:
            replay.add(await log_reading.next_records(reader, older.whose, older.timeout_s))
            cold.older_part = min(1.0, reader.part)
            await asyncio.sleep(0)  # jobs under way are followed meanwhile, also while all of this comes from a cache

    missing = [key for key in (*replay.live, *replay.stale) if not cold.is_newer(key, older.end)]
    if missing:
        raise OlderDiffers(
            f"the ledger of {older.whose} has {len(missing)} values before offset {older.end} that should have been "
            "written again behind it: it is read as a whole"
        )
    cold.complete()
    log.info("ledger_indexed", position=str(older.whose), remembered=len(cold), seconds=round(loop.time() - begun_s, 3))


@contextlib.asynccontextmanager
async def indexing(
    work: Callable[[], Awaitable[None]], lease: leases.Lease[T], begun_s: float, restores: histograms.Histogram
) -> AsyncIterator[None]:
    """
    Run the indexing beside a lease's handler; the lease dies of its error.

    Args:
        work: the indexing.
        lease: of the handler.
        begun_s: when the restore has begun, on the event loop's clock.
        restores: gets the duration from then to the end of the indexing.

    Raises:
        StreamError: that error, in place of the one by which the handler has noticed it.
    """
    failures: list[errors.StreamError] = []

    async def measured() -> None:
        await work()
        restores.add(asyncio.get_running_loop().time() - begun_s)

    def failed(_name: str, error: BaseException) -> None:
        if not isinstance(error, errors.StreamError):
            where = f"{lease.topic}-{lease.partition}"
            error = errors.StreamDown(f"indexing the ledger of {where} failed: {error!r}")
        failures.append(error)
        lease.die(failures[0])

    async with tasks.TaskSupervisor(failed) as supervisor:
        supervisor.start(measured(), name=f"index {lease.topic}-{lease.partition}")
        try:
            yield
        except errors.StreamError:
            if failures:
                raise failures[0] from None
            raise
