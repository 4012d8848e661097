"""
The topics of a deployment: which there must be and how they are set up, the check at start, and their creation.

What is wrong here loses data later without a word: a ledger with another number of partitions, one that forgets by age
instead of by key, a batch larger than a topic takes. So the service refuses to start and names every problem at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mrs_relay import errors
from mrs_relay.stream import broker as brokers
from mrs_relay.stream import codecs, settings

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_DEFAULT_MESSAGE_BYTES = 1_048_588  # Kafka's own default of message.max.bytes
_ENVELOPE_BYTES = 128 * 1024  # what a dead letter or a job's state adds to the message it came from
_REPLICAS_FOR_MIN_ISR = 3

_CREATE = "`mrs-relay topics create` makes them"


@dataclass(frozen=True, slots=True)
class Report:
    """
    What the check found.

    Attributes:
        problems: what keeps the service from starting, for people; empty if nothing does.
        notes: what could not be checked, or could be better.
        limits_bytes: largest record by topic, where the broker tells.
        partitions: of the input topic; 0 when it does not exist.
        abilities: which producers the broker knows.
        compressions: compression.type of each topic that has one of its own.
    """

    problems: tuple[str, ...]
    notes: tuple[str, ...]
    limits_bytes: Mapping[str, int]
    partitions: int
    abilities: brokers.Abilities
    compressions: Mapping[str, str] = field(default_factory=dict)

    def require_sound(self) -> None:
        """Raise SettingsError with all problems, if there are any."""
        if self.problems:
            raise errors.SettingsError("Kafka is not set up for this service:\n  " + "\n  ".join(self.problems))


def names(kafka: settings.KafkaSettings) -> tuple[str, ...]:
    """The topics that must exist: requests, ledger, events, dead letters and, if it is wanted, the latest states."""
    topics = kafka.topics
    optional = () if topics.latest is None else (topics.latest,)
    return topics.requests, topics.ledger, topics.events, topics.dead_letters, *optional


def probe_id(kafka: settings.KafkaSettings) -> str:
    """The transactional id by which transactions are tried out; begins like those of the partitions, for ACLs."""
    return f"{kafka.app_id}.{kafka.group_id}.probe"


def plan(
    kafka: settings.KafkaSettings, *, partitions: int, input_bytes: int = _DEFAULT_MESSAGE_BYTES
) -> tuple[brokers.TopicSpec, ...]:
    """
    Say how the topics should be made.

    Args:
        kafka: names, replicas and guarantee.
        partitions: of the input topic, and so of its ledger.
        input_bytes: the input topic's max.message.bytes.

    Source: Kafka 4.3 documentation, topic configs.
    """
    topics = kafka.topics
    replicas = kafka.replication_factor
    safe = {"min.insync.replicas": "2"} if replicas >= _REPLICAS_FOR_MIN_ISR else {}
    ledger_configs = safe | {
        "cleanup.policy": "compact",
        "max.message.bytes": str(2 * input_bytes + _ENVELOPE_BYTES),
        "delete.retention.ms": str(_DAY_MS),
        "segment.ms": str(4 * _HOUR_MS),
        "unclean.leader.election.enable": "false",
    }
    if not kafka.transactional:
        ledger_configs["min.compaction.lag.ms"] = str(_HOUR_MS)
    letter_configs = safe | {"max.message.bytes": str(input_bytes + _ENVELOPE_BYTES)}
    latest_configs = safe | {"cleanup.policy": "compact", "delete.retention.ms": str(_DAY_MS)}
    latest = [] if topics.latest is None else [(topics.latest, kafka.partitions, latest_configs)]
    wanted: list[tuple[str, int, dict[str, str]]] = [
        (topics.requests, partitions, safe),
        (topics.ledger, partitions, ledger_configs),
        (topics.events, kafka.partitions, safe),
        (topics.dead_letters, 1, letter_configs),
        *latest,
    ]
    return tuple(brokers.TopicSpec(name, count, replicas, configs) for name, count, configs in wanted)


async def create(admin: brokers.Admin, kafka: settings.KafkaSettings) -> tuple[str, ...]:
    """
    Make the topics that are missing and return their names; existing ones are left as they are.

    Raises:
        SettingsError: some could not be made; says which and why. StreamDown: Kafka does not answer.
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
    Look at everything that the service relies on.

    Args:
        admin: to ask.
        kafka: the settings.
        abilities: of the broker, where they are known; None tries them out.

    Raises:
        StreamDown: Kafka does not answer.
    """
    counts = await admin.partition_counts()
    present = [name for name in names(kafka) if name in counts]
    configs = await admin.configs(present) if present else {}
    limits_bytes = limits(configs)
    compressions = {
        name: found for name in present if (found := configs.get(name, {}).get("compression.type")) in codecs.WAYS
    }
    abilities = abilities or await admin.abilities(probe_id(kafka))
    problems = [
        *_missing(kafka, counts),
        *_ledger_problems(kafka, counts, configs),
        *_latest_problems(kafka, configs),
        *_size_problems(kafka, limits_bytes),
        *_ability_problems(kafka, abilities),
        *_codec_problems(compressions),
    ]
    return Report(
        tuple(problems),
        tuple(_notes(kafka, present, configs, limits_bytes)),
        limits_bytes,
        counts.get(kafka.topics.requests, 0),
        abilities,
        compressions,
    )


def _missing(kafka: settings.KafkaSettings, counts: Mapping[str, int]) -> list[str]:
    missing = [name for name in names(kafka) if name not in counts]
    return [f"missing topics: {', '.join(missing)}; {_CREATE} (names: settings kafka.topics.*)"] if missing else []


def _ledger_problems(
    kafka: settings.KafkaSettings, counts: Mapping[str, int], configs: Mapping[str, Mapping[str, str]]
) -> list[str]:
    requests, ledger = kafka.topics.requests, kafka.topics.ledger
    problems = []
    if requests in counts and ledger in counts and counts[requests] != counts[ledger]:
        problems.append(
            f"topic {ledger} has {counts[ledger]} partitions, {requests} has {counts[requests]}: a ledger needs "
            "exactly as many as its input"
        )
    policy = configs.get(ledger, {}).get("cleanup.policy")
    if policy is not None and "compact" not in policy:
        problems.append(f"topic {ledger} has cleanup.policy={policy}, it must be compact: state would be forgotten")
    elif policy is not None and "delete" in policy:
        problems.append(f"topic {ledger} has cleanup.policy={policy}, it must not delete: state would be forgotten")
    return problems


def _latest_problems(kafka: settings.KafkaSettings, configs: Mapping[str, Mapping[str, str]]) -> list[str]:
    policy = configs.get(kafka.topics.latest or "", {}).get("cleanup.policy", "compact")
    name = f"topic {kafka.topics.latest} (kafka.topics.latest)"
    return [] if "compact" in policy else [f"{name} has cleanup.policy={policy}, it must be compact: it would forget"]


def _size_problems(kafka: settings.KafkaSettings, limits: Mapping[str, int]) -> list[str]:
    written = names(kafka)[1:]
    return [
        f"topic {name} has max.message.bytes={limits[name]}, less than kafka.batch_bytes={kafka.batch_bytes}"
        for name in written
        if name in limits and limits[name] < kafka.batch_bytes
    ]


def _codec_problems(compressions: Mapping[str, str]) -> list[str]:
    problems = []
    for codec, reason in codecs.missing().items():
        concerned = ", ".join(name for name, found in compressions.items() if found == codec)
        also = f"; compression.type={codec} of {concerned} packs all that is written there" if concerned else ""
        problems.append(f"this installation cannot unpack {codec}, which any sender may use: {reason}{also}")
    return problems


def _ability_problems(kafka: settings.KafkaSettings, abilities: brokers.Abilities) -> list[str]:
    if not kafka.transactional or abilities.transactions:
        return []
    problem = (
        "this broker knows no transactions, which kafka.guarantee=exactly-once needs: use another broker, or set "
        "kafka.guarantee=at-least-once (MRS_RELAY_KAFKA__GUARANTEE)"
    )
    return [problem]


def _notes(
    kafka: settings.KafkaSettings,
    present: list[str],
    configs: Mapping[str, Mapping[str, str]],
    limits: Mapping[str, int],
) -> list[str]:
    requests, ledger, dead_letters = kafka.topics.requests, kafka.topics.ledger, kafka.topics.dead_letters
    notes = []
    if unknown := [name for name in present if name not in limits]:
        notes.append(
            f"this broker does not tell max.message.bytes of {', '.join(unknown)}; kafka.record_bytes="
            f"{kafka.record_bytes} is taken instead"
        )
    if ledger in present and "cleanup.policy" not in configs.get(ledger, {}):
        notes.append(f"this broker does not tell cleanup.policy of {ledger}; it must be compact, without delete")
    if requests in limits and limits.get(dead_letters, 1 << 62) <= limits[requests]:
        notes.append(
            f"topic {dead_letters} takes no larger messages than {requests}: the largest ones cannot be kept whole"
        )
    if (ledger_bytes := limits.get(ledger, 0)) > kafka.unpacked_bytes:
        notes.append(
            f"topic {ledger} takes messages of {ledger_bytes} bytes, kafka.unpacked_bytes={kafka.unpacked_bytes}: one "
            "that is larger, and compressed by the broker, could not be read again; raise kafka.unpacked_bytes"
        )
    return notes


def limits(configs: Mapping[str, Mapping[str, str]]) -> dict[str, int]:
    """Largest record in bytes of each topic of which the broker tells."""
    return {name: limit for name, told in configs.items() if (limit := _limit(told)) is not None}


def _limit(configs: Mapping[str, str]) -> int | None:
    told = configs.get("max.message.bytes", "")
    return int(told) if told.isdecimal() else None
