"""What the relays report, over HTTP: the same on every replica of the API, with who said it and when."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from tests.support import web_role

from mrs_relay.common import clock
from mrs_relay.kafka import records
from mrs_relay.messages import controls, status

_TOPIC: Final = "mrs.status"
_SUBMIT: Final = "CreateExecuteJob"


def _record(key: str, content: status.Content, replica: str, at_ms: int) -> records.Outgoing:
    value = status.encode(status.encode_content(content), at_ms=at_ms, replica=replica, epoch_ms=1)
    return records.Outgoing(_TOPIC, key.encode(), value)


def _replica(name: str, partition: int, used: int, at_ms: int) -> list[records.Outgoing]:
    """Return one replica with a partition, a full cluster and a queue."""
    line = [status.InLine("/tests", f"{name}-{number}", 5, at_ms - 5000) for number in range(2)]
    queue = status.Queue(
        tenant="a",
        operation=_SUBMIT,
        waiting=12,
        oldest_ms=at_ms - 5000,
        causes=[status.Cause("slots_taken"), status.Cause("quota", at_ms + 60_000)],
        line=line,
    )

    pause = status.Pause(operation="StopJob", state="failing", code="http_503", text="?", since_ms=at_ms)
    cluster = status.Cluster(
        connection="mrs",
        cluster="c-1",
        slots_used=1,
        slots_limit=1,
        holders=[status.Ref("/tests", f"{name}-9")],
        pauses=[pause],
        queues=[queue],
    )

    tenant = status.Tenant(
        name="a", topic="in", connection="mrs", partitions=[partition], total=2, waiting=12, most_running=5
    )
    budget = status.Budget(operation=_SUBMIT, per_minute=60, granted=30, used=used, needed=True)
    connection = status.Connection(name="mrs", budgets=[budget], paused_until_ms=at_ms + 60_000, paused_for="throttled")
    known = status.Waiting(1, [status.Timed("/tests", f"{name}-8", at_ms + 60_000)])
    there = status.Partition(
        tenant="a", topic="in", partition=partition, state="running", next_offset=7, lag=3, in_doubt=known
    )
    contents: dict[str, status.Content] = {
        status.replica_key(name): status.Replica(version="1", tenants=[tenant], connections=[connection]),
        status.partition_key("in", partition): there,
        status.cluster_key(name, "mrs", "c-1"): cluster,
    }

    return [_record(key, content, name, at_ms) for key, content in contents.items()]


async def _stage() -> tuple[web_role.Stage, int]:
    """Return a broker with three replicas, of which one is silent; and the moment at which the others have reported."""
    stage, now_ms = web_role.Stage(), clock.SystemClock().now_ms()
    await stage.put(*_replica("r-a", 0, 20, now_ms), *_replica("r-b", 1, 10, now_ms))
    await stage.put(*_replica("r-c", 2, 5, now_ms - 60_000))
    return stage, now_ms


async def _items(client: web_role.Client, path: str) -> list[dict[str, Any]]:
    """Return the items of a list, once the status has been read."""
    async with asyncio.timeout(60):
        while (found := await client.get(path)).get("problem"):
            await asyncio.sleep(0.01)
    assert found["total"] == len(found["items"])
    items: list[dict[str, Any]] = found["items"]
    return items


async def test_clusters_tenants_and_budgets_are_the_sums_of_the_relays_that_report() -> None:
    """A stale one is shown and counts for nothing."""
    stage, now_ms = await _stage()
    async with web_role.role(stage) as client:
        (cluster,) = await _items(client, "/v1/clusters")
        assert (cluster["waiting"], cluster["slots_used"], cluster["paused"]) == (24, 2, True)
        assert [(one["relay"], one["stale"]) for one in cluster["relays"]] == [
            ("r-a", False),
            ("r-b", False),
            ("r-c", True),
        ]
        assert cluster["relays"][0]["holders"] == [{"source": "/tests", "id": "r-a-9"}]
        assert cluster["relays"][0]["pauses"][0]["code"] == "http_503"

        (tenant,) = await _items(client, "/v1/tenants?tenant=a")
        assert (tenant["waiting"], tenant["partitions"], tenant["relays"][0]["most_running"]) == (24, 2, 5)
        (budget,) = await _items(client, "/v1/budgets")
        assert (budget["per_minute"], budget["used"], budget["paused_for"]) == (60, 30, "throttled")
        assert budget["paused_until"] == clock.rfc3339(now_ms + 60_000)


async def test_queues_and_partitions_are_those_of_each_relay() -> None:
    """With what holds the first request, and who is next."""
    stage, _ = await _stage()
    async with web_role.role(stage) as client:
        queues = await _items(client, "/v1/queues")
        assert [one["relay"] for one in queues] == ["r-a", "r-b", "r-c"]
        assert [one["code"] for one in queues[0]["holds"]] == ["slots_taken", "quota"]
        assert [one["id"] for one in queues[0]["line"]] == ["r-a-0", "r-a-1"]
        partitions = await _items(client, "/v1/partitions?topic=in")
        assert [(one["partition"], one["lag"], one["in_doubt"], one["stale"]) for one in partitions] == [
            (0, 3, 1, False),
            (1, 3, 1, False),
            (2, 3, 1, True),
        ]


async def test_filters_leave_out_what_is_not_meant_and_limits_say_how_many_there_are() -> None:
    """As in the other lists."""
    stage, _ = await _stage()
    async with web_role.role(stage) as client:
        await _items(client, "/v1/clusters")
        for path in ("clusters?cluster=x", "tenants?tenant=x", "queues?tenant=x", "budgets?operation=x"):
            assert (await client.get(f"/v1/{path}"))["items"] == []
        found = await client.get("/v1/partitions?limit=1")
        assert (len(found["items"]), found["total"]) == (1, 3)
        await client.get("/v1/partitions?topik=in", 400)


async def test_a_request_says_why_it_waits_and_two_replicas_of_the_api_agree() -> None:
    """From its events and the status; an unknown one is not found."""
    stage, now_ms = await _stage()
    event: dict[str, Any] = {"event_source": "/mrs-relay/a", "cluster": "c-1"}
    await stage.put(web_role.event("r-b-1", 1, "accepted", **event), *web_role.story("ended", **event))

    with_settings = web_role.chosen(tenants={"a": {"requests": "in"}})
    async with web_role.role(stage, with_settings) as one, web_role.role(stage, with_settings) as other:
        for client in (one, other):
            await _items(client, "/v1/queues")
        found, same = [await client.get("/v1/requests/r-b-1/why") for client in (one, other)]
        assert found == same
        assert [hold["code"] for hold in found["holds"]] == ["slots_taken", "quota", "in_line"]
        assert found["holds"][0]["requests"] == [{"source": "/tests", "id": "r-b-9"}]
        assert found["holds"][1]["earliest_at"] == clock.rfc3339(now_ms + 60_000)
        assert found["holds"][2]["requests"] == [{"source": "/tests", "id": "r-b-0"}]
        ended = await one.get("/v1/requests/ended/why")
        assert [hold["code"] for hold in ended["holds"]] == ["ended"]
        await one.get("/v1/requests/none/why", 404)


async def test_without_the_topic_the_answers_say_so() -> None:
    """A deployment from before it has none."""
    stage = web_role.Stage()
    stage.broker.drop_topic(_TOPIC)
    await stage.put(web_role.event("r-1", 1, "accepted"))
    async with web_role.role(stage) as client, asyncio.timeout(60):
        while "mrs.status" not in (found := await client.get("/v1/clusters"))["problem"]:
            await asyncio.sleep(0.01)
        assert found["items"] == []
        why = await client.get("/v1/requests/r-1/why")
        assert [hold["code"] for hold in why["holds"]] == ["answer_behind", "not_seen"]


async def test_a_control_that_concerns_the_request_is_told() -> None:
    """As it stands in the topic of controls."""
    stage = web_role.Stage()
    control = controls.Control(scope=controls.scope("label/team=a"), mode="hold", reason="why not", by="ann", at_ms=1)
    await stage.put(records.Outgoing("mrs.control", *controls.write(control)))
    await stage.put(web_role.event("r-1", 1, "accepted", labels={"team": "a"}), web_role.event("r-2", 1, "accepted"))
    async with web_role.role(stage) as client, asyncio.timeout(60):
        await _items(client, "/v1/queues")
        while not (await client.get("/v1/controls"))["items"]:
            await asyncio.sleep(0.01)
        for request_id, codes in (("r-1", ["control"]), ("r-2", ["not_seen"])):
            found = await client.get(f"/v1/requests/{request_id}/why")
            assert [hold["code"] for hold in found["holds"]] == codes
