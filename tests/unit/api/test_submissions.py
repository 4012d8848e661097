"""What is sent over HTTP becomes one message; what cannot be one is refused with the reason."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from tests.support import cells, web_role

from mrs_relay.api import submissions, writing
from mrs_relay.kafka import broker, records
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.memory import memory_topic_io
from mrs_relay.messages import reasons

_SQL: dict[str, Any] = {
    "type": "mrs.sql.submit",
    "data": {"cluster": "c-1", "engine": "spark", "statement": "select 1"},
}


def _written(stage: web_role.Stage) -> list[records.Record]:
    return stage.broker.committed("mrs.requests")


async def test_the_message_is_the_one_that_any_sender_would_write() -> None:
    """CloudEvents in structured mode, with the cluster as Kafka key."""
    stage = web_role.Stage()
    async with web_role.role(stage) as client:
        headers = {"Idempotency-Key": "r-1"}
        found, answered = await client.post("/v1/requests", {**_SQL, "source": "/billing"}, headers=headers)
        assert "last_event" not in found
        assert answered["Location"] == "/v1/requests/r-1?source=%2Fbilling&tenant="
    (record,) = _written(stage)
    assert record.key == b"c-1"
    assert json.loads(record.value or b"") == {"specversion": "1.0", "id": "r-1", "source": "/billing", **_SQL}


async def test_messages_about_a_request_have_its_kafka_key() -> None:
    """They must reach the partition that holds the request."""
    stage = web_role.Stage()
    await stage.put(web_role.event("r-1", 3, "running"), web_role.event("r-2", 3, "unknown"))
    async with web_role.role(stage) as client:
        await client.post("/v1/requests/r-1/cancel", {"note": "late"})
        await client.post("/v1/requests/r-2/resolve", {"verdict": "failed", "note": "looked, Ann"})
    found = {record.key: json.loads(record.value or b"") for record in _written(stage)}
    assert found[b"r-1"]["type"] == "mrs.job.cancel"
    assert found[b"r-1"]["data"] == {"request": {"id": "r-1", "source": "/tests"}, "note": "late"}
    assert found[b"r-2"]["type"] == "mrs.job.resolve"
    assert found[b"r-2"]["data"]["verdict"] == "failed"


_REFUSED: list[tuple[dict[str, Any], int, str, str]] = [
    (_SQL, 400, "missing-idempotency-key", "expected the header Idempotency-Key"),
    ({**_SQL, "id": "other"}, 400, "ambiguous-id", "Idempotency-Key and `id` differ"),
    ({**_SQL, "type": "mrs.sql.run"}, 422, "invalid-request", 'type "mrs.sql.run" is not known; known: mrs.call'),
    ({"type": "mrs.sql.submit", "data": {"cluster": "c-1"}}, 422, "invalid-request", "`data.engine`: is required"),
    ({**_SQL, "type": "mrs.job.cancel"}, 422, "invalid-request", "POST /v1/requests/ID/cancel sends mrs.job.cancel"),
    ({**_SQL, "tenant": "x"}, 422, "invalid-request", "tenant 'x' is not known; known: there are no tenants"),
    ({**_SQL, "more": 1}, 422, "invalid-body", "more: Extra inputs are not permitted"),
    ({"type": "mrs.sql.submit"}, 422, "invalid-body", "data: Field required"),
]


async def test_what_the_relay_would_reject_is_refused_before_it_is_sent() -> None:
    """The sender learns it at once, with the field."""
    stage = web_role.Stage()
    async with web_role.role(stage) as client:
        for number, (body, status, kind, words) in enumerate(_REFUSED):
            headers = {} if kind == "missing-idempotency-key" else {"Idempotency-Key": f"r-{number}"}
            with cells.cell(kind, number):
                problem, _ = await client.post("/v1/requests", body, status, headers)
                assert problem["type"] == f"urn:mrs-relay:problem:{kind}"
                assert words in problem["detail"]
    assert not _written(stage)


async def test_headers_that_are_not_utf_8_do_no_harm() -> None:
    """Bytes that are no text cannot become the id of a message."""
    stage = web_role.Stage()
    body = json.dumps(_SQL).encode()
    fields = b"Host: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % len(
        body
    )

    heads = {
        b"POST /v1/requests HTTP/1.1\r\nIdempotency-Key: r-\xff\r\n": b"400",
        b"GET /v1/requests/r-%ff HTTP/1.1\r\n": b"404",
        b"GET /v1/requests/r-1?source=%ff HTTP/1.1\r\n": b"404",
        b"GET /v1/events?wait=0 HTTP/1.1\r\nLast-Event-ID: \xff\r\n": b"400",
        b"GET /v1/requests HTTP/1.1\r\nIf-None-Match: \xff\r\n": b"200",
        b"POST /v1/requests HTTP/1.1\r\nIdempotency-Key: r-1\r\nPrefer: \xff\r\n": b"202",
    }

    async with web_role.role(stage) as client:
        for head, status in heads.items():
            with cells.cell(head):
                reader, writer = await asyncio.open_connection("127.0.0.1", int(client.url.rpartition(":")[2]))
                writer.write(head + fields + b"\r\n" + body)
                async with asyncio.timeout(60):
                    answer = await reader.read()
                writer.close()
                assert answer.startswith(b"HTTP/1.1 " + status), answer

    assert len(_written(stage)) == 1


async def test_a_body_that_a_form_of_another_site_could_send_is_refused() -> None:
    """Browsers send JSON to another site only after asking it."""
    stage = web_role.Stage()
    async with web_role.role(stage) as client:
        address = f"{client.url}/v1/requests"
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            headers = {"Content-Type": kind, "Idempotency-Key": "r-1"}
            with cells.cell(kind):
                async with client.session.post(address, data=json.dumps(_SQL), headers=headers) as response:
                    assert response.status == 415
    assert not _written(stage)


async def test_a_large_or_broken_body_is_refused() -> None:
    """Neither reaches Kafka."""
    stage = web_role.Stage()
    async with web_role.role(stage, web_role.chosen(api={"body_bytes": 2_000})) as client:
        big = {**_SQL, "data": {**_SQL["data"], "statement": "x" * 3_000}}
        problem, _ = await client.post("/v1/requests", big, 413, {"Idempotency-Key": "r-1"})
        assert "api.body_bytes" in problem["detail"]
        headers = {"Content-Type": "application/json", "Idempotency-Key": "r-1"}
        async with client.session.post(f"{client.url}/v1/requests", data=b"{", headers=headers) as response:
            assert response.status == 400
    assert not _written(stage)


async def test_a_role_that_is_read_only_sends_nothing() -> None:
    """It may run without the right to write."""
    stage = web_role.Stage()
    await stage.put(web_role.event("r-1", 3, "running"))
    async with web_role.role(stage, web_role.chosen(api={"read_only": True})) as client:
        await client.post("/v1/requests", _SQL, 403, {"Idempotency-Key": "r-1"})
        await client.post("/v1/requests/r-1/cancel", {}, 403)
    assert not _written(stage)


async def test_a_message_that_kafka_does_not_acknowledge_may_be_sent_again() -> None:
    """The answer says so: the message may have been written."""
    stage = web_role.Stage()
    async with web_role.role(stage) as client:
        stage.broker.go_down()
        problem, _ = await client.post("/v1/requests", _SQL, 503, {"Idempotency-Key": "r-1"})
        assert "send it again, with the same key" in problem["detail"]
        stage.broker.come_up()
        await client.post("/v1/requests", _SQL, 202, {"Idempotency-Key": "r-1"})
    assert len(_written(stage)) == 1


async def test_an_answer_that_is_awaited_longer_than_preferred_is_202() -> None:
    """The request goes on; its events tell its end."""
    async with web_role.role(web_role.Stage()) as client:
        found, _ = await client.post("/v1/requests", _SQL, 202, {"Idempotency-Key": "r-1", "Prefer": "wait=1"})
        assert "last_event" not in found


def _statement(text: str) -> dict[str, Any]:
    return {**_SQL, "data": {**_SQL["data"], "statement": text}}


async def test_the_key_of_a_rejected_request_may_be_used_for_a_corrected_one() -> None:
    """The relay starts it; as long as the first request is not rejected, its key belongs to its payload."""
    stage = web_role.Stage()
    source = "/mrs-relay/http"
    headers = {"Idempotency-Key": "r-1"}
    async with web_role.role(stage) as client:
        await client.post("/v1/requests", _statement("first"), 202, headers)
        await client.post("/v1/requests", _statement("other"), 422, headers)

        await stage.put(web_role.event("r-1", 1, "rejected", source=source))
        await client.seen("r-1", "rejected")
        await client.post("/v1/requests", _statement("other"), 202, headers)

        await stage.put(web_role.event("r-1", 2, "accepted", source=source))
        await client.seen("r-1", "accepted")
        problem, _ = await client.post("/v1/requests", _statement("first"), 422, headers)
        assert problem["type"] == "urn:mrs-relay:problem:key-reused"
        await client.post("/v1/requests", _statement("other"), 202, headers)
    statements = [json.loads(record.value or b"")["data"]["statement"] for record in _written(stage)]
    assert statements == ["first", "other", "other"]


async def test_a_call_that_waits_counts_as_a_stream() -> None:
    """It costs the same queries; one too many is refused before anything is sent."""
    stage = web_role.Stage()
    async with web_role.role(stage, web_role.chosen(api={"streams": 1})) as client, asyncio.TaskGroup() as group:
        waiting = group.create_task(
            client.post("/v1/requests", _SQL, 200, {"Idempotency-Key": "r-1", "Prefer": "wait=30"})
        )
        while not _written(stage):
            await asyncio.sleep(0.01)
        second = {"Idempotency-Key": "r-2"}
        problem, _ = await client.post("/v1/requests", _SQL, 503, {**second, "Prefer": "wait=30"})
        assert "as many as api.streams allows" in problem["detail"]
        assert len(_written(stage)) == 1
        await client.post("/v1/requests", _SQL, 202, second)

        await stage.put(*web_role.story("r-1", source="/mrs-relay/http"))
        await waiting
        await client.get("/v1/events?wait=0")


class _SlowClient(memory_topic_io.MemoryTopicClient):
    """A client of Kafka whose producers write nothing until `answers` is set."""

    answers: asyncio.Event

    def producer(self, transactional_id: str | None, *, idempotent: bool) -> broker.Producer:
        made = super().producer(transactional_id, idempotent=idempotent)
        start = made.start

        async def start_later() -> None:
            await self.answers.wait()
            await start()

        setattr(made, "start", start_later)  # noqa: B010 - the protocol's method
        return made


class _SlowStage(web_role.Stage):
    """A broker that does not answer those who write."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = asyncio.Event()

    def client(self, _kafka: kafka_settings.KafkaSettings) -> memory_topic_io.MemoryTopicClient:
        made = _SlowClient(self.broker)
        made.answers = self.answers
        return made


async def test_a_message_that_kafka_does_not_take_in_time_may_be_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller gets an answer, however long Kafka takes."""
    monkeypatch.setattr(writing, "_SEND_S", 0.1)
    stage = _SlowStage()
    async with web_role.role(stage) as client, asyncio.timeout(60):
        problem, _ = await client.post("/v1/requests", _SQL, 503, {"Idempotency-Key": "r-1"})
        assert "may have been written: send it again, with the same key" in problem["detail"]


async def test_no_more_messages_wait_for_kafka_than_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is refused at once; the others are written when Kafka answers."""
    monkeypatch.setattr(submissions, "_MOST_WAITING", 2)
    stage = _SlowStage()

    async def send(client: web_role.Client, number: int) -> int:
        headers = {"Idempotency-Key": f"r-{number}"}
        async with client.session.post(f"{client.url}/v1/requests", json=_SQL, headers=headers) as response:
            if response.status == 503:
                assert (
                    "messages wait for Kafka; this one was not written"
                    in (await response.json(content_type=None))["detail"]
                )
            return response.status

    async with web_role.role(stage) as client, asyncio.timeout(60):
        sending: list[asyncio.Task[int]] = []
        while not any(one.done() for one in sending):
            sending.append(asyncio.create_task(send(client, len(sending))))
            await asyncio.sleep(0.02)
        stage.answers.set()
        statuses = [await one for one in sending]
    assert statuses.count(503) >= 1
    assert len(_written(stage)) == statuses.count(202) >= 3


async def test_a_refusal_of_another_message_does_not_end_the_waiting() -> None:
    """Another sender used the id of a request that the relay had taken: only that sender is refused."""
    stage = web_role.Stage(partitions=1)
    accepted, submitted, *others = web_role.story("r-1", source="/mrs-relay/http")
    reason = reasons.Reason(kind="conflict", code="id_reused", message="the id is used")
    conflict = web_role.event("r-1", 9, "rejected", source="/mrs-relay/http", reason=reason)
    headers = {"Idempotency-Key": "r-1", "Prefer": "wait=30"}
    async with web_role.role(stage) as client, asyncio.TaskGroup() as group:
        waiting = group.create_task(client.post("/v1/requests", _SQL, 200, headers))
        while not _written(stage):
            await asyncio.sleep(0.01)
        for one in (accepted, conflict, submitted, *others):
            await stage.put(one)
        found, _ = await waiting
        assert found["last_event"]["data"]["state"] == "succeeded"
