"""A takeover serves jobs under way first: messages wait until all remembered requests are indexed, jobs do not."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from tests.support import history, service, service_harness

from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import cold_records, live_tail, older_records, partition_worker

pytestmark = pytest.mark.looptime

_FEED = 20
"""Records that wait for a partition at most."""


@dataclass
class _Indexing:
    """Holds the indexing of every takeover until it is let go."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    begun: int = 0


@pytest.fixture
def indexing(monkeypatch: pytest.MonkeyPatch) -> _Indexing:
    """Tails of some dozen records, and an index that waits."""
    for name, value in {"FEW": 10, "LEAST": 40, "BY_KEY": 2, "AGE_S": 0.0, "LOOK_BACK": 20}.items():
        monkeypatch.setattr(live_tail, name, value)
    held, index = _Indexing(), older_records.index

    async def waiting(broker: brokers.Broker, older: older_records.Older, cold: cold_records.ColdRecords) -> None:
        held.begun += 1
        await held.go.wait()
        await index(broker, older, cold)

    monkeypatch.setattr(older_records, "index", waiting)
    return held


@contextlib.asynccontextmanager
async def _remembering(ended: int = 12) -> AsyncIterator[service_harness.ServiceHarness]:
    """Yield a job that runs for hours, and requests that came and ended after it began."""
    chosen = service_harness.settings(kafka={"feed_records": _FEED})
    async with service_harness.start(chosen, emulated={"pace": {"run_s": 6 * 3600.0}}) as here:
        here.put(service.job("long"))
        for number in range(ended):
            here.put(service.job(f"e-{number}"))
            await _until(here, f"e-{number}", "running")
            here.put(service.cancel(f"c-{number}", f"e-{number}"))
            await here.until_ended([f"e-{number}"], 60)
        await asyncio.sleep(1)
        yield here


async def _until(here: service_harness.ServiceHarness, request_id: str, state: str) -> None:
    async with asyncio.timeout(120):
        while state not in here.states(request_id):
            await asyncio.sleep(0.2)


async def _take_over(here: service_harness.ServiceHarness) -> service_harness.Replica:
    await here.replicas[-1].kill()
    return await here.start_replica()


def _state(replica: service_harness.Replica) -> partition_worker.State:
    return replica.kafka.status().partitions[0].state


async def test_job_is_followed_and_cancelled_before_the_index_is_complete(indexing: _Indexing) -> None:
    """The cancel stands behind a new request, which waits; the job does not, and the cancel is answered once."""
    async with _remembering() as here:
        replica = await _take_over(here)
        here.put(service.job("new"))
        here.put(service.cancel("stop", "long"))
        await here.until_ended(["long"], 120)
        assert here.states("long")[-1] == "cancelled"
        assert (here.states("new"), indexing.begun, _state(replica)) == ([], 1, partition_worker.State.RESTORING)
        assert not replica.kafka.status().ready

        indexing.go.set()
        await _until(here, "new", "running")
        assert _state(replica) is partition_worker.State.RUNNING
        assert here.states("long").count("cancelled") == 1
        here.put(service.cancel("stop-new", "new"))
        await here.until_ended(["new"], 60)
        sent = {"long", "new", *(f"e-{number}" for number in range(12))}
        assert history.faults(sorted(sent), here.events(), here.created()) == []


@pytest.mark.usefixtures("indexing")
async def test_job_is_submitted_while_more_messages_wait_than_the_inbox_takes() -> None:
    """A full inbox is not read, so no fetch says any more that the partition is ours: empty commits do."""
    async with _remembering() as here:
        here.put(service.job("later", not_before=_in(here, 60)))
        await asyncio.sleep(3)
        await _take_over(here)
        for number in range(_FEED + 1):
            here.put(service.job(f"n-{number}", name=f"n-{number}"))
        await asyncio.sleep(50)
        assert here.states("later") == ["accepted"]
        await asyncio.sleep(30)
        assert "submitted" in here.states("later")
        assert here.states("n-0") == []


def _in(here: service_harness.ServiceHarness, seconds: float) -> str:
    return dt.datetime.fromtimestamp(here.time.now_ms() / 1000 + seconds, dt.UTC).isoformat()


async def test_repetition_of_a_remembered_request_waits_and_is_recognised(indexing: _Indexing) -> None:
    """Until the index is complete it is neither run again nor answered; then it is answered."""
    async with _remembering() as here:
        before = len(here.created())
        await _take_over(here)
        here.put(service.job("e-0"))
        await asyncio.sleep(60)
        assert here.states("e-0").count("cancelled") == 1
        indexing.go.set()
        await asyncio.sleep(5)
        assert here.states("e-0").count("cancelled") == 2
        assert len(here.created()) == before


async def test_replica_killed_while_it_indexes_leaves_the_next_one_as_much(indexing: _Indexing) -> None:
    """Twice in a row; the third follows the job, recognises the repetition, and runs the new request once."""
    async with _remembering() as here:
        before = len(here.created())
        for _ in range(2):
            await _take_over(here)
            await asyncio.sleep(30)

        here.put(service.job("e-3"))
        here.put(service.job("new"))
        await _take_over(here)
        await asyncio.sleep(30)
        indexing.go.set()
        await _until(here, "new", "running")

        assert indexing.begun == 3
        assert here.states("e-3").count("cancelled") == 2
        assert len(here.created()) == before + 1

        here.put(service.cancel("stop", "long"))
        await here.until_ended(["long"], 120)


async def test_cancel_behind_another_message_for_its_job_waits_for_it(indexing: _Indexing) -> None:
    """The order of the messages for one request is kept."""
    async with _remembering() as here:
        await _take_over(here)
        here.put(service.job("long"))  # sent once more: answered with the job's state
        here.put(service.cancel("stop", "long"))
        await asyncio.sleep(60)
        assert "cancelled" not in here.states("long")
        indexing.go.set()
        await here.until_ended(["long"], 120)
        assert here.states("long")[-2:] == ["running", "cancelled"]


async def test_shutdown_while_indexing_takes_no_longer(indexing: _Indexing) -> None:
    """Nothing waits for an index that is no longer needed."""
    async with _remembering() as here:
        replica = await _take_over(here)
        await asyncio.sleep(20)
        assert indexing.begun == 1
        replica.kafka.stop()
        assert replica.task is not None
        async with asyncio.timeout(10):
            await asyncio.wait([replica.task])


async def test_failure_of_the_indexing_leads_to_a_restore_of_the_whole_ledger(
    indexing: _Indexing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the tail lacks is found then, and messages are taken."""
    async with _remembering() as here:

        async def differing(_broker: object, older: older_records.Older, _cold: object) -> None:
            raise older_records.OlderDiffers(f"before {older.end}")

        monkeypatch.setattr(older_records, "index", differing)
        await _take_over(here)
        here.put(service.job("new"))
        here.put(service.job("e-0"))
        await _until(here, "new", "running")
        assert here.states("e-0").count("cancelled") == 2
        assert indexing.begun == 0
