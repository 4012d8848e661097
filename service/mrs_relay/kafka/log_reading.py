"""Read a log to its present end, or until there is something, within a limit of time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records

READ_S = 1.0
"""Longest wait of a single read, in seconds."""

EMPTY_READS = 5
"""So many empty reads in a row are the end: a single one may come from a slow connection, or a leader that moves."""


async def to_end(reader: brokers.LogReader) -> AsyncIterator[Sequence[records.Stored]]:
    """
    Read to the present end; several empty reads in a row count as the end where the reader does not say so.

    Raises:
        StreamDown, BatchUnreadable: as the reader does.
    """
    empty_reads = 0
    while not reader.caught_up and empty_reads < EMPTY_READS:
        read = await reader.read_stored(READ_S)
        empty_reads = 0 if read else empty_reads + 1
        yield read


async def next_records(
    reader: brokers.LogReader, whose: records.Position, timeout_s: float
) -> Sequence[records.Stored]:
    """
    Wait for the next records of a ledger.

    Args:
        reader: of the ledger partition.
        whose: the input partition, for people.
        timeout_s: longest wait, in seconds.

    Raises:
        StreamDown: none came in time.
    """
    try:
        async with asyncio.timeout(timeout_s):
            while not (read := await reader.read_stored(READ_S)):
                pass
    except TimeoutError as error:
        raise errors.StreamDown(f"reading the ledger of {whose} made no progress for {timeout_s:g} s") from error
    return read
