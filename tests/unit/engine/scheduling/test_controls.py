"""Controls keep entries from their turns, and give them back in the order in which they waited."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from tests.unit.engine import samples, scheduling_fakes

from mrs_relay.common import clock
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import facts, jobs
from mrs_relay.engine.scheduling import controls as standing
from mrs_relay.engine.scheduling import scheduler as schedulers
from mrs_relay.engine.scheduling import waits
from mrs_relay.messages import controls

_NOW_MS = 1_000


def control(scope: str, mode: controls.Mode = "hold", **changes: Any) -> controls.Control:
    """Make a control."""
    return controls.Control(
        **{"scope": controls.scope(scope), "mode": mode, "reason": "why", "at_ms": _NOW_MS, **changes}
    )


def put(found: standing.Controls, *several: controls.Control) -> None:
    """Set controls."""
    for one in several:
        found.put(one.scope, one)


def _opened(slots: int = 10) -> tuple[schedulers.SubmissionScheduler, standing.Controls]:
    found = standing.Controls(lambda: _NOW_MS)
    settings = engine_settings.EngineSettings(slots_per_cluster=slots)
    quota = scheduling_fakes.Quota()
    return schedulers.SubmissionScheduler(settings, clock.LoopClock(), quota.spend, found), found


@pytest.mark.parametrize(
    ("scope", "is_held"),
    [
        ("all", True),
        ("tenant/billing", True),
        ("tenant/other", False),
        (f"cluster/{samples.CLUSTER}", True),
        ("cluster/c-2", False),
        ("label/team=etl", True),
        ("label/team=bi", False),
        ("type/job", True),
        ("type/sql", False),
        ("request/order-1", True),
        ("request/order-2", False),
    ],
)
def test_scope_holds_the_jobs_that_it_names(scope: str, is_held: bool) -> None:
    """Each kind of scope goes by what the job's record holds."""
    found = standing.Controls(lambda: _NOW_MS)
    put(found, control(scope))
    job = samples.request(labels={"team": "etl", "x": "y"})
    assert (found.holding(job, "billing") is not None) is is_held


def test_released_request_leaves_a_quarantine_and_no_hold() -> None:
    """A release of one request is an answer to its quarantine; a hold is for everything."""
    found = standing.Controls(lambda: _NOW_MS)
    job = samples.request()
    put(found, control("all", "quarantine"), control("request/order-1", "release"))
    assert found.holding(job, "") is None
    put(found, control("type/job", "drain"))
    assert [one.mode for one in found.all_holding(job, "")] == ["drain"]


def test_control_that_is_over_holds_nothing() -> None:
    """Its end counts, not the moment at which somebody removes it."""
    found = standing.Controls(lambda: _NOW_MS)
    put(found, control("all", until_ms=_NOW_MS))
    assert found.holding(samples.request(), "") is None
    assert list(found) == []
    assert [str(one.scope) for one in found.end_due()] == ["all"]


def test_only_what_was_set_aside_before_is_rejected() -> None:
    """A request that comes later waits for a decision of its own."""
    found = standing.Controls(lambda: _NOW_MS)
    put(found, control("all", "reject"))
    before, after = samples.request(arrived_ms=_NOW_MS), samples.request(arrived_ms=_NOW_MS + 1)
    assert found.held_back(before, "") == facts.HeldBack(
        jobs.Reason("cancelled", "control_rejected", "reject of all: why")
    )
    assert found.held_back(after, "") == facts.HeldBack()


def test_message_is_passed_over_by_its_place_alone() -> None:
    """A control skips one offset of one partition of one topic."""
    found = standing.Controls(lambda: _NOW_MS)
    put(found, control("offset/in/0/5", "skip"), control("all"))
    assert [found.skipping("in", 0, offset) is not None for offset in (4, 5, 6)] == [False, True, False]
    assert found.skipping("in", 1, 5) is None
    assert found.skipping("other", 0, 5) is None


def test_held_entry_gets_no_turn_takes_no_room_and_says_why() -> None:
    """Others pass it: it takes no slot, no place in flight and no token."""

    async def live() -> None:
        scheduler, found = _opened(slots=1)
        partition = scheduling_fakes.Partition(scheduler)
        put(found, control("request/j1", by="ann"))
        assert not partition.enter("j1")
        assert partition.enter("j2")
        assert scheduling_fakes.in_flight(scheduler) == 1
        why = scheduler.why(scheduling_fakes.job("j1").ledger_key, partition)
        assert why is not None
        assert why.cause is waits.Cause.CONTROL
        assert str(why) == "a control holds it; hold of request/j1 by ann: why"
        assert scheduler.waiting_by_cause() == {waits.Cause.CONTROL: 1}
        scheduler.close()

    scheduling_fakes.run_virtually(live())


def test_waiting_entries_are_held_at_once_and_come_back_in_their_old_order() -> None:
    """The time under a control counts as waiting; a job that came meanwhile is behind."""

    async def live() -> None:
        scheduler, found = _opened(slots=1)
        partition = scheduling_fakes.Partition(scheduler)
        for name in ("j1", "j2", "j3"):
            partition.enter(name)
        put(found, control("all"))
        partition.land("j1")
        partition.release("j1")
        partition.enter("j4")
        assert partition.admitted == ["j1"]

        found.put(controls.scope("all"), None)
        for name in ("j2", "j3", "j4"):
            assert partition.admitted[-1] == name
            partition.land(name)
            partition.release(name)
        assert scheduling_fakes.waiting(scheduler) == 0
        scheduler.close()

    scheduling_fakes.run_virtually(live())


def test_entry_that_is_held_twice_counts_and_is_admitted_once() -> None:
    """Its old places in the queue count no more, also when another partition leaves and the queue is made again."""

    async def live() -> None:
        scheduler, found = _opened(slots=1)
        partition, other = scheduling_fakes.Partition(scheduler), scheduling_fakes.Partition(scheduler)
        for name in ("j1", "j2", "j3"):
            partition.enter(name)
        other.enter("j4")
        for _ in range(3):
            put(found, control("request/j3"))
            found.put(controls.scope("request/j3"), None)
        scheduler.leave(other)
        assert scheduling_fakes.waiting(scheduler) == 2

        for name in ("j1", "j2", "j3"):
            partition.land(name)
            partition.release(name)
        assert partition.admitted == ["j1", "j2", "j3"]
        assert scheduling_fakes.waiting(scheduler) == 0
        scheduler.close()

    scheduling_fakes.run_virtually(live())


def test_held_entries_go_with_their_partition_and_with_a_cancel() -> None:
    """Nothing of them is left to come back when the control is lifted."""

    async def live() -> None:
        scheduler, found = _opened()
        partition, other = scheduling_fakes.Partition(scheduler), scheduling_fakes.Partition(scheduler)
        put(found, control("all"))
        partition.enter("j1")
        other.enter("j2")
        other.enter("j3")
        scheduler.leave(partition)
        other.withdraw("j2")
        found.put(controls.scope("all"), None)
        assert (partition.admitted, other.admitted) == ([], ["j3"])
        scheduler.close()

    scheduling_fakes.run_virtually(live())


def test_turn_that_came_before_a_control_is_given_back() -> None:
    """The job asks again: its place in flight is free for others, and it waits."""

    async def live() -> None:
        scheduler, found = _opened(slots=1)
        partition = scheduling_fakes.Partition(scheduler)
        assert partition.enter("j1")
        put(found, control("request/j1"))
        partition.release("j1", state=jobs.State.QUEUED)
        assert not partition.enter("j1")
        assert scheduling_fakes.in_flight(scheduler) == 0
        assert partition.enter("j2")
        scheduler.close()

    scheduling_fakes.run_virtually(live())


def test_rejected_entry_gets_no_turn_and_is_rejected_once() -> None:
    """Also while other controls come and go; when it comes back and is rejected again, that is new."""

    async def live() -> None:
        scheduler, found = _opened()
        partition = scheduling_fakes.Partition(scheduler)
        put(found, control("all"))
        partition.enter("j1")
        put(found, control("all", "reject"), control("cluster/b"), control("cluster/c"))
        assert (partition.admitted, partition.rejected) == ([], ["j1"])
        put(found, control("all", "quarantine"), control("all", "reject"))
        assert (partition.admitted, partition.rejected) == ([], ["j1", "j1"])
        scheduler.close()

    scheduling_fakes.run_virtually(live())


def test_controls_that_change_together_are_looked_at_once() -> None:
    """What costs a look at all entries is done for a batch of records, and not at all if nothing changes."""
    found = standing.Controls(lambda: _NOW_MS)
    calls: list[list[str]] = []
    found.on_change(lambda: calls.append([str(one.scope) for one in found]))
    changes = [(one.scope, one) for one in (control("all"), control("tenant/a"), control("tenant/b"))]
    found.put_all([*changes, (controls.scope("all"), None)])
    found.put_all([*changes[1:], (controls.scope("all"), None)])
    assert calls == [["tenant/a", "tenant/b"]]


def test_bug_in_one_listener_keeps_the_change_from_no_other() -> None:
    """It is logged."""
    found = standing.Controls(lambda: _NOW_MS)
    calls: list[int] = []

    def fail() -> None:
        raise ArithmeticError

    found.on_change(fail)
    found.on_change(lambda: calls.append(1))
    with structlog.testing.capture_logs() as logs:
        put(found, control("all"))
    assert (calls, [line["event"] for line in logs]) == ([1], ["control_listener_failed"])


def test_turn_that_a_control_took_is_given_back_when_the_control_is_gone_again() -> None:
    """The job asks again without a control: it waits behind others, and its own old place keeps nobody waiting."""

    async def live() -> None:
        scheduler, found = _opened(slots=1)
        partition = scheduling_fakes.Partition(scheduler)
        for name in ("j1", "j2"):
            partition.enter(name)
        put(found, control("request/j1"), control("request/j2"))
        partition.release("j1", state=jobs.State.QUEUED)
        partition.enter("j3")
        found.put(controls.scope("request/j1"), None)
        assert not partition.enter("j1")  # the slot is taken by j3
        assert scheduling_fakes.in_flight(scheduler) == 1
        scheduler.close()

    scheduling_fakes.run_virtually(live())


def test_jobs_under_way_are_counted_for_all_scopes_in_one_pass() -> None:
    """Many drains cost as much as one; a job counts for each of them that names it."""

    class Counted(dict[jobs.LedgerKey, jobs.Job]):
        passes = 0

        def __iter__(self) -> Iterator[jobs.LedgerKey]:
            self.passes += 1
            return super().__iter__()

    found = standing.Controls(lambda: _NOW_MS)
    several = [samples.request(id=f"r-{n}", state=jobs.State.RUNNING, labels={"n": str(n)}) for n in range(3)]
    owned = Counted((one.ledger_key, one) for one in [*several, samples.request(id="r-4", labels={"n": "1"})])
    found.join(object(), "a", owned)
    scopes = [controls.scope(one) for one in ("all", "label/n=1", "tenant/b")]
    assert list(asyncio.run(found.under_way(scopes)).values()) == [3, 1, 0]
    assert owned.passes == 1
    assert asyncio.run(found.under_way([])) == {}
