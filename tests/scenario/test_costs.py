"""What the service costs MRS, counted at the emulator in virtual time: reads per look, and use of the write quota."""

from __future__ import annotations

import pytest
from bench import quota, reads
from tests.support import service_harness

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize("jobs", [1, 2, 3, 4, 100, 101, 250])
async def test_a_look_at_running_jobs_takes_a_read_for_each_page_and_one_more_at_most(jobs: int) -> None:
    """The cost of tracking grows with pages, not with jobs, and single reads are for fewer jobs than they cost."""
    assert max(await reads.reads_of_looks(reads.durations_s(jobs, "all running"), 30)) <= reads.allowed(jobs)


@pytest.mark.parametrize(("jobs", "when"), [(50, "ending one by one"), (250, "all ending at once")])
async def test_ends_are_seen_in_the_same_reads(jobs: int, when: str) -> None:
    """A job that has ended costs no read of its own: the list that shows it is the one that was read anyway."""
    assert max(await reads.reads_of_looks(reads.durations_s(jobs, when), 250)) <= reads.allowed(jobs)


async def test_a_list_full_of_ended_jobs_is_not_read_through_for_a_few_that_run() -> None:
    """600 jobs ended since the oldest of four that run began: that is found out once, then one read shows the four."""
    durations = [100_000.0, *([1.0] * 600), *([100_000.0] * 3)]
    assert set(await reads.reads_of_looks(durations, 60)) == {1}


@pytest.mark.parametrize(("replicas", "window", "keys"), [(1, "sliding", "even"), (4, "fixed", "hot")])
async def test_a_backlog_uses_the_write_quota_and_is_never_throttled(replicas: int, window: str, keys: str) -> None:
    """At least 95 % of the documented calls a minute are spent, and none is sent that MRS must refuse."""
    found = await quota.backlog(replicas, window, keys, minutes=4)
    assert found["throttled"] == 0
    assert 0.95 <= float(str(found["used"])) <= 1.0


def test_looks_are_distinguished_by_the_pause_between_them() -> None:
    """Reads that follow each other closely are one look; other calls are none."""
    reads_at = [(0.0, "GET"), (0.04, "GET"), (1.0, "POST"), (5.1, "GET"), (10.2, "GET"), (10.3, "GET")]
    answered = [
        service_harness.Answered(at_s, verb, "/v2/p/clusters/c/job-executions?x=1", 202) for at_s, verb in reads_at
    ]
    assert reads.looks(answered) == [2, 1, 2]
