"""
Trouble on order for OBS: the faults of `core/faults.py` that name an operation of OBS, such as `OBS.GetObject`.

A fault meets a request that was admitted. What a fault says of jobs and clusters means nothing here; `name` is compared
with bucket/key.
"""

from __future__ import annotations

from mrs_emulator.core import faults
from mrs_emulator.obs import markup, wire

_CODES = {403: "AccessDenied", 404: "NoSuchKey", 500: "InternalError", 503: "SlowDown"}
_BUSY = 503


def instead(trouble: faults.Trouble, request_id: str) -> wire.Reply | None:
    """Return the reply instead of the call, which then has no effect; None lets it through."""
    match trouble.fault:
        case faults.Fault(action=faults.Action.DROP_BEFORE):
            return wire.DROPPED
        case faults.Fault(action=faults.Action.STATUS) as fault:
            return _scripted(fault, fault.status, request_id)
        case faults.Fault(action=faults.Action.BUSY) as fault:
            return _scripted(fault, _BUSY, request_id)
        case _:
            return None


def after(trouble: faults.Trouble, reply: wire.Reply, request_id: str) -> wire.Reply:
    """Return what becomes of the reply to a call that was let through."""
    match trouble.fault:
        case faults.Fault(action=faults.Action.DROP_AFTER):
            _close(reply)
            return wire.DROPPED
        case faults.Fault(action=faults.Action.STATUS_AFTER) as fault:
            _close(reply)
            return _scripted(fault, fault.status, request_id)
        case faults.Fault(action=faults.Action.HALF_BODY):
            return wire.Reply(reply.status, reply.headers, reply.body, halved=True)
        case _:
            return reply


def _scripted(fault: faults.Fault, status: int, request_id: str) -> wire.Reply:
    if isinstance(fault.body, str):
        return wire.Reply(status, {"Content-Type": "text/html", **fault.headers}, fault.body.encode())
    elements: list[markup.Element] = [
        ("Code", _CODES.get(status, "InternalError")),
        ("Message", "ordered by a fault"),
        ("RequestId", request_id),
    ]
    headers = {"Content-Type": markup.CONTENT_TYPE, **fault.headers}
    return wire.Reply(status, headers, markup.document("Error", elements))


def _close(reply: wire.Reply) -> None:
    if isinstance(reply.body, wire.Slice):
        reply.body.file.close()
