"""Cancelled jobs leave the queue: nothing of theirs stays at the scheduler."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.engine import scheduling_fakes

from mrs_relay.engine.model import jobs


def test_withdrawn_entry_gets_no_turn_and_delays_no_other() -> None:
    """The entry behind it is admitted; no slot, no place in flight and no token is spent on it."""

    async def live() -> None:
        quota = scheduling_fakes.Quota()
        scheduler = scheduling_fakes.open_scheduler(slots=1, quota=quota)
        partition = scheduling_fakes.Partition(scheduler)

        assert partition.enter("j1")

        for name in ("j2", "j3", "j4"):
            assert not partition.enter(name)
        partition.withdraw("j2")
        partition.withdraw("j3")

        assert scheduling_fakes.waiting(scheduler) == 1

        partition.land("j1")
        partition.release("j1")
        assert partition.admitted == ["j1", "j4"]
        assert (
            scheduling_fakes.waiting(scheduler),
            scheduling_fakes.in_flight(scheduler),
            quota.spent[jobs.SUBMISSION],
        ) == (0, 1, 2)
        scheduler.close()

    scheduling_fakes.run_virtually(live())


def test_entry_withdrawn_from_the_middle_is_passed_over() -> None:
    """Not only the first of a line can go."""

    async def live() -> None:
        scheduler = scheduling_fakes.open_scheduler(slots=1)
        partition = scheduling_fakes.Partition(scheduler)
        for name in ("j1", "j2", "j3", "j4"):
            partition.enter(name)
        partition.withdraw("j3")
        for name in ("j1", "j2"):
            partition.land(name)
            partition.release(name)
        assert partition.admitted == ["j1", "j2", "j4"]
        scheduler.close()

    scheduling_fakes.run_virtually(live())


def test_withdrawn_entry_stays_harmless_when_another_partition_leaves() -> None:
    """The entrys of a lost partition go from the middle of a line, which may bring a withdrawn one to its head."""

    async def live() -> None:
        scheduler = scheduling_fakes.open_scheduler(slots=1)
        leaving, staying = scheduling_fakes.Partition(scheduler), scheduling_fakes.Partition(scheduler)
        staying.enter("j1")
        leaving.enter("j2")
        for name in ("j3", "j4"):
            staying.enter(name)
        staying.withdraw("j3")
        scheduler.leave(leaving)
        staying.land("j1")
        staying.release("j1")
        assert staying.admitted == ["j1", "j4"]
        assert scheduling_fakes.waiting(scheduler) == 0
        scheduler.close()

    scheduling_fakes.run_virtually(live())


def test_turn_that_is_no_longer_wanted_is_given_back() -> None:
    """A cancel may come between a turn and its decision: slot and place in flight are free again."""

    async def live() -> None:
        scheduler = scheduling_fakes.open_scheduler(slots=1, intents=1)
        partition = scheduling_fakes.Partition(scheduler)
        assert partition.enter("j1")
        assert not partition.enter("j2", "b")
        partition.release("j1")
        partition.withdraw("j1")
        assert partition.admitted == ["j1", "j2"]
        partition.withdraw("j2")
        assert scheduling_fakes.in_flight(scheduler) == 0
        scheduler.close()

    scheduling_fakes.run_virtually(live())


@pytest.mark.parametrize("known", [True, False])
def test_withdrawing_what_does_not_wait_changes_nothing(known: bool) -> None:
    """Every job that ends withdraws, whether it ever waited or not."""

    async def live() -> None:
        scheduler = scheduling_fakes.open_scheduler(slots=1)
        partition = scheduling_fakes.Partition(scheduler)
        if known:
            partition.enter("j1")
            partition.land("j1")
            partition.release("j1")
        partition.withdraw("j1")
        partition.withdraw("j1")
        assert (scheduling_fakes.waiting(scheduler), scheduling_fakes.in_flight(scheduler)) == (0, 0)
        assert partition.enter("j2")
        scheduler.close()

    scheduling_fakes.run_virtually(live())


def test_entry_drawn_again_after_a_withdrawal_gets_one_turn() -> None:
    """The old entry may still lie in the line; only the new one counts."""

    async def live() -> None:
        scheduler = scheduling_fakes.open_scheduler(slots=1)
        partition = scheduling_fakes.Partition(scheduler)
        for name in ("j1", "j2", "j3"):
            partition.enter(name)
        partition.withdraw("j3")
        partition.enter("j3")
        assert scheduling_fakes.waiting(scheduler) == 2
        for name in ("j1", "j2", "j3"):
            partition.land(name)
            partition.release(name)
        await asyncio.sleep(1)
        assert partition.admitted == ["j1", "j2", "j3"]
        assert (scheduling_fakes.waiting(scheduler), scheduling_fakes.in_flight(scheduler)) == (0, 0)
        scheduler.close()

    scheduling_fakes.run_virtually(live())
