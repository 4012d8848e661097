"""What the client does when Kafka, or a caller, behaves badly; in virtual time."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
import structlog

from mrs_relay import client as relay_client
from mrs_relay import errors
from mrs_relay.client import handle as handles
from mrs_relay.client import reading, register, sending, wording
from mrs_relay.kafka import records, settings, topic_io
from mrs_relay.kafka.memory import memory_broker, memory_topic_io
from mrs_relay.messages import envelope as relay_envelope
from mrs_relay.messages import events, requests
from mrs_relay.testing import scripted

pytestmark = pytest.mark.looptime

SQL = relay_client.sql("c-1", "spark", "SELECT 1")
KAFKA = settings.KafkaSettings()
TOPIC = KAFKA.topics.events


class DeafReader(memory_topic_io.MemoryTopicReader):
    """Receives nothing more once asked to, as a consumer whose fetch task died in silence."""

    deaf = False

    async def read(self, timeout_s: float) -> Sequence[records.Record]:
        """Read nothing, and give no answer."""
        if self.deaf:
            await asyncio.sleep(timeout_s)
            return ()
        return await super().read(timeout_s)


class Tapped(memory_topic_io.MemoryTopicClient):
    """Notes the readers it gave."""

    def __init__(self, cluster: memory_broker.MemoryBroker) -> None:
        super().__init__(cluster)
        self.cluster = cluster
        self.readers: list[DeafReader] = []

    def topic(self, name: str, partitions: int) -> AbstractAsyncContextManager[topic_io.TopicReader]:
        return self._deaf(name, partitions)

    @asynccontextmanager
    async def _deaf(self, name: str, partitions: int) -> AsyncIterator[DeafReader]:
        await self.cluster.reach()
        self.readers.append(DeafReader(self.cluster, name, partitions))
        yield self.readers[-1]


@pytest.fixture
def cluster() -> memory_broker.MemoryBroker:
    broker = memory_broker.MemoryBroker(KAFKA)
    broker.create_topics(2)
    return broker


def _put(broker: memory_broker.MemoryBroker, text: str, partition: int = 0) -> None:
    broker.put(TOPIC, partition, b"k", text.encode())


async def _texts(follower: reading.Follower, until_s: float) -> list[str]:
    found: list[str] = []
    while asyncio.get_running_loop().time() < until_s:
        found += [(record.value or b"").decode() for record in await follower.take(0.5)]
    return found


async def test_a_connection_that_has_gone_silent_is_replaced_and_misses_nothing(
    cluster: memory_broker.MemoryBroker,
) -> None:
    """The next one continues behind the last record read: what came meanwhile comes once."""
    tapped = Tapped(cluster)
    async with reading.Follower(tapped, TOPIC) as follower:
        _put(cluster, "before")
        assert await _texts(follower, 10) == ["before"]
        tapped.readers[0].deaf = True
        _put(cluster, "meanwhile")
        assert await _texts(follower, 10 + reading.SILENT_S - 5) == []
        assert await _texts(follower, 10 + reading.SILENT_S + 5) == ["meanwhile"]
        assert len(tapped.readers) == 2
        assert await _texts(follower, 200) == []
        assert len(tapped.readers) == 2


async def test_events_on_new_partitions_are_read_from_their_beginning(cluster: memory_broker.MemoryBroker) -> None:
    """A topic may grow while a service waits."""
    async with reading.Follower(memory_topic_io.MemoryTopicClient(cluster), TOPIC) as follower:
        _put(cluster, "old")
        assert await _texts(follower, 5) == ["old"]
        cluster.grow(TOPIC, 4)
        _put(cluster, "new", partition=3)
        assert await _texts(follower, 10) == ["new"]


async def test_unreadable_events_are_passed_over_and_named(cluster: memory_broker.MemoryBroker) -> None:
    """One batch holds up no other event; offset and reason are in the log."""
    async with reading.Follower(memory_topic_io.MemoryTopicClient(cluster), TOPIC) as follower:
        for text in ("a", "damaged", "damaged too", "b"):
            _put(cluster, text)
        _put(cluster, "other", partition=1)
        cluster.log(records.Position(TOPIC, 0)).spoil(1, 3, "its checksum is wrong")
        with structlog.testing.capture_logs() as logs:
            assert sorted(await _texts(follower, 5)) == ["a", "b", "other"]
    logged = [entry for entry in logs if entry["event"] == "relay_client_record_skipped"]
    assert [entry["error"] for entry in logged] == [
        "the batch at offsets 1 to 2 of mrs.events-0 cannot be read: its checksum is wrong"
    ]


async def test_a_caller_who_leaves_does_not_disturb_others(cluster: memory_broker.MemoryBroker) -> None:
    """A thousand callers give up before their turn, one in the middle of the write; the last one's message is sent."""
    sender = sending.Sender(memory_topic_io.MemoryTopicClient(cluster))
    running = asyncio.create_task(sender.run())
    wanted = records.Outgoing(KAFKA.topics.requests, b"k", b"v")
    first = asyncio.create_task(sender.send(wanted))
    await asyncio.sleep(0.0005)  # the producer is being started
    leavers = [asyncio.create_task(sender.send(wanted)) for _ in range(1000)]
    await asyncio.sleep(0)
    last = asyncio.create_task(sender.send(wanted))
    for leaver in (first, *leavers):
        leaver.cancel()
    async with asyncio.timeout(60):
        await last
    running.cancel()
    await asyncio.wait([running, first, *leavers])

    assert len(cluster.committed(KAFKA.topics.requests)) == 2


async def test_a_sender_that_has_ended_says_so(cluster: memory_broker.MemoryBroker) -> None:
    """No caller waits for a write that will never come, neither from before nor from after."""
    sender = sending.Sender(memory_topic_io.MemoryTopicClient(cluster))
    cluster.go_down()
    running = asyncio.create_task(sender.run())
    wanted = records.Outgoing(KAFKA.topics.requests, b"k", b"v")
    waiting = [asyncio.create_task(sender.send(wanted)) for _ in range(2)]
    await asyncio.sleep(1)  # these are being written
    waiting.append(asyncio.create_task(sender.send(wanted)))
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    for one in (*waiting, asyncio.create_task(sender.send(wanted))):
        async with asyncio.timeout(1):
            with pytest.raises(errors.StreamDown, match="closed"):
                await one


async def test_a_request_without_acknowledgement_is_named_and_can_be_sent_again() -> None:
    """The error has the id that was made up for it; under that id the relay runs it once."""
    async with scripted.Relay() as relay, relay.client() as client:
        relay.kafka.fail_writes(applied=True)
        with pytest.raises(relay_client.NotAcknowledged) as lost:
            await client.submit(SQL)
        assert client.following == 0
        await asyncio.sleep(5)
        handle = await client.submit(SQL, request_id=lost.value.request_id)
        assert (await handle.result(10)).repeated
        assert relay.received == [SQL]


async def test_a_message_that_kafka_would_refuse_is_refused_before(cluster: memory_broker.MemoryBroker) -> None:
    """One request too large does not spoil the write of its neighbours."""
    small = KAFKA.model_copy(update={"record_bytes": 2_000})
    topic_client = memory_topic_io.MemoryTopicClient(cluster)
    async with relay_client.RelayClient(small, broker=topic_client) as client:
        with pytest.raises(errors.BadMessage, match=r"kafka\.record_bytes"):
            await client.submit(relay_client.sql("c-1", "spark", "x" * 2_000))
        assert client.following == 0
        await client.submit(SQL)


async def test_one_id_is_followed_by_one_handle_of_a_client() -> None:
    """A second submit of an id under way is asked to use the handle; another source's request of that id is another."""
    async with scripted.Relay() as relay, relay.client("/a") as client:
        relay.will_run()
        handle = await client.submit(SQL, request_id="r-1")
        with pytest.raises(errors.BadMessage, match="followed already"):
            await client.submit(SQL, request_id="r-1")
        other = await client.attach("r-1", source="/b")
        assert client.following == 2
        await handle.cancel()
        with pytest.raises(relay_client.RequestCancelled):
            await handle.result(10)
        assert client.following == 1
        assert not other.ended


async def test_a_conflict_is_for_the_sender_whose_message_was_not_answered_yet() -> None:
    """Events of the first sender's job may come before; they do not turn the second one's rejection away."""
    reason = {"class": "conflict", "code": "id_reused", "message": "another payload"}
    reported = [
        {"state": "running", "sequence": 3},
        {"state": "rejected", "sequence": 4, "reason": reason},
        {"state": "succeeded", "sequence": 5},
    ]
    late, early = (handles.Handle("/s", "r", key=b"k", cancel=_no_cancel) for _ in range(2))
    early.take(_event(state="accepted", sequence=1))
    for one in reported:
        late.take(_event(**one))
        early.take(_event(**one))
    with pytest.raises(relay_client.RequestRejected):
        await late.result()
    assert (await early.result()).state == "succeeded"


async def test_waiters_who_give_up_leave_nothing_behind() -> None:
    """Asking with short limits for hours takes no memory."""
    handle = handles.Handle("/s", "r", key=b"k", cancel=_no_cancel)
    for _ in range(50):
        with pytest.raises(TimeoutError):
            await handle.result(1)
    assert handle._waiters == []


async def test_an_event_is_read_back_as_it_came() -> None:
    """What `events` yields is the whole event: names in any script, numbers of any size, its own `request` fields."""
    reply = {"request": {"big": 10**30, "text": "数据"}}
    ref = {"id": 'r-"数据"', "source": "/s"}
    data = _event(state="succeeded", sequence=1, request=ref, result={"reply": reply}, labels={"a": "b"})
    handle = handles.Handle(ref["source"], ref["id"], key=b"k", cancel=_no_cancel)
    handle.take(data)
    assert [event async for event in handle.events()] == [data] == [await handle.result()]


@pytest.mark.parametrize("mode", ["binary", "structured"])
async def test_events_of_both_layouts_find_their_handle_and_junk_finds_none(mode: events.Mode) -> None:
    """Other people's events, other ids, other sources and bytes that are no event are passed over."""
    book = register.Register()
    handle = handles.Handle("/s", "r", key=b"k", cancel=_no_cancel)
    book.add(handle)
    for junk, named in ((b"\xff", ()), (None, ()), (b"{}", (("ce_subject", b"r"), ("ce_type", b"\xff")))):
        book.take(records.Record(TOPIC, 0, 0, 0, b"k", junk, named))
    for source, name in (("/other", "r"), ("/s", "other"), ("/s", "r")):
        data = _event(state="succeeded", sequence=1, request={"id": name, "source": source})
        body = events.body(data)
        event = events.Event(subject="sql", key=b"k", time_ms=0, data=body, event_id="e", correlation_id=name)
        assert len(book) == 1
        key, value, headers = events.write(event, "/mrs-relay", mode)
        book.take(records.Record(TOPIC, 0, 0, 0, key, value, headers))
    assert handle.ended
    assert len(book) == 0


def test_keywords_take_pythons_own_values() -> None:
    """Moments, tuples and models are worded as the message wants them."""
    moment = dt.datetime(2026, 11, 24, 6, tzinfo=dt.UTC)
    retry = requests.RetryPolicy(attempts=3)
    job = wording.job("c-1", "SparkSubmit", arguments=("a", "b"), not_before=moment, retry=retry, job_name="nightly")
    assert (job.not_before, job.retry, job.job.arguments, job.job.job_name) == (moment, retry, ["a", "b"], "nightly")
    again = requests.parse(_envelope(wording.message(job, "/s", "r")))
    assert again == job


def test_what_a_caller_says_goes_out_also_where_it_is_the_default() -> None:
    """A tenant's own default stands where a message says nothing; what is not said is left to it."""
    nothing: Any = {"retry": None}
    sql = wording.sql("c-1", "spark", "SELECT 1", database="default", priority=5, **nothing)
    said = json.loads(wording.message(sql, "/s", "r"))["data"]
    assert said == {"cluster": "c-1", "engine": "spark", "statement": "SELECT 1", "database": "default", "priority": 5}
    whole = requests.SqlSubmit(cluster="c-1", engine="hive", statement="SELECT 1", database="default")
    assert json.loads(wording.message(whole, "/s", "r"))["data"]["database"] == "default"
    job = wording.job("c-1", "Flink")
    assert json.loads(wording.message(job, "/s", "r"))["data"] == {"cluster": "c-1", "job": {"job_type": "Flink"}}


def test_a_job_for_an_old_cluster_is_worded_by_keywords() -> None:
    """V1.1's fields stand in the job, its name beside it."""
    job = wording.job("c-1", "MapReduce", arguments=("a",), api="v1.1", jar_path="/x.jar", output="/out")
    assert (job.api, job.job.jar_path, job.job.output) == ("v1.1", "/x.jar", "/out")
    assert requests.parse(_envelope(wording.message(job, "/s", "r"))) == job
    with pytest.raises(errors.BadMessage, match="jar_path"):
        wording.job("c-1", "MapReduce", api="v1.1")


@pytest.mark.parametrize(
    ("options", "models"),
    [
        (wording.JobOptions, (requests.JobSubmit, requests.BatchJob)),
        (wording.SqlOptions, (requests.SqlSubmit,)),
    ],
)
def test_every_field_of_a_request_has_a_keyword(options: type, models: tuple[type[requests.JobSubmit], ...]) -> None:
    """What a message can say, the helpers can say."""
    positional = {"cluster", "job", "job_type", "arguments", "engine", "statement"}
    fields = {name for model in models for name in model.model_fields} - positional
    assert fields == options.__annotations__.keys()


async def _no_cancel(_handle: handles.Handle) -> None: ...


def _event(**more: object) -> events.EventData:
    return events.EventData.model_validate({"request": {"id": "r", "source": "/s"}, "attempt": 1, **more})


def _envelope(value: bytes) -> relay_envelope.Envelope:
    return relay_envelope.read("t", value, wording.HEADERS)
