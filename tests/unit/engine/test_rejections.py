"""Rejections are remembered briefly, cheaply and up to a bound, the oldest forgotten first."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
from tests.unit.engine import fakes, samples

from mrs_relay.engine import partition_jobs, unit_of_work
from mrs_relay.engine.model import decisions, facts, job_records, jobs
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import records

_DAY_MS = 24 * 3_600_000
_RULES = decisions.DecisionConfig()


def _bad(number: int) -> records.Record:
    return samples.record(samples.message({}, id=f"bad-{number}"), offset=number)


def _take(partition: partition_jobs.Jobs, *taken: records.Record, **settings: Any) -> unit_of_work.UnitOfWork:
    """Decide and commit some messages."""
    unit = unit_of_work.UnitOfWork(partition, fakes.context(**settings), fakes.lease(), lambda _key, _job: False)
    for key, fact in unit.read(inboxes.Batch(taken, ())):
        unit.decide(key, fact)
    list(unit.apply())
    return unit


def _names(keys: Any) -> list[str]:
    return [key.decode().partition(" ")[2] for key in keys]


def test_beyond_the_bound_the_oldest_are_forgotten_with_a_tombstone() -> None:
    """A flood of bad messages takes a bounded part of memory and of the ledger."""
    partition = partition_jobs.Jobs()
    _take(partition, *map(_bad, range(3)), max_rejected=3)
    unit = _take(partition, _bad(3), _bad(4), max_rejected=3)
    tombstones = [change.key for change in unit.changes() if change.value is None]
    assert _names(tombstones) == ["bad-0", "bad-1"]
    assert _names(partition) == _names(partition.rejected) == ["bad-2", "bad-3", "bad-4"]


def test_batch_with_more_rejections_than_the_bound_is_caught_up_with_by_the_next() -> None:
    """What a commit writes it does not forget itself."""
    partition = partition_jobs.Jobs()
    _take(partition, *map(_bad, range(5)), max_rejected=2)
    assert len(partition.rejected) == 5
    _take(partition, _bad(5), max_rejected=2)
    assert _names(partition.rejected) == ["bad-4", "bad-5"]


def test_request_that_is_rejected_again_counts_as_new() -> None:
    """Its sequence continues, and it is the last to be forgotten."""
    partition = partition_jobs.Jobs()
    _take(partition, _bad(0), _bad(1))
    _take(partition, samples.record(samples.message({}, id="bad-0"), offset=9))
    assert _names(partition.rejected) == ["bad-1", "bad-0"]
    assert partition[jobs.ledger_key("/billing", "bad-0")].sequence == 2


def test_corrected_request_continues_counting_and_is_no_rejection_any_more() -> None:
    """Decision 1 holds as long as the rejection is remembered."""
    partition = partition_jobs.Jobs()
    _take(partition, _bad(0))
    unit = _take(partition, samples.record(samples.message(id="bad-0"), offset=9))
    (event,) = [json.loads(sent.value or b"") for sent in unit.outgoing()]
    assert (event["state"], event["sequence"], partition.rejected) == ("accepted", 2, {})


def test_rejection_keeps_its_numbers_and_little_else() -> None:
    """The words of a rejection were reported; a week's memory of them is useless."""
    partition = partition_jobs.Jobs()
    _take(partition, _bad(0), _bad(1))
    first, second = partition.values()
    assert first.reason is second.reason
    assert first.expires_ms == samples.NOW_MS + _RULES.remember_rejected_ms
    assert len(job_records.encode(first)) < 400
    assert (first.sequence, first.shown, first.order) == (1, "rejected", 0)


def _old(number: int, **changes: Any) -> jobs.Job:
    """Make a rejection as version 0.1 wrote it: with its words, for a week."""
    job = jobs.Job(
        source="/billing",
        id=f"bad-{number}",
        subject="job",
        digest="",
        state=jobs.State.REJECTED,
        sequence=1,
        shown="rejected",
        order=number,
        arrived_ms=samples.NOW_MS + number,
        reason=samples.FAULT,
        traceparent="t",
        expires_ms=samples.NOW_MS + 7 * _DAY_MS + number,
    )

    return msgspec.structs.replace(job, **changes)


def test_rejections_of_an_old_ledger_are_held_to_the_new_bounds() -> None:
    """They are forgotten an hour after they came, the ones beyond the bound at once; jobs are not touched."""
    running = samples.JOBS["running"]
    assert running is not None
    restored = [running, *map(_old, (2, 0, 3, 1))]
    lease = fakes.lease(restored={job.ledger_key: job_records.encode(job) for job in restored})
    loaded = asyncio.run(partition_jobs.load(lease, _RULES, 3))
    assert _names(loaded.rejected) == ["bad-0", "bad-1", "bad-2", "bad-3"]
    hour_ms = samples.NOW_MS + _RULES.remember_rejected_ms
    assert list(loaded.rejected.values()) == [0, hour_ms + 1, hour_ms + 2, hour_ms + 3]
    assert [loaded[key].expires_ms for key in loaded.rejected] == list(loaded.rejected.values())
    assert loaded[running.ledger_key] == running
    unit = unit_of_work.UnitOfWork(loaded, fakes.context(), fakes.lease(), lambda _key, _job: False)
    unit.decide(jobs.ledger_key("/billing", "bad-0"), facts.Expired())
    assert [(change.key, change.value) for change in unit.changes()] == [(b"/billing bad-0", None)]


def test_cancel_of_a_rejected_request_is_answered_with_what_is_known() -> None:
    """The class and code of its rejection; the words were reported at its time."""
    partition = partition_jobs.Jobs()
    _take(partition, _bad(0))
    target = {"request": {"id": "bad-0"}}
    unit = _take(partition, samples.record(samples.message(target, "mrs.job.cancel", id="c-1"), offset=9))
    (event,) = [json.loads(sent.value or b"") for sent in unit.outgoing()]
    assert (event["state"], event["repeated"], event["reason"]["code"]) == ("rejected", True, "missing_field")
