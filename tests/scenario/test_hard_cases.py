"""The whole service in virtual time: cases where a shortcut would lose or double something."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support import history, service, service_harness

from mrs_emulator.core import core
from mrs_relay.mrs import client as clients
from mrs_relay.mrs import transport
from mrs_relay.mrs.operations import jobs as job_calls

pytestmark = pytest.mark.looptime

BOTH = pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])


async def test_a_look_up_that_is_refused_for_credentials_never_leads_to_a_second_job() -> None:
    """Refused reads say nothing about the job: the look-up waits for an answer, far beyond the visibility window."""
    async with service_harness.start() as here:
        here.trouble(action="drop_after", operation="CreateExecuteJob")
        body = {"error_code": "APIGW.0301", "error_msg": "Incorrect IAM authentication information"}
        here.trouble(action="status", operation="ShowJobExeListNew", status=401, body=body, count=30)
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 3600)
        assert asyncio.get_running_loop().time() > 45 + 60 + 100
        assert len(here.created()) == 1
        assert history.faults(["r-1"], here.events(), here.created()) == []


@BOTH
async def test_a_large_unreadable_message_is_kept_whole_and_its_neighbours_continue(guarantee: str) -> None:
    """900,000 bytes that are no request: a dead letter with every byte, in both guarantees."""
    async with service_harness.start(service_harness.settings(kafka={"guarantee": guarantee})) as here:
        here.put(service.job("before"))
        here.put(b"{" * 900_000)
        here.put(service.job("after"))
        await here.until_ended(["before", "after"], 300)
        letters = here.broker.committed(here.chosen.kafka.topics.dead_letters)
        assert [letter.value for letter in letters] == [b"{" * 900_000]
        assert history.faults(["before", "after"], here.events(), here.created()) == []


@BOTH
async def test_a_broker_that_goes_away_and_comes_back_loses_nothing(guarantee: str) -> None:
    """Kafka is gone for two minutes in the middle: jobs are carried out once, and their events follow afterwards."""
    chosen = service_harness.settings(
        kafka={"guarantee": guarantee}, mrs={"budgets": False}, engine={"slots_per_cluster": 0}
    )

    emulated = {"limits": {"on": False}, "clusters": [{"slots": 0}]}
    async with service_harness.start(chosen, partitions=2, emulated=emulated) as here:
        ids = [f"r-{number}" for number in range(20)]
        for number, one in enumerate(ids):
            here.put(service.job(one), partition=number % 2)
        await asyncio.sleep(0.6)
        here.broker.go_down()
        await asyncio.sleep(120)
        here.broker.come_up()
        await here.until_ended(ids, 1200)
        assert len(here.created()) == len(set(here.created())) == len(ids)
        if guarantee == "exactly-once":
            assert history.faults(ids, here.events(), here.created()) == []


@pytest.mark.parametrize("applied", [True, False])
async def test_a_commit_whose_reply_is_lost_is_settled_by_the_restore(applied: bool) -> None:
    """The outcome of a commit is unknown: the ledger says whether it took place; nothing is published or sent twice."""
    async with service_harness.start() as here:
        ids = [f"r-{number}" for number in range(5)]
        for one in ids[:3]:
            here.put(service.job(one))
        await asyncio.sleep(0.5)
        here.broker.fail_writes(applied=applied)
        for one in ids[3:]:
            here.put(service.job(one))
        await here.until_ended(ids, 900)
        assert history.faults(ids, here.events(), here.created()) == []


async def test_a_rebalance_in_the_middle_keeps_every_job_and_sends_none_twice() -> None:
    """A second replica joins while jobs are queued, being submitted and running: partitions move, jobs continue."""
    chosen = service_harness.settings(mrs={"budgets": False}, engine={"slots_per_cluster": 0})
    emulated = {"limits": {"on": False}, "clusters": [{"slots": 0}]}
    async with service_harness.start(chosen, partitions=4, emulated=emulated) as here:
        ids = [f"r-{number}" for number in range(40)]
        for number, one in enumerate(ids):
            here.put(service.job(one), partition=number % 4)
            if number == 15:
                await asyncio.sleep(0.45)
                await here.start_replica()
            await asyncio.sleep(0.05)
        await here.until_ended(ids, 900)
        assert history.faults(ids, here.events(), here.created()) == []


async def test_presto_reads_are_sent_again_and_writes_become_unknown_when_a_reply_is_lost() -> None:
    """No list shows statements: a SELECT may run twice without harm, an INSERT must never, so it ends as unknown."""
    async with service_harness.start() as here:
        here.trouble(action="drop_before", operation="ExecuteSql", name="insert*")
        here.put(service.sql("write", "presto", "insert into t values (1)"))
        await here.until_ended(["write"], 300)
        last = here.events()[-1]
        assert last.state == "unknown"
        assert last.data["reason"]["class"] == "unresolved"
        assert here.states("write") == ["accepted", "unknown"]


async def test_a_shutdown_while_jobs_wait_in_line_ends_at_once() -> None:
    """Queued jobs stay in the ledger for the next owner; the process does not turn in circles over them."""
    chosen = service_harness.settings(mrs={"budgets": False}, engine={"slots_per_cluster": 1})
    async with service_harness.start(chosen, emulated={"limits": {"on": False}, "pace": {"run_s": 600}}) as here:
        for number in range(20):
            here.put(service.job(f"r-{number}"))
        await asyncio.sleep(5)
        replica = here.replicas[0]
        replica.kafka.stop()
        started_s = asyncio.get_running_loop().time()
        assert replica.task is not None
        await asyncio.wait([replica.task], timeout=60)
        assert asyncio.get_running_loop().time() - started_s < 5
        await here.start_replica()
        await asyncio.sleep(30)
        assert len(here.created()) == 1


async def test_many_clusters_share_the_read_budget_and_no_poll_is_throttled() -> None:
    """30 clusters polled as often as wished would take 18,000 reads a minute: the interval grows, and 1000 suffice."""
    clusters = [{"cluster_id": f"c-{number}", "name": f"c-{number}"} for number in range(30)]
    chosen = service_harness.settings(engine={"poll_interval_s": 0.1}, mrs={"budgets": True})
    async with service_harness.start(chosen, emulated={"clusters": clusters, "pace": {"run_s": 60}}) as here:
        ids = [f"r-{number}" for number in range(30)]
        for number, one in enumerate(ids):
            here.put(service.job(one).replace(service.CLUSTER.encode(), b"c-%d" % number))
        await here.until_ended(ids, 3600)
        assert history.faults(ids, here.events(), here.created()) == []
        lag = here.replicas[0].context.tracker.lag
        assert sum(lag.counts) == 30
        assert lag.sum_s / 30 < 5


async def test_replicas_share_the_write_budget() -> None:
    """Two replicas send 60 submissions a minute together, and MRS throttles none."""
    chosen = service_harness.settings(engine={"slots_per_cluster": 0})
    async with service_harness.start(chosen, partitions=4, replicas=2, emulated={"clusters": [{"slots": 0}]}) as here:
        await asyncio.sleep(70)  # a first coordinator takes a minute to know what was spent before it
        ids = [f"r-{number}" for number in range(120)]
        for number, one in enumerate(ids):
            here.put(service.job(one), partition=number % 4)
        started_s = asyncio.get_running_loop().time()
        await here.until_ended(ids, 600)
        assert [replica.context.quota.share.owned for replica in here.replicas] == [2, 2]
        assert asyncio.get_running_loop().time() - started_s < 120 / 60 * 60 * 1.15
        assert history.faults(ids, here.events(), here.created()) == []


async def _submit_by_hand(here: service_harness.ServiceHarness, name: str) -> str:
    """Submit as a request does that was on its way for ever: one more job under a name that exists."""
    client = clients.Client(here.chosen.mrs, service_harness.Wire(here.mrs), here.time)
    body = {"job_type": "SparkSubmit", "job_name": name}
    reply = await client.call(job_calls.CREATE_EXECUTE_JOB, path={"cluster_id": service.CLUSTER}, body=body)
    return reply.job_id


async def _job_result(here: service_harness.ServiceHarness, job_id: str) -> str:
    client = clients.Client(here.chosen.mrs, service_harness.Wire(here.mrs), here.time)
    path = {"cluster_id": service.CLUSTER, "job_execution_id": job_id}
    return str((await client.call(job_calls.SHOW_SINGLE_JOB_EXE, path=path)).job_detail.job_result)


async def test_of_two_jobs_with_one_token_the_older_is_kept_and_the_other_stopped_and_reported() -> None:
    """A lost reply, and then the token is there twice: one continues, the event names the one that is stopped."""
    async with service_harness.start(emulated={"pace": {"run_s": 300}}) as here:
        here.trouble(operation="CreateExecuteJob", action="drop_after", count=1)
        here.trouble(operation="ShowJobExeListNew", action="status", status=503, count=8)
        here.put(service.job("r-1", name="nightly"))
        await asyncio.sleep(5)
        duplicate = await _submit_by_hand(here, here.created()[0])
        await here.until_ended(["r-1"], 3600)
        events = here.events()
        submitted = next(event for event in events if event.state == "submitted")
        assert submitted.data["reason"]["class"] == "duplicate"
        assert duplicate in submitted.data["reason"]["message"]
        assert submitted.data["mrs"]["job_id"] != duplicate
        assert events[-1].state == "succeeded"
        assert await _job_result(here, duplicate) == "KILLED"


async def test_a_second_job_is_stopped_by_the_next_owner_if_the_first_one_dies() -> None:
    """The wish to stop it stands in the ledger until MRS has agreed."""
    async with service_harness.start(emulated={"pace": {"run_s": 900}}) as here:
        here.trouble(operation="CreateExecuteJob", action="drop_after", count=1)
        here.trouble(operation="ShowJobExeListNew", action="status", status=503, count=8)
        here.trouble(operation="StopJob", action="status", status=503, count=2)
        here.put(service.job("r-1", name="nightly"))
        await asyncio.sleep(5)
        duplicate = await _submit_by_hand(here, here.created()[0])
        while "submitted" not in here.states("r-1"):
            await asyncio.sleep(0.5)
        await here.replicas[0].kill()
        assert await _job_result(here, duplicate) == "UNDEFINED"
        await here.start_replica()
        await here.until_ended(["r-1"], 3600)
        assert await _job_result(here, duplicate) == "KILLED"


class _SlowWire(service_harness.Wire):
    """Gives up on the first submission, which arrives all the same, much later."""

    def __init__(self, mrs: core.Emulator, late_s: float) -> None:
        super().__init__(mrs)
        self._late_s = late_s
        self._late: list[asyncio.Task[transport.Response]] = []

    async def send(self, request: transport.Request, timeout_s: float) -> transport.Response:
        if request.verb == "POST" and not self._late:
            self._late.append(asyncio.create_task(self._arrive(request)))
            await asyncio.sleep(timeout_s)
            raise transport.Lost("no reply in time")
        return await super().send(request, timeout_s)

    async def _arrive(self, request: transport.Request) -> transport.Response:
        await asyncio.sleep(self._late_s)
        return await super().send(request, 60)


@pytest.mark.parametrize("owner", ["lives", "dies"])
async def test_a_job_that_arrives_after_its_cancel_was_reported_is_stopped_and_reported(owner: str) -> None:
    """
    Longer on its way than is promised for: `cancelled` came too early, so the job is stopped once it shows.

    The ledger says that MRS is to be looked at again, so the next owner does it, too.
    """
    chosen = service_harness.settings()
    too_long_s = chosen.mrs.call_timeout_s + chosen.engine.settle_s + chosen.engine.visibility_s + 30

    async with service_harness.start(chosen, replicas=0, emulated={"pace": {"run_s": 7200}}) as here:
        await here.start_replica(_SlowWire(here.mrs, too_long_s))
        here.put(service.job("r-1"))
        await asyncio.sleep(40)
        here.put(service.cancel("c-1", "r-1"))
        await here.until_ended(["r-1"], 600)

        assert (here.states("r-1"), here.created()) == (["accepted", "cancelled"], [])
        if owner == "dies":
            await here.replicas[0].kill()
            await here.start_replica()

        await asyncio.sleep(600)
        assert here.states("r-1") == ["accepted", "cancelled", "cancelled"]

        published = here.events()[-1].data
        assert (published["repeated"], published["reason"]["code"]) == (True, "stopped_twin")

        [late] = [effect.effect_id for effect in here.mrs.effects() if effect.kind == "job"]
        assert await _job_result(here, late) == "KILLED"


@pytest.mark.parametrize("attempts", [1, 2])
async def test_a_job_that_arrives_after_its_attempt_has_failed_is_stopped_and_reported(attempts: int) -> None:
    """It was sent again and refused, so its request has failed, or is at its next attempt: nothing runs beside."""
    chosen = service_harness.settings()
    too_long_s = chosen.mrs.call_timeout_s + chosen.engine.settle_s + chosen.engine.visibility_s + 30

    async with service_harness.start(chosen, replicas=0, emulated={"pace": {"run_s": 900}}) as here:
        await here.start_replica(_SlowWire(here.mrs, too_long_s))
        refusal = {"error_code": "0164", "error_msg": "no"}
        here.trouble(action="status", operation="CreateExecuteJob", status=400, body=refusal)
        retry: dict[str, Any] = {"retry": {"attempts": attempts, "on": ["refused"], "backoff_s": 1}}
        here.put(service.job("r-1", **(retry if attempts > 1 else {})))
        await here.until_ended(["r-1"], 3600)
        await asyncio.sleep(600)
        last = "failed" if attempts == 1 else "succeeded"
        [notice] = [event.data for event in here.events() if event.data.get("repeated")]

        assert notice["reason"]["code"] == "stopped_twin"

        results = {effect.effect_id: await _job_result(here, effect.effect_id) for effect in here.mrs.effects()}
        late = next(job_id for job_id in results if job_id in notice["reason"]["message"])
        assert results.pop(late) == "KILLED"
        assert list(results.values()) == ["SUCCEEDED"] * (attempts - 1)
        assert [state for state in here.states("r-1") if state != "progress"][-1] == last


async def test_a_request_that_is_long_on_its_way_and_late_in_the_list_is_still_found() -> None:
    """The wait for requests on their way comes before the visibility window, not within it: one job, adopted."""
    chosen = service_harness.settings()
    on_its_way_s = chosen.mrs.call_timeout_s + chosen.engine.settle_s - 1
    emulated = {"quirks": {"late_listing_s": chosen.engine.visibility_s - 1}}
    async with service_harness.start(chosen, replicas=0, emulated=emulated) as here:
        await here.start_replica(_SlowWire(here.mrs, on_its_way_s))
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 3600)
        assert len(here.created()) == 1
        assert here.states("r-1")[:2] == ["accepted", "submitted"]


@pytest.mark.parametrize("owner", ["lives", "dies"])
async def test_a_second_job_that_arrives_after_the_first_was_adopted_is_stopped_and_reported(owner: str) -> None:
    """The look-up finds one job at once; what shows up later under the same token is found by looking again."""
    async with service_harness.start(emulated={"pace": {"run_s": 900}}) as here:
        here.trouble(operation="CreateExecuteJob", action="drop_after", count=1)
        here.put(service.job("r-1", name="nightly"))
        while "submitted" not in here.states("r-1"):
            await asyncio.sleep(0.5)
        duplicate = await _submit_by_hand(here, here.created()[0])

        if owner == "dies":
            await here.replicas[0].kill()
            await here.start_replica()

        await here.until_ended(["r-1"], 3600)
        notice = next(event for event in here.events() if event.data.get("repeated"))
        assert notice.data["reason"]["class"] == "duplicate"
        assert duplicate in notice.data["reason"]["message"]
        assert here.states("r-1")[-1] == "succeeded"
        assert await _job_result(here, duplicate) == "KILLED"


async def test_a_request_that_arrives_after_every_wait_leaves_one_job_running() -> None:
    """Longer on its way than is promised for: there are two jobs then, and one of them is stopped and reported."""
    chosen = service_harness.settings()
    too_long_s = chosen.mrs.call_timeout_s + chosen.engine.settle_s + chosen.engine.visibility_s + 30
    async with service_harness.start(chosen, replicas=0, emulated={"pace": {"run_s": 900}}) as here:
        await here.start_replica(_SlowWire(here.mrs, too_long_s))
        here.put(service.job("r-1"))
        await here.until_ended(["r-1"], 3600)
        assert len(here.created()) == 2
        results = [await _job_result(here, effect.effect_id) for effect in here.mrs.effects() if effect.kind == "job"]
        assert sorted(results) == ["KILLED", "SUCCEEDED"]
        assert [event.data["reason"]["class"] for event in here.events() if event.data.get("repeated")] == ["duplicate"]
        assert here.states("r-1")[-1] == "succeeded"


async def test_a_job_that_shows_up_while_its_request_waits_to_be_sent_again_is_adopted() -> None:
    """Longer on its way than is promised for, and the cluster is full meanwhile: what is known is not done twice."""
    chosen = service_harness.settings(engine={"slots_per_cluster": 1})
    too_long_s = chosen.mrs.call_timeout_s + chosen.engine.settle_s + chosen.engine.visibility_s + 30
    async with service_harness.start(chosen, replicas=0, emulated={"pace": {"run_s": 900}}) as here:
        await here.start_replica(_SlowWire(here.mrs, too_long_s))
        here.put(service.job("r-1"))
        await asyncio.sleep(10)
        here.put(service.job("r-2"))
        await here.until_ended(["r-1", "r-2"], 3600)
        assert history.faults(["r-1", "r-2"], here.events(), here.created()) == []
        assert len(here.created()) == 2
        assert [event.data["attempt"] for event in here.events() if event.state == "succeeded"] == [1, 1]
