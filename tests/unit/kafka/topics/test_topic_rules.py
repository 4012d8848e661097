"""Each rule about the topics names its trouble with what was found, what was expected and what to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest
from tests.support import runtimes

from mrs_relay.kafka import broker, settings
from mrs_relay.kafka.topics import topic_facts, topic_rules, topic_setup

_DAY_MS = 86_400_000
_UNLIMITED = (1 << 63) - 1
_LATEST = settings.Topics(requests="in", events="ev", dead_letters="dl", latest="now", status=None)
_OURS = ("in", "in.ledger", "ev", "dl")
_CONTROL = "mrs.control"
_AUDIT = "mrs.audit"
_ALL = frozenset({"READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"})


def _sound(**changes: object) -> topic_facts.Facts:
    """Return three brokers with everything as `topics create` makes it."""
    kafka = runtimes.kafka_settings(replication_factor=3, **changes)
    specs = topic_setup.plan(kafka, partitions=2)

    defaults = {
        "cleanup.policy": "delete",
        "max.message.bytes": "1048588",
        "retention.ms": str(7 * _DAY_MS),
        "retention.bytes": "-1",
        "max.compaction.lag.ms": str(_UNLIMITED),
        "segment.ms": str(7 * _DAY_MS),
        "segment.bytes": str(1 << 30),
        "min.insync.replicas": "1",
        "unclean.leader.election.enable": "false",
    }

    kept = broker.Partition(has_leader=True, replicas=3, in_sync=3)
    described = {spec.name: broker.Topic((kept,) * spec.partitions, f"id of {spec.name}", _ALL) for spec in specs}
    internal = {name: broker.Topic((kept,) * 3) for name in ("__consumer_offsets", "__transaction_state")}

    return topic_facts.Facts(
        kafka,
        broker.Cluster(3, described | internal),
        {spec.name: defaults | dict(spec.configs) for spec in specs}
        | {name: {"min.insync.replicas": "2", "cleanup.policy": "compact"} for name in internal},
        broker.Abilities(transactions=True, idempotence=True),
    )


def _configured(facts: topic_facts.Facts, topic: str, configs: Mapping[str, str]) -> topic_facts.Facts:
    return dataclasses.replace(facts, configs={**facts.configs, topic: {**facts.configs[topic], **configs}})


def _kept(facts: topic_facts.Facts, topic: str, partition: broker.Partition, number: int = 1) -> topic_facts.Facts:
    """Let one partition be kept in another way."""
    old = facts.cluster.topics[topic]
    partitions = tuple(partition if at == number else one for at, one in enumerate(old.partitions))
    described = {**facts.cluster.topics, topic: dataclasses.replace(old, partitions=partitions)}
    return dataclasses.replace(facts, cluster=dataclasses.replace(facts.cluster, topics=described))


def _only(facts: topic_facts.Facts) -> topic_facts.Finding:
    (finding,) = topic_rules.examine(facts)
    return finding


def test_topics_as_we_make_them_break_no_rule() -> None:
    """What `topics create` makes on three brokers is right."""
    assert topic_rules.examine(_sound()) == ()


@pytest.mark.parametrize(
    ("topic", "configs", "severity", "code", "expected", "remedy"),
    [
        ("in", {"cleanup.policy": "compact"}, "error", "requests_compacted", "vanish", "cleanup.policy=delete"),
        ("in", {"cleanup.policy": "compact,delete"}, "error", "requests_compacted", "compact,delete", "--alter"),
        ("in", {"retention.ms": "3600000"}, "warning", "requests_short_retention", "retention.ms=3600000", "604800000"),
        ("in", {"retention.bytes": "1000"}, "warning", "requests_small_retention", "retention.bytes=1000", "bytes=-1"),
        ("in.ledger", {"cleanup.policy": "delete"}, "error", "ledger_forgets", "must be compact", "policy=compact"),
        ("in.ledger", {"cleanup.policy": "compact,delete"}, "error", "ledger_forgets", "must not delete", "in.ledger"),
        ("in.ledger", {"max.message.bytes": "1048588"}, "warning", "ledger_limit", "1048588", "2228248"),
        ("dl", {"cleanup.policy": "compact"}, "error", "dead_letters_compacted", "without a key", "policy=delete"),
        ("dl", {"max.message.bytes": "1048588"}, "warning", "dead_letter_limit", "kept whole", "=1179660"),
        ("ev", {"cleanup.policy": "compact"}, "warning", "events_compacted", "last event", "kafka.topics.latest"),
        ("ev", {"max.message.bytes": "1000"}, "error", "limit_below_batch", "kafka.batch_bytes=524288", "=524288"),
        ("ev", {"min.insync.replicas": "4"}, "error", "min_isr_unreachable", "nothing can be written", "replicas=2"),
        ("ev", {"min.insync.replicas": "1"}, "warning", "min_isr_one", "lost with that broker", "replicas=2"),
        ("in", {"unclean.leader.election.enable": "true"}, "warning", "unclean_election", "lost", "enable=false"),
    ],
)
def test_configurations_that_lose_or_refuse_something_are_named(
    topic: str, configs: Mapping[str, str], severity: str, code: str, expected: str, remedy: str
) -> None:
    """One setting of one topic is wrong: one finding, with the number found and the command that mends it."""
    finding = _only(_configured(_sound(), topic, configs))
    assert (finding.severity, finding.code) == (severity, code)
    assert topic in finding.text
    assert expected in finding.text
    assert remedy in finding.remedy
    assert str(finding) == f"{finding.text}; {finding.remedy}"


def test_command_names_the_servers_and_the_topic() -> None:
    """It can be run as it stands."""
    finding = _only(_configured(_sound(bootstrap_servers="b1:9092,b2:9092"), "in", {"cleanup.policy": "compact"}))
    assert finding.remedy == (
        "`kafka-configs.sh --bootstrap-server b1:9092,b2:9092 --alter --entity-type topics --entity-name in "
        "--add-config cleanup.policy=delete`"
    )


@pytest.mark.parametrize("topic", ["in.ledger", "now"])
@pytest.mark.parametrize("found_ms", [_DAY_MS + 1, _UNLIMITED])
def test_compacted_topics_that_may_keep_overwritten_records_for_longer_are_named(topic: str, found_ms: int) -> None:
    """SQL and arguments lie in overwritten records: a topic without the limit is reported with the command for it."""
    finding = _only(_configured(_sound(topics=_LATEST), topic, {"max.compaction.lag.ms": str(found_ms)}))
    assert (finding.severity, finding.code) == ("warning", "slow_compaction")
    assert f"topic {topic} has max.compaction.lag.ms={found_ms}, at most {_DAY_MS}" in finding.text
    assert finding.remedy.endswith(f"--entity-name {topic} --add-config max.compaction.lag.ms={_DAY_MS}`")


def test_compaction_limit_is_the_setting_s_and_zero_asks_for_none() -> None:
    """A shorter limit than asked for is fine; who asks for none gets no warning."""
    assert topic_rules.examine(_configured(_sound(), "in.ledger", {"max.compaction.lag.ms": "3600000"})) == ()
    hour = _configured(_sound(max_compaction_lag_ms=3_600_000), "in.ledger", {"max.compaction.lag.ms": str(_DAY_MS)})
    assert "=3600000`" in _only(hour).remedy
    assert topic_rules.examine(_sound(max_compaction_lag_ms=0)) == ()


def test_missing_control_topic_is_a_warning_and_refuses_no_start() -> None:
    """A deployment from before controls goes on without them, and the check says so."""
    facts = _sound()
    others = {name: topic for name, topic in facts.cluster.topics.items() if name != _CONTROL}
    finding = _only(dataclasses.replace(facts, cluster=dataclasses.replace(facts.cluster, topics=others)))
    assert (finding.severity, finding.code) == ("warning", "no_controls")
    assert f"topic {_CONTROL} (kafka.topics.control) is missing" in finding.text
    assert "topics create" in finding.remedy


def test_control_topic_of_several_partitions_is_named() -> None:
    """It is read whole, and yet a release in another partition than its hold has no place behind it."""
    facts = _sound()
    kept = facts.cluster.topics[_CONTROL]
    topics = {**facts.cluster.topics, _CONTROL: dataclasses.replace(kept, partitions=kept.partitions * 2)}
    finding = _only(dataclasses.replace(facts, cluster=dataclasses.replace(facts.cluster, topics=topics)))
    assert (finding.severity, finding.code) == ("warning", "control_partitions")
    assert "has 2 partitions, 1 was expected" in finding.text


def test_control_topic_that_may_not_be_read_refuses_the_start() -> None:
    """Controls that are there are never ignored; the finding names the topic and the right."""
    facts = _sound()
    hidden = dataclasses.replace(facts.cluster.topics[_CONTROL], allowed=frozenset({"DESCRIBE", "DESCRIBE_CONFIGS"}))
    topics = {**facts.cluster.topics, _CONTROL: hidden}
    finding = _only(dataclasses.replace(facts, cluster=dataclasses.replace(facts.cluster, topics=topics)))
    assert (finding.severity, finding.code) == ("error", "not_allowed")
    assert f"topic {_CONTROL}: the relay needs READ" in finding.text


def test_control_topic_that_forgets_by_age_refuses_the_start() -> None:
    """A hold would end with its record."""
    finding = _only(_configured(_sound(), _CONTROL, {"cleanup.policy": "delete"}))
    assert (finding.severity, finding.code) == ("error", "controls_forgotten")


@pytest.mark.parametrize("topic", [*_OURS, "__consumer_offsets", "__transaction_state"])
def test_single_replicas_among_three_brokers_are_named(topic: str) -> None:
    """One disk holds the only copy; Kafka's own topics count, too."""
    facts = _kept(_sound(), topic, broker.Partition(replicas=1, in_sync=1), number=0)
    found = {finding.code: finding for finding in topic_rules.examine(facts)}
    assert found["too_few_replicas"].severity == "warning"
    assert f"{topic} 1" in found["too_few_replicas"].text
    assert "kafka-reassign-partitions.sh" in found["too_few_replicas"].remedy


def test_one_broker_alone_needs_one_replica_and_a_setting_asks_for_more() -> None:
    """On one broker there is nothing better; the setting says when there should be."""
    facts = _sound()
    single = broker.Partition(replicas=1, in_sync=1)
    described = {name: broker.Topic((single,) * 2) for name in _OURS}
    described |= {name: broker.Topic((single,)) for name in ("dl", _CONTROL, _AUDIT)}
    loose = {name: {**configs, "min.insync.replicas": "1"} for name, configs in facts.configs.items()}
    alone = dataclasses.replace(facts, cluster=broker.Cluster(1, described), configs=loose)
    assert _only(alone).code == "too_few_replicas"
    unasked = settings.KafkaSettings.model_validate({**dict(facts.kafka), "replication_factor": -1})
    assert topic_rules.examine(dataclasses.replace(alone, kafka=unasked)) == ()


@pytest.mark.parametrize("topic", [*_OURS, "__consumer_offsets", "__transaction_state"])
def test_partitions_without_leader_are_named_and_refuse_no_start(topic: str) -> None:
    """It is over when the broker is back: an outage, with the partition's name."""
    number = 0 if topic == "dl" else 1
    facts = _kept(_sound(), topic, broker.Partition(has_leader=False, replicas=3, in_sync=0), number)
    finding = _only(facts)
    assert (finding.severity, finding.code) == ("outage", "no_leader")
    assert f"{topic}-{number}" in finding.text
    assert "--unavailable-partitions" in finding.remedy


@pytest.mark.parametrize("topic", ["in.ledger", "ev", "__consumer_offsets", "__transaction_state"])
def test_partitions_that_take_no_writes_are_named(topic: str) -> None:
    """Fewer in-sync replicas than the topic wants: nothing is written, and it says how many are needed."""
    finding = _only(_kept(_sound(), topic, broker.Partition(replicas=3, in_sync=1)))
    assert (finding.severity, finding.code) == ("outage", "under_min_isr")
    assert f"{topic}-1 (1 of 3, 2 needed)" in finding.text


def test_transactions_of_kafka_do_not_concern_a_relay_without_them() -> None:
    """With at-least-once the log of transactions may be in any state."""
    facts = _kept(_sound(guarantee="at-least-once"), "__transaction_state", broker.Partition(has_leader=False))
    assert topic_rules.examine(facts) == ()


@pytest.mark.parametrize(
    ("topic", "allowed", "lacking"),
    [
        ("in", {"WRITE"}, "--operation Read "),
        ("in.ledger", {"READ"}, "--operation Write "),
        ("ev", {"READ"}, "--operation Write "),
        ("dl", {"DESCRIBE"}, "--operation Write "),
    ],
)
def test_missing_rights_are_named_with_the_acl(topic: str, allowed: set[str], lacking: str) -> None:
    """What Kafka says that we may do is compared with what we shall do."""
    facts = _sound()
    allowed |= {"DESCRIBE_CONFIGS"}
    described = dataclasses.replace(facts.cluster.topics[topic], allowed=frozenset(allowed))
    cluster = dataclasses.replace(facts.cluster, topics={**facts.cluster.topics, topic: described})
    finding = _only(dataclasses.replace(facts, cluster=cluster))
    assert (finding.severity, finding.code) == ("error", "not_allowed")
    assert lacking in finding.remedy
    assert f"--topic {topic} " in finding.remedy


@pytest.mark.parametrize(("topic", "severity"), [("in", "error"), ("ev", "error"), ("control", "warning")])
def test_a_topic_that_kafka_hides_is_named_with_the_acl(topic: str, severity: str) -> None:
    """It is not missing: Kafka says that we may not see it, and `topics create` would not help."""
    facts = _sound()
    name = facts.kafka.topics.control if topic == "control" else topic
    others = {other: described for other, described in facts.cluster.topics.items() if other != name}
    cluster = dataclasses.replace(facts.cluster, topics=others, refused=frozenset({name}))
    found = topic_rules.examine(dataclasses.replace(facts, cluster=cluster))
    assert [(one.severity, one.code) for one in found] == [(severity, "not_allowed")]
    assert f"--topic {name} " in found[0].remedy
    assert "topics create" not in str(found[0])


def test_settings_that_must_not_be_seen_are_said_to_be_unchecked() -> None:
    """The relay starts: nothing is known to be wrong."""
    facts = _sound()
    described = dataclasses.replace(facts.cluster.topics["ev"], allowed=_ALL - {"DESCRIBE_CONFIGS"})
    cluster = dataclasses.replace(facts.cluster, topics={**facts.cluster.topics, "ev": described})
    finding = _only(dataclasses.replace(facts, cluster=cluster))
    assert (finding.severity, finding.code) == ("warning", "configs_not_allowed")
    assert "DESCRIBE_CONFIGS of ev" in finding.text


def test_ledger_with_too_many_partitions_asks_for_more_requests_partitions() -> None:
    """Partitions cannot be taken away: the command raises the smaller of the two."""
    facts = _sound()
    described = {**facts.cluster.topics, "in.ledger": broker.Topic((broker.Partition(True, 3, 3),) * 5)}
    finding = _only(dataclasses.replace(facts, cluster=broker.Cluster(3, described)))
    assert finding.code == "ledger_partitions"
    assert "--topic in --partitions 5" in finding.remedy


def test_all_findings_are_reported_at_once_the_worst_first() -> None:
    """One run of the check is enough."""
    facts = _configured(_sound(), "in", {"cleanup.policy": "compact", "min.insync.replicas": "1"})
    facts = _kept(facts, "ev", broker.Partition(has_leader=False, replicas=3))
    assert [finding.severity for finding in topic_rules.examine(facts)] == ["error", "outage", "warning"]


def test_what_a_broker_does_not_tell_breaks_no_rule() -> None:
    """Old and embedded brokers tell little: that is said, and nothing is guessed."""
    facts = dataclasses.replace(_sound(), configs={})
    assert {finding.code for finding in topic_rules.examine(facts)} == {"limits_not_told", "policy_not_told"}
