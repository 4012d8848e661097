"""Writes batches with librdkafka, which most producers outside Java are made of, in any of Kafka's codecs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import confluent_kafka
from tests.support import malformed

CODECS: Final = ("none", "gzip", "snappy", "lz4", "zstd")
"""All that Kafka knows."""


def can_write(message: malformed.Message) -> bool:
    """Return whether librdkafka takes all of the message: its header names end at a NUL."""
    return all("\0" not in name for name, _ in message.headers)


def write(bootstrap: str, topic: str, partition: int, messages: Sequence[malformed.Message], codec: str) -> None:
    """Write the messages in their order, in batches of a few; returns once all are acknowledged."""
    failed: list[str] = []

    def delivered(error: Any, _message: object) -> None:
        if error is not None:
            failed.append(str(error))

    settings: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "acks": "all",
        "enable.idempotence": True,
        "compression.type": codec,
        "linger.ms": 50,
        "batch.num.messages": 25,
        "message.max.bytes": 8_000_000,
    }
    producer = confluent_kafka.Producer(settings)
    for one in messages:
        headers: Any = list(one.headers)
        producer.produce(topic, one.value, one.key, partition, on_delivery=delivered, headers=headers)
    left = producer.flush(60)
    assert (left, failed) == (0, []), f"{codec}: {left} messages not acknowledged; {failed[:3]}"
