"""`mrs-relay web` in this process: a broker in memory, events as the relay writes them, and the API on a free port."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp

from mrs_relay import settings, web_role
from mrs_relay.common import clock
from mrs_relay.kafka import records
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.memory import memory_broker, memory_topic_io
from mrs_relay.messages import dead_letters, events, reasons

KAFKA = kafka_settings.KafkaSettings()
NOW_MS = 1_795_420_800_000
STORY: tuple[events.State, ...] = ("accepted", "submitted", "running", "succeeded")


def event(  # noqa: PLR0913 - the fields of an event
    request_id: str,
    sequence: int,
    state: events.State,
    *,
    source: str = "/tests",
    subject: events.Subject = "sql",
    time_ms: int | None = None,
    event_source: str = "/mrs-relay",
    mode: events.Mode = "binary",
    **data: Any,
) -> records.Outgoing:
    """Return an event as the relay writes it; `data` are further fields of its body."""
    body = events.EventBody(
        request=events.BodyRequest(id=request_id, source=source),
        state=state,
        sequence=sequence,
        attempt=min(sequence - 1, 1),
        **data,
    )

    made = events.Event(
        subject=subject,
        key=request_id.encode(),
        time_ms=NOW_MS + sequence * 1000 if time_ms is None else time_ms,
        data=body,
        event_id=f"{events.identity(source, request_id)}-{sequence}",
        correlation_id=request_id,
    )

    return records.Outgoing(KAFKA.topics.events, *events.write(made, event_source, mode))


def story(request_id: str, *, start_ms: int = NOW_MS, **data: Any) -> list[records.Outgoing]:
    """Return the four events of a request that succeeds."""
    return [
        event(request_id, number, state, time_ms=start_ms + number * 1000, **data)
        for number, state in enumerate(STORY, start=1)
    ]


def failed(request_id: str, **data: Any) -> records.Outgoing:
    """Return the last event of a request whose job failed."""
    reason = reasons.Reason(kind="job_failed", code="job_result", message="MRS says FAILED")
    return event(request_id, 4, "failed", reason=reason, **data)


def refused(request_id: str, sequence: int) -> records.Outgoing:
    """Return the answer to a second message that used the id for something else."""
    reason = reasons.Reason(kind="conflict", code="id_reused", message="the id is used")
    return event(request_id, sequence, "rejected", reason=reason)


def letter(
    offset: int, code: str = "bad_id", topic: str = "mrs.requests", *, time_ms: int = NOW_MS
) -> records.Outgoing:
    """Return a dead letter as the relay writes it."""
    made = dead_letters.DeadLetter(
        key=b"k",
        value=b"not json",
        headers=(),
        code=code,
        message="no id can be read",
        topic=topic,
        partition=0,
        offset=offset,
        timestamp_ms=time_ms,
    )
    return records.Outgoing(KAFKA.topics.dead_letters, *made.write())


class Stage:
    """
    A broker in memory that outlives the roles on it.

    Args:
        partitions: of each topic.
        broker: one that has its topics already, instead of a new one.
    """

    def __init__(self, partitions: int = 2, broker: memory_broker.MemoryBroker | None = None) -> None:
        self.broker = memory_broker.MemoryBroker(KAFKA) if broker is None else broker
        if broker is None:
            self.broker.create_topics(partitions)

    async def put(self, *outgoing: records.Outgoing) -> None:
        """Write records as one commit does: in a transaction, whose marker takes an offset."""
        producer = self.broker.producer("stage", idempotent=True)
        await producer.start()
        await producer.write(outgoing)
        await producer.kill()

    def client(self, _kafka: kafka_settings.KafkaSettings) -> memory_topic_io.MemoryTopicClient:
        """Return what `web_role` connects with."""
        return memory_topic_io.MemoryTopicClient(self.broker)


def chosen(database: str | None = None, **groups: Mapping[str, Any]) -> settings.WebRoleSettings:
    """Return settings with a free port."""
    api = {"port": 0, "requests_per_s": 10_000, **groups.pop("api", {})}
    read_model = {"database": database, **groups.pop("read_model", {})}
    return settings.WebRoleSettings.model_validate({"api": api, "read_model": read_model, **groups})


class Client:
    """
    A client of one role's API.

    Args:
        session: aiohttp's.
        port: where it listens.
    """

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self.session = session
        self.url = f"http://127.0.0.1:{port}"

    async def get(self, path: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Any:
        """Return the JSON of an answer that has this status."""
        async with self.session.get(self.url + path, headers=headers) as response:
            found = await response.json(content_type=None)
            assert response.status == status, found
            return found

    async def post(
        self, path: str, body: object, status: int = 202, headers: Mapping[str, str] | None = None
    ) -> tuple[Any, Mapping[str, str]]:
        """Send JSON; returns the JSON and the headers of an answer that has this status."""
        async with self.session.post(self.url + path, json=body, headers=headers) as response:
            found = await response.json(content_type=None)
            assert response.status == status, found
            return found, response.headers

    async def seen(self, request_id: str, state: str = "succeeded") -> None:
        """Wait until a request is shown in a state."""
        while True:
            async with self.session.get(f"{self.url}/v1/requests?text={request_id}&state={state}") as response:
                if (await response.json())["items"]:
                    return
            await asyncio.sleep(0.01)

    async def seen_letters(self, count: int) -> None:
        """Wait until so many dead letters are shown."""
        while len((await self.get("/v1/dead-letters?limit=500"))["items"]) < count:
            await asyncio.sleep(0.01)

    async def ready(self) -> None:
        """Wait until the role has read what the topics hold."""
        while True:
            async with self.session.get(f"{self.url}/ready") as response:
                if response.status == 200 and not any((await response.json()).get("behind", {}).values()):
                    return
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def role(stage: Stage, with_settings: settings.WebRoleSettings | None = None) -> AsyncIterator[Client]:
    """Run the role; yields a client of it once it has read all topics."""
    async with running(stage, with_settings or chosen()) as port, aiohttp.ClientSession() as session:
        client = Client(session, port)
        await client.ready()
        yield client


@contextlib.asynccontextmanager
async def running(stage: Stage, with_settings: settings.WebRoleSettings) -> AsyncIterator[int]:
    """Run the role; yields its port."""
    raised: list[BaseException] = []
    async with web_role.running(
        with_settings, stage.client, clock.SystemClock(), lambda _name, error: raised.append(error)
    ) as port:
        yield port
    assert not raised, raised


def milliseconds(moment: str) -> int:
    """Return RFC 3339 text as milliseconds since the epoch."""
    return round(dt.datetime.fromisoformat(moment).timestamp() * 1000)


def ids(page: Mapping[str, Any]) -> list[str]:
    """Return the ids of the requests on a page."""
    found: Sequence[Mapping[str, Any]] = page["items"]
    return [one["id"] for one in found]
