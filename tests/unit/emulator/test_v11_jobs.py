"""Running V1.1 jobs: submit-job, executing job objects, their states over time, cancel and delete."""

from __future__ import annotations

import pytest
from tests.unit.emulator import http_client, v11_requests


async def test_fresh_job_is_missing_from_the_list_for_a_while_and_a_single_read_finds_it() -> None:
    """The quirk `late_listing_s` holds for this list, too."""
    client = http_client.create(quirks={"late_listing_s": 60})
    run = await v11_requests.submitted(client)
    client.clock.pass_s(59)
    assert await v11_requests.listed(client) == (0, [])
    assert (await v11_requests.exe(client, run["id"]))["job_name"] == "sessionize"
    client.clock.pass_s(2)
    assert await v11_requests.listed(client) == (1, ["sessionize"])


async def test_submitted_job_goes_through_its_states() -> None:
    """1 starting, 2 running, 3 completed; the list knows no 1; times in seconds, then in milliseconds."""
    client = http_client.create()
    run = await v11_requests.submitted(client)
    assert (run["job_state"], run["job_final_status"], run["created_at"]) == (1, 0, http_client.START_MS // 1000)
    assert run["group_id"] == run["id"]
    first = await v11_requests.exe(client, run["id"])
    assert (first["job_state"], first["create_at"], first["end_time"]) == (1, http_client.START_MS, None)
    assert (await v11_requests.listed(client, "&state=2"))[0] == 1
    client.clock.pass_s(2)
    assert (await v11_requests.exe(client, run["id"]))["job_state"] == 2
    client.clock.pass_s(10)
    last = await v11_requests.exe(client, run["id"])
    assert (last["job_state"], last["job_final_status"], last["spend_time"]) == (3, 2, 4)
    assert last["end_time"] == http_client.START_MS + 4000
    assert await v11_requests.listed(client, "&state=3") == (1, ["sessionize"])


async def test_secrets_among_arguments_are_shown_as_asterisks() -> None:
    """By V1.1 and by V2, which shows the same job."""
    client = http_client.create()
    run = await v11_requests.submitted(client)
    assert run["arguments"] == "sessionize username=alice @password=******"
    assert "secret" not in (await client.job(run["id"]))["arguments"]


@pytest.mark.parametrize(("name", "state", "final"), [("job-fail", 4, 1), ("job-kill", -1, 3)])
async def test_job_that_fails_or_is_killed(name: str, state: int, final: int) -> None:
    """4 abnormal and 1 failed, -1 terminated and 3 cancelled; the same rules by name as in V2."""
    client = http_client.create()
    run = await v11_requests.submitted(client, job_name=name)
    client.clock.pass_s(10)
    seen = await v11_requests.exe(client, run["id"])
    assert (seen["job_state"], seen["job_final_status"]) == (state, final)
    assert (await v11_requests.listed(client, f"&state={state}"))[0] == 1


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"job_type": 8}, 400, "12000002"),
        ({"job_type": "1"}, 400, "12000002"),
        ({"job_type": True}, 400, "12000002"),
        ({"job_type": 4}, 400, "12000054"),
        ({"job_type": 7}, 400, "12000054"),
        ({"job_name": "a b"}, 400, "12000002"),
        ({"job_name": "x" * 65}, 400, "12000002"),
        ({"cluster_id": None}, 400, "12000002"),
        ({"cluster_id": "nothing"}, 400, "12000003"),
        ({"jar_path": "  "}, 400, "12000081"),
        ({"jar_path": "/x.py"}, 400, "12000002"),
        ({"jar_path": "x.jar"}, 400, "12000002"),
        ({"jar_path": "/a$b.jar"}, 400, "12000002"),
        ({"jar_path": f"/{'x' * 1023}.jar"}, 400, "12000002"),
        ({"arguments": "a;b"}, 400, "12000002"),
        ({"arguments": ["a"]}, 400, "12000002"),
        ({"arguments": "x" * 150_001}, 400, "12000002"),
        ({"input": "c:/x"}, 400, "12000002"),
        ({"file_action": "move"}, 400, "12000002"),
        ({"hql": "x"}, 200, ""),
        ({"job_type": 5}, 400, "12000002"),
        ({"job_type": 5, "file_action": "import"}, 400, "12000002"),
        ({"job_type": 5, "file_action": "import", "output": "/user/x"}, 200, ""),
        ({"job_type": 5, "file_action": "export", "input": "/user/x"}, 200, ""),
        ({"job_type": 3}, 400, "12000114"),
        ({"job_type": 6, "hive_script_path": "/x.txt"}, 400, "12000002"),
        ({"arguments": "emulator.submit=failed"}, 400, "12000061"),
    ],
)
async def test_submission_is_checked(changes: dict[str, object], status: int, code: str) -> None:
    """Fields, limits and characters; codes by what is missing."""
    reply = await http_client.create().ask("POST", f"{v11_requests.BASE}/jobs/submit-job", v11_requests.JOB | changes)
    assert reply.status == status, reply.body
    assert code in {"", http_client.code(reply)}


@pytest.mark.parametrize(
    ("cluster", "changes", "status", "code"),
    [
        ({"state": "abnormal"}, {}, 400, "12000062"),
        ({"kerberos": True}, {}, 400, "12000064"),
        ({"components": ["Hadoop"]}, {"job_type": 2}, 400, "12000063"),
        ({"components": ["Hadoop"]}, {"job_type": 3, "hive_script_path": "/x.sql"}, 400, "0168"),
        ({"slots": 1}, {}, 500, "12000060"),
    ],
)
async def test_cluster_that_cannot_take_the_job(
    cluster: dict[str, object], changes: dict[str, object], status: int, code: str
) -> None:
    """State, security, components, running jobs."""
    client = http_client.create(clusters=[cluster])
    if "slots" in cluster:
        await v11_requests.submitted(client)
    reply = await client.ask("POST", f"{v11_requests.BASE}/jobs/submit-job", v11_requests.JOB | changes)
    assert (reply.status, http_client.code(reply)) == (status, code)


async def test_version_rule_applies_where_it_is_chosen() -> None:
    """12000085 on MRS 3.x, nothing on 1.9."""
    for version, status in (("MRS 3.1.0", 400), ("MRS 1.9.2", 200)):
        client = http_client.create(v11={"needs_old_version": True}, clusters=[{"version": version}])
        reply = await client.ask("POST", f"{v11_requests.BASE}/jobs/submit-job", v11_requests.JOB)
        assert reply.status == status
        assert status == 200 or http_client.code(reply) == "12000085"


async def test_security_cluster_cannot_be_asked_either() -> None:
    """12000064 covers queries."""
    client = http_client.create(clusters=[{"kerberos": True}])
    assert (
        http_client.code(await client.ask("GET", f"{v11_requests.BASE}/job-exes?cluster_id={client.cluster}"))
        == "12000064"
    )


async def test_disputed_shapes_can_be_chosen() -> None:
    """A flat reply, numbers as texts, no state 1, the other code for the jar."""
    client = http_client.create(
        v11={"flat_submit_reply": True, "starting_shown": False, "jar_path_code": "12000113"},
        quirks={"numbers_as_strings": True},
    )
    reply = (await client.ask("POST", f"{v11_requests.BASE}/jobs/submit-job", v11_requests.JOB)).json()
    assert (reply["job_name"], reply["templated"], reply["job_state"]) == ("sessionize", "false", "2")
    assert (await v11_requests.listed(client))[0] == "1"
    empty = await client.ask("POST", f"{v11_requests.BASE}/jobs/submit-job", v11_requests.JOB | {"jar_path": ""})
    assert http_client.code(empty) == "12000113"


async def test_list_has_pages_and_filters() -> None:
    """Newest first, 1 to 100 a page, filters combined; both spellings of the cluster's parameter."""
    client = http_client.create()
    ids = [(await v11_requests.submitted(client, job_name=name))["id"] for name in ("a", "b", "c")]
    assert await v11_requests.listed(client, "&page_size=2") == (3, ["c", "b"])
    assert await v11_requests.listed(client, "&page_size=2&current_page=2") == (3, ["a"])
    assert await v11_requests.listed(client, "&current_page=9") == (3, [])
    assert await v11_requests.listed(client, f"&id={ids[1]}") == (1, ["b"])
    assert await v11_requests.listed(client, "&job_name=c&state=2") == (1, ["c"])
    assert await v11_requests.listed(client, "&job_name=c&state=3") == (0, [])
    assert (await client.ask("GET", f"{v11_requests.BASE}/job-exes?clusterId={client.cluster}")).json()[
        "totalRecord"
    ] == 3


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "12000002"),
        ("cluster_id=nothing", "12000003"),
        (f"cluster_id={http_client.CLUSTER}&page_size=101", "12000002"),
        (f"cluster_id={http_client.CLUSTER}&state=1", "12000002"),
        (f"cluster_id={http_client.CLUSTER}&current_page=0", "12000002"),
    ],
)
async def test_wrong_list_query_is_refused(query: str, code: str) -> None:
    """The cluster must be named; sizes and states have bounds."""
    reply = await http_client.create().ask("GET", f"{v11_requests.BASE}/job-exes?{query}")
    assert (reply.status, http_client.code(reply)) == (400, code)
