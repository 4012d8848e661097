"""The whole service in virtual time: what a subscriber reads in the ordinary and the less ordinary cases."""

from __future__ import annotations

import asyncio
import datetime as dt
import json

import pytest
from tests.support import history, service, service_harness

from mrs_relay.mrs import transport

pytestmark = pytest.mark.looptime

BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])


@BOTH
async def test_a_job_is_reported_from_accepted_to_succeeded(guarantee: str) -> None:
    """One request: accepted, submitted, running, progress, succeeded, numbered without gaps, one job on MRS."""
    async with service_harness.start(service_harness.settings(kafka={"guarantee": guarantee})) as here:
        here.put(service.job("r-1", name="nightly"))
        await here.until_ended(["r-1"], 120)
        states = here.states("r-1")
        assert states[:3] == ["accepted", "submitted", "running"] or states[:2] == ["accepted", "submitted"]
        assert states[-1] == "succeeded"
        assert history.faults(["r-1"], here.events(), here.created()) == []
        assert here.created()[0].startswith("nightly-mr")


async def test_a_failed_job_is_reported_as_failed_although_mrs_says_finished() -> None:
    """FINISHED with job_result FAILED is a failure: the verdict needs both fields."""
    async with service_harness.start() as here:
        here.put(service.job("r-1", name="will-fail"))
        await here.until_ended(["r-1"], 120)
        last = here.events()[-1]
        assert last.state == "failed"
        assert last.data["mrs"]["job_state"] == "FINISHED"
        assert last.data["reason"]["class"] == "job_failed"


async def test_a_job_killed_on_mrs_is_reported_as_cancelled() -> None:
    """The relay was not asked for it, so the reason's class distinguishes it from a cancel by message."""
    async with service_harness.start() as here:
        here.put(service.job("r-1", name="will-be-killed-killed"))
        await here.until_ended(["r-1"], 120)
        assert here.events()[-1].state == "cancelled"
        assert here.events()[-1].data["reason"]["class"] == "job_killed"


@BOTH
async def test_a_replica_that_dies_is_replaced_and_nothing_is_submitted_twice(guarantee: str) -> None:
    """One of two replicas ends in the middle: all jobs are carried out once and reported without gap or repeat."""
    chosen = service_harness.settings(
        kafka={"guarantee": guarantee}, mrs={"budgets": False}, engine={"slots_per_cluster": 0}
    )

    emulated = {"limits": {"on": False}, "clusters": [{"slots": 0}]}
    async with service_harness.start(chosen, partitions=4, replicas=2, emulated=emulated) as here:
        ids = [f"r-{number}" for number in range(40)]
        for number, one in enumerate(ids):
            here.put(service.job(one), key=b"key-%d" % number, partition=number % 4)
            if number == 20:
                await asyncio.sleep(2.0)
                await here.replicas[0].kill()
                await here.start_replica()
        await here.until_ended(ids, 600)
        if guarantee == "exactly-once":
            assert history.faults(ids, here.events(), here.created()) == []
        assert sorted(here.created()) == sorted(set(here.created()))
        assert len(here.created()) == len(ids)


class _SlowReplies(service_harness.Wire):
    """What is sent arrives at once; its reply takes five seconds."""

    async def send(self, request: transport.Request, timeout_s: float) -> transport.Response:
        reply = await super().send(request, timeout_s)
        if request.verb == "POST":
            await asyncio.sleep(5)
        return reply


@BOTH
async def test_a_submission_whose_replica_dies_before_the_reply_is_looked_up_by_the_next_one(guarantee: str) -> None:
    """Found under way in the ledger, it may or may not be on MRS: it is not sent again before that is known."""
    async with service_harness.start(service_harness.settings(kafka={"guarantee": guarantee}), replicas=0) as here:
        await here.start_replica(_SlowReplies(here.mrs))
        here.put(service.job("r-1"))
        while not here.created():
            await asyncio.sleep(0.1)
        assert here.states("r-1") == ["accepted"]
        await here.replicas[0].kill()
        await here.start_replica()
        await here.until_ended(["r-1"], 600)
        assert len(here.created()) == 1
        assert here.states("r-1")[-1] == "succeeded"


async def test_a_lost_reply_is_looked_up_and_the_job_adopted() -> None:
    """Dropped after the effect: after settling, the token is found, and the one job is followed to its end."""
    async with service_harness.start() as here:
        here.trouble(action="drop_after", operation="CreateExecuteJob")
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 600)
        assert history.faults(["r-1"], here.events(), here.created()) == []
        assert len(here.created()) == 1
        assert here.states("r-1")[-1] == "succeeded"


async def test_a_request_lost_on_its_way_is_sent_again_after_the_whole_visibility_window() -> None:
    """Dropped before the effect: nothing carries the token for the whole window, so it is submitted again, once."""
    async with service_harness.start() as here:
        here.trouble(action="drop_before", operation="CreateExecuteJob")
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 600)
        assert asyncio.get_running_loop().time() > 45 + 60
        assert history.faults(["r-1"], here.events(), here.created()) == []


async def test_a_fresh_job_that_the_list_hides_for_a_while_is_not_submitted_again() -> None:
    """Late listing: the look-up continues through the window, because a fresh job may be missing from the list."""
    emulated = {"quirks": {"late_listing_s": 80.0}, "pace": {"run_s": 100}}
    async with service_harness.start(emulated=emulated) as here:
        here.trouble(action="drop_after", operation="CreateExecuteJob")
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 900)
        assert len(here.created()) == 1


async def test_jobs_wait_for_a_slot_in_order_of_priority() -> None:
    """Full means wait: with one slot the jobs run one after another, the urgent one first."""
    chosen = service_harness.settings(engine={"slots_per_cluster": 1, "poll_interval_s": 0.5})
    async with service_harness.start(chosen, emulated={"clusters": [{"slots": 1}]}) as here:
        here.put(service.job("first", name="first"))
        await asyncio.sleep(2)
        here.put(service.job("low", name="low", priority=1))
        here.put(service.job("high", name="high", priority=9))
        await here.until_ended(["first", "low", "high"], 300)
        assert [name.split("-mr")[0] for name in here.created()] == ["first", "high", "low"]
        assert {here.states(one)[-1] for one in ("first", "low", "high")} == {"succeeded"}


async def test_a_cluster_that_says_it_is_full_makes_the_job_wait_and_uses_up_no_attempt() -> None:
    """0177 is no refusal: the job goes back to the line and is reported as submitted at its first attempt."""
    async with service_harness.start() as here:
        here.trouble(action="busy", operation="CreateExecuteJob", count=3)
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 300)
        assert here.states("r-1")[-1] == "succeeded"
        assert here.events()[-1].data["attempt"] == 1
        assert len(here.created()) == 1


async def test_a_throttled_connection_waits_as_long_as_mrs_says() -> None:
    """429 with Retry-After: nothing was executed, the same job is sent after the wait."""
    async with service_harness.start() as here:
        here.trouble(action="status", operation="CreateExecuteJob", status=429, headers={"Retry-After": "40"})
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 300)
        assert asyncio.get_running_loop().time() > 40
        assert history.faults(["r-1"], here.events(), here.created()) == []


async def test_a_refused_submission_is_reported_with_what_mrs_said() -> None:
    """An unknown cluster: failed, with MRS's code, text and request id, and no secret or argument in it."""
    async with service_harness.start() as here:
        here.put(service.job("r-1").replace(service.CLUSTER.encode(), b"elsewhere"))
        await here.until_ended(["r-1"], 60)
        reason = here.events()[-1].data["reason"]
        assert here.states("r-1") == ["accepted", "failed"]
        assert (reason["class"], reason["code"]) == ("refused", "12000003")
        assert reason["mrs_request_id"]


async def test_the_same_request_sent_again_is_answered_with_its_state_and_runs_once() -> None:
    """Same payload: a repeated event with the next number; another payload: rejected, and the job continues."""
    async with service_harness.start() as here:
        here.put(service.job("r-1"))
        await asyncio.sleep(1)
        here.put(service.job("r-1"))
        here.put(service.job("r-1", priority=9))
        await here.until_ended(["r-1"], 120)
        await asyncio.sleep(30)
        events = here.events()

        assert [event.sequence for event in events] == list(range(1, len(events) + 1))

        repeated = [event for event in events if event.data.get("repeated")]
        conflicts = [event for event in events if event.data.get("reason", {}).get("class") == "conflict"]
        assert len(repeated) == 1
        assert len(conflicts) == 1
        assert len(here.created()) == 1
        assert events[-1].state == "succeeded"


async def test_the_same_request_through_another_writer_is_the_same_request() -> None:
    """Numbers, nulls, defaults, moments, order and escapes are the writer's: a repeat is answered, never a conflict."""
    job = '{"job_type": "SparkSubmit", "arguments": ["obs://x/\u00fc.jar"]}'
    frame = '{"id": "r-1", "source": "/test", "type": "mrs.job.submit", "data": {"cluster": "%s", "job": %s, %s}}'
    spellings = [
        '"queue_deadline_s": 3600, "not_before": "2026-11-23T08:00:00Z"',
        '"not_before": "2026-11-23T09:00:00.000+01:00", "queue_deadline_s": 3600.0, "priority": 5.0, "retry": null',
        '"queue_deadline_s": 36E2, "priority": null, "labels": {}, "not_before": "2026-11-23T08:00:00.0Z"',
    ]

    async with service_harness.start() as here:
        for spelled in spellings:
            here.put((frame % (service.CLUSTER, job, spelled)).encode())
            await asyncio.sleep(1)
        here.put((frame % (service.CLUSTER, job, '"queue_deadline_s": 3600.5')).encode())
        await here.until_ended(["r-1"], 120)
        events = here.events()
        assert len([event for event in events if event.data.get("repeated")]) == 2
        assert len([event for event in events if event.data.get("reason", {}).get("class") == "conflict"]) == 1
        assert len(here.created()) == 1


async def test_a_corrected_request_may_use_the_id_of_a_rejected_one() -> None:
    """A rejection is remembered, so numbers continue; as nothing was submitted, the corrected request becomes a job."""
    async with service_harness.start() as here:
        broken = json.dumps({"id": "r-1", "source": "/test", "type": "mrs.job.submit", "data": {}}).encode()
        here.put(broken)
        await asyncio.sleep(1)
        here.put(service.job("r-1"))
        async with asyncio.timeout(120):
            while here.states("r-1")[-1:] != ["succeeded"]:
                await asyncio.sleep(0.5)
        assert here.states("r-1")[:2] == ["rejected", "accepted"]
        assert [event.sequence for event in here.events()] == list(range(1, len(here.events()) + 1))


async def test_a_request_for_later_is_accepted_now_and_submitted_then() -> None:
    """`not_before`: accepted at once, not submitted before the moment."""
    async with service_harness.start() as here:
        later = dt.datetime.fromtimestamp(here.time.now_ms() / 1000 + 600, tz=dt.UTC)
        here.put(service.job("r-1", not_before=later.isoformat()))
        await asyncio.sleep(590)
        assert here.states("r-1") == ["accepted"]
        await here.until_ended(["r-1"], 120)
        assert here.states("r-1")[-1] == "succeeded"


async def test_a_finished_request_is_forgotten_after_its_window_and_its_ledger_record_removed() -> None:
    """The ledger stays bounded: after the idempotency window a tombstone removes the record, and the id is free."""
    async with service_harness.start(service_harness.settings(engine={"remember_s": 600})) as here:
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 120)
        await asyncio.sleep(660)
        ledger = here.broker.committed(here.chosen.kafka.topics.ledger)
        values = {record.key: record.value for record in ledger if record.key and not record.key.startswith(b"\0")}
        assert values == {b"/test r-1": None}


async def test_polls_that_fail_change_nothing() -> None:
    """Minutes of 503 on every read: the job is reported late, and right."""
    async with service_harness.start() as here:
        here.trouble(action="status", operation="ShowSingleJobExe", status=503, count=20)
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 3600)
        assert here.states("r-1")[-1] == "succeeded"
        assert history.faults(["r-1"], here.events(), here.created()) == []


async def test_many_jobs_are_followed_by_pages_not_one_by_one() -> None:
    """Cost grows with pages: 250 jobs under way take three list calls a sweep, and every one is asked to its end."""
    chosen = service_harness.settings(mrs={"budgets": False}, engine={"slots_per_cluster": 0, "poll_interval_s": 10.0})
    emulated = {"limits": {"on": False}, "clusters": [{"slots": 0}], "pace": {"run_s": 100}}
    async with service_harness.start(chosen, emulated=emulated) as here:
        ids = [f"r-{number}" for number in range(250)]
        for one in ids:
            here.put(service.job(one))
        await asyncio.sleep(20)
        before = here.replicas[0].wire.sent
        await asyncio.sleep(50)
        sweeps = 5
        assert here.replicas[0].wire.sent - before <= sweeps * (3 + 1)
        await here.until_ended(ids, 600)
        assert history.faults(ids, here.events(), here.created()) == []
