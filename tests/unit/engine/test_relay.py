"""The loop of one partition: nothing is done outside before the intention is committed."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from tests.unit.engine import fakes, samples, scheduling_fakes

from mrs_relay import errors
from mrs_relay.common import clock
from mrs_relay.engine import context as contexts
from mrs_relay.engine import relay
from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.model import facts, job_records, jobs
from mrs_relay.engine.scheduling import lanes
from mrs_relay.kafka import budget, records
from mrs_relay.kafka import inbox as inboxes
from mrs_relay.kafka import lease as leases


class _Writer(fakes.Writer):
    """A ledger that takes ten seconds for a commit, or refuses it then."""

    def __init__(self, *, refuses: bool) -> None:
        super().__init__({})
        self.refuses = refuses
        self.log: list[str] = []

    async def commit(
        self, changes: Sequence[records.Change], _outgoing: Sequence[records.Outgoing], _next_offset: int
    ) -> None:
        self.log.append("commit begins")
        await asyncio.sleep(10)
        if self.refuses:
            raise errors.Fenced("another owner exists")
        states = ",".join(job_records.decode(change.value).state for change in changes if change.value)
        self.log.append(f"committed: {states}")

    async def submit(self, _job: jobs.Job, still_ours: Callable[[], bool]) -> facts.Fact:
        self.log.append(f"sent: {still_ours()}")
        return facts.SubmissionAccepted(samples.JOB_ID)

    def follow(self, _job: jobs.Job, _key: jobs.LedgerKey, _owner: object) -> None:
        self.log.append("watched")

    def drop_owner(self, _owner: object) -> None:
        pass


async def _carry(writer: _Writer, seconds: float) -> None:
    """Carry one request for some time."""
    time = clock.LoopClock()
    pretended: Any = writer
    inbox: inboxes.Inbox[contexts.Notice] = inboxes.Inbox(capacity=10, next_offset=17)
    start = leases.Start({}, 17, 0.0)
    lease = leases.Lease(records.Position("mrs.requests", 0), start, inbox, writer, clock=time, stale_after_s=60)
    scheduler = scheduling_fakes.open_scheduler()

    context = dataclasses.replace(
        fakes.context(),
        time=time,
        scheduler=scheduler,
        tracker=pretended,
        cluster_tracker=pretended,
        submitter=pretended,
    )

    inbox.deliver([samples.record()])
    try:
        async with asyncio.timeout(seconds):
            await relay.relay(lease, context)
    except TimeoutError:
        writer.log.append("time is up")
    finally:
        scheduler.close()


def test_submission_is_sent_only_after_its_intention_is_committed() -> None:
    """First the ledger, then MRS, and then the ledger again before the job is followed."""
    writer = _Writer(refuses=False)
    scheduling_fakes.run_virtually(_carry(writer, 60))
    assert writer.log == [
        *("commit begins", "committed: submitting", "sent: True"),
        *("commit begins", "committed: submitted", "watched"),
        "time is up",
    ]


def test_submission_whose_intention_was_not_committed_is_never_sent() -> None:
    """The commit failed: its outcome is for the restore to find out, and nothing has happened outside."""
    writer = _Writer(refuses=True)
    with pytest.raises(errors.Fenced):
        scheduling_fakes.run_virtually(_carry(writer, 60))
    assert writer.log == ["commit begins"]


class _Unanswered(_Writer):
    """The same beside an MRS that never answers."""

    async def submit(self, _job: jobs.Job, _still_ours: Callable[[], bool]) -> facts.Fact:
        await asyncio.Event().wait()
        raise AssertionError


def _numbers(context: contexts.TenantContext) -> tuple[int, int, int, int, int]:
    """Return what metrics show of a tenant and its connection."""
    counts, tenant_quota = context.counts, context.quota
    return tenant_quota.queued, tenant_quota.running, context.lanes.taken, counts.events.total(), counts.commits


@pytest.mark.parametrize(("refuses", "after"), [(True, (0, 0, 0, 0, 0)), (False, (1, 1, 1, 2, 1))])
def test_metrics_count_what_is_committed_and_nothing_else(
    refuses: bool,
    after: tuple[int, int, int, int, int],
) -> None:
    """One request gets its turn, one waits: none is counted while the commit is under way, nor once it has failed."""
    seen = []

    async def live() -> None:
        writer = _Unanswered(refuses=refuses)
        pretended: Any = writer
        scheduler, place, time = (
            scheduling_fakes.open_scheduler(slots=1),
            records.Position("mrs.requests", 0),
            clock.LoopClock(),
        )
        inbox: inboxes.Inbox[contexts.Notice] = inboxes.Inbox(capacity=10, next_offset=0)
        lease = leases.Lease(place, leases.Start({}, 0, 0.0), inbox, writer, clock=time, stale_after_s=60)
        context = fakes.context(policy=policies.Policy("nightly", limits=policies.Limits(running=9)))
        context = dataclasses.replace(
            context, time=time, scheduler=scheduler, tracker=pretended, cluster_tracker=pretended
        )
        context = dataclasses.replace(context, submitter=pretended)
        inbox.deliver([samples.record(samples.message(id=f"r-{number}"), offset=number) for number in range(2)])

        carrying = asyncio.create_task(relay.relay(lease, context))
        for _ in range(2):
            await asyncio.sleep(7)
            seen.append(_numbers(context))
        carrying.cancel()
        await asyncio.wait([carrying])
        scheduler.close()

    scheduling_fakes.run_virtually(live())
    assert seen == [(0, 0, 0, 0, 0), after]


class _Kafka(fakes.Writer):
    """Notes what each commit holds: its bytes, and the offset that it reaches."""

    def __init__(self) -> None:
        super().__init__({})
        self.commits: list[tuple[int, int, int]] = []

    async def commit(
        self, changes: Sequence[records.Change], outgoing: Sequence[records.Outgoing], next_offset: int
    ) -> None:
        size_bytes = sum(records.size_bytes(change.key, change.value) for change in changes)
        size_bytes += sum(records.size_bytes(sent.key, sent.value, sent.headers) for sent in outgoing)
        self.commits.append((len(changes), size_bytes, next_offset))


def test_commits_are_bounded_by_their_bytes_and_a_large_record_goes_alone() -> None:
    """A batch takes as many commits as it needs; each reaches the offset of the first record that it does not hold."""
    kafka, limit_bytes = _Kafka(), 100_000
    sizes = [1_000] * 40 + [140_000, 1_000, 90_000, 90_000] + [1_000] * 10
    pretended: Any = _Writer(refuses=False)

    async def live() -> None:
        inbox: inboxes.Inbox[contexts.Notice] = inboxes.Inbox(capacity=100, next_offset=0)
        start = leases.Start({}, 0, 0.0, budget.CommitBudget(limit_bytes, 3.0))
        place, time = records.Position("mrs.requests", 0), clock.LoopClock()
        lease = leases.Lease(place, start, inbox, kafka, clock=time, stale_after_s=60)
        scheduler = scheduling_fakes.open_scheduler()
        context = dataclasses.replace(fakes.context(), time=time, scheduler=scheduler)
        context = dataclasses.replace(context, tracker=pretended, cluster_tracker=pretended, submitter=pretended)
        later = "2126-11-24T06:00:00Z"

        inbox.deliver(
            [
                samples.record(samples.sql("x" * size, not_before=later) | {"id": f"r-{number}"}, offset=number)
                for number, size in enumerate(sizes)
            ]
        )

        inbox.put(contexts.FactNotice(jobs.ledger_key("/billing", "nobody"), facts.Admitted()))
        working = asyncio.create_task(relay.relay(lease, context))
        await asyncio.sleep(10)
        working.cancel()
        await asyncio.wait([working])
        scheduler.close()

    scheduling_fakes.run_virtually(live())
    assert sum(count for count, _, _ in kafka.commits) == len(sizes)
    offsets = [offset for _, _, offset in kafka.commits]
    assert offsets == sorted(set(offsets))
    assert offsets[-1] == len(sizes)
    too_large = [(count, offset) for count, size_bytes, offset in kafka.commits if size_bytes > limit_bytes + 4_096]
    assert too_large == [(1, 41)]


def test_requests_that_wait_count_for_their_tenant_from_the_takeover_on() -> None:
    """Else another partition would take more than `queued` allows while nothing happens here."""
    waits = samples.request(not_before_ms=samples.NOW_MS + 3_600_000)

    async def live() -> None:
        context = dataclasses.replace(
            fakes.context(policy=policies.Policy("nightly")), scheduler=scheduling_fakes.open_scheduler()
        )
        pretended: Any = _Writer(refuses=False)
        context = dataclasses.replace(context, tracker=pretended, cluster_tracker=pretended)
        lease = fakes.lease(restored={waits.ledger_key: job_records.encode(waits)})
        working = asyncio.create_task(relay.relay(lease, context))
        await asyncio.sleep(1)
        assert context.quota.queued == 1
        working.cancel()
        await asyncio.wait([working])
        assert context.quota.queued == 0

    scheduling_fakes.run_virtually(live())


class _Quick(fakes.Writer):
    """A ledger and an MRS that answer within milliseconds, or an MRS that answers nothing; notes the states written."""

    def __init__(self, *, answers: bool) -> None:
        super().__init__({})
        self.answers = answers
        self.states: Counter[str] = Counter()

    async def commit(
        self, changes: Sequence[records.Change], _outgoing: Sequence[records.Outgoing], _next_offset: int
    ) -> None:
        await asyncio.sleep(0.005)
        self.states.update(job_records.decode(change.value).state for change in changes if change.value)

    async def submit(self, _job: jobs.Job, _still_ours: Callable[[], bool]) -> facts.Fact:
        if not self.answers:
            await asyncio.Event().wait()
        await asyncio.sleep(0.002)
        return facts.SubmissionAccepted(samples.JOB_ID)

    def follow(self, _job: jobs.Job, _key: jobs.LedgerKey, _owner: object) -> None:
        pass

    def drop_owner(self, _owner: object) -> None:
        pass


async def _carry_many(writer: _Quick, count: int) -> None:
    """Carry more requests than there are places in flight."""
    time, pretended = clock.LoopClock(), cast("Any", writer)
    inbox: inboxes.Inbox[contexts.Notice] = inboxes.Inbox(capacity=count, next_offset=0)
    start = leases.Start({}, 0, 0.0)
    lease = leases.Lease(records.Position("mrs.requests", 0), start, inbox, writer, clock=time, stale_after_s=60)
    scheduler = scheduling_fakes.open_scheduler(slots=0, intents=16)
    context = dataclasses.replace(
        fakes.context(), time=time, scheduler=scheduler, submitter=pretended, lanes=lanes.Lanes(16, 1)
    )
    context = dataclasses.replace(context, tracker=pretended, cluster_tracker=pretended)

    inbox.deliver([samples.record(samples.message(id=f"r-{number}"), offset=number) for number in range(count)])
    carrying = asyncio.create_task(relay.relay(lease, context))
    await asyncio.sleep(10)
    carrying.cancel()
    await asyncio.wait([carrying])
    scheduler.close()


def test_a_job_that_is_read_when_there_is_a_place_for_it_is_written_twice() -> None:
    """Many messages wait: each is read only when it can be admitted at once, so that no job is written as queued."""
    writer = _Quick(answers=True)
    scheduling_fakes.run_virtually(_carry_many(writer, 200))
    assert writer.states == {"submitting": 200, "submitted": 200}


def test_messages_are_read_although_no_submission_is_answered() -> None:
    """A message may be a cancel: it does not wait for a place in flight when MRS hangs."""
    writer = _Quick(answers=False)
    scheduling_fakes.run_virtually(_carry_many(writer, 200))
    assert writer.states == {"submitting": 14, "queued": 186}
