"""A client leaves a broker that is gone, and no request waits longer than its kind deserves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaConsumer, structs
from aiokafka import client as kafka_client
from aiokafka import errors as kafka_errors
from aiokafka.protocol import coordination, group
from tests.support import answering, runtimes

from mrs_relay import errors
from mrs_relay.kafka import records
from mrs_relay.kafka.adapter import connection, consumer, failover, probe

_PLACE = records.Position(runtimes.IN, 0)

_JOINING = group.JoinGroupRequest("g", 45_000, 30_000, "", None, "consumer", [("sticky", b"")])
_BEATING = group.HeartbeatRequest("g", 1, "m")


@dataclass(frozen=True, slots=True)
class _Stage:
    """Two brokers and a client that knows both."""

    one: answering.AnsweringBroker
    two: answering.AnsweringBroker
    client: kafka_client.AIOKafkaClient
    guard: failover.Failover


@asynccontextmanager
async def _stage(**limits: int) -> AsyncIterator[_Stage]:
    one, two = answering.AnsweringBroker(1), answering.AnsweringBroker(2)
    async with one.serving(), two.serving():
        one.cluster = two.cluster = [one, two]
        client = kafka_client.AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{two.port}")
        guard = failover.Failover(client, runtimes.kafka_settings(**limits), failover.Brokers())
        await client.bootstrap()
        try:
            yield _Stage(one, two, client, guard)
        finally:
            await client.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "_OVERDUE_S", 0.2)
    monkeypatch.setattr(failover, "_ASK_EVERY_S", 0.1)


@pytest.mark.parametrize("request_made", [_JOINING, _BEATING])
async def test_request_to_a_broker_that_has_left_the_cluster_fails_at_once(request_made: object) -> None:
    """Its limit, 8 s or 40, does not matter: metadata is asked for while it waits, and of another broker."""
    async with _stage() as stage, asyncio.timeout(30):
        stage.one.mute = True
        waiting = asyncio.create_task(stage.client.send(1, request_made))
        await asyncio.sleep(0.5)
        assert not waiting.done()  # the broker is in the cluster still
        stage.two.cluster = [stage.two]
        with pytest.raises(kafka_errors.KafkaConnectionError):
            await waiting
        with pytest.raises(kafka_errors.NodeNotReadyError):
            await stage.client.send(1, request_made)


async def test_join_that_waits_for_the_group_holds_nothing_up() -> None:
    """It has a connection of its own and outlives the limit of other requests."""
    async with _stage(request_timeout_ms=1_500) as stage, asyncio.timeout(30):
        joining = asyncio.create_task(stage.client.send(1, _JOINING))
        await asyncio.sleep(1.7)
        assert (await stage.client.send(1, _BEATING)).error_code == 0
        assert not joining.done()
        joining.cancel()


async def test_every_other_request_has_a_short_limit() -> None:
    """A broker that hangs, and is in the cluster still, is given up by the request; its connection is closed."""
    async with _stage(request_timeout_ms=500) as stage, asyncio.timeout(30):
        await stage.client.ready(1)
        stage.one.hung = True
        with pytest.raises(kafka_errors.RequestTimedOutError):
            await stage.client.send(1, _BEATING)
        with pytest.raises(kafka_errors.NodeNotReadyError):
            await stage.client.send(1, _BEATING)


async def test_connecting_has_the_shortest_limit() -> None:
    """A hung broker takes connections and says nothing."""
    async with _stage(connect_timeout_ms=500) as stage, asyncio.timeout(6):  # any other would be 8 s at least
        stage.one.hung = True
        with pytest.raises(kafka_errors.NodeNotReadyError):
            await stage.client.send(1, _JOINING)


async def test_broken_connection_under_the_search_for_a_coordinator_is_no_end() -> None:
    """The library's producers die of the error for a broken connection, and ask again after this one."""
    async with _stage() as stage, asyncio.timeout(30):
        await stage.client.ready(1)
        stage.one.hung = True
        looking = asyncio.create_task(stage.client.send(1, coordination.FindCoordinatorRequest("g", 0)))
        while answering.FIND_COORDINATOR not in stage.one.asked:
            await asyncio.sleep(0.01)
        stage.one.break_connections()
        with pytest.raises(kafka_errors.NodeNotReadyError):
            await looking


async def test_write_on_a_connection_that_was_just_closed_finds_it_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event loop may say so by an error that the library does not know; the next request connects again."""
    async with _stage() as stage:
        assert await stage.client.ready(1)
        wire = stage.client._conns[1, kafka_client.ConnectionGroup.DEFAULT]._writer

        def closed(_data: bytes) -> None:
            raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")

        monkeypatch.setattr(wire, "write", closed)
        with pytest.raises(kafka_errors.KafkaConnectionError):
            await stage.client.send(1, _BEATING)
        await stage.client.send(1, _BEATING)


async def test_no_broker_is_probed_while_all_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata is asked for as long as a request is overdue, and no longer."""
    async with _stage() as stage, asyncio.timeout(30):
        monkeypatch.setattr(failover, "_OVERDUE_S", 5.0)  # no answer takes a busy machine as long
        for _ in range(5):
            await stage.client.send(1, _BEATING)
            await asyncio.sleep(0.1)

        assert stage.two.asked.count(answering.METADATA) == 1

        monkeypatch.setattr(failover, "_OVERDUE_S", 0.2)
        waiting = asyncio.create_task(stage.client.send(1, _JOINING))
        while stage.two.asked.count(answering.METADATA) < 4:
            await asyncio.sleep(0.05)
        waiting.cancel()

        asked = 0
        while stage.two.asked.count(answering.METADATA) > asked:  # the last one may be under way
            asked = stage.two.asked.count(answering.METADATA)
            await asyncio.sleep(0.5)


async def test_whatever_is_answered_is_heard() -> None:
    """A consumer that gets answers, if only to requests for metadata, is not deaf."""
    async with _stage() as stage, asyncio.timeout(30):
        before_s = stage.guard.heard_s
        waiting = asyncio.create_task(stage.client.send(1, _JOINING))
        while stage.guard.heard_s == before_s:
            await asyncio.sleep(0.05)
        assert stage.guard.heard_s > before_s > 0
        waiting.cancel()


async def test_new_clients_begin_with_brokers_that_are_likely_to_answer() -> None:
    """A hung broker in the settings costs nothing once others of the process know better; in the end all are tried."""
    known = failover.Brokers()

    async def take(*servers: answering.AnsweringBroker) -> float:
        began_s = asyncio.get_running_loop().time()
        addresses = ", ".join(f"127.0.0.1:{server.port}" for server in servers)
        client = kafka_client.AIOKafkaClient(bootstrap_servers=addresses)
        failover.Failover(client, runtimes.kafka_settings(connect_timeout_ms=3_000), known)
        try:
            await client.bootstrap()
            await asyncio.sleep(0)
        finally:
            await client.close()
        return asyncio.get_running_loop().time() - began_s

    one, two, three = answering.AnsweringBroker(1), answering.AnsweringBroker(2), answering.AnsweringBroker(3)
    async with one.serving(), two.serving(), three.serving(), asyncio.timeout(60):
        one.cluster = two.cluster = three.cluster = [one, two]
        await take(one, two)
        three.hung = True  # in the settings, and not in the cluster
        assert max([await take(one, three) for _ in range(6)]) < 2.7
        known.suspect(structs.BrokerMetadata(1, "127.0.0.1", one.port, None))
        one.hung = True  # in the cluster still
        assert max([await take(one, two) for _ in range(6)]) < 2.7
        one.hung, two.hung = False, True  # what was known is wrong
        assert await take(two, one) < 9


@pytest.mark.parametrize(
    "find",
    [
        lambda library: library._fetcher._fetch_task,
        lambda library: library._coordinator._coordination_task,
        lambda library: library._client._sync_task,
    ],
    ids=["fetching", "coordination", "metadata"],
)
async def test_consumer_of_which_a_task_has_died_says_so(
    find: Callable[[AIOKafkaConsumer], asyncio.Task[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library begins none of them again, and would be silent for ever."""
    async with _member(answering.AnsweringBroker(1), monkeypatch) as made:
        made._raise_dead()
        task = find(made._started)
        task.cancel()
        await asyncio.wait([task])
        with pytest.raises(errors.ConsumerStuck):
            await made.poll(frozenset(), limit=1, timeout_s=0.1)


async def test_member_without_a_coordinator_still_gets_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a coordinator moves, brokers say that there is none: that is an answer, too."""
    monkeypatch.setattr(consumer, "_LATELY_S", 2.0)
    one = answering.AnsweringBroker(1)
    one.coordinates = False
    async with _member(one, monkeypatch) as made:
        with pytest.raises(errors.StreamDown):
            await made.committed(_PLACE)
        assert (made.silent_since_s is not None, made.is_answered) == (True, True)
        one.mute = True
        with pytest.raises(errors.StreamDown):
            await made.committed(_PLACE)
        while made.is_answered:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def _member(
    one: answering.AnsweringBroker, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[consumer.KafkaGroupConsumer]:
    """Yield a member of a group that never gets together, whose questions wait for a short time."""
    monkeypatch.setattr(consumer, "_STOP_S", 0.1)
    monkeypatch.setattr(consumer, "_ASK_S", 0.5)
    monkeypatch.setattr(probe, "_PROBE_S", 0.1)
    async with one.serving(), asyncio.timeout(60):
        one.cluster = [one]
        kafka = runtimes.kafka_settings(bootstrap_servers=f"127.0.0.1:{one.port}")
        made = consumer.KafkaGroupConsumer(connection.connect(kafka))
        await made.start(_Nobody())
        try:
            yield made
        finally:
            await made.close()


class _Nobody:
    """Hears of assignments that never come."""

    async def rejoining(self) -> None:
        """Go on."""

    async def revoked(self, positions: frozenset[records.Position]) -> None:
        del positions

    async def assigned(self, positions: frozenset[records.Position]) -> None:
        del positions


async def test_connection_that_the_broker_has_just_ended_is_closed_before_it_is_dropped() -> None:
    """The library drops the first one before its reader has noticed the end; the socket would stay open."""
    async with _stage() as stage, asyncio.timeout(30):
        client = kafka_client.AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{stage.two.port}")
        failover.Failover(client, runtimes.kafka_settings(), failover.Brokers())
        stage.two.cluster = []  # as a broker answers whose login was refused
        await client.bootstrap()
        wire = client._conns["bootstrap", kafka_client.ConnectionGroup.DEFAULT]._writer
        wire._reader.feed_eof()
        assert await client._get_conn("bootstrap") is None
        assert wire.transport.is_closing()
        await client.close()
