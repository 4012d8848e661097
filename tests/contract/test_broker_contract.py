"""
What the Kafka part relies on, tested against every broker it may meet: in memory, real Kafka, the embedded one.

The in-memory broker is what all scenarios run on, so it must behave as the real ones do.
"""

from __future__ import annotations

import asyncio

import pytest
from tests.contract import broker_places
from tests.support import ports

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import partitioning, records
from mrs_relay.kafka.topics import topic_setup


class TestAdmin:
    """Topics and abilities."""

    async def test_topics_are_made_and_found(self, place: broker_places.Place) -> None:
        """What is made is listed with its partitions; what is not there is not made by asking."""
        await place.create()
        async with place.broker.admin() as admin:
            counts = await admin.partition_counts()
            assert [counts[name] for name in topic_setup.names(place.kafka)] == [broker_places.PARTITIONS] * 3 + [1] * 3
            assert "never-made" not in counts
            assert "never-made" not in await admin.partition_counts()

    async def test_topics_are_described_with_their_ids_and_leaders(self, place: broker_places.Place) -> None:
        """Admin and member tell the same of a topic, ids included; what is not there is not made by asking."""
        await place.create()
        async with place.broker.admin() as admin, broker_places.joined(place) as member:
            cluster = await admin.cluster()
            described = cluster.topics[place.topic]
            asked = await member.consumer.cluster([place.topic, "never-made"])
            bounds = await member.consumer.bounds(records.Position(place.topic, 0))
            assert "never-made" not in (await admin.cluster()).topics

        assert (cluster.brokers, len(described.partitions), cluster.leaderless) == (
            1,
            broker_places.PARTITIONS,
            frozenset(),
        )
        assert described.partitions[0] == brokers.Partition(has_leader=True, replicas=1, in_sync=1)
        assert asked.topics == {place.topic: described}
        assert bounds.topic_id == described.topic_id is not None
        assert cluster.topics[place.kafka.topics.ledger].topic_id not in {None, described.topic_id}

    async def test_ledger_is_asked_to_be_compact(self, place: broker_places.Place) -> None:
        """The policy that was asked for is returned."""
        await place.create()
        async with place.broker.admin() as admin:
            ledger = place.kafka.topics.ledger
            assert (await admin.configs([ledger]))[ledger]["cleanup.policy"] == "compact"

    async def test_existing_topics_are_no_failure(self, place: broker_places.Place) -> None:
        """Making a topic twice fails silently and changes nothing."""
        await place.create()
        async with place.broker.admin() as admin:
            assert await admin.create([brokers.TopicSpec(place.topic, 9)]) == {}
            assert (await admin.partition_counts())[place.topic] == broker_places.PARTITIONS

    async def test_abilities_are_found_out(self, place: broker_places.Place) -> None:
        """Real Kafka knows transactions, the embedded broker does not; asking twice is fine."""
        async with place.broker.admin() as admin:
            for _ in range(2):
                found = await admin.abilities(topic_setup.probe_id(place.kafka))
                assert (found.transactions, found.idempotence) == (place.transactional, place.transactional)

    async def test_check_accepts_what_was_made(self, place: broker_places.Place) -> None:
        """Creation and check agree on every broker."""
        await place.create()
        async with place.broker.admin() as admin:
            assert (await topic_setup.check(admin, place.kafka)).problems == ()

    @pytest.mark.embedded
    async def test_exactly_once_is_refused_where_it_cannot_be_kept(self, request: pytest.FixtureRequest) -> None:
        """The embedded broker is refused by the setting's name."""
        place = broker_places.place_on("embedded", request.getfixturevalue("embedded").bootstrap, 1_000)
        await place.create()
        wanted = place.kafka.model_copy(update={"guarantee": "exactly-once"})
        async with place.broker.admin() as admin:
            report = await topic_setup.check(admin, wanted)
        with pytest.raises(errors.SettingsError, match=r"kafka\.guarantee"):
            report.require_sound()


class TestWriting:
    """Producers and readers."""

    async def test_records_come_back_whole_and_in_order(self, place: broker_places.Place) -> None:
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

    async def test_blocks_tell_where_records_are(self, place: broker_places.Place) -> None:
        """The returned offsets are those at which the records are read."""
        await place.create()
        async with place.sending() as producer:
            await producer.write([records.Outgoing(place.topic, b"k", b"0", (), 0)])
            blocks = await producer.write([records.Outgoing(place.topic, b"k", b"%d" % n, (), 0) for n in range(3)])
        assert blocks == [records.Block(records.Position(place.topic, 0), 1, 3)]
        assert [record.offset for record in await place.read(place.topic, 0, 3, offset=1)] == [1, 2, 3]

    async def test_a_lot_is_split_and_stays_in_order(self, place: broker_places.Place) -> None:
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

    async def test_keys_decide_the_partition_as_everywhere(self, place: broker_places.Place) -> None:
        """Records without a partition go where Kafka's default sends their key."""
        await place.create()
        keys = [b"key-%d" % n for n in range(20)]
        async with place.sending() as producer:
            blocks = await producer.write([records.Outgoing(place.topic, key, b"v") for key in keys])
        chooser = partitioning.Partitioner()
        expected = [chooser.choose(key, broker_places.PARTITIONS) for key in keys]
        assert {block.position.partition: block.count for block in blocks} == {n: expected.count(n) for n in expected}

    async def test_reader_without_news_returns_nothing(self, place: broker_places.Place) -> None:
        """A read ends after its time."""
        await place.create()
        async with (
            asyncio.timeout(broker_places.SOON_S),
            place.broker.reader(records.Position(place.topic, 0), None) as reader,
        ):
            assert not await reader.read(0.1)

    async def test_reader_knows_when_it_has_caught_up(self, place: broker_places.Place) -> None:
        """With the last record that there was when it began; what comes later does not count."""
        await place.create()
        position = records.Position(place.topic, 0)
        await place.send("a", "b", "c")

        async with asyncio.timeout(60), place.broker.reader(position, None) as reader:
            await place.send("later")
            read: list[records.Record] = []
            assert reader.part < 1
            assert reader.beginning == 0
            first_end = reader.end
            while not reader.caught_up:
                read += await reader.read(0.5)
            assert [record.value for record in read if record.key == b"k"][:3] == [b"a", b"b", b"c"]
            assert first_end <= read[-1].offset + 1
            # The embedded broker says less than what it has acknowledged; without transactions nothing relies on it.
            assert read[2].offset < first_end or place.name == "embedded"

        async with asyncio.timeout(60), place.broker.reader(position, read[-1].offset + 1) as reader:
            while not reader.caught_up:
                await reader.read(0.5)

    async def test_reader_finds_single_records_by_the_offsets_of_their_blocks(self, place: broker_places.Place) -> None:
        """Forwards and backwards, at the offsets that the producer was given."""
        await place.create()
        position = records.Position(place.topic, 0)
        blocks = [block for number in range(4) for block in await place.send(*[f"{number}-{one}" for one in range(30)])]
        offsets = [block.first_offset + one for block in blocks for one in range(block.count)]
        async with (
            asyncio.timeout(broker_places.SOON_S),
            place.broker.reader(position, offsets[50], few=True) as reader,
        ):
            for number in (50, 119, 0, 31, 30, 90):
                reader.seek(offsets[number])
                while not (read := await reader.read(0.5)):
                    pass
                assert (read[0].offset, read[0].value) == (offsets[number], f"{number // 30}-{number % 30}".encode())

    async def test_killed_producer_writes_nothing(self, place: broker_places.Place) -> None:
        """After a kill, which may come twice, a write raises Fenced."""
        await place.create()
        producer = place.producer()
        await producer.start()
        await producer.kill()
        await producer.kill()
        with pytest.raises(errors.Fenced):
            await producer.write([records.Outgoing(place.topic, b"k", b"v", (), 0)])

    async def test_killed_unstarted_producer_is_harmless(self, place: broker_places.Place) -> None:
        """Killing what never started does nothing."""
        await place.producer().kill()


class TestTransactions:
    """What exactly-once stands on."""

    async def test_newer_producer_fences_the_older(self, strong: broker_places.Place) -> None:
        """As soon as a second producer of an id has started, the first cannot write any more."""
        await strong.create()
        async with strong.sending("x") as old:
            await old.write([records.Outgoing(strong.topic, b"k", b"old", (), 0)])
            async with strong.sending("x") as new:
                with pytest.raises(errors.Fenced):
                    await old.write([records.Outgoing(strong.topic, b"k", b"zombie", (), 0)])
                await new.write([records.Outgoing(strong.topic, b"k", b"new", (), 0)])
        assert [record.value for record in await strong.read(strong.topic, 0, 2)] == [b"old", b"new"]

    async def test_transactions_go_to_several_topics(self, strong: broker_places.Place) -> None:
        """One write reaches all partitions of all topics, or none."""
        await strong.create()
        where = [(name, n) for name in topic_setup.names(strong.kafka)[:3] for n in range(broker_places.PARTITIONS)]
        async with strong.sending("x") as producer:
            for _ in range(3):
                await producer.write([records.Outgoing(name, b"k", b"v", (), number) for name, number in where])
        for name, number in where:
            assert len(await strong.read(name, number, 3)) == 3

    async def test_cancelled_write_is_not_seen_after_the_fence(self, strong: broker_places.Place) -> None:
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
        place = broker_places.place_on("kafka", request.getfixturevalue("kafka").bootstrap, 6_000)
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
        place = broker_places.place_on("kafka", request.getfixturevalue("kafka").bootstrap, 6_000)
        async with place.broker.admin() as admin:
            failed = await admin.create([brokers.TopicSpec(f"{place.topic}.many", 1, replication_factor=99)])
        assert "InvalidReplicationFactor" in failed[f"{place.topic}.many"]


class TestUnreachable:
    """No broker listens: every client says where it looked and which setting to check, in our own error."""

    @pytest.fixture
    def nowhere(self) -> broker_places.Place:
        """A broker at a port without a listener."""
        return broker_places.place_on("kafka", f"127.0.0.1:{ports.free_port()}", 6_000)

    @pytest.mark.parametrize("client_kind", ["admin", "reader", "producer", "transactional producer", "consumer"])
    async def test_error_names_address_and_setting(self, nowhere: broker_places.Place, client_kind: str) -> None:
        """No error of the library leaves the door."""
        with pytest.raises(errors.StreamDown) as raised:
            await _use(nowhere, client_kind)
        assert nowhere.kafka.bootstrap_servers in str(raised.value)
        assert "kafka.bootstrap_servers" in str(raised.value)


async def _use(place: broker_places.Place, client_kind: str) -> None:
    if client_kind == "admin":
        async with place.broker.admin():
            pass
    elif client_kind == "reader":
        async with place.broker.reader(records.Position(place.topic, 0), None):
            pass
    elif client_kind == "consumer":
        await place.broker.consumer().start(broker_places.Member(place))
    else:
        await place.producer("x" if client_kind.startswith("trans") else None).start()
