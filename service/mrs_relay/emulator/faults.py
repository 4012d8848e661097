"""
Trouble on order: which of the next calls shall be slow, refused, or lost.

A fault names the calls it means (operation, cluster, name), which of them (from the n-th on, so many) and what happens.
It acts at the gateway, before signatures and limits are checked, as trouble on the way does.
"""

from __future__ import annotations

import enum
import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pydantic

from mrs_relay.emulator import refusals, wire


class Action(enum.StrEnum):
    """What happens to a call that a fault hits."""

    LATENCY = "latency"
    """It reaches MRS `seconds` later; other faults may hit it, too."""
    STATUS = "status"
    """It is answered with `status` and `body` and has no effect."""
    STATUS_AFTER = "status_after"
    """It has its effect and is answered with `status` and `body` all the same."""
    DROP_BEFORE = "drop_before"
    """The connection is closed; no effect."""
    DROP_AFTER = "drop_after"
    """It has its effect, then the connection is closed without a reply."""
    BUSY = "busy"
    """It is answered with 0177, the cluster runs its maximum of jobs; no effect."""


class Fault(pydantic.BaseModel):
    """One order for trouble."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    action: Action
    """What happens."""

    operation: str = "*"
    """Name of the operation, such as CreateExecuteJob; `*` means all."""

    cluster: str | None = None
    """Cluster id; None means all, and calls that name no cluster."""

    name: str | None = None
    """Pattern with * and ? for the job's name, or for the SQL text of ExecuteSql; None means all."""

    nth: int = pydantic.Field(default=1, ge=1)
    """The first matching call that is hit, counted from 1."""

    count: int | None = pydantic.Field(default=1, ge=1)
    """How many matching calls are hit from there on; None means all."""

    seconds: float = pydantic.Field(default=0.0, ge=0, le=3600)
    """Delay of `latency`."""

    status: int = pydantic.Field(default=503, ge=200, le=599)
    """HTTP status of `status` and `status_after`."""

    body: Any = None
    """JSON body of those, or a string that is sent as HTML; None sends what the gateway would say."""

    headers: Mapping[str, str] = pydantic.Field(default_factory=dict)
    """Further headers of those, such as Retry-After."""

    def reply(self, request_id: str) -> wire.Reply:
        """The reply that `status` and `status_after` give."""
        if self.body is None:
            reply = refusals.scripted(self.status).reply(request_id, older=False)
        elif isinstance(self.body, str):
            reply = wire.Reply(self.status, self.body.encode(), content_type="text/html;charset=UTF-8")
        else:
            reply = wire.as_json(self.status, self.body)
        for name, value in self.headers.items():
            reply = reply.with_header(name, value)
        return reply


@dataclass(frozen=True, slots=True)
class Aim:
    """What a call looks like to a fault."""

    operation: str
    cluster_id: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to one call: a delay, and at most one fault that decides its reply."""

    delay_s: float = 0.0
    fault: Fault | None = None

    def before(self, request_id: str) -> wire.Reply | None:
        """The reply instead of the call, which then has no effect; None lets the call through."""
        match self.fault:
            case Fault(action=Action.DROP_BEFORE):
                return wire.DROPPED
            case Fault(action=Action.BUSY):
                return refusals.business("0177", slots=10).reply(request_id, older=False)
            case Fault(action=Action.STATUS):
                return self.fault.reply(request_id)
            case _:
                return None

    def after(self, reply: wire.Reply, request_id: str) -> wire.Reply:
        """What becomes of the reply to a call that was let through."""
        match self.fault:
            case Fault(action=Action.DROP_AFTER):
                return wire.DROPPED
            case Fault(action=Action.STATUS_AFTER):
                return self.fault.reply(request_id)
            case _:
                return reply


NO_TROUBLE = Trouble()


@dataclass(slots=True)
class _Standing:
    """A fault and how many calls it has matched."""

    fault: Fault
    matched: int = 0

    def hits(self, aim: Aim) -> bool:
        """Count a call that matches; whether it is one of those to be hit."""
        fault = self.fault
        if fault.operation not in {"*", aim.operation} or fault.cluster not in {None, aim.cluster_id}:
            return False
        if fault.name is not None and not fnmatch.fnmatchcase(aim.name, fault.name):
            return False
        self.matched += 1
        return self.matched >= fault.nth and (fault.count is None or self.matched < fault.nth + fault.count)


class Faults:
    """The faults in force."""

    def __init__(self) -> None:
        self._standing: list[_Standing] = []

    def __bool__(self) -> bool:
        return bool(self._standing)

    def add(self, orders: Sequence[Fault]) -> None:
        """Put more faults in force, behind those that are."""
        self._standing += [_Standing(fault) for fault in orders]

    def clear(self) -> None:
        """Lift all faults."""
        self._standing.clear()

    def listed(self) -> list[dict[str, Any]]:
        """The faults in force, each with the number of calls it has matched."""
        return [{**one.fault.model_dump(mode="json"), "matched": one.matched} for one in self._standing]

    def meet(self, aim: Aim) -> Trouble:
        """
        What happens to this call.

        Every fault that matches counts the call. Delays add up; of the others the first decides.
        """
        hitting = [one.fault for one in self._standing if one.hits(aim)]
        delay_s = sum(fault.seconds for fault in hitting if fault.action is Action.LATENCY)
        return Trouble(delay_s, next((one for one in hitting if one.action is not Action.LATENCY), None))
