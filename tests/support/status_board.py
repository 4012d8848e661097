"""The status that relays have published on the broker in memory, and what it says about a request."""

from __future__ import annotations

from typing import Any

from tests.support import service, service_harness

from mrs_relay.kafka.memory import memory_broker
from mrs_relay.messages import controls
from mrs_relay.read_model import holds, status_board, why

TOPIC = "mrs.status"


def read(broker: memory_broker.MemoryBroker) -> status_board.StatusBoard:
    """Return all that has been published."""
    board = status_board.StatusBoard()
    for record in broker.committed(TOPIC):
        board.apply(record)
    return board


def held(made: service_harness.ServiceHarness, request_id: str, **changes: Any) -> dict[str, holds.Hold]:
    """Return what holds a request of a deployment by code, in order; `changes` are those of `holds.Asked`."""
    states = made.states(request_id)  # none before its cluster has been chosen
    asked = holds.Asked(
        **{
            "tenant": "",
            "source": "/test",
            "id": request_id,
            "state": states[-1] if states else "accepted",
            "cluster": service.CLUSTER,
            "updated_ms": made.time.now_ms(),
            **changes,
        }
    )

    present = [controls.read(one.key, one.value, one.timestamp_ms)[1] for one in made.broker.committed("mrs.control")]
    known = holds.Known(read(made.broker), (), [one for one in present if one is not None])
    found = why.explain(asked, known, made.time.now_ms())
    return {one.code: one for one in found}
