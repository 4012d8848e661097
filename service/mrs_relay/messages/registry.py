"""Type names and their models: the one list behind the schemas, the documentation and the checks."""

from __future__ import annotations

from typing import Final

import pydantic

from mrs_relay.messages import events, requests

REQUESTS: Final[dict[str, type[pydantic.BaseModel]]] = dict(requests.MODELS)
"""Request type → model of its `data`."""

EVENTS: Final[dict[str, type[pydantic.BaseModel]]] = {
    f"mrs.{subject}.{state}": events.EventData for subject, states in events.SUBJECTS.items() for state in states
}
"""Event type → model of its `data`."""
