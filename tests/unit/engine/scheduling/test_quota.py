"""A tenant's quota: its limits, and the part of them that is this process's."""

from __future__ import annotations

import pytest
from tests.support import clocks

from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.model import jobs
from mrs_relay.engine.scheduling import entries, quota


def account(
    time: clocks.HandClock | None = None, *, owned: int = 1, total: int = 1, **limits: int
) -> quota.TenantQuota:
    chosen = policies.Policy("a", limits=policies.Limits(**limits))
    return quota.TenantQuota(chosen, quota.Share(owned, total), time or clocks.HandClock())


def holder(number: int, owner: object = "p") -> entries.Holder:
    return owner, jobs.ledger_key("/s", str(number))


@pytest.mark.parametrize(
    ("owned", "total", "ours"), [(0, 0, 10), (4, 4, 10), (1, 4, 2), (3, 4, 7), (0, 4, 1), (1, 100, 1)]
)
def test_a_limit_is_shared_by_partitions_rounded_down_and_never_to_nothing(owned: int, total: int, ours: int) -> None:
    """All replicas together keep the limit, as long as there are no more replicas than it allows."""
    assert quota.Share(owned, total).of(10) == ours


def test_shares_of_all_replicas_add_up_to_no_more_than_the_limit() -> None:
    """However partitions are spread."""
    for spread in ([1, 1, 1, 1], [2, 2], [3, 1], [4]):
        assert sum(quota.Share(owned, 4).of(10) for owned in spread) <= 10


def test_as_many_run_as_may() -> None:
    """Who ends makes room, once; who is asked to run twice counts once."""
    one = account(running=2)
    one.start(holder(1))
    one.start(holder(1))
    one.occupy(holder(1))
    assert (one.is_full, one.running) == (False, 1)
    one.occupy(holder(2))
    assert (one.is_full, one.running) == (True, 2)
    assert [one.end(holder(1)), one.end(holder(1))] == [True, False]
    assert (one.is_full, one.running) == (False, 1)


def test_a_minute_takes_as_many_starts_as_may_be_and_no_more() -> None:
    """The window slides: each start makes room 60 seconds later."""
    time = clocks.HandClock()
    one = account(time, per_minute=2)
    one.start(holder(1))
    time.pass_s(20)
    assert one.wait_s() == 0.0
    one.start(holder(2))
    assert one.wait_s() == 40.0
    time.pass_s(40)
    assert one.wait_s() == 0.0
    one.start(holder(3))
    assert one.wait_s() == 20.0


def test_starts_of_an_earlier_owner_count_for_what_is_left_of_their_minute() -> None:
    """In whatever order they are reported, and not those that are older, or of a clock that is ahead."""
    time = clocks.HandClock()
    one = account(time, per_minute=2)
    one.recall([10.0, 61.0, 50.0, -5.0])
    assert one.wait_s() == 10.0
    time.pass_s(10)
    assert one.wait_s() == 0.0


def test_a_smaller_share_waits_until_enough_starts_are_old() -> None:
    """After a rebalance as many starts must have passed as are now too many."""
    time = clocks.HandClock()
    one = account(time, owned=4, total=4, per_minute=4)
    for number in range(4):
        one.start(holder(number))
        time.pass_s(1)
    one.share.owned = 1
    assert one.wait_s() == 59.0


def test_what_a_lost_partition_had_is_forgotten() -> None:
    """Its jobs run on under another owner, who counts them."""
    one = account(running=2, queued=3)
    lost, kept = object(), object()
    one.start(holder(1, lost))
    one.start(holder(2, kept))
    one.occupy(holder(2, kept))
    one.queue(lost, 2)
    one.queue(kept, 1)
    assert (one.queued, one.most_queued) == (3, 3)
    one.leave(lost)
    assert (one.queued, one.running) == (1, 1)


def test_without_tenants_nothing_is_limited_and_nothing_kept() -> None:
    """100,000 jobs of a service without tenants take no more memory for it."""
    one = quota.TenantQuota(policies.Policy(), quota.Share(1, 4), clocks.HandClock())
    one.start(holder(1))
    one.occupy(holder(2))
    assert (one.running, one.is_full, one.wait_s(), one.most_queued) == (0, False, 0.0, None)
