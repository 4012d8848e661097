"""Rows in chunks as the client of a service puts them together at the end of a simulated world."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator

from tests.support import simulation_stage

from mrs_relay.client import failures, rows
from mrs_relay.kafka.memory import memory_topic_io
from mrs_relay.messages import events


async def faults(stage: simulation_stage.Stage, troubles: Counter[str]) -> AsyncIterator[str]:
    """Yield the results that are not the rows of their statements for the client, a line each."""
    topics = memory_topic_io.MemoryTopicClient(stage.hub)
    wanted = stage.chunked_rows()
    for event, _ in stage.results() if stage.extras.chunks else ():
        data = events.EventData.model_validate(event.data)
        if data.result is None or data.result.chunks is None:
            continue
        troubles[f"results in chunks of {data.result.chunks.format}"] += 1
        try:
            found = [[*row] async for row in rows.of(data, lambda one: rows.fetched(topics, one))]
        except failures.RowsMissing as error:
            yield f"{event.request_id}: the client finds no rows: {error}"
            continue
        if found != [[value] for value in wanted[event.request_id]]:
            yield f"{event.request_id}: the client has {len(found)} rows from {found[:1]} on"
