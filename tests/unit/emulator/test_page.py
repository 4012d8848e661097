"""The page for a person and the JSON that feeds it."""

from __future__ import annotations

import base64
import hashlib
import re

from tests.support import clocks
from tests.unit.emulator import http_client
from tests.unit.emulator.conftest import Opener

from mrs_emulator.core import core, settings, wire


async def _page(client: http_client.Client) -> wire.Reply:
    return await client.emulator.handle(wire.Request.of("GET", "/", {"Accept": "text/html,application/xml;q=0.9"}))


async def test_page_may_run_its_own_script_and_nothing_else() -> None:
    """The policy names the hashes of exactly what is in the file, and no other place."""
    reply = await _page(http_client.create())
    assert (reply.status, reply.content_type) == (200, "text/html;charset=UTF-8")
    policy = reply.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    text = reply.body.decode()
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.findall(r"(?:src|href)=\"(?!data:)", text)
    assert "innerHTML" not in text
    assert "style=" not in text


async def test_page_is_off_with_the_admin_paths() -> None:
    """One switch for everything unsigned."""
    client = http_client.create(admin=False)
    assert (await _page(client)).json().keys() == {"versions"}
    assert http_client.code(await client.ask("GET", "/emulator/overview")) == "APIGW.0101"


async def test_overview_shows_clusters_jobs_faults_and_requests() -> None:
    """What a person looks for first."""
    client = http_client.create()
    await client.submitted("first")
    client.clock.pass_s(2)
    await client.submitted("second")
    await client.ask("POST", "/emulator/faults", {"action": "busy", "operation": "CreateExecuteJob"})
    await client.submit("third")
    await client.ask("GET", "/nowhere")
    found = (await client.ask("GET", "/emulator/overview")).json()

    assert [(one["name"], one["state"], one["unfinished"]) for one in found["clusters"]] == [("emulator", "running", 2)]
    assert [(one["name"], one["state"]) for one in found["jobs"]] == [("second", "NEW"), ("first", "RUNNING")]
    assert [(one["action"], one["matched"]) for one in found["faults"]] == [("busy", 1)]

    shown = [(one["verb"], one["operation"], one["status"], one["fault"]) for one in found["requests"]]
    assert shown == [
        ("GET", "", 404, ""),
        ("POST", "CreateExecuteJob", 400, "busy"),
        ("POST", "CreateExecuteJob", 202, ""),
        ("POST", "CreateExecuteJob", 202, ""),
    ]

    assert found["request_count"] == 4


async def test_overview_shows_statements_and_their_errors(open_client: Opener) -> None:
    """Cut to a readable length."""
    async with open_client() as client:
        good = (await client.execute("SELECT 1 AS n")).json()["id"]
        await client.statement_ended(good)
        bad = (await client.execute(f"SELECT {'x' * 500} FROM nowhere")).json()["id"]
        await client.statement_ended(bad)
        found = (await client.ask("GET", "/emulator/overview")).json()["statements"]
    assert [one["status"] for one in found] == ["FAILED", "FINISHED"]
    assert len(found[0]["text"]) == 240
    assert found[1]["place"].startswith("obs://")


async def test_calls_are_counted_by_operation_and_status() -> None:
    """What a client has used of the API, and how it went; OBS is counted beside MRS."""
    client = http_client.create()
    await client.submitted("first")
    await client.submit("no name")
    await client.ask("GET", "/nowhere")
    client.emulator.note_object_call("GET", "GetObject", 404, 0.1)
    found = (await client.ask("GET", "/emulator/calls")).json()["calls"]
    assert found == {
        "unknown": {"404": 1},
        "CreateExecuteJob": {"202": 1, "400": 1},
        "OBS.GetObject": {"404": 1},
    }


async def test_overview_holds_no_secrets() -> None:
    """Neither arguments nor tokens nor keys; a request is no more than verb, operation and status."""
    clock = clocks.HandClock()
    client = http_client.Client(core.Emulator(http_client.options(auth=True), clock), clock)
    password = settings.IamUser().password.get_secret_value()
    who = {"name": "emulator", "password": password, "domain": {"name": "emulator-account"}}

    body = {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": who}},
            "scope": {"project": {"id": http_client.PROJECT}},
        }
    }

    text = (await client.ask("POST", "/v3/auth/tokens", body)).headers["X-Subject-Token"]
    job = b'{"job_name":"a","job_type":"SparkSubmit","arguments":["--password","hush-hush"]}'
    headers = {"X-Auth-Token": text}
    submitted = await client.emulator.handle(wire.Request.of("POST", f"{client.base}/job-executions", headers, job))

    assert submitted.status == 202

    shown = (await client.ask("GET", "/emulator/overview")).body.decode()
    assert all(one not in shown for one in (password, text, "hush-hush"))
