"""Frozen snapshots of a forwarder, for its probes and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class Counts:
    """
    Events since the start.

    Attributes:
        sent: the endpoint has taken them.
        refused: the endpoint refuses them for what they are; they are passed over.
        lost: records that could not be read, or that the topic had deleted before they were sent.
        repeated: tries after which the event is sent again.
    """

    sent: int = 0
    refused: int = 0
    lost: int = 0
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """
    One topic of run events at one moment.

    Attributes:
        topic: its name.
        is_joined: whether the group has given us our share of its partitions.
        kafka_error: the last failure of Kafka, or why it does not show the topic; "" once it works again.
        faults: why the endpoint does not take the events that wait for another try.
        delayed_s: how long the first of them has waited.
        lags: records of each partition of ours without a final answer; None when unknown.
        counts: since the start.
    """

    topic: str
    is_joined: bool
    kafka_error: str
    faults: tuple[str, ...]
    delayed_s: float
    lags: Mapping[int, int | None]
    counts: Counts


def reasons(topics: Iterable[Status]) -> Iterator[str]:
    """Yield, for people, each reason why events are not forwarded now."""
    for one in topics:
        if one.kafka_error:
            yield f"{one.topic}: {one.kafka_error}"
        if not one.is_joined:
            yield f"{one.topic}: the consumer group has not given us our share yet"
        for fault in one.faults:
            yield f"{one.topic}: the endpoint has taken no event for {one.delayed_s:.0f} s: {fault}"
