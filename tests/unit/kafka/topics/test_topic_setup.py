"""The check names every problem at once, and what is made passes it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import pytest
from tests.support import runtimes

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import settings
from mrs_relay.kafka.memory import memory_broker
from mrs_relay.kafka.topics import topic_setup

pytestmark = pytest.mark.looptime


async def _check(broker: memory_broker.MemoryBroker) -> topic_setup.Report:
    async with broker.admin() as admin:
        return await topic_setup.check(admin, broker.kafka)


async def _create(broker: memory_broker.MemoryBroker) -> tuple[str, ...]:
    async with broker.admin() as admin:
        return await topic_setup.create(admin, broker.kafka)


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
async def test_what_is_made_passes_the_check(guarantee: str) -> None:
    """Creation and check agree; a second creation makes nothing."""
    broker = memory_broker.MemoryBroker(runtimes.kafka_settings(guarantee=guarantee))
    assert set(await _create(broker)) == {"in", "in.ledger", "ev", "dl", "mrs.control", "mrs.audit"}
    report = await _check(broker)
    assert report.problems == ()
    assert report.partitions == 4
    assert await _create(broker) == ()


async def test_missing_topics_are_named_with_the_command() -> None:
    """A person sees all missing topics and how to make them."""
    broker = memory_broker.MemoryBroker(runtimes.kafka_settings())
    broker.create_topic("ev", 1)
    report = await _check(broker)
    with pytest.raises(errors.SettingsError, match=r"missing topics: in, in\.ledger, dl; `mrs-relay topics create`"):
        report.require_sound()


async def test_ledger_is_made_to_fit_the_existing_input() -> None:
    """The ledger gets the partitions of the input, not those of the setting."""
    broker = memory_broker.MemoryBroker(runtimes.kafka_settings(partitions=4))
    broker.create_topic("in", 7, {"max.message.bytes": "2000000"})
    await _create(broker)
    assert broker.partitions("in.ledger") == 7
    assert int(broker.topics["dl"].configs["max.message.bytes"]) > 2_000_000
    assert int(broker.topics["in.ledger"].configs["max.message.bytes"]) > 4_000_000


@pytest.mark.parametrize(
    ("partitions", "policy", "problem"),
    [
        (3, "compact", "has 3 partitions, in has 4"),
        (4, "delete", "must be compact"),
        (4, "compact,delete", "must not delete"),
    ],
)
async def test_unfit_ledgers_are_refused(partitions: int, policy: str, problem: str) -> None:
    """A ledger that would lose state keeps the service from starting."""
    broker = runtimes.cluster(runtimes.kafka_settings())
    broker.create_topic("in.ledger", partitions, {"cleanup.policy": policy})
    assert any(problem in found for found in (await _check(broker)).problems)


async def test_batches_must_fit_every_topic() -> None:
    """A topic that takes less than a batch would refuse commits for ever."""
    broker = runtimes.cluster(runtimes.kafka_settings())
    broker.create_topic("ev", 1, {"max.message.bytes": "1000"})
    assert any("kafka.batch_bytes" in found for found in (await _check(broker)).problems)


async def test_exactly_once_needs_transactions() -> None:
    """A broker without them is refused by the setting's name, never downgraded to."""
    broker = memory_broker.MemoryBroker(runtimes.kafka_settings(), transactions=False)
    broker.create_topics(1)
    report = await _check(broker)
    with pytest.raises(errors.SettingsError, match=r"kafka\.guarantee"):
        report.require_sound()


async def test_at_least_once_does_without() -> None:
    """The same broker serves the weaker guarantee."""
    broker = memory_broker.MemoryBroker(runtimes.kafka_settings(guarantee="at-least-once"), transactions=False)
    broker.create_topics(1)
    report = await _check(broker)
    assert (report.problems, report.abilities) == ((), brokers.Abilities(transactions=False, idempotence=False))


async def test_what_the_broker_does_not_tell_is_noted() -> None:
    """Unknown limits and policies are no problem, but they are said."""
    broker = memory_broker.MemoryBroker(runtimes.kafka_settings())
    for name in topic_setup.names(broker.kafka):
        broker.create_topic(name, 1)
    notes = (await _check(broker)).notes
    assert any("max.message.bytes" in note for note in notes)
    assert any("cleanup.policy" in note for note in notes)


class _Refusing(brokers.Admin):
    """Makes no topic whatever."""

    async def partition_counts(self) -> Mapping[str, int]:
        return {}

    async def cluster(self, asked: Sequence[str] = ()) -> brokers.Cluster:
        del asked
        return brokers.Cluster(1, {})

    async def configs(self, topics: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        return {topic: {} for topic in topics}

    async def create(self, specs: Sequence[brokers.TopicSpec]) -> Mapping[str, str]:
        return {spec.name: "InvalidReplicationFactorError" for spec in specs}

    async def abilities(self, _transactional_id: str) -> brokers.Abilities:
        return brokers.Abilities(transactions=True, idempotence=True)


async def test_topics_that_cannot_be_made_are_named_with_the_reason() -> None:
    """The library does not raise for single topics; we do."""
    with pytest.raises(errors.SettingsError, match=r"dl: InvalidReplicationFactorError.*kafka\.replication_factor"):
        await topic_setup.create(_Refusing(), runtimes.kafka_settings())


def test_production_topics_are_safe() -> None:
    """With three replicas two must have a record; a ledger is never led by a replica that lacks some."""
    specs = topic_setup.plan(runtimes.kafka_settings(replication_factor=3), partitions=4)
    assert all(spec.configs["min.insync.replicas"] == "2" for spec in specs)
    assert specs[1].configs["unclean.leader.election.enable"] == "false"


def test_ledger_without_transactions_keeps_zombies_in_sight() -> None:
    """Compaction waits, so that a restore can tell a zombie's records from the owner's."""
    specs = topic_setup.plan(runtimes.kafka_settings(guarantee="at-least-once"), partitions=4)
    assert int(specs[1].configs["min.compaction.lag.ms"]) >= 3_600_000


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once"])
def test_compacted_topics_forget_overwritten_records_within_the_setting(guarantee: str) -> None:
    """Ledger and latest states get the limit, not below what the ledger must keep; 0 leaves it to Kafka."""
    wanted = settings.Topics(requests="in", events="ev", dead_letters="dl", latest="now", status=None)
    for limit_ms, expected in ((3_600_000, "3600000"), (86_400_000, "86400000"), (0, None)):
        kafka = runtimes.kafka_settings(topics=wanted, max_compaction_lag_ms=limit_ms, guarantee=guarantee)
        specs = {spec.name: spec.configs for spec in topic_setup.plan(kafka, partitions=4)}
        assert [specs[name].get("max.compaction.lag.ms") for name in ("in.ledger", "now")] == [expected] * 2
        assert not any("max.compaction.lag.ms" in specs[name] for name in ("in", "ev", "dl"))
        least_ms = int(specs["in.ledger"].get("min.compaction.lag.ms", "0"))
        assert expected is None or least_ms <= int(expected)  # Kafka refuses anything else


def test_compaction_limit_below_an_hour_is_refused() -> None:
    """The ledger of at-least-once keeps everything for an hour."""
    with pytest.raises(ValueError, match=r"kafka\.max_compaction_lag_ms must be 0 or at least 3,600,000"):
        runtimes.kafka_settings(max_compaction_lag_ms=3_599_999)


async def test_topic_of_latest_states_is_made_compacted_and_checked() -> None:
    """Where it is wanted it must be there, and it must forget by key and not by age."""
    wanted = settings.Topics(requests="in", events="ev", dead_letters="dl", latest="now", status=None)
    broker = memory_broker.MemoryBroker(runtimes.kafka_settings(topics=wanted))
    assert any("now" in problem for problem in (await _check(broker)).problems)
    assert "now" in await _create(broker)
    assert broker.topics["now"].configs["cleanup.policy"] == "compact"
    assert (await _check(broker)).problems == ()
    broker.create_topic("now", 1, {"cleanup.policy": "delete"})
    (problem,) = (await _check(broker)).problems
    assert "kafka.topics.latest" in problem
    assert "must be compact" in problem


async def test_topic_of_latest_states_is_not_made_unless_wanted() -> None:
    """By default there is none."""
    broker = memory_broker.MemoryBroker(runtimes.kafka_settings())
    assert "mrs.latest" not in await _create(broker)


async def test_compression_that_cannot_be_unpacked_here_refuses_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own ledger could not be read, and any sender may use any: all are named, with the topics they matter to."""
    broker = memory_broker.MemoryBroker(runtimes.kafka_settings())
    await _create(broker)
    broker.configure("in.ledger", compression_type="zstd")
    broker.configure("ev", compression_type="producer")
    assert (await _check(broker)).problems == ()
    assert (await _check(broker)).compressions == {"in.ledger": "zstd"}
    monkeypatch.setitem(sys.modules, "cramjam", None)
    snappy, lz4, zstd = (await _check(broker)).problems
    assert snappy.startswith("this installation cannot unpack snappy, which any sender may use: the package cramjam")
    assert "cannot unpack lz4" in lz4
    assert zstd.endswith("; compression.type=zstd of in.ledger packs all that is written there")


async def test_ledger_records_that_could_not_be_unpacked_again_are_noted() -> None:
    """A bound below what the topic takes is reported before the first such record is written."""
    broker = memory_broker.MemoryBroker(runtimes.kafka_settings(unpacked_bytes=1 << 20))
    await _create(broker)
    notes = [note for note in (await _check(broker)).notes if "kafka.unpacked_bytes=1048576" in note]
    assert len(notes) == 1
    others = (await _check(memory_broker.MemoryBroker(runtimes.kafka_settings()))).notes
    assert not any("kafka.unpacked_bytes" in note for note in others)
