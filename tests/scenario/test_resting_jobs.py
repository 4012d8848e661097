"""Jobs that run for long rest in memory: what becomes of them is the same as of all others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support import service, service_harness

from mrs_relay.engine import partition_jobs

pytestmark = pytest.mark.looptime


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> list[partition_jobs.Jobs]:
    """The jobs of every lease, in the order of their beginning."""
    found: list[partition_jobs.Jobs] = []
    load = partition_jobs.load

    async def loaded(*given: Any) -> partition_jobs.Jobs:
        found.append(await load(*given))
        return found[-1]

    monkeypatch.setattr(partition_jobs, "load", loaded)
    return found


def _resting(held: partition_jobs.Jobs) -> int:
    """Make each again whenever it is asked for."""
    return sum(held[key] is not held[key] for key in held)


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
async def test_jobs_that_have_rested_end_as_others_do(guarantee: str, in_memory: list[partition_jobs.Jobs]) -> None:
    """By themselves, by a cancel, and at another owner; a repeated request finds its job."""
    ids = [f"r-{number}" for number in range(10)]
    chosen = service_harness.settings(kafka={"guarantee": guarantee}, engine={"slots_per_cluster": 0})
    async with service_harness.start(chosen, emulated={"clusters": [{"slots": 0}], "pace": {"run_s": 900}}) as here:
        for one in ids:
            here.put(service.job(one, labels={"of": one}))
        await asyncio.sleep(258)  # a third of a minute before the next progress is reported
        assert _resting(in_memory[-1]) == len(ids)
        here.put(service.cancel("c-1", "r-1"))
        here.put(service.job("r-2", labels={"of": "r-2"}))
        await asyncio.sleep(5)
        assert here.states("r-2")[-1] == "running"  # the answer to the repetition
        await asyncio.sleep(200)
        assert here.states("r-1")[-1] == "cancelled"

        await here.replicas[-1].kill()
        await here.start_replica()
        await here.until_ended(ids, 1200)
        for one in ids:
            events = [event for event in here.events() if event.request_id == one]
            numbers = list(dict.fromkeys(event.sequence for event in events))  # at least once
            assert numbers == list(range(1, len(numbers) + 1))
            assert events[-1].data["labels"] == {"of": one}
            assert events[-1].state == ("cancelled" if one == "r-1" else "succeeded")
        assert len(here.created()) == len(ids)
