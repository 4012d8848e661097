"""
The topics of a deployment: their names and configuration, the check at the start, and their creation.

A fault of the set-up loses data later without an error: a ledger with another number of partitions, one that deletes by
age instead of by key, a batch larger than a topic takes. So the service refuses to start and names every problem at
once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import codecs, settings
from mrs_relay.kafka.topics import size_rules, topic_facts, topic_rules

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_RESULT_DAYS = 1
_DEFAULT_MESSAGE_BYTES = 1_048_588  # Kafka's own default of message.max.bytes
_REPLICAS_FOR_MIN_ISR = 3

_SETTLE_S = 3.0
"""Longest time that new topics need to reach all brokers; on three idle ones it is below 0.2 s."""

_SETTLE_STEP_S = 0.2


@dataclass(frozen=True, slots=True)
class Report:
    """
    The result of the check.

    Attributes:
        findings: all faults and risks, the worst first.
        limits_bytes: largest record by topic, where the broker reports it.
        partitions: of the input topic; 0 when it does not exist.
        abilities: the kinds of producers that the broker supports.
        compressions: compression.type of each topic that has one of its own.
        topic_id: identity of the input topic, where the broker reports it.
    """

    findings: tuple[topic_facts.Finding, ...]
    limits_bytes: Mapping[str, int]
    partitions: int
    abilities: brokers.Abilities
    compressions: Mapping[str, str] = field(default_factory=dict)
    topic_id: str | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """Faults that keep the service from starting, for people."""
        return self._texts("error")

    @property
    def complete(self) -> bool:
        """Whether all topics exist."""
        return not any(finding.code == topic_rules.MISSING for finding in self.findings)

    @property
    def outages(self) -> tuple[str, ...]:
        """Faults for which some partitions wait at this moment."""
        return self._texts("outage")

    @property
    def notes(self) -> tuple[str, ...]:
        """Risks, and rules that could not be checked."""
        return self._texts("warning")

    def require_sound(self) -> None:
        """Raise SettingsError with all problems, if there are any."""
        if self.problems:
            raise errors.SettingsError("Kafka is not set up for this service:\n  " + "\n  ".join(self.problems))

    def _texts(self, severity: topic_facts.Severity) -> tuple[str, ...]:
        return tuple(str(finding) for finding in self.findings if finding.severity == severity)


def names(kafka: settings.KafkaSettings) -> tuple[str, ...]:
    """Return our topics; those of latest states, lineage, results and status if configured."""
    topics = kafka.topics
    optional = [name for name in (topics.latest, topics.lineage, topics.results, topics.status) if name is not None]
    always = topics.requests, topics.ledger, topics.events, topics.dead_letters, topics.control, topics.audit
    return *always, *optional


def probe_id(kafka: settings.KafkaSettings) -> str:
    """Return the transactional id for the trial of transactions; it begins like those of the partitions, for ACLs."""
    return f"{kafka.app_id}.{kafka.group_id}.probe"


def plan(
    kafka: settings.KafkaSettings, *, partitions: int, input_bytes: int = _DEFAULT_MESSAGE_BYTES
) -> tuple[brokers.TopicSpec, ...]:
    """
    Return the specifications of the topics to create.

    Args:
        kafka: names, replicas and guarantee.
        partitions: of the input topic, and so of its ledger.
        input_bytes: the input topic's max.message.bytes.

    Source: Kafka 4.3 documentation, topic configs.
    """
    topics = kafka.topics
    replicas = kafka.replication_factor
    safe = {"min.insync.replicas": "2"} if replicas >= _REPLICAS_FOR_MIN_ISR else {}
    compacted = safe | {"cleanup.policy": "compact", "delete.retention.ms": str(_DAY_MS)}
    if kafka.max_compaction_lag_ms:
        compacted["max.compaction.lag.ms"] = str(kafka.max_compaction_lag_ms)

    ledger_configs = compacted | {
        "max.message.bytes": str(2 * input_bytes + size_rules.ENVELOPE_BYTES),
        "segment.ms": str(4 * _HOUR_MS),
        "unclean.leader.election.enable": "false",
    }
    if not kafka.transactional:
        ledger_configs["min.compaction.lag.ms"] = str(settings.LEAST_COMPACTION_LAG_MS)

    letter_configs = safe | {"max.message.bytes": str(input_bytes + size_rules.ENVELOPE_BYTES)}
    latest = [] if topics.latest is None else [(topics.latest, kafka.partitions, compacted)]
    lineage = [] if topics.lineage is None else [(topics.lineage, kafka.partitions, safe)]
    days = safe | {"retention.ms": str(_RESULT_DAYS * _DAY_MS)}
    results = [] if topics.results is None else [(topics.results, kafka.partitions, days)]
    # What a replica that was killed has left behind is deleted by age: live ones write their records again and again.
    lately = safe | {"cleanup.policy": "compact,delete", "retention.ms": str(_DAY_MS), "segment.ms": str(_HOUR_MS)}
    status = [] if topics.status is None else [(topics.status, 1, lately)]
    wanted: list[tuple[str, int, dict[str, str]]] = [
        (topics.requests, partitions, safe),
        (topics.ledger, partitions, ledger_configs),
        (topics.events, kafka.partitions, safe),
        (topics.dead_letters, 1, letter_configs),
        *latest,
        *lineage,
        *results,
        (topics.control, 1, compacted),
        (topics.audit, 1, safe | {"retention.ms": str(round(kafka.audit_days * _DAY_MS))}),
        *status,
    ]
    return tuple(brokers.TopicSpec(name, count, replicas, configs) for name, count, configs in wanted)


async def create(admin: brokers.Admin, kafka: settings.KafkaSettings) -> tuple[str, ...]:
    """
    Create the missing topics and return their names; existing ones are left as they are.

    Raises:
        SettingsError: some topics failed; the message names them and why. StreamDown: Kafka does not answer.
    """
    counts = await admin.partition_counts()
    requests = kafka.topics.requests
    known = await admin.configs([requests]) if requests in counts else {}
    input_bytes = _limit(known.get(requests, {})) or _DEFAULT_MESSAGE_BYTES
    wanted = plan(kafka, partitions=counts.get(requests, kafka.partitions), input_bytes=input_bytes)
    missing = [spec for spec in wanted if spec.name not in counts]
    if missing and (failed := await admin.create(missing)):
        reasons = "; ".join(f"{topic}: {reason}" for topic, reason in sorted(failed.items()))
        raise errors.SettingsError(
            f"topics could not be made: {reasons} (settings kafka.replication_factor, kafka.partitions, kafka.topics)"
        )
    return tuple(spec.name for spec in missing)


async def check(
    admin: brokers.Admin, kafka: settings.KafkaSettings, abilities: brokers.Abilities | None = None
) -> Report:
    """
    Check the topics and the broker.

    Args:
        admin: answers the questions.
        kafka: the settings.
        abilities: of the broker, if they are known; None finds them out.

    Raises:
        StreamDown: Kafka does not answer.
    """
    cluster = await admin.cluster(names(kafka))
    present = [name for name in names(kafka) if name in cluster.topics]
    configs = await admin.configs([*present, *topic_facts.internal(kafka, cluster)]) if present else {}
    abilities = abilities or await admin.abilities(probe_id(kafka))
    requests = cluster.topics.get(kafka.topics.requests)
    return Report(
        topic_rules.examine(topic_facts.Facts(kafka, cluster, configs, abilities)),
        limits({name: configs.get(name, {}) for name in present}),
        0 if requests is None else len(requests.partitions),
        abilities,
        {name: found for name in present if (found := configs.get(name, {}).get("compression.type")) in codecs.WAYS},
        None if requests is None else requests.topic_id,
    )


async def check_settled(
    admin: brokers.Admin, kafka: settings.KafkaSettings, on_incomplete: Callable[[Report], None] = lambda _report: None
) -> Report:
    """
    Run `check`, and repeat it for some seconds while topics are missing; `on_incomplete` gets the first such report.

    CreateTopics returns before every broker knows the new topics, so the broker that is asked next may still miss them.
    Source: Kafka 4.3, KRaft: brokers follow the controller's log each at its own pace.

    Raises:
        StreamDown: Kafka does not answer.
    """
    report = await check(admin, kafka)
    if not report.complete:
        on_incomplete(report)

    until_s = asyncio.get_running_loop().time() + _SETTLE_S
    while not report.complete and asyncio.get_running_loop().time() < until_s:
        await asyncio.sleep(_SETTLE_STEP_S)
        report = await check(admin, kafka, report.abilities)
    return report


def limits(configs: Mapping[str, Mapping[str, str]]) -> dict[str, int]:
    """Return the largest record, in bytes, of each topic for which the broker reports it."""
    return {name: limit for name, limit_text in configs.items() if (limit := _limit(limit_text)) is not None}


def _limit(configs: Mapping[str, str]) -> int | None:
    limit_text = configs.get("max.message.bytes", "")
    return int(limit_text) if limit_text.isdecimal() else None
