"""
What the Kafka part relies on, tested against every broker it may meet: in memory, real Kafka, the embedded one.

The in-memory broker is what all scenarios run on, so it must behave as the real ones do.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import pytest
from tests.support import ports

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import partitioning, records, settings
from mrs_relay.kafka.adapter import client
from mrs_relay.kafka.memory import memory_broker
from mrs_relay.kafka.topics import topic_setup

_KAFKA = pytest.param("kafka", marks=pytest.mark.kafka)
_EMBEDDED = pytest.param("embedded", marks=pytest.mark.embedded)
_SOON_S = 20.0
_PARTITIONS = 4


@dataclass
class Place:
    """A broker with topics of its own for one test."""

    name: str
    kafka: settings.KafkaSettings
    broker: brokers.Broker
    topic: str = field(init=False)

    def __post_init__(self) -> None:
        self.topic = self.kafka.topics.requests

    @property
    def transactional(self) -> bool:
        return self.kafka.transactional

    def producer(self, transactional_id: str | None = None) -> brokers.Producer:
        return self.broker.producer(transactional_id, idempotent=self.transactional)

    async def create(self) -> None:
        """Make all topics, and wait until the broker leads all their partitions."""
        async with self.broker.admin() as admin:
            await topic_setup.create(admin, self.kafka)
        async with self.sending() as producer:
            for name, number in itertools.product(topic_setup.names(self.kafka)[1:3], range(_PARTITIONS)):
                await producer.write([records.Outgoing(name, b"\0warm", None, (), number)])

    @contextlib.asynccontextmanager
    async def sending(self, transactional_id: str | None = None) -> AsyncIterator[brokers.Producer]:
        """A started producer, killed at the end."""
        producer = self.producer(transactional_id)
        await producer.start()
        try:
            yield producer
        finally:
            await producer.kill()

    async def send(self, *values: str, partition: int = 0) -> Sequence[records.Block]:
        """Write values to the requests topic."""
        async with self.sending() as producer:
            return await producer.write(
                [records.Outgoing(self.topic, b"k", value.encode(), (), partition) for value in values]
            )

    async def read(self, topic: str, partition: int, count: int, offset: int | None = None) -> list[records.Record]:
        """Read so many records, but not what `create` wrote."""
        found: list[records.Record] = []
        async with asyncio.timeout(_SOON_S), self.broker.reader(records.Position(topic, partition), offset) as reader:
            while len(found) < count:
                found += [record for record in await reader.read(0.5) if record.key != b"\0warm"]
        return found


def _place(name: str, bootstrap: str, session_ms: int) -> Place:
    own = f"contract-{uuid.uuid4().hex[:8]}"
    kafka = settings.KafkaSettings(
        bootstrap_servers=bootstrap,
        topics=settings.Topics(requests=own, events=f"{own}.ev", dead_letters=f"{own}.dl"),
        app_id=own,
        group_id=own,
        guarantee="at-least-once" if name == "embedded" else "exactly-once",
        session_timeout_ms=session_ms,
        heartbeat_interval_ms=session_ms // 4,
        batch_bytes=16 * 1024,
        partitions=_PARTITIONS,
    )
    broker: brokers.Broker = memory_broker.MemoryBroker(kafka) if name == "memory" else client.KafkaBroker(kafka)
    return Place(name, kafka, broker)


@pytest.fixture(params=["memory", _KAFKA, _EMBEDDED])
def place(request: pytest.FixtureRequest) -> Place:
    """Each broker in turn."""
    name: str = request.param
    if name == "memory":
        return _place(name, "memory", 1_000)
    return _place(name, request.getfixturevalue(name).bootstrap, 6_000 if name == "kafka" else 1_000)


@pytest.fixture(params=["memory", _KAFKA])
def strong(request: pytest.FixtureRequest) -> Place:
    """Each broker that knows transactions."""
    name: str = request.param
    return _place(name, "memory" if name == "memory" else request.getfixturevalue(name).bootstrap, 6_000)


class _Member:
    """A group member that lets everything flow from 0 and writes down what happens to it."""

    def __init__(self, place: Place, *, flows: bool = True) -> None:
        self.consumer = place.broker.consumer()
        self.assignments: list[frozenset[records.Position]] = []
        self.revocations: list[frozenset[records.Position]] = []
        self._flows = flows

    async def revoked(self, positions: frozenset[records.Position]) -> None:
        self.revocations.append(positions)

    async def assigned(self, positions: frozenset[records.Position]) -> None:
        self.assignments.append(positions)
        for position in positions if self._flows else ():
            self.consumer.flow(position, 0)

    async def poll(self, *, limit: int = 1000) -> list[records.Record]:
        """Whatever comes within half a second, of all that is ours."""
        wanted = self.assignments[-1] if self.assignments else frozenset()
        arrived = await self.consumer.poll(wanted, limit=limit, timeout_s=0.2)
        return [record for found in arrived.values() for record in found]

    async def until(self, happened: Callable[[], bool]) -> list[records.Record]:
        """Poll until something is the case."""
        found: list[records.Record] = []
        async with asyncio.timeout(_SOON_S):
            while not happened():
                found += await self.poll()
                await asyncio.sleep(0.01)
        return found


@contextlib.asynccontextmanager
async def _joined(place: Place, *, flows: bool = True) -> AsyncIterator[_Member]:
    member = _Member(place, flows=flows)
    await member.consumer.start(member)
    try:
        await member.until(lambda: bool(member.assignments))
        yield member
    finally:
        await member.consumer.close()


class TestAdmin:
    """Topics and abilities."""

    async def test_topics_are_made_and_found(self, place: Place) -> None:
        """What is made is listed with its partitions; what is not there is not made by asking."""
        await place.create()
        async with place.broker.admin() as admin:
            counts = await admin.partition_counts()
            assert [counts[name] for name in topic_setup.names(place.kafka)] == [_PARTITIONS] * 3 + [1]
            assert "never-made" not in counts
            assert "never-made" not in await admin.partition_counts()

    async def test_topics_are_described_with_their_ids_and_leaders(self, place: Place) -> None:
        """Admin and member tell the same of a topic, ids included; what is not there is not made by asking."""
        await place.create()
        async with place.broker.admin() as admin, _joined(place) as member:
            cluster = await admin.cluster()
            described = cluster.topics[place.topic]
            asked = await member.consumer.cluster([place.topic, "never-made"])
            bounds = await member.consumer.bounds(records.Position(place.topic, 0))
            assert "never-made" not in (await admin.cluster()).topics
        assert (cluster.brokers, len(described.partitions), cluster.leaderless) == (1, _PARTITIONS, frozenset())
        assert described.partitions[0] == brokers.Partition(has_leader=True, replicas=1, in_sync=1)
        assert asked.topics == {place.topic: described}
        assert bounds.topic_id == described.topic_id is not None
        assert cluster.topics[place.kafka.topics.ledger].topic_id not in {None, described.topic_id}

    async def test_ledger_is_asked_to_be_compact(self, place: Place) -> None:
        """The policy that was asked for is returned."""
        await place.create()
        async with place.broker.admin() as admin:
            ledger = place.kafka.topics.ledger
            assert (await admin.configs([ledger]))[ledger]["cleanup.policy"] == "compact"

    async def test_existing_topics_are_no_failure(self, place: Place) -> None:
        """Making a topic twice fails silently and changes nothing."""
        await place.create()
        async with place.broker.admin() as admin:
            assert await admin.create([brokers.TopicSpec(place.topic, 9)]) == {}
            assert (await admin.partition_counts())[place.topic] == _PARTITIONS

    async def test_abilities_are_found_out(self, place: Place) -> None:
        """Real Kafka knows transactions, the embedded broker does not; asking twice is fine."""
        async with place.broker.admin() as admin:
            for _ in range(2):
                found = await admin.abilities(topic_setup.probe_id(place.kafka))
                assert (found.transactions, found.idempotence) == (place.transactional, place.transactional)

    async def test_check_accepts_what_was_made(self, place: Place) -> None:
        """Creation and check agree on every broker."""
        await place.create()
        async with place.broker.admin() as admin:
            assert (await topic_setup.check(admin, place.kafka)).problems == ()

    @pytest.mark.embedded
    async def test_exactly_once_is_refused_where_it_cannot_be_kept(self, request: pytest.FixtureRequest) -> None:
        """The embedded broker is refused by the setting's name."""
        place = _place("embedded", request.getfixturevalue("embedded").bootstrap, 1_000)
        await place.create()
        wanted = place.kafka.model_copy(update={"guarantee": "exactly-once"})
        async with place.broker.admin() as admin:
            report = await topic_setup.check(admin, wanted)
        with pytest.raises(errors.SettingsError, match=r"kafka\.guarantee"):
            report.require_sound()


class TestWriting:
    """Producers and readers."""

    async def test_records_come_back_whole_and_in_order(self, place: Place) -> None:
        """Keys, values, headers, nulls and order survive."""
        await place.create()
        headers = (("a", b"1"), ("a", b"2"), ("empty", b""))
        out = [
            records.Outgoing(place.topic, b"k", b"v", headers, 1),
            records.Outgoing(place.topic, None, b"", (), 1),
            records.Outgoing(place.topic, b"gone", None, (), 1),
        ]
        async with place.sending() as producer:
            await producer.write(out)
        found = await place.read(place.topic, 1, 3)
        assert [(r.key, r.value, r.headers) for r in found] == [(o.key, o.value, o.headers) for o in out]
        assert [(r.topic, r.partition) for r in found] == [(place.topic, 1)] * 3

    async def test_blocks_tell_where_records_are(self, place: Place) -> None:
        """The returned offsets are those at which the records are read."""
        await place.create()
        async with place.sending() as producer:
            await producer.write([records.Outgoing(place.topic, b"k", b"0", (), 0)])
            blocks = await producer.write([records.Outgoing(place.topic, b"k", b"%d" % n, (), 0) for n in range(3)])
        assert blocks == [records.Block(records.Position(place.topic, 0), 1, 3)]
        assert [record.offset for record in await place.read(place.topic, 0, 3, offset=1)] == [1, 2, 3]

    async def test_a_lot_is_split_and_stays_in_order(self, place: Place) -> None:
        """More than one batch of records arrives complete, in order, block after block."""
        await place.create()
        out = [records.Outgoing(place.topic, b"k", b"%06d" % n + b"x" * 500, (), n % 2) for n in range(400)]
        async with place.sending() as producer:
            blocks = await producer.write(out)
        for partition in (0, 1):
            mine = [block for block in blocks if block.position.partition == partition]
            assert len(mine) > 2
            assert [block.first_offset for block in mine[1:]] == [b.first_offset + b.count for b in mine[:-1]]
            found = await place.read(place.topic, partition, 200)
            assert [record.value for record in found] == [o.value for o in out if o.partition == partition]

    async def test_keys_decide_the_partition_as_everywhere(self, place: Place) -> None:
        """Records without a partition go where Kafka's default sends their key."""
        await place.create()
        keys = [b"key-%d" % n for n in range(20)]
        async with place.sending() as producer:
            blocks = await producer.write([records.Outgoing(place.topic, key, b"v") for key in keys])
        chooser = partitioning.Partitioner()
        expected = [chooser.choose(key, _PARTITIONS) for key in keys]
        assert {block.position.partition: block.count for block in blocks} == {n: expected.count(n) for n in expected}

    async def test_reader_without_news_returns_nothing(self, place: Place) -> None:
        """A read ends after its time."""
        await place.create()
        async with asyncio.timeout(5), place.broker.reader(records.Position(place.topic, 0), None) as reader:
            assert await reader.read(0.1) == []

    async def test_reader_knows_when_it_has_caught_up(self, place: Place) -> None:
        """With the last record that there was when it began; what comes later does not count."""
        await place.create()
        position = records.Position(place.topic, 0)
        await place.send("a", "b", "c")
        async with asyncio.timeout(5), place.broker.reader(position, None) as reader:
            await place.send("later")
            read: list[records.Record] = []
            while not reader.caught_up:
                read += await reader.read(0.5)
            assert [record.value for record in read if record.key == b"k"][:3] == [b"a", b"b", b"c"]
        async with asyncio.timeout(5), place.broker.reader(position, read[-1].offset + 1) as reader:
            while not reader.caught_up:
                await reader.read(0.5)

    async def test_killed_producer_writes_nothing(self, place: Place) -> None:
        """After a kill, which may come twice, a write raises Fenced."""
        await place.create()
        producer = place.producer()
        await producer.start()
        await producer.kill()
        await producer.kill()
        with pytest.raises(errors.Fenced):
            await producer.write([records.Outgoing(place.topic, b"k", b"v", (), 0)])

    async def test_killed_unstarted_producer_is_harmless(self, place: Place) -> None:
        """Killing what never started does nothing."""
        await place.producer().kill()


class TestTransactions:
    """What exactly-once stands on."""

    async def test_newer_producer_fences_the_older(self, strong: Place) -> None:
        """As soon as a second producer of an id has started, the first cannot write any more."""
        await strong.create()
        async with strong.sending("x") as old:
            await old.write([records.Outgoing(strong.topic, b"k", b"old", (), 0)])
            async with strong.sending("x") as new:
                with pytest.raises(errors.Fenced):
                    await old.write([records.Outgoing(strong.topic, b"k", b"zombie", (), 0)])
                await new.write([records.Outgoing(strong.topic, b"k", b"new", (), 0)])
        assert [record.value for record in await strong.read(strong.topic, 0, 2)] == [b"old", b"new"]

    async def test_transactions_go_to_several_topics(self, strong: Place) -> None:
        """One write reaches all partitions of all topics, or none."""
        await strong.create()
        where = [(name, n) for name in topic_setup.names(strong.kafka)[:3] for n in range(_PARTITIONS)]
        async with strong.sending("x") as producer:
            for _ in range(3):
                await producer.write([records.Outgoing(name, b"k", b"v", (), number) for name, number in where])
        for name, number in where:
            assert len(await strong.read(name, number, 3)) == 3

    async def test_cancelled_write_is_not_seen_after_the_fence(self, strong: Place) -> None:
        """A write that was cancelled in the middle is decided by the next producer's start: whole or not at all."""
        await strong.create()
        async with strong.sending("x") as old:
            await old.write([records.Outgoing(strong.topic, b"k", b"first", (), 0)])
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):
                    await old.write([records.Outgoing(strong.topic, b"k", b"half", (), n) for n in (0, 1)])
            with pytest.raises(errors.Fenced):
                await old.write([records.Outgoing(strong.topic, b"k", b"more", (), 0)])
        async with strong.sending("x") as new:
            await new.write([records.Outgoing(strong.topic, b"k", b"end", (), n) for n in (0, 1)])
        first = [record.value for record in await strong.read(strong.topic, 0, 2)]
        second = [record.value for record in await strong.read(strong.topic, 1, 1)]
        assert (first[0], first[-1], second[-1]) == (b"first", b"end", b"end")
        assert (b"half" in first) is (b"half" in second)

    @pytest.mark.kafka
    async def test_refused_record_takes_the_whole_transaction_with_it(self, request: pytest.FixtureRequest) -> None:
        """The library would commit the rest; every delivery is awaited first, so nothing of it is ever seen."""
        place = _place("kafka", request.getfixturevalue("kafka").bootstrap, 6_000)
        await place.create()
        small = f"{place.topic}.small"
        async with place.broker.admin() as admin:
            assert await admin.create([brokers.TopicSpec(small, 1, configs={"max.message.bytes": "2000"})]) == {}
        good = records.Outgoing(place.topic, b"k", b"rest", (), 0)
        async with place.sending("x") as producer:
            with pytest.raises(errors.StreamError):
                await producer.write([good, records.Outgoing(small, b"k", b"x" * 5_000, (), 0)])
        async with place.sending("x") as producer:
            await producer.write([records.Outgoing(place.topic, b"k", b"end", (), 0)])
        assert [record.value for record in await place.read(place.topic, 0, 1)] == [b"end"]

    @pytest.mark.kafka
    async def test_reasons_for_topics_that_cannot_be_made(self, request: pytest.FixtureRequest) -> None:
        """The broker's reason comes back by topic."""
        place = _place("kafka", request.getfixturevalue("kafka").bootstrap, 6_000)
        async with place.broker.admin() as admin:
            failed = await admin.create([brokers.TopicSpec(f"{place.topic}.many", 1, replication_factor=99)])
        assert "InvalidReplicationFactor" in failed[f"{place.topic}.many"]


class TestGroup:
    """Membership, parking, reading, offsets."""

    async def test_lone_member_gets_everything_parked(self, place: Place) -> None:
        """Nothing is read before the partition is let flow, and then from where it was reported."""
        await place.create()
        await place.send("a", "b", "c")
        async with _joined(place, flows=False) as member:
            everything = frozenset(records.Position(place.topic, n) for n in range(_PARTITIONS))
            assert member.assignments == [everything]
            assert await member.poll() == []
            member.consumer.flow(records.Position(place.topic, 0), 1)
            found = await _gather(member, 2)
            assert [(record.offset, record.value) for record in found] == [(1, b"b"), (2, b"c")]

    async def test_only_wanted_partitions_are_read_and_nothing_is_lost(self, place: Place) -> None:
        """A partition that is not wanted for a while continues where it stopped."""
        await place.create()
        await place.send("a", partition=0)
        await place.send("b", partition=1)
        async with _joined(place) as member:
            one = frozenset({records.Position(place.topic, 1)})
            found: list[records.Record] = []
            async with asyncio.timeout(_SOON_S):
                while not found:
                    arrived = await member.consumer.poll(one, limit=10, timeout_s=0.5)
                    assert arrived.keys() <= one
                    found += [record for some in arrived.values() for record in some]
            assert [record.value for record in found] == [b"b"]
            assert await member.consumer.poll(frozenset(), limit=10, timeout_s=0.1) == {}
            assert [record.value for record in await _gather(member, 1)] == [b"a"]

    async def test_limit_is_kept(self, place: Place) -> None:
        """No poll returns more records than asked for; the rest follows."""
        await place.create()
        await place.send(*(str(number) for number in range(10)))
        async with _joined(place) as member:
            found: list[records.Record] = []
            async with asyncio.timeout(_SOON_S):
                while len(found) < 10:
                    some = await member.poll(limit=4)
                    assert len(some) <= 4
                    found += some
            assert [record.value for record in found] == [b"%d" % number for number in range(10)]

    async def test_parked_partition_is_silent(self, place: Place) -> None:
        """After parking nothing more is read; parking what is not ours does nothing."""
        await place.create()
        async with _joined(place) as member:
            member.consumer.park(records.Position(place.topic, 0))
            member.consumer.park(records.Position("elsewhere", 0))
            await place.send("a", partition=0)
            assert await member.poll() == []

    async def test_flowing_what_is_not_ours_is_refused(self, place: Place) -> None:
        """The partition may have gone in the meantime."""
        await place.create()
        async with _joined(place) as member:
            with pytest.raises(errors.StreamDown):
                member.consumer.flow(records.Position(place.topic, 99), 0)

    async def test_second_member_takes_half_after_all_was_revoked(self, place: Place) -> None:
        """Rebalances are eager: everything is revoked, then shared; the leaver's share comes back."""
        await place.create()
        everything = frozenset(records.Position(place.topic, n) for n in range(_PARTITIONS))
        async with _joined(place) as first:
            async with asyncio.TaskGroup() as group:
                polling = group.create_task(first.until(lambda: len(first.assignments) > 1))
                async with _joined(place) as second:
                    await polling
                    assert first.revocations[-1] == everything
                    assert {len(first.assignments[-1]), len(second.assignments[-1])} == {2}
                    assert first.assignments[-1] | second.assignments[-1] == everything
            seen = len(first.assignments)
            await first.until(lambda: len(first.assignments) > seen)
            assert first.assignments[-1] == everything

    async def test_offsets_of_the_group_are_kept(self, place: Place) -> None:
        """A committed offset is returned, also to the next member; others are None."""
        await place.create()
        await place.send("a", "b")
        mine, other = records.Position(place.topic, 0), records.Position(place.topic, 1)
        async with _joined(place) as member:
            assert await member.consumer.committed(mine) is None
            await member.consumer.commit({mine: 2, records.Position(place.topic, 99): 5})
            assert await member.consumer.committed(mine) == 2
            assert await member.consumer.is_mirror(mine) == (place.name != "embedded")  # Tansu keeps no notes
            assert not await member.consumer.is_mirror(other)
        async with _joined(place) as member:
            assert (await member.consumer.committed(mine), await member.consumer.committed(other)) == (2, None)

    async def test_a_note_beside_an_offset_is_read_by_all_members(self, place: Place) -> None:
        """Also one of thousands of characters; it leaves the offset a mirror, and Tansu keeps none."""
        await place.create()
        await place.send("a", "b")
        mine, other = records.Position(place.topic, 0), records.Position(place.topic, 1)
        text = "{" + "é" * 1000 + "x" * 1900 + "}"
        kept = "" if place.name == "embedded" else text
        async with _joined(place) as member:
            await member.consumer.commit({mine: 2}, notes={mine: text})
            found = await member.consumer.notes([mine, other])
            assert {position: (one.offset, one.text) for position, one in found.items()} == {mine: (2, kept)}
            assert await member.consumer.is_mirror(mine) == (place.name != "embedded")
            assert member.consumer.generation >= 0
            await member.consumer.commit({mine: 2})
            assert (await member.consumer.notes([mine]))[mine].text == ""

    async def test_partition_that_does_not_exist_is_an_error_soon(self, place: Place) -> None:
        """A topic has fewer partitions than another one: writing and reading there end with an error, not a hang."""
        await place.create()
        beyond = records.Position(place.topic, _PARTITIONS)
        async with asyncio.timeout(60):
            async with place.sending() as producer:
                with pytest.raises(errors.StreamError):
                    await producer.write([records.Outgoing(beyond.topic, b"k", b"v", (), beyond.partition)])
            with pytest.raises(errors.StreamError):
                async with place.broker.reader(beyond, None) as reader:
                    await reader.read(1.0)

    async def test_bounds_of_an_empty_partition(self, place: Place) -> None:
        """Begin and end are equal where nothing is."""
        await place.create()
        async with _joined(place) as member:
            empty = await member.consumer.bounds(records.Position(place.topic, 3))
            assert (empty.first, empty.end) == (0, 0)

    async def test_bounds_and_end_tell_what_is_there(self, strong: Place) -> None:
        """The end is behind the last record; the embedded broker tells a wrong one."""
        await strong.create()
        await strong.send("a", "b", "c")
        position = records.Position(strong.topic, 0)
        async with _joined(strong) as member:
            found = await member.consumer.bounds(position)
            assert (found.first, found.end) == (0, 3)
            await member.until(lambda: member.consumer.end_offset(position) == 3)

    async def test_answers_keep_coming_without_records(self, place: Place) -> None:
        """A quiet partition still tells that the broker is there."""
        await place.create()
        position = records.Position(place.topic, 0)
        async with _joined(place) as member:
            await member.until(lambda: member.consumer.last_answer(position) is not None)
            before = member.consumer.last_answer(position)
            await member.until(lambda: member.consumer.last_answer(position) != before)

    async def test_offset_that_is_not_there_parks_and_tells(self, strong: Place) -> None:
        """Reading where nothing is raises OffsetGone once; the other partitions continue."""
        await strong.create()
        await strong.send("a", partition=1)
        bad = records.Position(strong.topic, 0)
        async with _joined(strong) as member:
            member.consumer.flow(bad, 1000)
            with pytest.raises(brokers.OffsetGone) as raised:
                await member.until(lambda: False)
            assert raised.value.positions == {bad}
            await strong.send("b", partition=1)
            assert (await _gather(member, 1))[-1].value == b"b"


async def _gather(member: _Member, count: int) -> list[records.Record]:
    found: list[records.Record] = []
    async with asyncio.timeout(_SOON_S):
        while len(found) < count:
            found += await member.poll()
    return found


class TestUnreachable:
    """No broker listens: every client says where it looked and which setting to check, in our own error."""

    @pytest.fixture
    def nowhere(self) -> Place:
        """A broker at a port without a listener."""
        return _place("kafka", f"127.0.0.1:{ports.free_port()}", 6_000)

    @pytest.mark.parametrize("client_kind", ["admin", "reader", "producer", "transactional producer", "consumer"])
    async def test_error_names_address_and_setting(self, nowhere: Place, client_kind: str) -> None:
        """No error of the library leaves the door."""
        with pytest.raises(errors.StreamDown) as raised:
            await _use(nowhere, client_kind)
        assert nowhere.kafka.bootstrap_servers in str(raised.value)
        assert "kafka.bootstrap_servers" in str(raised.value)


async def _use(place: Place, client_kind: str) -> None:
    if client_kind == "admin":
        async with place.broker.admin():
            pass
    elif client_kind == "reader":
        async with place.broker.reader(records.Position(place.topic, 0), None):
            pass
    elif client_kind == "consumer":
        await place.broker.consumer().start(_Member(place))
    else:
        await place.producer("x" if client_kind.startswith("trans") else None).start()
