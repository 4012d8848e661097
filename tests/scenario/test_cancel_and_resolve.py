"""Cancel, deadlines, retry and settling by hand, in virtual time: what people want of a job, in every state of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support import history, service, service_harness

pytestmark = pytest.mark.looptime

LONG = {"pace": {"run_s": 600}}


def long_job(request_id: str, **more: Any) -> bytes:
    """Return a job that would run ten minutes."""
    return service.job(request_id, **more)


def reason_of(here: service_harness.ServiceHarness, request_id: str) -> dict[str, Any]:
    """Return the reason in a request's last event."""
    found: dict[str, Any] = [event for event in here.events() if event.request_id == request_id][-1].data["reason"]
    return found


async def test_a_running_job_is_cancelled_once_mrs_confirms() -> None:
    """`cancelled` comes after MRS shows the job as killed, with the note of the cancel."""
    async with service_harness.start(emulated=LONG) as here:
        here.put(long_job("r-1"))
        await asyncio.sleep(30)
        here.put(service.cancel("c-1", "r-1", note="no longer needed"))
        await here.until_ended(["r-1"], 120)
        assert here.states("r-1")[-1] == "cancelled"
        assert reason_of(here, "r-1") == {"class": "cancelled", "code": "requested", "message": "no longer needed"}
        assert here.events()[-1].data["mrs"]["job_state"] == "KILLED"
        assert history.faults(["r-1"], here.events(), here.created()) == []


async def test_a_queued_job_is_cancelled_without_having_been_submitted() -> None:
    """A job that waits for a slot: nothing reaches MRS."""
    chosen = service_harness.settings(engine={"slots_per_cluster": 1})
    async with service_harness.start(chosen, emulated={**LONG, "clusters": [{"slots": 1}]}) as here:
        here.put(long_job("first"))
        await asyncio.sleep(5)
        here.put(long_job("second"))
        await asyncio.sleep(5)
        here.put(service.cancel("c-1", "second"))
        await here.until_ended(["second"], 60)
        assert here.states("second") == ["accepted", "cancelled"]
        assert len(here.created()) == 1


async def test_a_cancel_that_comes_before_its_request_is_remembered() -> None:
    """The cancel overtakes its submit: the request is accepted, cancelled, and never submitted."""
    async with service_harness.start() as here:
        here.put(service.cancel("c-1", "r-1"))
        await asyncio.sleep(60)
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 60)
        assert here.states("r-1") == ["accepted", "cancelled"]
        assert here.created() == []


async def test_a_cancel_without_a_request_is_rejected_after_its_time() -> None:
    """No such request for `cancel_wait_s`: rejected, under the id of the cancel, and forgotten."""
    async with service_harness.start(service_harness.settings(engine={"cancel_wait_s": 300})) as here:
        here.put(service.cancel("c-1", "nobody"))
        await asyncio.sleep(290)
        assert here.events() == []
        await asyncio.sleep(20)
        assert here.states("c-1") == ["rejected"]
        assert reason_of(here, "c-1")["code"] == "unknown_request"


@pytest.mark.parametrize("action", ["drop_after", "drop_before"])
async def test_a_job_in_doubt_is_looked_up_and_then_cancelled(action: str) -> None:
    """A cancel while the submission is in doubt: what is found is killed, what is not there is not sent again."""
    async with service_harness.start(emulated=LONG) as here:
        here.trouble(action=action, operation="CreateExecuteJob")
        here.put(long_job("r-1"))
        await asyncio.sleep(10)
        here.put(service.cancel("c-1", "r-1"))
        await here.until_ended(["r-1"], 600)
        assert here.states("r-1")[-1] == "cancelled"
        assert len(here.created()) == (1 if action == "drop_after" else 0)


async def test_a_cancel_that_loses_the_race_ends_in_the_jobs_own_verdict() -> None:
    """MRS accepts the kill, but the job ends by itself first: succeeded is reported, not cancelled."""
    async with service_harness.start(emulated={"pace": {"run_s": 20, "kill_s": 60}}) as here:
        here.put(service.job("r-1"))
        await asyncio.sleep(15)
        here.put(service.cancel("c-1", "r-1"))
        await here.until_ended(["r-1"], 200)
        assert here.states("r-1")[-1] == "succeeded"


async def test_a_cancel_of_a_finished_job_is_answered_with_its_state() -> None:
    """Nothing changes; the sender of the cancel sees the end that there was, as a repeated event."""
    async with service_harness.start() as here:
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 120)
        here.put(service.cancel("c-1", "r-1"))
        await asyncio.sleep(5)
        assert here.events()[-1].data["repeated"]
        assert here.states("r-1")[-2:] == ["succeeded", "succeeded"]


async def test_a_cancel_sent_with_another_key_finds_its_request_on_another_partition() -> None:
    """Passed once to the other partitions: the job there is cancelled, and its home partition forgets the cancel."""
    async with service_harness.start(
        service_harness.settings(engine={"cancel_wait_s": 300}), partitions=3, emulated=LONG
    ) as here:
        here.put(long_job("r-1"), partition=1)
        await asyncio.sleep(20)
        here.put(service.cancel("c-1", "r-1"), partition=2)
        await here.until_ended(["r-1"], 120)
        await asyncio.sleep(400)
        assert here.states("r-1")[-1] == "cancelled"
        assert here.states("c-1") == []
        passed = here.broker.committed(here.chosen.kafka.topics.requests)
        assert len(passed) == 2 + 2 + 1  # request and cancel, two copies, one word back


async def test_a_job_that_waits_too_long_is_cancelled_by_its_queue_deadline() -> None:
    """`queue_deadline_s` without a slot: cancelled with the reason, never submitted."""
    chosen = service_harness.settings(engine={"slots_per_cluster": 1})
    async with service_harness.start(chosen, emulated={**LONG, "clusters": [{"slots": 1}]}) as here:
        here.put(long_job("first"))
        await asyncio.sleep(5)
        here.put(long_job("second", queue_deadline_s=30))
        await here.until_ended(["second"], 60)
        assert here.states("second") == ["accepted", "cancelled"]
        assert reason_of(here, "second")["class"] == "deadline"
        assert len(here.created()) == 1


async def test_a_job_that_runs_too_long_is_cancelled_by_its_run_deadline() -> None:
    """`run_deadline_s` counts from the submission; the job is killed on MRS and reported as cancelled."""
    async with service_harness.start(emulated=LONG) as here:
        here.put(long_job("r-1", run_deadline_s=40))
        await here.until_ended(["r-1"], 120)
        assert here.states("r-1")[-1] == "cancelled"
        assert reason_of(here, "r-1")["code"] == "run_deadline"


async def test_a_failed_job_is_tried_again_with_a_new_token_as_often_as_it_wants() -> None:
    """Retry {attempts: 3}: three jobs with three names, `retrying` twice, then failed; backoff doubles."""
    async with service_harness.start() as here:
        here.put(service.job("r-1", name="will-fail", retry={"attempts": 3, "backoff_s": 10}))
        await here.until_ended(["r-1"], 600)
        states = here.states("r-1")
        assert states.count("retrying") == 2
        assert states[-1] == "failed"
        assert here.events()[-1].data["attempt"] == 3
        assert len(here.created()) == len(set(here.created())) == 3


async def test_a_reason_that_the_request_does_not_name_is_not_tried_again() -> None:
    """Retry only on `job_killed`: a failed job stays failed."""
    async with service_harness.start() as here:
        here.put(service.job("r-1", name="will-fail", retry={"attempts": 3, "backoff_s": 1, "on": ["job_killed"]}))
        await here.until_ended(["r-1"], 120)
        assert here.states("r-1")[-1] == "failed"
        assert len(here.created()) == 1


async def test_an_unknown_statement_is_settled_by_hand() -> None:
    """mrs.job.resolve ends a job of unknown outcome, with the note of the person; a second one changes nothing."""
    async with service_harness.start() as here:
        here.trouble(action="drop_before", operation="ExecuteSql")
        here.put(service.sql("w", "presto", "insert into t values (1)"))
        await here.until_ended(["w"], 300)
        here.put(service.resolve("s-1", "w", "succeeded", "the rows are there"))
        await asyncio.sleep(5)
        here.put(service.resolve("s-2", "w", "failed", "are they?"))
        await asyncio.sleep(5)
        assert here.states("w") == ["accepted", "unknown", "succeeded", "succeeded"]
        assert here.events()[-1].data["repeated"]
        assert reason_of(here, "w")["message"] == "the rows are there"


async def test_a_cancel_survives_the_death_of_the_replica() -> None:
    """The wish is in the ledger: the next owner continues killing the job."""
    async with service_harness.start(emulated={**LONG, "pace": {"run_s": 600, "kill_s": 30}}) as here:
        here.put(long_job("r-1"))
        await asyncio.sleep(20)
        here.put(service.cancel("c-1", "r-1"))
        await asyncio.sleep(0.5)
        await here.replicas[0].kill()
        await here.start_replica()
        await here.until_ended(["r-1"], 300)
        assert here.states("r-1")[-1] == "cancelled"


async def test_many_cancels_at_once_keep_to_the_budget_of_stops() -> None:
    """MRS takes 60 stops a minute: 150 running jobs are stopped one after the other, and none is asked in vain."""
    chosen = service_harness.settings(engine={"slots_per_cluster": 0})
    emulated = {"clusters": [{"slots": 0}], "pace": {"run_s": 36_000}}
    async with service_harness.start(chosen, emulated=emulated) as here:
        ids = [f"r-{number}" for number in range(150)]
        for one in ids:
            here.put(service.job(one))

        async with asyncio.timeout(600):
            while sum(event.state == "running" for event in here.events()) < len(ids):
                await asyncio.sleep(1)

        started_s = asyncio.get_running_loop().time()
        for one in ids:
            here.put(service.cancel(f"c-{one}", one))
        await here.until_ended(ids, 600)

        assert {here.states(one)[-1] for one in ids} == {"cancelled"}

        stops = [one for one in here.replicas[0].wire.answered if one.verb == "POST" and one.at_s > started_s]
        assert 0.9 * len(ids) <= len(stops) <= len(ids)  # the list may show the end before the stop is answered
        assert {one.status for one in stops} == {202}
