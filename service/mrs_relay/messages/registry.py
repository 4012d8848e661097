"""Type names and their models: the one list behind the schemas, the documentation and the checks."""

from __future__ import annotations

from typing import Final

import pydantic

from mrs_relay.messages import events, requests

REQUESTS: Final[dict[str, type[pydantic.BaseModel]]] = dict(requests.MODELS)
"""Request type → model of its `data`."""

EVENTS: Final[dict[str, type[pydantic.BaseModel]]] = {
    **{f"mrs.{subject}.{state}": events.EventData for subject, states in events.SUBJECTS.items() for state in states},
    **dict.fromkeys(events.NOTICES, events.EventData),
}
"""Event type → model of its `data`."""


def meaning(kind: str) -> str:
    """Return what an event of a type says."""
    notice = events.NOTICES.get(kind)
    return events.STATES[state_of(kind)] if notice is None else notice[1]


def state_of(kind: str) -> events.State:
    """Return the state in the data of events of a type."""
    notice = events.NOTICES.get(kind)
    return notice[0] if notice is not None else next(state for state in events.STATES if kind.endswith(f".{state}"))
