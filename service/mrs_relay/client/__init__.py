"""
A client for services that send requests to the relay and wait for their ends: `RelayClient`.

Read `relay.py` first, then `handle.py`; `failures.py` has the errors, `testing.py` a relay for other people's tests.
Needs Kafka alone: nothing here knows MRS, the engine or the emulator.
"""

from mrs_relay.client.failures import (
    ClientClosed,
    EventsMissing,
    RequestCancelled,
    RequestEnded,
    RequestFailed,
    RequestRejected,
    RequestUnknown,
)
from mrs_relay.client.handle import Handle
from mrs_relay.client.relay import RelayClient
from mrs_relay.client.wording import job, sql

__all__ = [
    "ClientClosed",
    "EventsMissing",
    "Handle",
    "RelayClient",
    "RequestCancelled",
    "RequestEnded",
    "RequestFailed",
    "RequestRejected",
    "RequestUnknown",
    "job",
    "sql",
]
