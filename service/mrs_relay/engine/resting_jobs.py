"""
Hold jobs by their ledger key; those that MRS works on are compressed when nothing has happened to them for a while.

A job that runs takes ten times as much memory as its ledger record, compressed with similar records as a dictionary. A
job that is asked for is made from its compressed record, which stays: do not keep the job. One that is set is held as
it is until it has rested. One that a restore has found stays as its ledger record until it is compressed. What is
counted of all jobs stands before the record, see `glance`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Final, NamedTuple, TypeVar, overload

from mrs_relay.engine import overdue, timers
from mrs_relay.engine.model import job_records, jobs

D = TypeVar("D")

Item = tuple[jobs.LedgerKey, jobs.Job]
"""A job and its key."""

REST_MS: Final = 30_000
"""A job is compressed between one and two times so long after its last change."""

_AT_ONCE: Final = 500  # in 15 ms
_NEXT_MS: Final = 500

_SAMPLES: Final = 4
_SAMPLE_BYTES: Final = 1024
_WINDOW_BITS: Final = 12  # 4 KiB hold all samples
_LEVEL: Final = 3
_MEMORY_LEVEL: Final = 5

_STATES: Final = tuple(jobs.State)
_STATE_NUMBERS: Final = {state: number for number, state in enumerate(_STATES)}
_HEAD_BYTES: Final = 7
"""Before each record: the number of the job's state, and the moment at which it is due in six bytes."""

_WHOLE: Final = 0x80
"""Added to the number of the state of a record that is not compressed."""


class Resting(NamedTuple):
    """
    A job that rests, as far as it is known without reading its record.

    Attributes:
        state: its state.
        due_ms: see `overdue.due_ms`.
    """

    state: jobs.State
    due_ms: int


class Packer:
    """Compresses records with the first few of them as a dictionary."""

    def __init__(self) -> None:
        self._samples: list[bytes] = []
        self._dictionary = b""
        # NB: with zlib's own parameters it would take 268 kB, of each partition of each tenant.
        self._primed = zlib.compressobj(wbits=-_WINDOW_BITS, memLevel=1)

    def pack(self, value: bytes) -> bytes | None:
        """Return a compressed record; None for the first few, which become samples."""
        if len(self._samples) < _SAMPLES:
            self._samples.append(value[:_SAMPLE_BYTES])
            self._dictionary = b"".join(self._samples)
            self._primed = zlib.compressobj(
                _LEVEL, zlib.DEFLATED, -_WINDOW_BITS, _MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, self._dictionary
            )
            return None
        one = self._primed.copy()
        return one.compress(value) + one.flush()

    def unpack(self, packed: bytes | memoryview) -> bytes:
        """Return the record that was compressed."""
        return zlib.decompressobj(-_WINDOW_BITS, self._dictionary).decompress(packed)


def _head(job: jobs.Job, mark: int = 0) -> bytes:
    due_ms = overdue.due_ms(job)
    if not due_ms:
        return _NEVER_DUE[_STATE_NUMBERS[job.state] | mark]
    due_ms = min(max(0, due_ms), (1 << 48) - 1)
    return bytes((_STATE_NUMBERS[job.state] | mark,)) + due_ms.to_bytes(_HEAD_BYTES - 1, "big")


def _whole(job: jobs.Job | bytes) -> bytes | None:
    """Return head and record of a job that may rest; None: it may not, or is compressed already."""
    if isinstance(job, bytes):
        return job if job[0] & _WHOLE else None
    return _head(job, _WHOLE) + job_records.encode(job) if job.state in jobs.FOLLOWED else None


_NEVER_DUE: Final = tuple(bytes((number, *bytes(_HEAD_BYTES - 1))) for number in range(256))


class RestingJobs(MutableMapping[jobs.LedgerKey, jobs.Job]):
    """
    Jobs by their key, of which some rest.

    Args:
        committed: the jobs to begin with.
    """

    def __init__(self, committed: Mapping[jobs.LedgerKey, jobs.Job] | None = None) -> None:
        self._jobs: dict[jobs.LedgerKey, jobs.Job | bytes] = {}
        self._packer = Packer()
        self._moved: set[jobs.LedgerKey] = set()
        self._still: set[jobs.LedgerKey] = set()
        self._read: list[Item] | None = None
        self.update(committed or {})

    def rest(self, most: int) -> bool:
        """
        Compress jobs that were not set since the last call that found none waiting, `most` at once.

        Returns whether more of them wait. Else those that were set meanwhile wait for the next call.
        """
        for _ in range(min(most, len(self._still))):
            key = self._still.pop()
            job = self._jobs.get(key)
            if job is None or key in self._moved or (whole := _whole(job)) is None:
                continue
            if (packed := self._packer.pack(whole[_HEAD_BYTES:])) is not None:
                self._jobs[key] = bytes((whole[0] & ~_WHOLE,)) + whole[1:_HEAD_BYTES] + packed

        if self._still:
            return True
        self._still, self._moved = self._moved, set()
        return False

    def keep_read(self, read: list[Item]) -> None:
        """Keep all jobs as a restore has read them, for the next call of `all_at_once`."""
        self._read = read

    def all_at_once(self) -> list[Item]:
        """Return all jobs by their keys; right after a restore without reading them again."""
        read, self._read = self._read, None
        return list(self.items()) if read is None else read

    def __getitem__(self, key: jobs.LedgerKey) -> jobs.Job:
        found = self._jobs[key]
        return self._job(found) if isinstance(found, bytes) else found

    def _job(self, resting: bytes) -> jobs.Job:
        record = memoryview(resting)[_HEAD_BYTES:]
        return job_records.decode(bytes(record) if resting[0] & _WHOLE else self._packer.unpack(record))

    def restore(self, key: jobs.LedgerKey, job: jobs.Job, value: bytes) -> None:
        """Hold a job that was read from a ledger record: as that record, if MRS works on the job."""
        if job.state in jobs.FOLLOWED:
            self._jobs[key] = _head(job, _WHOLE) + value
            self._moved.add(key)
        else:
            self[key] = job_records.share(job)

    @overload
    def get(self, key: jobs.LedgerKey) -> jobs.Job | None: ...

    @overload
    def get(self, key: jobs.LedgerKey, default: jobs.Job | D) -> jobs.Job | D: ...

    def get(self, key: jobs.LedgerKey, default: jobs.Job | D | None = None) -> jobs.Job | D | None:
        """Return the job of a key, if there is one."""
        found = self._jobs.get(key)
        if found is None:
            return default
        return self._job(found) if isinstance(found, bytes) else found

    def glance(self, key: jobs.LedgerKey) -> jobs.Job | Resting | None:
        """Return the job of a key; of one that rests only what is known without reading it, in a tenth of the time."""
        found = self._jobs.get(key)
        if isinstance(found, bytes):
            return Resting(_STATES[found[0] & ~_WHOLE], int.from_bytes(found[1:_HEAD_BYTES], "big"))
        return found

    def __setitem__(self, key: jobs.LedgerKey, job: jobs.Job) -> None:
        self._jobs[key] = job
        if job.state in jobs.FOLLOWED:
            self._moved.add(key)

    def __delitem__(self, key: jobs.LedgerKey) -> None:
        del self._jobs[key]
        self._moved.discard(key)
        self._still.discard(key)

    def discard(self, key: jobs.LedgerKey) -> None:
        """Forget the job of a key, if there is one."""
        if key in self._jobs:
            del self[key]

    def __contains__(self, key: object) -> bool:
        return key in self._jobs

    def __iter__(self) -> Iterator[jobs.LedgerKey]:
        return iter(self._jobs)

    def __len__(self) -> int:
        return len(self._jobs)

    def clear(self) -> None:
        """Forget all jobs."""
        self._jobs.clear()
        self._moved.clear()
        self._still.clear()


def in_order(held: Sequence[Item]) -> list[Item]:
    """
    Return restored jobs to be resumed: those with slots first, so that nothing is submitted over the limit.

    Queued jobs come last, in the order of their arrival. Remembered rejections have one timer together: they are left
    out.
    """
    with_slot: list[Item] = []
    others: list[Item] = []
    waiting: list[Item] = []
    for item in held:
        job = item[1]
        if jobs.holds_slot(job):
            with_slot.append(item)
        elif job.state is jobs.State.QUEUED:
            waiting.append(item)
        elif job.state is not jobs.State.REJECTED:
            others.append(item)
    waiting.sort(key=lambda item: (item[1].arrived_ms, item[1].order))
    return [*with_slot, *others, *waiting]


class Rest:
    """
    Let jobs rest, some at a time, so that the event loop is never held up for long.

    Args:
        held: the partition's jobs.
        alarm: its timers.
        now_ms: wall time, epoch milliseconds.
    """

    def __init__(self, held: RestingJobs, alarm: timers.Timers, now_ms: Callable[[], int]) -> None:
        self._held = held
        self._alarm = alarm
        self._now_ms = now_ms

    def start(self) -> None:
        """Set the timer for the next jobs; it is set again each time."""
        again_ms = _NEXT_MS if self._held.rest(_AT_ONCE) else REST_MS
        self._alarm.at(self._now_ms() + again_ms, self.start)
