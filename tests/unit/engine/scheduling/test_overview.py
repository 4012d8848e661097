"""The overview names slots, pauses and the first of each queue, at a cost that does not grow with the queues."""

from __future__ import annotations

import pytest
from tests.unit.engine import scheduling_fakes

from mrs_relay.engine.model import jobs
from mrs_relay.engine.scheduling import breaker, entries, fair_queue, overview, waits

pytestmark = pytest.mark.looptime

_PLACE = ("a", jobs.SUBMISSION)


def _ids(line: overview.Line) -> list[str]:
    return [entry.key.decode().rpartition(" ")[2] for entry in line.first]


async def test_a_line_is_in_the_order_of_the_turns() -> None:
    """By priority and arrival; withdrawn entries are left out, and the count is that of all."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=1))
    for number in range(30):
        partition.enter(f"j{number}", priority=9 if number == 20 else 5)
    for number in (3, 4, 25):
        partition.withdraw(f"j{number}")

    seen = partition.scheduler.overview(10, 5)
    (cluster,) = seen.clusters
    assert (seen.slots, cluster.cluster, cluster.taken, len(cluster.holders)) == (1, "a", 1, 1)
    (line,) = cluster.lines
    assert (line.count, _ids(line)) == (26, ["j20", "j1", "j2", "j5", "j6"])
    assert [cause for cause, _ in line.causes] == [waits.Cause.SLOTS]
    assert (line.first[0].priority, line.first[0].since_ms(scheduling_fakes.AGING_S)) == (9, 20)
    partition.scheduler.close()


async def test_a_long_line_is_looked_at_for_its_first_entries_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """100,000 may wait, and the overview is taken once a second."""
    looks: list[object] = []
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler(slots=1))
    for number in range(2000):
        partition.enter(f"j{number}")
    is_live = fair_queue.FairQueue._is_live

    def noted(self: fair_queue.FairQueue, entry: entries.QueueEntry) -> bool:
        looks.append(entry)
        return is_live(self, entry)

    monkeypatch.setattr(fair_queue.FairQueue, "_is_live", noted)
    partition.scheduler.overview(10, 20)
    assert len(looks) == 20
    for number in range(1, 1999):
        partition.withdraw(f"j{number}")
    looks.clear()
    partition.scheduler.overview(10, 20)
    assert len(looks) <= 200
    partition.scheduler.close()


async def test_all_causes_are_named_in_order_and_pauses_have_their_answers() -> None:
    """A connection that is paused, and a cluster that refuses besides."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler())
    partition.scheduler.pauses.refused(_PLACE, 1.0, breaker.Answer("12000062", "its state"))
    partition.scheduler.pauses.pause(9.0)
    partition.enter("j1")
    seen = partition.scheduler.overview(10, 5)
    assert (round(seen.paused_s), seen.is_unreachable) == (9, False)
    ((paused,), (line,)) = seen.clusters[0].paused, seen.clusters[0].lines
    assert (paused.operation, paused.state, paused.answer.code) == (_PLACE[1], breaker.State.REFUSING, "12000062")
    assert [cause for cause, _ in line.causes] == [waits.Cause.CONNECTION, waits.Cause.CLUSTER, waits.Cause.PROBE]
    partition.scheduler.close()


async def test_of_many_clusters_some_are_described_and_all_are_counted() -> None:
    """A relay may have thousands."""
    partition = scheduling_fakes.Partition(scheduling_fakes.open_scheduler())
    for number in range(30):
        partition.enter(f"j{number}", cluster=f"c-{number}")
    seen = partition.scheduler.overview(10, 5)
    assert (seen.count, len(seen.clusters)) == (30, 10)
    partition.scheduler.close()
