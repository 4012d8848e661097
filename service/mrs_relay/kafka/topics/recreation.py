"""Check before a start that the ledger belongs to the requests topic; `start_offset.py` decides at the start."""

from __future__ import annotations

from mrs_relay.kafka import ledger_format, records, settings, start_offset, topic_io
from mrs_relay.kafka.topics import topic_facts


async def find(
    broker: topic_io.TopicClient, kafka: settings.KafkaSettings, topic_id: str | None
) -> list[topic_facts.Finding]:
    """
    Read the ledger and compare the topic id that it notes with the present one.

    Args:
        broker: keeps the ledger.
        kafka: the settings.
        topic_id: of the requests topic; None, if the broker does not report it, finds nothing.

    Raises:
        StreamDown: Kafka cannot be reached. SettingsError: there is no ledger.
    """
    if topic_id is None:
        return []
    last: dict[int, str | None] = {}
    async for record in topic_io.read_all(broker, kafka.topics.ledger):
        if record.key == ledger_format.OFFSETS:
            last[record.partition] = ledger_format.topic_id(record)
    others = {partition: known for partition, known in sorted(last.items()) if known not in {None, topic_id}}
    if not others:
        return []
    partition, known = next(iter(others.items()))
    text = start_offset.recreated(records.Position(kafka.topics.requests, partition), None, known, topic_id)
    concerned = ", ".join(map(str, others))
    severity: topic_facts.Severity = "warning" if kafka.accept_loss else "error"
    return [topic_facts.Finding(severity, "requests_recreated", f"{text} (partitions {concerned})")]
