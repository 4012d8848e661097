"""
A client for services that send requests to the relay and wait for their ends.

    from mrs_relay.client import RelayClient, sql

Read `relay` first, then `handle`; `failures` has the errors, `testing` a relay for other people's tests, `wording`
turns keywords into requests. `docs/relay-client.md` has examples. Needs Kafka alone: nothing here knows MRS or the
engine.

The package exports these names because it is a library of its own for users who never open the rest. It imports them
on first use, so that a program that needs the errors alone does not load the Kafka library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mrs_relay.client.failures import (
        ClientClosed,
        EventsMissing,
        NotAcknowledged,
        RequestCancelled,
        RequestEnded,
        RequestFailed,
        RequestRejected,
        RequestUnknown,
        RowsMissing,
    )
    from mrs_relay.client.handle import Handle
    from mrs_relay.client.relay import RelayClient
    from mrs_relay.client.wording import job, sql

__all__ = [
    "ClientClosed",
    "EventsMissing",
    "Handle",
    "NotAcknowledged",
    "RelayClient",
    "RequestCancelled",
    "RequestEnded",
    "RequestFailed",
    "RequestRejected",
    "RequestUnknown",
    "RowsMissing",
    "job",
    "sql",
]

_ELSEWHERE = {"Handle": "handle", "RelayClient": "relay", "job": "wording", "sql": "wording"}


def __getattr__(name: str) -> object:
    """Import one of the names above from its module."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_ELSEWHERE.get(name, 'failures')}")
    return getattr(module, name)
