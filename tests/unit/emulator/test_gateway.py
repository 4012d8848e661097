"""What happens before MRS sees a request: routes, projects, limits and faults."""

from __future__ import annotations

import pytest
from tests.support import clocks
from tests.unit.emulator import http_client

from mrs_emulator.core import core, faults, limits, refusals, settings, wire


async def test_unknown_path_or_verb_is_apigw_0101() -> None:
    """The gateway knows its operations only; its body repeats the request id of the header."""
    client = http_client.create()
    for verb, url in (
        ("GET", "/v3/x"),
        ("PUT", f"{client.base}/job-executions"),
        ("POST", "/"),
        ("GET", f"{client.base}/x/y/z"),
    ):
        reply = await client.ask(verb, url)
        assert (reply.status, http_client.code(reply)) == (404, "APIGW.0101")
        assert reply.json()["request_id"] == reply.headers["X-Request-Id"]


async def test_every_reply_has_its_own_request_id() -> None:
    """X-Request-Id is on success, refusal and admin replies alike, and never repeats."""
    client = http_client.create()
    urls = (f"{client.base}/job-executions", f"{client.base}/job-executions/x", "/nope", "/emulator/health")
    seen = [(await client.ask("GET", url)).headers["X-Request-Id"] for url in urls]
    assert len(set(seen)) == len(urls)


async def test_foreign_project_in_the_path_is_12000107() -> None:
    """This MRS has one project."""
    client = http_client.create()
    reply = await client.ask("GET", client.base.replace(http_client.PROJECT, "another") + "/job-executions")
    assert (reply.status, http_client.code(reply)) == (400, "12000107")


async def test_trailing_slash_and_encoded_ids_reach_the_same_operation() -> None:
    """Path parameters are decoded."""
    client = http_client.create()
    assert (await client.ask("GET", f"{client.base}/job-executions/")).status == 202
    assert http_client.code(await client.ask("GET", f"{client.base.replace('-', '%2D')}/job-executions/x")) == "0176"


async def test_sixty_first_submission_of_a_minute_is_429() -> None:
    """60 submissions a minute for the tenant; the 61st is refused unexecuted, a minute later all is well."""
    client = http_client.create(limits={"on": True}, clusters=[{"slots": 0}])
    for _ in range(60):
        await client.submitted("stuck")
    refused = await client.submit()
    assert (refused.status, http_client.code(refused)) == (429, "APIGW.0308")
    assert refused.json()["error_msg"] == (
        "The throttling threshold has been reached: policy user over ratelimit,limit:60,time:1 minute"
    )
    assert (await client.effects())["count"] == 60
    assert (await client.listed())[0] == 60  # reads have a limit of their own
    client.clock.pass_s(60)
    await client.submitted()


async def test_limit_is_for_the_tenant_not_for_the_cluster() -> None:
    """Submissions to all clusters together count."""
    clusters = (settings.Cluster(slots=0), settings.Cluster(cluster_id="other", slots=0))
    client = http_client.create(limits={"on": True, "per_minute": {"CreateExecuteJob": 2}}, clusters=clusters)
    await client.submitted()
    client.cluster = "other"
    await client.submitted()
    assert http_client.code(await client.submit()) == "APIGW.0308"


async def test_unsigned_requests_do_not_use_up_the_limit() -> None:
    """The signature is checked before calls are counted."""
    chosen = settings.EmulatorSettings.model_validate({"limits": {"per_minute": {"ShowJobExeListNew": 1}}})
    emulator = core.Emulator(chosen, clocks.HandClock())
    url = f"/v2/{http_client.PROJECT}/clusters/{http_client.CLUSTER}/job-executions"
    assert [(await emulator.handle(wire.Request.of("GET", url))).status for _ in range(3)] == [401] * 3


def test_sliding_window_is_stricter_than_the_fixed_one() -> None:
    """Two calls at 59 s and two at 61 s: a fixed minute lets them pass, a sliding one does not."""
    outcomes = {}
    for window in ("fixed", "sliding"):
        limiter = limits.Limiter(settings.Limits.model_validate({"window": window}))
        admitted = 0
        for second in (0.0, 59.0, 61.0, 61.0):
            try:
                limiter.admit("X", 2, second)
            except refusals.Refusal:
                continue
            admitted += 1
        outcomes[window] = admitted
    assert outcomes == {"fixed": 4, "sliding": 3}


def test_refused_calls_do_not_count_against_the_next_minute() -> None:
    """Hammering does not extend the wait."""
    limiter = limits.Limiter(settings.Limits(window="sliding"))
    limiter.admit("X", 1, 0.0)
    for second in (10.0, 30.0, 59.9):
        with pytest.raises(refusals.Refusal, match=r"APIGW\.0308"):
            limiter.admit("X", 1, second)
    limiter.admit("X", 1, 60.0)


async def order(client: http_client.Client, *orders: dict[str, object]) -> None:
    """Put faults in force through the admin path."""
    reply = await client.ask("POST", "/emulator/faults", list(orders))
    assert reply.status == 201, reply.body


async def test_dropped_before_has_no_effect_and_dropped_after_has() -> None:
    """Both look the same to the client: no reply at all."""
    client = http_client.create()
    await order(
        client,
        {"operation": "CreateExecuteJob", "action": "drop_before"},
        {"operation": "CreateExecuteJob", "action": "drop_after", "nth": 2},
    )
    first, second = await client.submit("lost-request"), await client.submit("lost-reply")
    assert (first.dropped, second.dropped) == (True, True)
    assert [one["name"] for one in (await client.effects())["effects"]] == ["lost-reply"]
    await client.submitted("after")


async def test_fault_hits_the_nth_matching_call_and_so_many() -> None:
    """The members nth and count select among calls that match operation, cluster and name."""
    client = http_client.create(clusters=[{"slots": 0}])
    await order(
        client,
        {"operation": "CreateExecuteJob", "name": "a-*", "nth": 2, "count": 2, "action": "status", "status": 500},
    )
    statuses = [(await client.submit(name)).status for name in ("a-1", "b-1", "a-2", "a-3", "b-2", "a-4")]
    assert statuses == [202, 202, 500, 500, 202, 202]


async def test_fault_without_count_lasts_until_lifted() -> None:
    """DELETE lifts all faults."""
    client = http_client.create()
    await order(client, {"action": "status", "status": 502, "count": None})
    replies = [await client.ask("GET", f"{client.base}/job-executions") for _ in range(3)]
    assert [(reply.status, http_client.code(reply)) for reply in replies] == [(502, "APIGW.0201")] * 3
    assert (await client.ask("DELETE", "/emulator/faults")).status == 204
    assert (await client.ask("GET", f"{client.base}/job-executions")).status == 202


async def test_fault_aims_at_a_job_by_name_also_when_the_path_has_its_id() -> None:
    """Reads and kills are matched by the name of the job they are about."""
    client = http_client.create()
    good, bad = await client.submitted("good"), await client.submitted("bad-x")
    await order(client, {"operation": "ShowSingleJobExe", "name": "bad-*", "action": "busy", "count": None})
    assert http_client.code(await client.ask("GET", f"{client.base}/job-executions/{bad}")) == "0177"
    assert (await client.ask("GET", f"{client.base}/job-executions/{good}")).status == 202


async def test_busy_refuses_a_submission_as_a_full_cluster_does() -> None:
    """No slot is taken and nothing is created."""
    client = http_client.create()
    await order(client, {"operation": "CreateExecuteJob", "action": "busy"})
    assert http_client.code(await client.submit()) == "0177"
    assert (await client.effects())["count"] == 0


async def test_status_after_answers_with_an_error_though_the_job_exists() -> None:
    """A 5xx may hide an accepted job."""
    client = http_client.create()
    await order(client, {"action": "status_after", "status": 504})
    assert (await client.submit()).status == 504
    assert (await client.effects())["count"] == 1


async def test_body_and_headers_of_a_fault_are_sent_as_ordered() -> None:
    """JSON as JSON, a string as HTML, none as the gateway would say; with further headers."""
    client = http_client.create()
    await order(
        client,
        {"action": "status", "status": 429, "headers": {"Retry-After": "7"}},
        {"action": "status", "status": 400, "body": {"error_code": "0202", "error_msg": "x"}, "nth": 2},
        {"action": "status", "status": 502, "body": "<html>Bad Gateway</html>", "nth": 3},
    )
    throttled, full, page = [await client.submit() for _ in range(3)]
    assert (throttled.headers["Retry-After"], http_client.code(throttled)) == ("7", "APIGW.0308")
    assert http_client.code(full) == "0202"
    assert (page.content_type, page.body) == ("text/html;charset=UTF-8", b"<html>Bad Gateway</html>")


async def test_lost_reply_stays_lost_when_mrs_refused() -> None:
    """drop_after drops whatever the reply would have been."""
    client = http_client.create()
    await order(client, {"action": "drop_after"})
    assert (await client.ask("GET", f"{client.base}/job-executions/unknown")).dropped


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([{"action": "explode"}], "0.action"),
        ([{"action": "status", "status": 99}], "0.status"),
        ([{"action": "latency", "operaton": "x"}], "0.operaton"),
        ([{"action": "latency", "operation": "NoSuchOperation"}], "NoSuchOperation"),
        (b"{", "Invalid JSON"),
    ],
)
async def test_wrong_order_for_a_fault_is_refused_and_named(body: object, named: str) -> None:
    """A mistyped fault would be a test that tests nothing."""
    client = http_client.create()
    reply = await client.ask("POST", "/emulator/faults", body)
    assert reply.status == 400
    assert named in reply.json()["error"]
    assert (await client.ask("GET", "/emulator/faults")).json() == {"faults": []}


async def test_standing_faults_are_listed_with_their_matches() -> None:
    """A single order needs no list; the answer says how often each matched."""
    client = http_client.create()
    reply = await client.ask("POST", "/emulator/faults", {"operation": "StopJob", "action": "latency"})
    assert reply.status == 201
    await client.kill("x")
    (listed,) = (await client.ask("GET", "/emulator/faults")).json()["faults"]
    assert (listed["operation"], listed["action"], listed["matched"]) == ("StopJob", "latency", 1)


async def test_effects_are_filtered_and_paged() -> None:
    """Counting by name is what tests need; names are patterns."""
    client = http_client.create(clusters=[{"slots": 0}])
    for name in ("a-1", "a-2", "b-1"):
        await client.submitted(name)
        client.clock.pass_s(1)
    found = await client.effects(name="a-*", start=1, limit=5)
    assert (found["count"], found["counts"]) == (2, {"job": 2, "statement": 0})
    assert [(one["name"], one["created_ms"], one["cluster"]) for one in found["effects"]] == [
        ("a-2", http_client.START_MS + 1_000, http_client.CLUSTER)
    ]
    assert (await client.ask("GET", "/emulator/effects?start=x")).status == 400


async def test_health_tells_what_there_is() -> None:
    """Clusters with their jobs, for a readiness check."""
    client = http_client.create()
    await client.submitted("stuck")
    found = (await client.ask("GET", "/emulator/health")).json()
    assert (found["status"], found["project_id"]) == ("ok", http_client.PROJECT)
    assert [(one["jobs"], one["unfinished"]) for one in found["clusters"]] == [(1, 1)]
    assert (await client.ask("GET", "/emulator/else")).status == 404


async def test_admin_paths_can_be_turned_off() -> None:
    """Then they are as unknown to the gateway as any other path."""
    client = http_client.create(admin=False)
    assert http_client.code(await client.ask("GET", "/emulator/health")) == "APIGW.0101"


async def test_unforeseen_error_is_a_500_and_the_emulator_lives_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """One broken request never takes the emulator down."""
    client = http_client.create()
    with monkeypatch.context() as patch:
        patch.setattr(client.emulator._limiter, "admit", lambda *_: 1 / 0)
        reply = await client.ask("GET", f"{client.base}/job-executions")
    assert (reply.status, http_client.code(reply)) == (500, "12000004")
    assert (await client.ask("GET", f"{client.base}/job-executions")).status == 202


def test_faults_act_in_the_order_in_which_they_were_put() -> None:
    """Delays add up; of the rest the first decides."""
    standing = faults.Faults()
    standing.add(
        [
            faults.Fault(action=faults.Action.LATENCY, seconds=1),
            faults.Fault(action=faults.Action.DROP_AFTER),
            faults.Fault(action=faults.Action.LATENCY, seconds=2),
            faults.Fault(action=faults.Action.BUSY),
        ]
    )
    trouble = standing.meet(faults.Aim("StopJob", None, ""))
    assert (trouble.delay_s, trouble.fault and trouble.fault.action) == (3, faults.Action.DROP_AFTER)
    assert standing.meet(faults.Aim("StopJob", None, "")) == faults.NO_TROUBLE


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json"}, 201),
        ({"content-type": "application/json; charset=utf-8", "origin": "http://127.0.0.1:8181"}, 201),
        ({"content-type": "application/json", "origin": "http://localhost:8000"}, 403),
        ({"content-type": "application/json", "origin": "null"}, 403),
        ({"content-type": "application/json", "origin": "http://evil.example:8181", "host": "evil.example:8181"}, 403),
        ({"content-type": "application/json", "sec-fetch-site": "same-site"}, 403),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({}, 415),
    ],
)
async def test_page_of_another_origin_changes_nothing(headers: dict[str, str], status: int) -> None:
    """A page elsewhere on the machine may not order trouble, turn the clock or lift faults."""
    client = http_client.create()
    order = b'{"operation": "StopJob", "action": "latency"}'
    sent = {"host": "127.0.0.1:8181", **headers}
    assert (await client.emulator.handle(wire.Request.of("POST", "/emulator/faults", sent, order))).status == status
    turned = await client.emulator.handle(wire.Request.of("POST", "/emulator/clock", sent, b'{"advance_s": 1}'))
    assert turned.status == (200 if status == 201 else status)
    lifted = await client.emulator.handle(wire.Request.of("DELETE", "/emulator/faults", sent))
    assert lifted.status == (403 if status == 403 else 204)
    assert (await client.emulator.handle(wire.Request.of("GET", "/emulator/faults", sent))).status == 200
