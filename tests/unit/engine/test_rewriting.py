"""Jobs to which nothing happens are written again as they are, within the bounds of a commit."""

from __future__ import annotations

import structlog
from tests.unit.engine import fakes, samples

from mrs_relay.engine import context as contexts
from mrs_relay.engine import partition_jobs, rewriting
from mrs_relay.engine.model import job_records, jobs
from mrs_relay.kafka import lease as leases
from mrs_relay.kafka import ledger_format, live_tail, records


class _Ended:
    """The end of a ledger, which tests move."""

    def __init__(self) -> None:
        self.at = 100_000

    def __call__(self) -> int:
        return self.at


def _lease(limit_bytes: int = 1_000_000) -> tuple[leases.Lease[contexts.Notice], _Ended]:
    lease, end = fakes.lease({None: limit_bytes}), _Ended()
    lease.tail = live_tail.LiveTail(end)
    return lease, end


def _jobs(count: int) -> partition_jobs.Jobs:
    running = samples.job("running")
    return partition_jobs.Jobs(
        {jobs.LedgerKey(b"/a r-%d" % number): running for number in range(count)},
    )


def _again(
    lease: leases.Lease[contexts.Notice],
    base: partition_jobs.Jobs,
    *changed: bytes,
    bytes_left: int = 1 << 30,
    ledger: int = ledger_format.FORMAT,
) -> list[records.Change]:
    return rewriting.changes(lease, base, [jobs.LedgerKey(key) for key in changed], bytes_left, 0.0, ledger)


def test_quiet_job_is_written_again_as_it_is() -> None:
    """Its record is the one that the ledger has already; what the commit writes anyway is left out."""
    lease, _ = _lease()
    base = _jobs(3)
    again = _again(lease, base, b"/a r-1")
    assert {change.key for change in again} == {b"/a r-0", b"/a r-2"}
    assert {change.value for change in again} == {job_records.encode(samples.job("running"))}
    assert _again(lease, base) == []


def test_quiet_job_is_written_again_in_the_format_of_the_settings() -> None:
    """An earlier version reads nothing else."""
    (again,) = _again(_lease()[0], _jobs(1), ledger=ledger_format.NAMED)
    assert again.value == job_records.encode(samples.job("running"), ledger_format.NAMED)


def test_job_that_has_left_memory_is_not_written_again() -> None:
    """The ledger remembers it, or has its deletion."""
    lease, end = _lease()
    base = _jobs(1)
    lease.tail.plan(base.keys(), [], 0.0)  # type: ignore[union-attr]
    base.clear()
    end.at += 100_000
    assert _again(lease, base) == []


def test_commit_writes_as_many_again_as_fit_and_one_at_least() -> None:
    """The others follow with the next commits."""
    lease, _ = _lease()
    base = _jobs(200)
    size_bytes = records.size_bytes(b"/a r-0", job_records.encode(samples.job("running")))
    assert len(_again(lease, base, bytes_left=5 * size_bytes + 20)) == 5
    assert len(_again(lease, base, bytes_left=0)) == 1
    assert len(_again(lease, base)) == 64
    assert len(_again(lease, base, *(b"/a n-%d" % number for number in range(180)))) == 90


def test_job_that_fits_no_longer_keeps_the_tail_where_it_is() -> None:
    """A topic whose limit was lowered: no commit fails for it, and the tail is never noted without the job."""
    lease, end = _lease(limit_bytes=100)
    base = _jobs(1)
    for _ in range(3):
        end.at += 100_000
        assert _again(lease, base) == []
    lease.tail.plan([], [], 10_000.0)  # type: ignore[union-attr]
    assert lease.tail.noted == 0  # type: ignore[union-attr]


def test_job_that_fits_no_longer_keeps_no_other_from_being_written() -> None:
    """It is named once, and the tail is noted again once the job has ended."""
    small = records.size_bytes(b"/a r-0", job_records.encode(samples.job("running")))
    lease, end = _lease(limit_bytes=small + 50)
    base = _jobs(3)
    base[jobs.LedgerKey(b"/a big")] = samples.job("running", id="big", tracestate="x" * 200)
    with structlog.testing.capture_logs() as logs:
        assert {change.key for change in _again(lease, base)} == {b"/a r-0", b"/a r-1", b"/a r-2"}
        for _ in range(3):
            assert _again(lease, base) == []
    assert [(one["event"], one["request"]) for one in logs] == [("job_too_large", "big")]

    tail = lease.tail
    assert tail is not None
    tail.plan(base.keys(), [], 10_000.0)
    assert tail.noted == 0
    del base[jobs.LedgerKey(b"/a big")]
    tail.plan(base.keys(), [], 10_000.0)
    tail.plan(base.keys(), [], 10_000.0)
    assert tail.noted == end.at


def test_without_transactions_nothing_is_written_again() -> None:
    """No commit notes where the values in memory begin."""
    lease, _ = _lease()
    lease.tail = None
    assert _again(lease, _jobs(3)) == []
