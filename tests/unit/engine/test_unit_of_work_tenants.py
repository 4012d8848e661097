"""How many requests of a tenant wait: counted when they are decided, over all partitions, and given back."""

from __future__ import annotations

import asyncio

from tests.unit.engine import fakes, samples

from mrs_relay.engine import context as contexts
from mrs_relay.engine import partition_jobs, unit_of_work
from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.model import job_records, jobs
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import lease as leases

POLICY = policies.Policy("nightly", limits=policies.Limits(queued=2))


def _read(
    context: contexts.TenantContext, lease: leases.Lease[contexts.Notice], base: partition_jobs.Jobs, *ids: str
) -> unit_of_work.UnitOfWork:
    """Return a plan of one batch of requests, none of which gets its turn."""
    made = unit_of_work.UnitOfWork(base, context, lease, lambda _key, _job: False)
    taken = [samples.record(samples.message(id=one), offset=number) for number, one in enumerate(ids)]
    for key, fact in made.read(inboxes.Batch(taken, ())):
        made.decide(key, fact)
    return made


def _states(made: unit_of_work.UnitOfWork) -> list[str]:
    return [job_records.decode(change.value).state for change in made.changes() if change.value is not None]


def test_a_place_is_taken_when_it_is_decided_not_when_it_is_committed() -> None:
    """Two partitions that decide at the same time do not both take the last place."""
    context = fakes.context(policy=POLICY)
    one, two = fakes.lease(), fakes.lease()
    assert _states(_read(context, one, partition_jobs.Jobs(), "r-1")) == ["queued"]
    assert _states(_read(context, two, partition_jobs.Jobs(), "r-2", "r-3")) == ["queued", "rejected"]
    assert (context.quota.planned, context.quota.queued) == (2, 0)


def test_what_was_not_committed_takes_no_place() -> None:
    """The next plan of the partition counts again from what is committed; a partition that is lost has none."""
    context = fakes.context(policy=POLICY)
    lease, base = fakes.lease(), partition_jobs.Jobs()
    _read(context, lease, base, "r-1", "r-2")
    assert context.quota.planned == 2
    committed = _read(context, lease, base, "r-3")
    list(committed.apply())
    assert (context.quota.planned, context.quota.queued, base.queued) == (1, 1, 1)
    context.quota.leave(lease)
    assert (context.quota.planned, context.quota.queued) == (0, 0)


def test_who_gets_a_turn_at_once_waits_for_nothing() -> None:
    """Only requests that wait count."""
    context = fakes.context(policy=POLICY)
    made = unit_of_work.UnitOfWork(partition_jobs.Jobs(), context, fakes.lease(), lambda _key, _job: True)
    taken = [samples.record(samples.message(id=f"r-{number}"), offset=number) for number in range(5)]
    for key, fact in made.read(inboxes.Batch(taken, ())):
        made.decide(key, fact)
    assert _states(made) == ["submitting"] * 5
    assert context.quota.planned == 0


def test_restored_requests_that_wait_are_counted() -> None:
    """Also those whose cluster is being chosen."""
    waiting = [samples.request(id=f"r-{state}", state=state) for state in (jobs.State.QUEUED, jobs.State.CHOOSING)]
    others = [samples.request(id="r-3", state=jobs.State.SUBMITTING)]
    lease = fakes.lease(restored={job.ledger_key: job_records.encode(job) for job in [*waiting, *others]})
    assert asyncio.run(partition_jobs.load(lease)).queued == 2
