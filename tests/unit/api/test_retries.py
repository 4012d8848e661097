"""A request that ended badly is sent again under a new id, as long as its message is in the topic."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog
from tests.support import cells, web_role

from mrs_relay import errors
from mrs_relay.api import composing, problems, retries
from mrs_relay.client import originals, wording
from mrs_relay.kafka import partitioning, records, topic_io
from mrs_relay.kafka.memory import memory_broker, memory_topic_io

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


async def test_messages_that_cannot_be_read_are_passed_over_and_one_that_is_no_longer_valid_is_refused() -> None:
    """Senders write anything into the topic; what the relay would reject is not sent again."""
    stage = web_role.Stage()
    for value in (b"", b"\xff", b"[]", b'{"id": 1}', b"[" * 100_000, b'{"id":"r-2"}', None):
        await stage.put(records.Outgoing("mrs.requests", b"r-2", value, wording.HEADERS))
    stage.broker.put("mrs.requests", 0, b"r-2", b'{"id":"r-2"', ())
    await _put(stage, "r-2", b"r-2")
    await _put(stage, "r-3", b"r-3", data={**_DATA, "engine": "mistaken"})
    await stage.put(web_role.failed("r-2"), web_role.failed("r-3"))
    async with web_role.role(stage) as client:
        await client.post("/v1/requests/r-2/retry", {})
        problem, _ = await client.post("/v1/requests/r-3/retry", {}, 422)
        assert problem["errors"][0]["field"].endswith("engine")


class _Hanging(memory_topic_io.MemoryTopicClient):
    """Kafka whose topics are not opened until they may be, and which counts those that are asked for."""

    def __init__(self, broker: memory_broker.MemoryBroker) -> None:
        super().__init__(broker)
        self.may_open = asyncio.Event()
        self.asked = 0

    @contextlib.asynccontextmanager
    async def topic(self, name: str, partitions: int) -> AsyncIterator[topic_io.TopicReader]:
        """Open a topic once it may be."""
        self.asked += 1
        await self.may_open.wait()
        async with super().topic(name, partitions) as reader:
            yield reader


async def test_few_topics_are_searched_at_the_same_time_and_none_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else callers that retry could fill the memory; who has waited too long learns that and when to come again."""
    monkeypatch.setattr(retries, "_FIND_S", 1.0)
    stage = web_role.Stage()
    rows = [{"id": f"r-{n}", "source": "/tests", "kafka_key": b"k", "tenant": ""} for n in range(10)]
    hanging = _Hanging(stage.broker)
    unused: Any = None
    repeated = retries.Retries(composing.Composer({"": web_role.KAFKA}, "/x"), unused, unused, hanging, unused)

    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(repeated.originals([row]), name="retry") for row in rows]
        while not hanging.asked:
            await asyncio.sleep(0.01)
        assert hanging.asked == 4

    for call in calls:
        [problem] = call.result()
        assert isinstance(problem, problems.ProblemError)
        assert (problem.status, "Retry-After" in problem.headers) == (503, True)


@pytest.mark.parametrize("error", [errors.NotAllowed("the right Read"), errors.SettingsError("the right Read")])
async def test_a_topic_that_may_not_be_read_is_answered_at_once_and_its_right_is_logged(
    error: errors.RelayError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one while Kafka shows the topic, the other while it hides it."""
    stage = web_role.Stage()
    await stage.put(web_role.failed("r-2"))

    async def find(*_: object) -> None:
        raise error

    async with web_role.role(stage) as client:
        await client.ready()
        monkeypatch.setattr(originals, "find", find)
        with structlog.testing.capture_logs() as logs:
            answer, headers = await client.post("/v1/requests/r-2/retry", {}, 503)
    assert "Retry-After" in headers
    assert ("its log names the right" in answer["detail"]) == isinstance(error, errors.NotAllowed)
    assert [one["event"] for one in logs if one.get("error") == "the right Read"]
