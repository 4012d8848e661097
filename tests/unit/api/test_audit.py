"""Every decision over HTTP is on record before it is carried out, and can be found."""

from __future__ import annotations

import json
import pathlib
from typing import Any

from tests.support import access, web_role

from mrs_relay.kafka import records
from mrs_relay.messages import audit, envelope


def _kept(stage: web_role.Stage) -> list[audit.Record]:
    return [audit.read(record.value) for record in stage.broker.committed("mrs.audit")]


async def _page(client: web_role.Client, path: str, count: int, headers: dict[str, str]) -> Any:
    """Ask until the read model has as many decisions."""
    while True:
        page = await client.get(path, headers=headers)
        if len(page["items"]) >= count:
            return page


async def test_who_decided_what_and_why_is_on_record_and_leads_to_the_message(tmp_path: pathlib.Path) -> None:
    """With the state before, what was wanted, and the id of the message whose events tell what came of it."""
    known, stage = access.Callers(tmp_path), access.stage()
    await access.put_requests(stage)
    async with web_role.role(stage, known.chosen()) as client:
        ours = known.headers("operator")
        await client.post("/v1/requests/etl-1/cancel", {"note": "wrong date"}, headers=ours)
        await client.post("/v1/requests/etl-2/resolve", {"verdict": "failed", "note": "looked"}, headers=ours)
        await client.post("/v1/requests/etl-3/retry", {"note": "again"}, headers=ours)
        await client.post("/v1/requests/bi-1/cancel", {"note": "theirs"}, headers=known.headers("operator of all"))
        put = {"mode": "hold", "reason": "release"}
        scope = f"{client.url}/v1/controls/tenant%2Fetl"
        async with client.session.put(scope, json=put, headers=ours) as reply:
            assert reply.status == 202

        page = await _page(client, "/v1/audit", 4, known.headers("viewer"))
        assert [one["action"] for one in page["items"]] == ["hold", "retry", "resolve", "cancel"]
        cancel = page["items"][-1]
        assert (cancel["by"], cancel["by_kind"], cancel["via"], cancel["place"]) == (
            "operator",
            "api_key",
            "http",
            "127.0.0.1",
        )
        assert (cancel["why"], cancel["what"], cancel["before"]) == (
            "wrong date",
            {"id": "etl-1", "source": "/tests"},
            {"state": "running"},
        )
        assert page["items"][2]["after"] == {"verdict": "failed"}
        assert page["items"][1]["after"] == {"id": "etl-3-retry-3", "source": "/tests"}
        sent = [json.loads(record.value or b"")["id"] for record in access.written(stage, "etl")]
        assert {one["message"] for one in page["items"][1:]} == set(sent)

        everything = known.headers("viewer of all")
        await _page(client, "/v1/audit", 5, everything)
        for query, count in (
            ("action=cancel", 2),
            ("by=operator", 4),
            ("subject=etl-2", 1),
            ("tenant=bi", 1),
            ("until=2020-01-01T00:00:00Z", 0),
        ):
            assert len((await client.get(f"/v1/audit?{query}", headers=everything))["items"]) == count
        first = await client.get("/v1/audit?limit=3", headers=everything)
        rest = await client.get(f"/v1/audit?limit=3&cursor={first['next']}", headers=everything)
        assert len({one["id"] for one in (*first["items"], *rest["items"])}) == 5
        assert "next" not in rest
        await client.get("/v1/audit?tenant=bi", 403, known.headers("viewer"))


async def test_nothing_is_carried_out_that_cannot_be_put_on_record() -> None:
    """The record comes first, so a decision that nobody can find later is never made."""
    stage = web_role.Stage()
    await stage.put(web_role.event("r-1", 3, "running"))
    async with web_role.role(stage) as client:
        await client.post("/v1/requests/r-1/cancel", {"note": "one"})
        stage.broker.drop_topic("mrs.audit")
        problem, _ = await client.post("/v1/requests/r-1/cancel", {"note": "two"}, 503)
        assert "nothing was sent" in problem["detail"]
    assert len(stage.broker.committed("mrs.requests")) == 1


async def test_a_deployment_without_the_topic_decides_as_before() -> None:
    """After an upgrade the topic may be missing; that must stop nobody from stopping a job."""
    stage = web_role.Stage()
    stage.broker.drop_topic("mrs.audit")
    await stage.put(web_role.event("r-1", 3, "running"))
    async with web_role.role(stage) as client:
        await client.post("/v1/requests/r-1/cancel", {"note": "one"})
        assert (await client.get("/v1/audit"))["items"] == []
    assert len(stage.broker.committed("mrs.requests")) == 1


async def test_a_foreign_record_in_the_topic_is_passed_over() -> None:
    """Whoever may write there cannot stop the others from being found."""
    stage = web_role.Stage()
    data = audit.Data(action="cancel", via="cli", why="a\0b", what={"id": "r-1"})

    made = audit.Record(
        id="a-1",
        source="/cli",
        time_ms=web_role.NOW_MS,
        subject="r-1",
        sender=envelope.Sender("ann@host", "user"),
        data=data,
    )

    whole = audit.write(made)
    odd = [whole.replace(b'"ann@host"', other) for other in (b"1", b'["ann"]', b'"\\ud800"')]
    odd += [whole.replace(b'"r-1"}', b"%b%b}" % (b"[" * depth, b"]" * depth)) for depth in (300, 100_000)]
    odd += [whole.replace(b'"subject":"r-1"', b'"subject":{}')]

    values = [
        b"",
        b"[]",
        b'{"type": 1}',
        b'{"type": "mrs.audit.x"}',
        b"\xff",
        *odd,
        whole.replace(b"a-1", b"a\0"),
        whole,
    ]

    await stage.put(*(records.Outgoing("mrs.audit", b"k", value, audit.HEADERS) for value in values))
    async with web_role.role(stage) as client:
        (one,) = (await _page(client, "/v1/audit", 1, {}))["items"]
        assert (one["id"], one["by"], one["time"]) == ("a-1", "ann@host", "2026-11-23T08:00:00.000Z")

    assert _kept(web_role.Stage()) == []
