"""Jobs that MRS works on rest: what is asked for is the same as before, in a small part of the memory."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc

import msgspec
import pytest
from bench import memory

from mrs_relay.common import clock
from mrs_relay.engine import partition_jobs, resting_jobs, timers
from mrs_relay.engine.model import job_records, jobs

_MOST = 10_000


def _running(number: int) -> jobs.Job:
    """Return a job as it runs, with ids like chance."""
    return job_records.decode(memory.ledger_record(number)[1])


def _held(*several: jobs.Job) -> partition_jobs.Jobs:
    return partition_jobs.Jobs({job.ledger_key: job for job in several})


def _rest(held: partition_jobs.Jobs) -> None:
    held.rest(_MOST)
    held.rest(_MOST)


def test_jobs_that_rest_are_the_same_and_small() -> None:
    """By whatever way they are asked for, and again and again."""
    several = {job.ledger_key: job for job in map(_running, range(2000))}
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        held = _held(*map(_running, range(2000)))
        _rest(held)
        gc.collect()
        assert (tracemalloc.get_traced_memory()[0] - before) / 2000 < 400
    finally:
        tracemalloc.stop()

    assert held == several
    assert {key: held.get(key) for key in several} == several
    assert [held[key] for key in several] == list(several.values())


def test_restored_job_rests_as_its_record_until_it_is_compressed() -> None:
    """It is not decoded again for its resumption; one that waits is held as it is."""
    key, value = memory.ledger_record(1)
    job, name = job_records.decode(value), jobs.LedgerKey(key)
    waits = msgspec.structs.replace(job, id="waits", state=jobs.State.QUEUED)
    held = partition_jobs.Jobs()
    held.restore(name, job_records.read(value), value)
    held.restore(waits.ledger_key, waits, job_records.encode(waits))
    held.keep_read([(name, job), (waits.ledger_key, waits)])

    assert held.all_at_once()[0][1] is job
    assert dict(held.all_at_once()) == {name: job, waits.ledger_key: waits}
    assert held.glance(waits.ledger_key) is waits

    for _ in range(2):
        assert held.glance(name) == resting_jobs.Resting(jobs.State.RUNNING, 0)
        assert held[name] == held.get(name) == job
        for number in range(2, 7):
            held[jobs.LedgerKey(b"/a %d" % number)] = _running(number)
        _rest(held)
        held.restore(name, job, value)

    held.restore(name, msgspec.structs.replace(job, run_deadline_ms=77), value)
    assert held.glance(name) == resting_jobs.Resting(jobs.State.RUNNING, 77)


def test_restored_jobs_with_slots_come_first_and_those_that_wait_last() -> None:
    """So no turn is given before all slots of a partition are known; rejections have a timer of their own."""
    states = [jobs.State.QUEUED, jobs.State.COLLECTING, jobs.State.REJECTED, jobs.State.RUNNING, jobs.State.QUEUED]
    several = [
        msgspec.structs.replace(_running(number), state=state, arrived_ms=-number)
        for number, state in enumerate(states)
    ]
    ordered = resting_jobs.in_order([(job.ledger_key, job) for job in several])
    assert [job for _, job in ordered] == [several[3], several[1], several[4], several[0]]


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {"gruß": "ü\u2028", "": "x"}},
        {"work": jobs.Batch("SparkSubmit", ("--x", "y" * 200_000)), "retry": jobs.Retry(3, 0.5, ("mrs",))},
        {"later": b'"new":{"a":[1,2.50]}'},
        {"state": jobs.State.CANCELLING, "stop": jobs.Reason("cancelled", "c", "m"), "duplicates": ("a", "b")},
        {"seen": None, "progress": None},
    ],
)
def test_whatever_a_record_holds_rests(change: dict[str, object]) -> None:
    """Texts of any kind, large work, fields of later versions: nothing is lost."""
    known = {name: value for name, value in change.items() if name in jobs.Job.__struct_fields__}
    odd = msgspec.structs.replace(_running(77), **known)
    held = _held(*map(_running, range(20)), odd)
    _rest(held)
    assert held[odd.ledger_key] == odd
    held[odd.ledger_key] = odd
    _rest(held)
    assert held[odd.ledger_key] == odd


def test_only_jobs_that_mrs_works_on_rest() -> None:
    """A job that waits or is being submitted is needed soon, and its queue holds it anyway."""
    states = [jobs.State.QUEUED, jobs.State.SUBMITTING, jobs.State.IN_DOUBT, jobs.State.REJECTED]
    others = [msgspec.structs.replace(_running(number), state=state) for number, state in enumerate(states)]
    held = _held(*map(_running, range(30)))
    held.rest(_MOST)
    held.update((job.ledger_key, job) for job in others)
    _rest(held)
    assert all(held[job.ledger_key] is job for job in others)


def test_a_job_that_was_set_meanwhile_does_not_rest() -> None:
    """It has changed a moment ago, so it may soon change again; it rests a turn later."""
    held = _held(*map(_running, range(20)))
    held.rest(_MOST)
    again = _running(7)
    held[again.ledger_key] = again
    held.rest(_MOST)
    assert held[again.ledger_key] is again
    held.rest(_MOST)
    assert held[again.ledger_key] is not again


def test_no_more_rest_at_once_than_may() -> None:
    """The event loop is not held up, however many there are."""
    several = list(map(_running, range(104)))
    held = _held(*several)
    assert not held.rest(40)
    assert held.rest(40)
    assert sum(held[job.ledger_key] is job for job in several) == 64 + 4
    assert held.rest(40)
    assert not held.rest(40)
    assert sum(held[job.ledger_key] is job for job in several) == 4


def test_a_job_that_rests_is_changed_and_forgotten_as_any_other() -> None:
    """By a commit, by its key, and all together."""
    held = _held(*map(_running, range(20)))
    _rest(held)
    one, two, three = (_running(number) for number in (11, 12, 13))
    ended = msgspec.structs.replace(one, state=jobs.State.SUCCEEDED)
    held.commit(one.ledger_key, ended)
    held.commit(two.ledger_key, None)
    held.discard(two.ledger_key)

    assert held.pop(three.ledger_key) == three
    assert held[one.ledger_key] is ended
    assert len(held) == 18
    assert two.ledger_key not in held
    assert held.get(two.ledger_key) is None

    _rest(held)
    held.clear()
    assert not held
    _rest(held)


def test_nothing_is_kept_of_jobs_that_have_ended() -> None:
    """However many there are between two turns."""
    held = _held()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(2000):
            job = _running(number)
            held[job.ledger_key] = job
            held.discard(job.ledger_key)
        assert tracemalloc.get_traced_memory()[0] - before < 20_000
    finally:
        tracemalloc.stop()


@pytest.mark.looptime
async def test_jobs_rest_a_while_after_their_last_change() -> None:
    """Not before, so that a job that changes often is not compressed each time; all of many in the end."""
    several = list(map(_running, range(5000)))
    held = _held(*several)
    wall = clock.LoopClock(0)
    alarm = timers.Timers(wall.now_ms)
    resting_jobs.Rest(held, alarm, wall.now_ms).start()
    await asyncio.sleep(resting_jobs.REST_MS / 1000 - 1)
    assert all(held[job.ledger_key] is job for job in several)
    await asyncio.sleep(10)
    assert sum(held[job.ledger_key] is job for job in several) == 4
    alarm.close()
