"""Facts of jobs that are not in memory: a unit of work ends before them, and the next one has what it needs."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, cast

import msgspec
import pytest
from tests.unit.engine import fakes, samples

from mrs_relay import errors
from mrs_relay.engine import context as contexts
from mrs_relay.engine import partition_jobs, recall, unit_of_work
from mrs_relay.engine.model import facts, job_records, jobs
from mrs_relay.kafka import cold_records, records
from mrs_relay.kafka import inbox as inboxes


class _Ledger:
    """
    Cold records in a dict.

    Attributes:
        taken: the keys of each read.
        colliding: keys that have no record, and the fingerprint of one that has.
    """

    def __init__(self, *ended: jobs.Job, colliding: Collection[bytes] = ()) -> None:
        self.values = {job.ledger_key: job_records.encode(job) for job in ended}
        self.colliding = set(colliding)
        self.taken: list[set[bytes]] = []

    def __contains__(self, key: bytes) -> bool:
        return key in self.values or key in self.colliding

    async def take(self, keys: Collection[bytes]) -> dict[bytes, records.Record]:
        self.taken.append(set(keys))
        found = {key: self.values.pop(jobs.LedgerKey(key)) for key in keys if key in self.values}
        return {key: records.Record("l", 0, 7, 0, key, value, ()) for key, value in found.items()}

    def offset_of(self, _key: bytes) -> int:
        return 8

    def put(self, key: bytes, _offset: int, _due_ms: int) -> None:
        self.values[jobs.LedgerKey(key)] = b"put back"

    def deleted(self, key: bytes) -> None:
        self.colliding.discard(key)


def _jobs(ledger: _Ledger, *live: jobs.Job) -> partition_jobs.Jobs:
    return partition_jobs.Jobs({job.ledger_key: job for job in live}, cast("cold_records.ColdRecords", ledger))


def _job(name: str, **changes: Any) -> jobs.Job:
    job = samples.JOBS[name]
    assert job is not None
    return msgspec.structs.replace(job, **changes)


def _key(request_id: str) -> jobs.LedgerKey:
    return jobs.ledger_key("/billing", request_id)


def _request(request_id: str, offset: int, **changes: Any) -> records.Record:
    return samples.record(samples.message(id=request_id, **changes), offset=offset)


class _Partition:
    """A partition that takes a batch as `relay` does."""

    def __init__(self, base: partition_jobs.Jobs, limits: dict[str | None, int] | None = None) -> None:
        self.base = base
        self.context = fakes.context()
        self.lease = fakes.lease(limits)
        self.units: list[list[str]] = []

    async def take(self, *taken: records.Record, notices: tuple[contexts.Notice, ...] = ()) -> None:
        """Decide a batch in as many units as it needs; notes what each tells."""
        rest: inboxes.Batch[contexts.Notice] | None = inboxes.Batch(taken, notices)
        while rest is not None:
            unit = unit_of_work.UnitOfWork(self.base, self.context, self.lease, lambda _key, _job: False)
            for key, fact in unit.read(rest):
                unit.decide(key, fact)
            published = [json.loads(sent.value or b"{}") for sent in unit.outgoing()]
            self.units.append([f"{event['id']} {event['state']}" for event in map(_request_of, published)])
            list(unit.apply())
            await self.base.recall(unit.cold)
            rest = unit.rest
            assert len(self.units) < 20
        self.base.put_back()


def _request_of(event: dict[str, Any]) -> dict[str, str]:
    return {"id": event.get("request", {}).get("id", "?"), "state": event.get("state", "?")}


async def test_all_jobs_that_a_batch_needs_are_read_together() -> None:
    """What comes before the first of them is committed before; then they are decided with all others."""
    ended = [_job("succeeded", id=f"e-{number}") for number in range(3)]
    ledger = _Ledger(*ended)
    partition = _Partition(_jobs(ledger))
    ids = ["new-1", "e-0", "new-2", "e-1", "e-0", "e-2"]
    await partition.take(*[_request(name, offset) for offset, name in enumerate(ids, start=20)])
    assert partition.units == [["new-1 accepted"], [f"{name} {_answer(name)}" for name in ids[1:]]]
    assert ledger.taken == [{_key(f"e-{number}") for number in range(3)}]
    assert {job.id for job in partition.base.values()} == {"new-1", "new-2"}


def _answer(name: str) -> str:
    return "accepted" if name.startswith("new") else "rejected"


async def test_facts_from_outside_wait_in_order() -> None:
    """Notices before a batch's records, in the order in which they came."""
    ledger = _Ledger(_job("succeeded", id="e-0"))
    running = _job("running", id="r-0")
    partition = _Partition(_jobs(ledger, running))
    notices = (
        contexts.FactNotice(running.ledger_key, samples.FACTS["succeeded"]),
        contexts.FactNotice(_key("e-0"), facts.Expired()),
        contexts.FactNotice(_key("e-0"), samples.FACTS["running"]),
    )
    await partition.take(_request("e-0", 20), notices=notices)
    assert partition.units == [["r-0 succeeded"], ["e-0 accepted"]]
    assert set(partition.base) == {_key("e-0")}
    assert set(ledger.values) == {_key("r-0")}


async def test_request_whose_fingerprint_is_known_is_not_swallowed() -> None:
    """No record has its key, so it is new; the same id again in that batch is a repetition."""
    ledger = _Ledger(colliding=[_key("n-0")])
    partition = _Partition(_jobs(ledger))
    await partition.take(_request("n-0", 20), _request("n-0", 21))
    assert partition.units == [[], ["n-0 accepted", "n-0 accepted"]]
    assert partition.base[_key("n-0")].sequence == 2
    assert ledger.taken == [{_key("n-0")}]


async def test_request_that_ends_within_the_batch_is_recognised_in_it() -> None:
    """A collision was ruled out for its key before it had a record of its own."""
    ledger = _Ledger(colliding=[_key("n-0")])
    base = _jobs(ledger)
    await base.recall([_key("n-0")])
    assert not base.is_cold(_key("n-0"))
    base.commit(_key("n-0"), _job("succeeded", id="n-0"))
    assert base.is_cold(_key("n-0"))
    assert _key("n-0") not in base


async def test_recalled_job_that_nothing_changed_leaves_memory_again() -> None:
    """Nothing is written of it."""
    ledger = _Ledger(_job("succeeded", id="e-0"))
    base = _jobs(ledger)
    await base.recall([_key("e-0")])
    assert set(base) == {_key("e-0")}
    base.put_back()
    assert (dict(base), ledger.values) == ({}, {_key("e-0"): b"put back"})


async def test_message_that_is_rejected_instead_finds_the_ended_request_of_its_id() -> None:
    """A cancel that cannot be written is rejected under its own id, which an ended request may have."""
    ledger = _Ledger(_job("succeeded", id="c-0", order=1))
    partition = _Partition(_jobs(ledger), {fakes.TOPICS.requests: 100})
    cancel = samples.record(samples.message({"request": {"id": "r-0"}}, "mrs.job.cancel", id="c-0"), offset=30)
    partition.context.quota.share.total = 2
    await partition.take(cancel)
    assert ledger.taken == [{_key("c-0")}]
    assert partition.units[0] == []
    assert [one.partition(" ")[2] for one in partition.units[1]] == ["rejected"]
    assert ledger.values == {_key("c-0"): b"put back"}


async def test_job_with_duplicates_to_be_stopped_stays_in_memory() -> None:
    """It leaves with the commit that notes the last one as stopped."""
    ledger = _Ledger()
    base = _jobs(ledger)
    ended = _job("succeeded", id="e-0", duplicates=("j-2",))
    base.commit(ended.ledger_key, ended)
    assert base == {ended.ledger_key: ended}
    base.commit(ended.ledger_key, msgspec.structs.replace(ended, duplicates=()))
    assert (dict(base), set(ledger.values)) == ({}, {ended.ledger_key})


async def test_record_that_is_no_job_stops_the_partition() -> None:
    """As at a restore: a person must decide."""
    ledger = _Ledger(_job("succeeded", id="e-0"))
    ledger.values[_key("e-0")] = b"{}"
    with pytest.raises(errors.StateUnreadable):
        await _Partition(_jobs(ledger)).take(_request("e-0", 20))


async def test_long_batch_of_repetitions_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bounded number of jobs is read at once; all are answered."""
    monkeypatch.setattr(recall, "_MOST", 3)
    ledger = _Ledger(*[_job("succeeded", id=f"e-{number}") for number in range(8)])
    partition = _Partition(_jobs(ledger))
    await partition.take(*[_request(f"e-{number}", 20 + number) for number in range(8)])
    assert [len(keys) for keys in ledger.taken] == [3, 3, 2]
    assert sum(map(len, partition.units)) == 8


async def test_deletion_of_a_job_in_memory_is_noted() -> None:
    """An older record of its key may be indexed since the restore: it counts no more."""
    rejected = _job("rejected", id="b-0")
    ledger = _Ledger(colliding=[rejected.ledger_key])
    base = _jobs(ledger, rejected)
    base.commit(rejected.ledger_key, None)
    assert (dict(base), ledger.colliding) == ({}, set())
