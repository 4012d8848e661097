"""The topic of the relays' status is made, and whatever is wrong with it keeps no relay from starting."""

from __future__ import annotations

import dataclasses

from tests.support import runtimes

from mrs_relay.kafka import broker, settings
from mrs_relay.kafka.memory import memory_broker
from mrs_relay.kafka.topics import status_rules, topic_facts, topic_setup

_TOPICS = settings.Topics(requests="in", events="ev", dead_letters="dl", status="st")


async def _report(cluster: memory_broker.MemoryBroker) -> topic_setup.Report:
    async with cluster.admin() as admin:
        return await topic_setup.check(admin, cluster.kafka)


async def test_it_is_made_compacted_and_its_absence_is_a_warning() -> None:
    """A deployment from before it starts, and says what is missing."""
    cluster = memory_broker.MemoryBroker(runtimes.kafka_settings(topics=_TOPICS))
    async with cluster.admin() as admin:
        assert "st" in await topic_setup.create(admin, cluster.kafka)
    assert cluster.topics["st"].partitions == 1
    assert cluster.topics["st"].configs["cleanup.policy"] == "compact,delete"
    assert not [note for note in (await _report(cluster)).notes if "status" in note]

    cluster.drop_topic("st")
    report = await _report(cluster)
    (note,) = [note for note in report.notes if "kafka.topics.status" in note]
    assert "topics create" in note
    assert (report.problems, report.complete) == ((), True)


def test_without_a_right_to_write_or_compaction_it_is_a_warning() -> None:
    """The remedy is named."""
    topic = broker.Topic((broker.Partition(),), allowed=frozenset({"READ"}))
    facts = topic_facts.Facts(
        runtimes.kafka_settings(topics=_TOPICS),
        broker.Cluster(1, {"st": topic}),
        {"st": {"cleanup.policy": "delete"}},
        broker.Abilities(transactions=True, idempotence=True),
    )
    (found,) = status_rules.examine(facts)
    assert (found.severity, found.code) == ("warning", "status_not_allowed")

    cluster = broker.Cluster(1, {"st": dataclasses.replace(topic, allowed=None)})
    (found,) = status_rules.examine(dataclasses.replace(facts, cluster=cluster))
    assert (found.severity, found.code) == ("warning", "status_not_compacted")
    assert "cleanup.policy=[compact,delete]" in found.remedy


def test_an_empty_name_publishes_nothing() -> None:
    """Neither a file nor the environment has a word for None."""
    assert settings.Topics.model_validate({"status": ""}).status is None
    assert topic_setup.names(runtimes.kafka_settings(topics=settings.Topics(status=""))) == topic_setup.names(
        runtimes.kafka_settings(topics=settings.Topics(status=None))
    )
