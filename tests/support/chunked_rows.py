"""Rows in chunks as a client of the service puts them together, and parts so small that a small result has many."""

from __future__ import annotations

import copy

import pytest
from tests.support import service_harness

from mrs_relay.client import handle as handles
from mrs_relay.client import rows
from mrs_relay.engine.execution import chunk_sink
from mrs_relay.kafka.memory import memory_topic_io
from mrs_relay.messages import events
from mrs_relay.obs import client as obs_client


def brought(here: service_harness.ServiceHarness, request_id: str, *, places: bool = True) -> handles.Handle:
    """Return what a client knows of a request; `places`: where the chunks are, which not every broker reports."""
    seen = [copy.deepcopy(one.data) for one in here.events() if one.request_id == request_id]
    for one in seen if not places else ():
        for name in ("partition", "first_offset", "end_offset"):
            one.get("result", {}).get("chunks", {}).pop(name, None)
    data = [events.EventData.model_validate(one) for one in seen]
    handle = handles.Handle(data[0].request.source, request_id, key=b"k", cancel=_no_cancel)
    handle.fetch = lambda one: rows.fetched(memory_topic_io.MemoryTopicClient(here.broker), one)
    for event in data:
        handle.take(event)
    return handle


async def _no_cancel(_handle: handles.Handle) -> None: ...


def shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take small parts and chunks."""
    monkeypatch.setattr(chunk_sink, "_CHUNK_BYTES", 16_384)
    monkeypatch.setattr(obs_client, "_PART_BYTES", 50_000)
