"""A number that is no time, from MRS or from a ledger, stops no command that lists jobs."""

from __future__ import annotations

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay.cli import ledger, orphans
from mrs_relay.engine import orphans as finding
from mrs_relay.engine.model import job_records, jobs

_ODD = pytest.mark.parametrize("reported", [1_795_521_600_000_000, 2**63, -(2**63), -1])


def _job(reported: int) -> jobs.Job:
    job = samples.JOBS["failed"]
    assert job is not None
    seen = jobs.MrsStatus("j", submitted_ms=reported, started_ms=reported, finished_ms=reported)
    return msgspec.structs.replace(job, arrived_ms=reported, seen=seen)


@_ODD
def test_jobs_are_listed_whatever_their_times(reported: int) -> None:
    """The number is shown as what it is."""
    job = job_records.decode(job_records.encode(_job(reported)))
    row = ledger.as_row(job)
    assert row["arrived_at"] == row["finished_at"] == f"{reported} (not a time in milliseconds)"
    ledger.jobs_table([job], total=1, now_ms=samples.NOW_MS, width=200)


@_ODD
def test_orphans_are_listed_whatever_their_times(reported: int) -> None:
    """The same for jobs that are not followed."""
    job = _job(reported)
    row = orphans.as_row(finding.Orphan("left", "c", "j", job.seen, "n", job))
    assert row["submitted_at"] == f"{reported} (not a time in milliseconds)"
