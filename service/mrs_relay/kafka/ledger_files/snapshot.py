"""Read a ledger partition as last committed, without owning it: relays that run are not disturbed, and may go on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import ledger_format, log_reading, records
from mrs_relay.kafka.ledger_files import last_values


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    A ledger partition at one commit.

    Attributes:
        position: the input partition.
        next_offset: of the input; None: nothing was ever committed.
        topic_id: of the input topic to which that offset belongs; None where the ledger does not say.
        format: the highest of a value that is still in the log.
        unsent: outgoing records of the last commit that are perhaps not sent; only without transactions.
        values: the values by key.
    """

    position: records.Position
    next_offset: int | None
    topic_id: str | None
    format: int
    unsent: Sequence[records.Outgoing]
    values: last_values.LastValues


async def take(
    broker: brokers.Broker, position: records.Position, ledger: str, values: last_values.LastValues
) -> Snapshot:
    """
    Read a ledger partition to its present end.

    Args:
        broker: keeps it.
        position: the input partition.
        ledger: name of the ledger topic.
        values: gets the values; empty.

    Raises:
        NewerFormat: a newer version has written it. StateUnreadable: it is damaged or incomplete. StreamDown.
    """
    replay = ledger_format.Replay(position, "", values=values)
    async with broker.reader(records.Position(ledger, position.partition), None) as reader:
        async for read in log_reading.to_end(reader):
            replay.add(read)
            await asyncio.sleep(0)
    if (loss := replay.loss(reader.beginning)) is not None:
        raise errors.StateUnreadable(loss)
    return Snapshot(position, replay.next_offset, replay.topic_id, replay.values_format, replay.unsent, values)
