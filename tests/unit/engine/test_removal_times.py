"""When the folders of rows are removed, and what follows where a removal fails."""

from __future__ import annotations

import asyncio
import types
from typing import Any, cast

import msgspec
import pytest
from tests.unit.engine import samples

from mrs_relay import errors
from mrs_relay.common import clock, tasks
from mrs_relay.engine import row_removal, timers, views
from mrs_relay.engine.model import facts, jobs

_START_MS = 1_795_420_800_000

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize("failure", [errors.ObsDown("away"), ValueError("a bug")])
async def test_removal_that_fails_is_tried_again_and_holds_up_no_other(failure: Exception) -> None:
    """Neither OBS, nor a bug that one job triggers, ends the removal of others or the partition."""
    time, crashed = clock.LoopClock(_START_MS), list[str]()
    removed: list[str] = []
    failures = {"bad": [failure]}

    async def remove(job: jobs.Job) -> int:
        if failures.get(job.id):
            raise failures[job.id].pop()
        removed.append(job.id)
        return 1

    counts, calls = views.Counts(), types.SimpleNamespace(remove_rows=remove)
    context = types.SimpleNamespace(submitter=calls, time=time, counts=counts)
    due = {
        name: msgspec.structs.replace(samples.request(state=jobs.State.SUCCEEDED), id=name, rows_until_ms=_START_MS + 1)
        for name in ("bad", "good")
    }
    held = {job.ledger_key: job for job in due.values()}
    reported: list[jobs.LedgerKey] = []

    def report(key: jobs.LedgerKey, fact: facts.Fact) -> None:
        assert isinstance(fact, facts.RowsRemoved)
        reported.append(key)

    alarm = timers.Timers(time.now_ms)
    async with tasks.TaskSupervisor(lambda name, _: crashed.append(name)) as supervisor:
        removal = row_removal.RowRemoval(cast("Any", context), alarm, supervisor, report)
        for key, job in held.items():
            removal.remove_in_time(key, job, held)
        await asyncio.sleep(1)
        assert removed == ["good"]
        await asyncio.sleep(601)
        assert removed == ["good", "bad"]
    alarm.close()
    assert crashed == []
    assert reported == [due["good"].ledger_key, due["bad"].ledger_key]
