"""
Route cancels between partitions: a broadcast to all others, and a reply from the one that has the request. Pure.

A cancel belongs on the partition of its request. A cancel with another key arrives on another partition. That partition
records it and sends a copy to every other partition, in one transaction. A header keeps the copies from being broadcast
again.
"""

from __future__ import annotations

from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import facts, jobs
from mrs_relay.kafka import records
from mrs_relay.messages import codec


def broadcast(record: records.Record, asked: facts.CancelRequested, partitions: int) -> list[records.Outgoing]:
    """
    Return the cancel of `record` as messages to all other partitions of the topic.

    The copies contain the fields of a cancel only. The record's other content, such as its headers, could make them
    larger than the topic accepts.
    """
    waits = asked.job
    words = {
        "correlationid": waits.correlation_id,
        "traceparent": waits.traceparent,
        "tracestate": waits.tracestate,
        "authid": waits.sender and waits.sender.authid,
        "authtype": waits.sender and waits.sender.authtype,
    }
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
    """Return the reply to the partition that broadcast a cancel: this one has the request `key`."""
    source, _, request_id = key.decode().partition(" ")
    target = {"id": request_id, "source": source}
    message = {"id": request_id, "source": source, "type": "mrs.job.cancel", "data": {"request": target}}
    return records.Outgoing(topic, None, codec.encode(message), ((reader.MATCHED_HEADER, b"1"),), partition)
