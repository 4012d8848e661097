"""The whole service in virtual time on a cluster that only V1.1's job API knows: the same promises as with V2."""

from __future__ import annotations

import asyncio
import json

import pytest
from tests.support import history, service, service_harness

from mrs_relay.mrs import client as clients
from mrs_relay.mrs.models import jobs_v11 as v11_models
from mrs_relay.mrs.operations import jobs_v11 as v11_calls

pytestmark = pytest.mark.looptime

SLOW = {"pace": {"run_s": 300}}
SUBMIT = "CreateAndExecuteJob"
PLACES = {"output": "s3a://demo/out/", "job_log": "s3a://demo/logs/"}


def _without_progress(here: service_harness.ServiceHarness, request_id: str) -> list[str]:
    return [state for state in here.states(request_id) if state != "progress"]


async def _state_of(here: service_harness.ServiceHarness, job_id: str) -> int:
    client = clients.Client(here.chosen.mrs, service_harness.Wire(here.mrs), here.time)
    return (await client.call(v11_calls.SHOW_JOB_EXES, path={"job_exe_id": job_id})).job_execution.job_state


async def _submit_by_hand(here: service_harness.ServiceHarness, name: str) -> str:
    """Return what a request does that was on its way for ever: one more job under a name that exists."""
    client = clients.Client(here.chosen.mrs, service_harness.Wire(here.mrs), here.time)
    body = {"job_type": 1, "job_name": name, "cluster_id": service.CLUSTER, "jar_path": "s3a://demo/sessionize.jar"}
    return (await client.call(v11_calls.CREATE_AND_EXECUTE_JOB, body=body)).job_execution.id


async def _until_event(here: service_harness.ServiceHarness, request_id: str, state: str) -> None:
    async with asyncio.timeout(3600):
        while state not in here.states(request_id):
            await asyncio.sleep(0.5)


async def test_a_job_is_reported_from_accepted_to_succeeded_with_its_places_and_v2_is_never_asked() -> None:
    """The same story as with V2, reported by V1.1's operations alone; output and log are named at the end."""
    async with service_harness.start(emulated={"pace": {"run_s": 30}}) as here:
        here.put(service.old_job("r-1", name="nightly", fields=PLACES))
        await here.until_ended(["r-1"], 120)
        assert _without_progress(here, "r-1") == ["accepted", "submitted", "running", "succeeded"]
        last = here.events()[-1].data
        assert (last["mrs"]["job_state"], last["mrs"]["job_result"]) == ("COMPLETED", "SUCCEEDED")
        assert (last["result"]["location"], last["result"]["log_location"]) == (PLACES["output"], PLACES["job_log"])
        assert here.created()[0].startswith("nightly-mr")
        assert history.faults(["r-1"], here.events(), here.created()) == []
        assert not any("/v2/" in one.target for one in here.replicas[0].wire.answered)


@pytest.mark.parametrize(
    ("name", "state", "reason", "shown"),
    [
        ("will-fail", "failed", "job_failed", ("ABNORMAL", "FAILED")),
        ("will-be-killed-killed", "cancelled", "job_killed", ("TERMINATED", "CANCELLED")),
    ],
)
async def test_a_bad_end_is_reported_with_its_reason(
    name: str, state: str, reason: str, shown: tuple[str, str]
) -> None:
    """Numbers become the names that the pages give them, and the verdict comes from both."""
    async with service_harness.start() as here:
        here.put(service.old_job("r-1", name=name))
        await here.until_ended(["r-1"], 120)
        last = here.events()[-1]
        assert (last.state, last.data["reason"]["class"]) == (state, reason)
        assert (last.data["mrs"]["job_state"], last.data["mrs"]["job_result"]) == shown


async def test_a_cluster_that_is_too_new_refuses_and_its_words_are_reported() -> None:
    """12000085: this cluster wants V2; the job fails at once, with MRS's code."""
    async with service_harness.start(emulated={"v11": {"needs_old_version": True}}) as here:
        here.put(service.old_job("r-1"))
        await here.until_ended(["r-1"], 60)
        assert here.states("r-1") == ["accepted", "failed"]
        reason = here.events()[-1].data["reason"]
        assert (reason["class"], reason["code"]) == ("refused", "12000085")


async def test_a_lost_refusal_of_a_security_cluster_is_found_out() -> None:
    """12000064 is what its list answers, too: no job can be there, so the request is sent and refused again."""
    async with service_harness.start(emulated={"clusters": [{"kerberos": True}]}) as here:
        here.trouble(action="drop_after", operation=SUBMIT)
        here.put(service.old_job("r-1"))
        await here.until_ended(["r-1"], 600)
        assert here.events()[-1].data["reason"]["code"] == "12000064"
        assert here.created() == []


async def test_a_lost_reply_is_looked_up_and_the_job_adopted() -> None:
    """Dropped after the effect: the token is found in V1.1's list, and the one job is followed to its end."""
    async with service_harness.start() as here:
        here.trouble(action="drop_after", operation=SUBMIT)
        here.put(service.old_job("r-1", fields=PLACES))
        await here.until_ended(["r-1"], 600)
        assert history.faults(["r-1"], here.events(), here.created()) == []
        assert len(here.created()) == 1
        assert here.states("r-1")[-1] == "succeeded"


async def test_a_request_lost_on_its_way_is_sent_again_after_the_whole_visibility_window() -> None:
    """Dropped before the effect: nothing carries the token for the whole window, so it is submitted again, once."""
    async with service_harness.start() as here:
        here.trouble(action="drop_before", operation=SUBMIT)
        here.put(service.old_job("r-1"))
        await here.until_ended(["r-1"], 600)
        assert asyncio.get_running_loop().time() > 45 + 60
        assert history.faults(["r-1"], here.events(), here.created()) == []


async def test_a_fresh_job_that_the_list_hides_for_a_while_is_not_submitted_again() -> None:
    """Late listing: a fresh job may be missing from V1.1's list, too."""
    emulated = {"quirks": {"late_listing_s": 80.0}, "pace": {"run_s": 100}}
    async with service_harness.start(emulated=emulated) as here:
        here.trouble(action="drop_after", operation=SUBMIT)
        here.put(service.old_job("r-1"))
        await here.until_ended(["r-1"], 900)
        assert len(here.created()) == 1


async def test_of_two_jobs_with_one_token_the_older_is_kept_and_the_other_stopped_and_reported() -> None:
    """V1.1 can stop a job, so the duplicate is stopped, as with V2."""
    async with service_harness.start(emulated=SLOW) as here:
        here.trouble(operation=SUBMIT, action="drop_after", count=1)
        here.trouble(operation="ListExecuteJob", action="status", status=503, count=8)
        here.put(service.old_job("r-1", name="nightly"))
        await asyncio.sleep(5)
        duplicate = await _submit_by_hand(here, here.created()[0])
        await here.until_ended(["r-1"], 3600)
        submitted = next(event for event in here.events() if event.state == "submitted")
        assert submitted.data["reason"]["class"] == "duplicate"
        assert duplicate in submitted.data["reason"]["message"]
        assert submitted.data["mrs"]["job_id"] != duplicate
        assert here.states("r-1")[-1] == "succeeded"
        assert await _state_of(here, duplicate) == v11_models.StateV11.TERMINATED


async def test_a_replica_that_dies_in_the_middle_of_a_submission_is_replaced_and_nothing_runs_twice() -> None:
    """The call is on the wire when its sender dies: the next owner finds the token before it would send."""
    async with service_harness.start(emulated={**SLOW, "limits": {"on": False}}) as here:
        here.trouble(action="latency", operation=SUBMIT, seconds=2.0)
        here.put(service.old_job("r-1"))
        await asyncio.sleep(1.0)
        await here.replicas[0].kill()
        assert here.states("r-1") == ["accepted"]
        await here.start_replica()
        await here.until_ended(["r-1"], 3600)
        assert history.faults(["r-1"], here.events(), here.created()) == []
        assert here.states("r-1")[-1] == "succeeded"


async def test_a_followed_job_is_followed_on_by_the_next_owner() -> None:
    """The ledger tells by which API: the next owner asks V1.1 for the id, never V2."""
    async with service_harness.start(emulated=SLOW) as here:
        here.put(service.old_job("r-1"))
        await _until_event(here, "r-1", "running")
        await here.replicas[0].kill()
        follower = await here.start_replica()
        await here.until_ended(["r-1"], 3600)
        assert here.states("r-1")[-1] == "succeeded"
        assert follower.wire.answered
        assert not any("/v2/" in one.target for one in follower.wire.answered)


async def test_a_running_job_is_cancelled_once_mrs_confirms() -> None:
    """CancelJobExecution only asks; `cancelled` is reported when V1.1 shows the job as terminated."""
    async with service_harness.start(emulated={"pace": {"run_s": 600, "kill_s": 40}}) as here:
        here.put(service.old_job("r-1"))
        await _until_event(here, "r-1", "running")
        here.put(service.cancel("c-1", "r-1", note="no longer needed"))
        await asyncio.sleep(30)
        assert here.states("r-1")[-1] == "running"
        await here.until_ended(["r-1"], 120)
        last = here.events()[-1]
        assert (last.state, last.data["reason"]["message"]) == ("cancelled", "no longer needed")
        assert last.data["mrs"]["job_state"] == "TERMINATED"


async def test_a_cancel_that_mrs_refuses_leaves_the_job_to_its_own_end() -> None:
    """If V1.1 does not stop it, it continues, and its own verdict is reported: never `cancelled` on a mere wish."""
    async with service_harness.start(emulated=SLOW) as here:
        body = {"error_code": "12000054", "error_msg": "The operation is not supported."}
        here.trouble(operation="CancelJobExecution", action="status", status=400, body=body, count=None)
        here.put(service.old_job("r-1"))
        await _until_event(here, "r-1", "running")
        here.put(service.cancel("c-1", "r-1"))
        await here.until_ended(["r-1"], 3600)
        assert here.states("r-1")[-1] == "succeeded"


async def test_a_run_deadline_stops_the_job() -> None:
    """Deadlines cancel, by V1.1's own operation."""
    async with service_harness.start(emulated=SLOW) as here:
        here.put(service.old_job("r-1", run_deadline_s=60))
        await here.until_ended(["r-1"], 3600)
        last = here.events()[-1]
        assert (last.state, last.data["reason"]["code"]) == ("cancelled", "run_deadline")


@pytest.mark.parametrize("code", ["0176", "12000002", "99999999"])
async def test_a_job_that_neither_read_shows_any_more_becomes_unknown(code: str) -> None:
    """No page says how an unknown job is refused, so the list decides, and only after `vanish_after_s`."""
    async with service_harness.start(emulated={"pace": {"run_s": 3600}}) as here:
        here.trouble(action="lost_job", operation=SUBMIT)
        body = {"error_code": code, "error_msg": "?"}
        here.trouble(operation="ShowJobExes", action="status", status=400, body=body, count=None)
        here.put(service.old_job("r-1"))
        await asyncio.sleep(250)
        assert here.states("r-1")[-1] == "submitted"
        await here.until_ended(["r-1"], 600)
        last = here.events()[-1]
        assert (last.state, last.data["reason"]["code"]) == ("unknown", "job_vanished")


async def test_a_single_read_that_is_refused_does_not_end_a_job_that_the_list_shows() -> None:
    """A region whose ShowJobExes is broken: the list by id tells the truth, and the job ends as it ends."""
    async with service_harness.start(emulated={"pace": {"run_s": 900}}) as here:
        body = {"error_code": "12000004", "error_msg": "?"}
        here.trouble(operation="ShowJobExes", action="status", status=500, body=body, count=None)
        here.put(service.old_job("r-1"))
        await here.until_ended(["r-1"], 3600)
        assert _without_progress(here, "r-1") == ["accepted", "submitted", "running", "succeeded"]


async def test_many_jobs_are_followed_by_the_list_of_running_ones() -> None:
    """V1.1's list knows no times: running jobs are listed by pages, and only those that ended are read one by one."""
    chosen = service_harness.settings(engine={"slots_per_cluster": 0, "list_page": 20}, mrs={"budgets": False})
    emulated = {"clusters": [{"slots": 0}], "pace": {"run_s": 200}, "limits": {"on": False}}

    async with service_harness.start(chosen, emulated=emulated) as here:
        ids = [f"r-{number}" for number in range(45)]
        for one in ids:
            here.put(service.old_job(one))
        await asyncio.sleep(40)
        seen = len(here.replicas[0].wire.answered)
        await asyncio.sleep(100)
        looks = here.replicas[0].wire.answered[seen:]
        assert all("/job-exes?" in one.target and "state=2" in one.target for one in looks)
        assert len(looks) <= 3 * (100 / 5 + 1)
        await here.until_ended(ids, 3600)
        assert history.faults(ids, here.events(), here.created()) == []
        singles = [one for one in here.replicas[0].wire.answered if "/job-exes/" in one.target]
        assert len(singles) <= 45 * 1.5


async def test_a_cluster_chosen_by_its_name_runs_a_job_by_v11() -> None:
    """Which cluster and which API are two questions: the choice is reported, the API stays."""
    async with service_harness.start() as here:
        here.put(service.old_job("r-1", cluster={"name": "emulator"}))
        await here.until_ended(["r-1"], 120)
        assert here.states("r-1")[-1] == "succeeded"
        assert here.events()[0].data["cluster"] == service.CLUSTER
        assert here.events()[-1].data["mrs"]["job_state"] == "COMPLETED"


async def test_jobs_of_both_apis_share_the_slots_of_their_cluster() -> None:
    """One slot, jobs by V2 and by V1.1: each waits for the one before, and MRS never has to say that it is full."""
    chosen = service_harness.settings(engine={"slots_per_cluster": 1})
    async with service_harness.start(chosen, emulated={"clusters": [{"slots": 1}], "pace": {"run_s": 30}}) as here:
        here.put(service.job("r-2", name="new"))
        here.put(service.old_job("r-11", name="old"))
        here.put(service.job("r-2b", name="new"))
        await here.until_ended(["r-2", "r-11", "r-2b"], 600)
        assert [here.states(one)[-1] for one in ("r-2", "r-11", "r-2b")] == ["succeeded"] * 3
        posts = [one.status for one in here.replicas[0].wire.answered if one.verb == "POST"]
        assert sorted(posts) == [200, 202, 202]


async def test_a_full_cluster_makes_the_job_wait_and_uses_up_no_attempt() -> None:
    """12000060 is V1.1's word for full: back to the line."""
    async with service_harness.start() as here:
        body = {"error_code": "12000060", "error_msg": "The number of jobs running cannot exceed 10."}
        here.trouble(operation=SUBMIT, action="status", status=500, body=body, count=3)
        here.put(service.old_job("r-1"))
        await here.until_ended(["r-1"], 300)
        assert here.states("r-1")[-1] == "succeeded"
        assert here.events()[-1].data["attempt"] == 1


def _deletion(request_id: str, job_id: str, cluster: str = service.CLUSTER) -> bytes:
    data = {"cluster": cluster, "api": "v1.1", "job_ids": [job_id]}
    return json.dumps({"id": request_id, "source": "/test", "type": "mrs.job.delete", "data": data}).encode()


async def test_the_record_of_a_job_is_deleted_also_if_the_reply_is_lost() -> None:
    """DeleteJobExecution may be repeated: that the record is gone by then is what was asked for."""
    async with service_harness.start() as here:
        here.put(service.old_job("r-1"))
        await here.until_ended(["r-1"], 120)
        job_id = here.events()[-1].data["mrs"]["job_id"]
        here.trouble(operation="DeleteJobExecution", action="drop_after", count=1)
        here.put(_deletion("d-1", job_id))
        await here.until_ended(["d-1"], 120)
        assert here.states("d-1") == ["accepted", "succeeded"]
        deletions = [one.status for one in here.replicas[0].wire.answered if one.verb == "DELETE"]
        assert deletions == []  # the second time MRS shows no such job, so there is nothing to delete


async def test_a_job_of_another_cluster_is_not_deleted() -> None:
    """V1.1 deletes and stops by the job's id alone; a request may only name jobs of the cluster that it names."""
    clusters = ({"cluster_id": service.CLUSTER}, {"cluster_id": "other-1", "name": "other"})
    async with service_harness.start(emulated={**SLOW, "clusters": clusters}) as here:
        here.put(service.old_job("r-1"))
        await _until_event(here, "r-1", "running")
        job_id = here.events()[-1].data["mrs"]["job_id"]
        here.put(_deletion("d-1", job_id, "other-1"))
        await here.until_ended(["d-1"], 120)
        reason = here.events()[-1].data["reason"]
        assert (here.states("d-1"), reason["field"]) == (["accepted", "failed"], "data.job_ids")
        assert await _state_of(here, job_id) == v11_models.StateV11.RUNNING


async def test_what_v11_could_never_take_is_rejected_with_the_field() -> None:
    """Nothing reaches MRS, and the event names what to mend."""
    async with service_harness.start() as here:
        here.put(service.old_job("r-1").replace(b'"jar_path": "s3a://demo/sessionize.jar"', b'"arguments": []'))
        await here.until_ended(["r-1"], 60)
        reason = here.events()[-1].data["reason"]
        assert (here.states("r-1"), reason["field"]) == (["rejected"], "data.job.jar_path")
        assert here.created() == []
