"""
Judge how large records may be. Pure.

Two settings look like limits and are none: `replica.fetch.max.bytes` and our own `kafka.max_partition_fetch_bytes` let
the first batch through whatever its size (KIP-74). The library checks its `max_request_size` only in a method that we
do not use. So the topic's `max.message.bytes` is the only limit.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mrs_relay.kafka.topics import topic_facts

ENVELOPE_BYTES: Final = 128 * 1024
"""Bytes that a dead letter or a job's record adds to the message that it came from."""


def batches_fit(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    """Yield the topics that do not take what the relay writes at once."""
    least = facts.kafka.batch_bytes
    for name in facts.present:
        limit = facts.number(name, "max.message.bytes")
        if (
            name not in {facts.kafka.topics.requests, facts.kafka.topics.control, facts.kafka.topics.audit}
            and limit is not None
            and limit < least
        ):
            yield topic_facts.Finding(
                "error",
                "limit_below_batch",
                f"topic {name} has max.message.bytes={limit}, less than kafka.batch_bytes={least}: commits would be "
                "refused for ever",
                f"{facts.alter(name, max_message_bytes=least)}, or a smaller kafka.batch_bytes",
            )


def limits_known(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    """Yield the topics whose limit the broker does not report."""
    if unknown := [name for name in facts.present if facts.number(name, "max.message.bytes") is None]:
        yield topic_facts.Finding(
            "warning",
            "limits_not_told",
            f"this broker does not report max.message.bytes of {', '.join(unknown)}; kafka.record_bytes="
            f"{facts.kafka.record_bytes} is taken instead",
        )


def limits_fit(facts: topic_facts.Facts) -> Iterator[topic_facts.Finding]:
    """Yield limits that do not leave room for what becomes of the largest message."""
    topics = facts.kafka.topics
    requests_bytes = facts.number(topics.requests, "max.message.bytes")
    letters_bytes = facts.number(topics.dead_letters, "max.message.bytes")
    ledger_bytes = facts.number(topics.ledger, "max.message.bytes")

    if requests_bytes is not None and letters_bytes is not None and letters_bytes <= requests_bytes:
        yield topic_facts.Finding(
            "warning",
            "dead_letter_limit",
            f"topic {topics.dead_letters} takes no larger messages than {topics.requests} ({letters_bytes} and "
            f"{requests_bytes} bytes): the largest ones cannot be kept whole",
            facts.alter(topics.dead_letters, max_message_bytes=requests_bytes + ENVELOPE_BYTES),
        )

    if requests_bytes is not None and ledger_bytes is not None and ledger_bytes < requests_bytes + ENVELOPE_BYTES:
        wanted = 2 * requests_bytes + ENVELOPE_BYTES
        yield topic_facts.Finding(
            "warning",
            "ledger_limit",
            f"topic {topics.ledger} takes messages of {ledger_bytes} bytes, {topics.requests} of {requests_bytes}: a "
            f"job's record holds its request and more, so the largest requests are rejected as too large; {wanted} was "
            "expected",
            facts.alter(topics.ledger, max_message_bytes=wanted),
        )

    if (ledger_bytes or 0) > facts.kafka.unpacked_bytes:
        yield topic_facts.Finding(
            "warning",
            "unpacked_limit",
            f"topic {topics.ledger} takes messages of {ledger_bytes} bytes, kafka.unpacked_bytes="
            f"{facts.kafka.unpacked_bytes}: one that is larger, and compressed by the broker, could not be read again",
            "raise kafka.unpacked_bytes",
        )
