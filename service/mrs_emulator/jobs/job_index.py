"""
The job records of one cluster, found by id, by name, by time of arrival and by state without looking at the others.

Jobs are numbered in order of arrival. A job's next change of state waits in a heap, so `settle` moves only the jobs
that have changed since the last call.
"""

from __future__ import annotations

import bisect
import heapq
from array import array
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice

from mrs_emulator.jobs import life

Stage = tuple[str, str]
"""job_state and job_result."""

_ENDED = frozenset({"FINISHED", "FAILED", "KILLED"})


class _Bucket:
    """Numbers of the jobs in one stage; put in order when asked for, which they nearly always are already."""

    def __init__(self) -> None:
        self._numbers: dict[int, None] = {}
        self._last = -1
        self._sorted = True
        self._listed: list[int] | None = []

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, number: int) -> None:
        self._numbers[number] = None
        if number > self._last:
            self._last = number
            if self._listed is not None:
                self._listed.append(number)
        else:
            self._sorted = False
            self._listed = None

    def discard(self, number: int) -> None:
        self._numbers.pop(number, None)
        self._listed = None

    def numbers(self) -> list[int]:
        """Return the numbers in order of arrival; not to be changed."""
        if self._listed is None:
            if not self._sorted:
                self._numbers = dict.fromkeys(sorted(self._numbers))
                self._sorted = True
            self._listed = list(self._numbers)
        return self._listed


class JobIndex:
    """
    The job records of one cluster.

    Args:
        keep: called with every job that was entered or changed.
        drop: called with the id of every job that was removed.
    """

    def __init__(
        self, keep: Callable[[life.Job], None] | None = None, drop: Callable[[str], None] | None = None
    ) -> None:
        self._jobs: dict[str, life.Job] = {}
        self._by_name: dict[str, str | dict[str, None]] = {}
        self._arrivals = array("q")
        self._order: list[str | None] = []
        self._holes: list[int] = []
        self._buckets: dict[Stage, _Bucket] = {}
        self._homes: dict[str, _Bucket] = {}
        self._changes: list[tuple[int, str]] = []
        self._last_ms = 0
        self._settled_ms = 0
        self._keep = keep
        self._drop = drop

    def __len__(self) -> int:
        return len(self._jobs)

    def next_number(self) -> int:
        """Return the number that the next job must bear."""
        return len(self._order)

    def arrival_ms(self, now_ms: int) -> int:
        """Time of arrival for the next job: `now_ms`, or the last arrival if the clock went back."""
        self._last_ms = max(self._last_ms, now_ms)
        return self._last_ms

    def add(self, job: life.Job) -> None:
        """Enter a new job; it must not have arrived before the last one."""
        self.restore(job)
        if self._keep is not None:
            self._keep(job)

    def restore(self, job: life.Job) -> None:
        """Enter a job that was kept; its number may leave a gap where jobs were deleted."""
        created_ms = job.timetable.created_ms
        while len(self._order) < job.number:
            self._holes.append(len(self._order))
            self._order.append(None)
            self._arrivals.append(self._last_ms)
        self._order.append(job.job_id)
        self._last_ms = max(self._last_ms, created_ms)
        self._arrivals.append(self._last_ms)
        self._jobs[job.job_id] = job
        self._name(job)
        self._place(job, created_ms)

    def replace(self, job: life.Job) -> None:
        """Put a job in the place of its older version; unknown ones are ignored, they were deleted."""
        if job.job_id not in self._jobs:
            return
        self._jobs[job.job_id] = job
        if job.ending is not None:
            heapq.heappush(self._changes, (job.ending.at_ms, job.job_id))
        if self._keep is not None:
            self._keep(job)

    def remove(self, job_id: str) -> None:
        """Forget a job."""
        job = self._jobs.pop(job_id)
        self._homes.pop(job_id).discard(job.number)
        self._order[job.number] = None
        bisect.insort(self._holes, job.number)
        namesakes = self._by_name[job.name]
        if isinstance(namesakes, dict) and len(namesakes) > 1:
            del namesakes[job_id]
        else:
            del self._by_name[job.name]
        if self._drop is not None:
            self._drop(job_id)

    def get(self, job_id: str) -> life.Job | None:
        """Return the job with this id."""
        return self._jobs.get(job_id)

    def at(self, number: int) -> life.Job:
        """Return the job with this number; it must exist."""
        return self._jobs[str(self._order[number])]

    def named(self, name: str) -> list[life.Job]:
        """Return the jobs with exactly this name, in order of arrival."""
        found = self._by_name.get(name, {})
        return [self._jobs[job_id] for job_id in ([found] if isinstance(found, str) else found)]

    def settle(self, now_ms: int) -> None:
        """Take note of all changes of state until `now_ms`; a clock that went back is followed, too."""
        if now_ms < self._settled_ms:
            self._changes.clear()
            for job in self._jobs.values():
                self._place(job, now_ms)
        self._settled_ms = now_ms
        while self._changes and self._changes[0][0] <= now_ms:
            _, job_id = heapq.heappop(self._changes)
            if (changed := self._jobs.get(job_id)) is not None:
                self._place(changed, now_ms)

    def unfinished(self, now_ms: int) -> int:
        """Return how many jobs have not ended by `now_ms`."""
        self.settle(now_ms)
        return sum(len(bucket) for (state, _), bucket in self._buckets.items() if state not in _ENDED)

    def open_jobs(self, now_ms: int) -> list[life.Job]:
        """Return the jobs that have not ended by `now_ms`."""
        numbers = self.staged(lambda state, _: state not in _ENDED, now_ms, (0, len(self._order)))
        return [self.at(number) for number in numbers]

    def span(self, begin_ms: int | None, end_ms: int | None) -> tuple[int, int]:
        """Return first number and the one after the last of jobs that arrived between two times, both included."""
        start = 0 if begin_ms is None else bisect.bisect_left(self._arrivals, begin_ms)
        stop = len(self._arrivals) if end_ms is None else bisect.bisect_right(self._arrivals, end_ms)
        return start, max(start, stop)

    def count(self, span: tuple[int, int]) -> int:
        """Return how many jobs a span has."""
        holes = bisect.bisect_left(self._holes, span[1]) - bisect.bisect_left(self._holes, span[0])
        return span[1] - span[0] - holes

    def arrived(self, span: tuple[int, int], *, newest_first: bool, skip: int = 0) -> Iterator[int]:
        """Return numbers of the jobs of a span but for the first so many, in order of arrival."""
        start, stop = span
        if self.count(span) == stop - start:  # nothing was deleted here, so places are known
            start, stop, skip = (start, max(start, stop - skip), 0) if newest_first else (start + skip, stop, 0)
        numbers = range(stop - 1, start - 1, -1) if newest_first else range(start, stop)
        order = self._order
        return islice((number for number in numbers if order[number] is not None), skip, None)

    def staged(self, wanted: Callable[[str, str], bool], now_ms: int, span: tuple[int, int]) -> Sequence[int]:
        """Return numbers of the span's jobs whose job_state and job_result at `now_ms` are wanted, as they arrived."""
        self.settle(now_ms)
        parts = [
            _within(bucket.numbers(), span)
            for (state, result), bucket in self._buckets.items()
            if bucket and wanted(state, result)
        ]
        return parts[0] if len(parts) == 1 else sorted(chain.from_iterable(parts))

    def _name(self, job: life.Job) -> None:
        """Index a job by its name; most names belong to one job, and cost no dictionary of their own."""
        namesakes = self._by_name.get(job.name)
        if namesakes is None:
            self._by_name[job.name] = job.job_id
        elif isinstance(namesakes, str):
            self._by_name[job.name] = {namesakes: None, job.job_id: None}
        else:
            namesakes[job.job_id] = None

    def _place(self, job: life.Job, now_ms: int) -> None:
        """Put a job into the bucket of its stage, and into the heap for its next change."""
        stage = (life.state_of(job, now_ms), life.result_of(job, now_ms))
        bucket = self._buckets.get(stage)
        if bucket is None:
            bucket = self._buckets[stage] = _Bucket()
        before = self._homes.get(job.job_id)
        if before is not bucket:
            if before is not None:
                before.discard(job.number)
            bucket.add(job.number)
            self._homes[job.job_id] = bucket
        change_ms = life.next_change_ms(job, now_ms)
        if change_ms is not None:
            heapq.heappush(self._changes, (change_ms, job.job_id))


def _within(numbers: list[int], span: tuple[int, int]) -> Sequence[int]:
    """Return the part of sorted numbers that lies in a span; all of them are not copied."""
    start, stop = bisect.bisect_left(numbers, span[0]), bisect.bisect_left(numbers, span[1])
    return numbers if stop - start == len(numbers) else numbers[start:stop]
