"""
Cancels between partitions: passed once to all others, and back when one of them has the request. Pure.

A cancel belongs on the partition of its request. One that came to another partition, because it was sent with another
key, is copied to every other partition in the same transaction in which it is remembered; a header stops it from
circling.
"""

from __future__ import annotations

from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import facts, jobs
from mrs_relay.kafka import records
from mrs_relay.messages import codec


def broadcast(record: records.Record, asked: facts.CancelRequested, partitions: int) -> list[records.Outgoing]:
    """
    The cancel that `record` brought, for every other one of the topic's `partitions`.

    It is written anew, with what a cancel says and no more: whatever else the record carried, its headers above all,
    could make the copies larger than the topic takes.
    """
    waits = asked.job
    words = {"correlationid": waits.correlation_id, "traceparent": waits.traceparent, "tracestate": waits.tracestate}
    message = {
        "id": asked.by,
        "source": waits.asked_source,
        "type": "mrs.job.cancel",
        "data": {"request": {"id": waits.id, "source": waits.source}, "note": asked.reason.message},
        **{name: word for name, word in words.items() if word is not None},
    }
    value = codec.encode(message)
    headers = ((reader.BROADCAST_HEADER, b"%d" % record.partition),)
    return [
        records.Outgoing(record.topic, record.key, value, headers, partition)
        for partition in range(partitions)
        if partition != record.partition
    ]


def reply(topic: str, partition: int, key: jobs.LedgerKey) -> records.Outgoing:
    """Word for the partition that waits with a cancel: the request `key` was here."""
    source, _, request_id = key.decode().partition(" ")
    target = {"id": request_id, "source": source}
    message = {"id": request_id, "source": source, "type": "mrs.job.cancel", "data": {"request": target}}
    return records.Outgoing(topic, None, codec.encode(message), ((reader.MATCHED_HEADER, b"1"),), partition)
