"""How many requests of a tenant wait: counted when they are decided, over all partitions, and given back."""

from __future__ import annotations

from tests.unit.engine import benches, samples

from mrs_relay.engine import desk as desks
from mrs_relay.engine import job_records, jobs, partition_jobs, plan
from mrs_relay.engine import policy as policies
from mrs_relay.stream import feed as feeds
from mrs_relay.stream import lease as leases

POLICY = policies.Policy("nightly", limits=policies.Limits(queued=2))


def _read(desk: desks.Desk, lease: leases.Lease[desks.Notice], base: partition_jobs.Jobs, *ids: str) -> plan.Plan:
    """A plan of one batch of requests, none of which gets its turn."""
    made = plan.Plan(base, desk, lease, lambda _key, _job: False)
    taken = [samples.record(samples.message(id=one), offset=number) for number, one in enumerate(ids)]
    for key, fact in made.read(feeds.Batch(taken, ())):
        made.decide(key, fact)
    return made


def _states(made: plan.Plan) -> list[str]:
    return [job_records.decode(change.value).state for change in made.changes() if change.value is not None]


def test_a_place_is_taken_when_it_is_decided_not_when_it_is_committed() -> None:
    """Two partitions that decide at the same time do not both take the last place."""
    desk = benches.desk(policy=POLICY)
    one, two = benches.lease(), benches.lease()
    assert _states(_read(desk, one, partition_jobs.Jobs(), "r-1")) == ["queued"]
    assert _states(_read(desk, two, partition_jobs.Jobs(), "r-2", "r-3")) == ["queued", "rejected"]
    assert (desk.account.planned, desk.account.queued) == (2, 0)


def test_what_was_not_committed_takes_no_place() -> None:
    """The next plan of the partition counts anew from what is committed; a partition that is lost has none."""
    desk = benches.desk(policy=POLICY)
    lease, base = benches.lease(), partition_jobs.Jobs()
    _read(desk, lease, base, "r-1", "r-2")
    assert desk.account.planned == 2
    committed = _read(desk, lease, base, "r-3")
    list(committed.settle())
    assert (desk.account.planned, desk.account.queued, base.queued) == (1, 1, 1)
    desk.account.leave(lease)
    assert (desk.account.planned, desk.account.queued) == (0, 0)


def test_who_gets_a_turn_at_once_waits_for_nothing() -> None:
    """Only requests that wait count."""
    desk = benches.desk(policy=POLICY)
    made = plan.Plan(partition_jobs.Jobs(), desk, benches.lease(), lambda _key, _job: True)
    taken = [samples.record(samples.message(id=f"r-{number}"), offset=number) for number in range(5)]
    for key, fact in made.read(feeds.Batch(taken, ())):
        made.decide(key, fact)
    assert _states(made) == ["submitting"] * 5
    assert desk.account.planned == 0


def test_restored_requests_that_wait_are_counted() -> None:
    """Also those whose cluster is being chosen."""
    waiting = [samples.request(id=f"r-{state}", state=state) for state in (jobs.State.QUEUED, jobs.State.CHOOSING)]
    others = [samples.request(id="r-3", state=jobs.State.SUBMITTING)]
    lease = benches.lease(restored={job.ledger_key: job_records.encode(job) for job in [*waiting, *others]})
    assert partition_jobs.load(lease).queued == 2
