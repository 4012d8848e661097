"""A request that ended badly is sent again under a new id, as long as its message is in the topic."""

from __future__ import annotations

import json
from typing import Any

from tests.support import cells, web_role

from mrs_relay.client import wording
from mrs_relay.kafka import partitioning, records

_DATA = {"cluster": "c-1", "engine": "spark", "statement": "select 'secret'", "labels": {"team": "a"}}


async def _put(stage: web_role.Stage, request_id: str, key: bytes, **changes: Any) -> None:
    message = {"id": request_id, "source": "/tests", "type": "mrs.sql.submit", "data": _DATA, **changes}
    await stage.put(records.Outgoing("mrs.requests", key, json.dumps(message).encode(), wording.HEADERS))


async def test_a_retry_is_the_same_request_under_an_id_that_names_the_old_one() -> None:
    """A call that is repeated has the same id, so it starts nothing twice; a key of one's own starts another."""
    stage = web_role.Stage()
    for number in range(5):
        await _put(stage, f"other-{number}", b"r-2")
    await _put(stage, "r-2", b"r-2", data={**_DATA, "statement": "of another source"}, source="/elsewhere")
    await _put(stage, "r-2", b"r-2", traceparent="t")
    await stage.put(web_role.failed("r-2"))
    async with web_role.role(stage) as client:
        first, answered = await client.post("/v1/requests/r-2/retry", {"note": "again"})
        second, _ = await client.post("/v1/requests/r-2/retry", {})
        third, _ = await client.post("/v1/requests/r-2/retry", {}, headers={"Idempotency-Key": "mine"})
        assert (first["id"], second["id"], third["id"]) == ("r-2-retry-4", "r-2-retry-4", "mine")
        assert answered["Location"] == first["request"]
        assert "secret" not in str(first)
    sent = [record for record in stage.broker.committed("mrs.requests") if b"-retry-" in (record.value or b"")]
    assert {record.key for record in sent} == {b"r-2"}
    assert json.loads(sent[0].value or b"") == {
        "specversion": "1.0",
        "id": "r-2-retry-4",
        "source": "/tests",
        "type": "mrs.sql.submit",
        "correlationid": "r-2",
        "data": _DATA,
    }


async def test_a_message_that_stands_elsewhere_is_found() -> None:
    """In another partition than its key's, as a sender that chooses partitions itself writes it."""
    stage = web_role.Stage()
    message = {"id": "r-2", "source": "/tests", "type": "mrs.sql.submit", "data": _DATA}
    elsewhere = 1 - partitioning.murmur2(b"r-2") % 2
    stage.broker.put("mrs.requests", elsewhere, b"r-2", json.dumps(message).encode(), ())
    await stage.put(web_role.failed("r-2"))
    async with web_role.role(stage) as client:
        await client.post("/v1/requests/r-2/retry", {})


async def test_a_corrected_message_under_the_same_id_is_not_guessed() -> None:
    """The first one was rejected, and which one failed nobody can tell from the topic."""
    stage = web_role.Stage()
    await _put(stage, "r-2", b"r-2", data={**_DATA, "engine": "mistaken"})
    for number in range(5):
        await _put(stage, f"other-{number}", b"r-2")
    await _put(stage, "r-2", b"r-2")
    await stage.put(web_role.failed("r-2"))
    async with web_role.role(stage) as client:
        problem, _ = await client.post("/v1/requests/r-2/retry", {}, 409)
        assert "send a new request" in problem["detail"]
        assert len(stage.broker.committed("mrs.requests")) == 7

        stage.broker.drop_topic("mrs.requests")
        problem, _ = await client.post("/v1/requests/r-2/retry", {}, 503)
        assert "topics create" in problem["detail"]


async def test_what_cannot_be_sent_again_is_refused_with_the_reason() -> None:
    """Its message is gone; it is under way, unknown or succeeded; nobody knows it."""
    stage = web_role.Stage()
    await stage.put(
        *web_role.story("r-1"),
        web_role.failed("r-2"),
        web_role.event("r-3", 3, "running"),
        web_role.event("r-4", 3, "unknown"),
    )
    async with web_role.role(stage) as client:
        for request_id, status, kind in (
            ("r-1", 409, "wrong-state"),
            ("r-2", 410, "original-gone"),
            ("r-3", 409, "wrong-state"),
            ("r-4", 409, "wrong-state"),
            ("r-5", 404, "no-such-request"),
        ):
            with cells.cell(request_id):
                problem, _ = await client.post(f"/v1/requests/{request_id}/retry", {}, status)
                assert problem["type"] == f"urn:mrs-relay:problem:{kind}"
    assert not stage.broker.committed("mrs.requests")
