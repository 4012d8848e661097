"""
Trouble on order: which of the next calls shall be slow, refused, garbled or lost, and what becomes of their jobs.

A fault names the calls it means (operation, cluster, name), which of them (from the n-th on, so many) and what happens.
It acts at the gateway, before signatures and limits are checked, as trouble on the way does.
"""

from __future__ import annotations

import enum
import fnmatch
import json
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pydantic

from mrs_emulator.core import failures, refusals, wire


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
    HALF_BODY = "half_body"
    """It has its effect, and the connection is closed in the middle of the reply's body."""
    WRONG_TYPE = "wrong_type"
    """It has its effect; the reply says `content_type` (HTML), with its own body or with `body`."""
    STUCK_JOB = "stuck_job"
    """The job that it submits, or asks about, never ends by itself."""
    LOST_JOB = "lost_job"
    """The job that it submits, or asks about, disappears from list and read, and frees its slot."""
    WRONG_RESULT = "wrong_result"
    """The job that it submits, or asks about, shows the opposite job_result."""
    VANISH_CLUSTER = "vanish_cluster"
    """The cluster that it names is gone with its jobs, as if it had never been, before MRS sees the call."""
    STOP_CLOCK = "stop_clock"
    """The emulator's clock stands still from now on; see /emulator/clock."""
    JUMP_CLOCK = "jump_clock"
    """The emulator's clock is `seconds` further on before MRS sees the call."""


JOB_ACTIONS = frozenset({Action.STUCK_JOB, Action.LOST_JOB, Action.WRONG_RESULT})
"""Actions on a job; they only hit calls that concern one."""
DEEDS = JOB_ACTIONS | {Action.VANISH_CLUSTER, Action.STOP_CLOCK, Action.JUMP_CLOCK}
"""Actions that change what MRS remembers or its time, and leave the reply alone."""


class Fault(pydantic.BaseModel):
    """One order for trouble."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    action: Action
    """What happens."""

    operation: str = "*"
    """Name of the operation, such as CreateExecuteJob; `*` means all of MRS and IAM, `OBS.*` all of OBS."""

    cluster: str | None = None
    """Cluster id; None means all, and calls that name no cluster."""

    name: str | None = None
    """Pattern with * and ? for the job's name, for the SQL text of ExecuteSql, or for bucket/key of OBS; None means
    all."""

    nth: int = pydantic.Field(default=1, ge=1)
    """The first matching call that is hit, counted from 1."""

    count: int | None = pydantic.Field(default=1, ge=1)
    """How many matching calls are hit from there on; None means all."""

    seconds: float = pydantic.Field(default=0.0, ge=0, le=31_536_000)
    """Delay of `latency`; how far `jump_clock` goes. Without effect on the others."""

    status: int = pydantic.Field(default=503, ge=200, le=599)
    """HTTP status of `status` and `status_after`."""

    body: Any = None
    """JSON body of those, or a string that is sent as HTML; None sends what the gateway would say. Or the body of
    `wrong_type`; None sends the reply's own."""

    content_type: str = "text/html;charset=UTF-8"
    """Content type of `wrong_type`."""

    headers: Mapping[str, str] = pydantic.Field(default_factory=dict)
    """Further headers of those, such as Retry-After."""

    def reply(self, request_id: str) -> wire.Reply:
        """Return the reply that `status` and `status_after` give."""
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
    """
    What a call looks like to a fault.

    Attributes:
        operation: name of the operation.
        cluster_id: cluster that it names, if any.
        name: name of the job or cluster, or SQL text.
        job_id: job that it asks about, if any.
        submits: it submits a job.
    """

    operation: str
    cluster_id: str | None
    name: str
    job_id: str | None = None
    submits: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """What happens to one call: a delay, deeds, and at most one fault that decides its reply."""

    delay_s: float = 0.0
    fault: Fault | None = None
    deeds: tuple[Fault, ...] = ()

    @property
    def names(self) -> str:
        """The actions, for people."""
        found = [one.action.value for one in (*self.deeds, self.fault) if one is not None]
        return ", ".join(["latency", *found] if self.delay_s else found)

    def before(self, request_id: str) -> wire.Reply | None:
        """Return the reply instead of the call, which then has no effect; None lets the call through."""
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
        """Return what becomes of the reply to a call that was let through."""
        match self.fault:
            case Fault(action=Action.DROP_AFTER):
                return wire.DROPPED
            case Fault(action=Action.STATUS_AFTER):
                return self.fault.reply(request_id)
            case Fault(action=Action.HALF_BODY):
                return replace(reply, cut_to=len(reply.body) // 2)
            case Fault(action=Action.WRONG_TYPE):
                body = self.fault.body
                sent = reply.body if body is None else body.encode() if isinstance(body, str) else as_bytes(body)
                return replace(reply, body=sent, content_type=self.fault.content_type)
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
        every = "OBS.*" if aim.operation.startswith("OBS.") else "*"
        if fault.operation not in {every, aim.operation} or fault.cluster not in {None, aim.cluster_id}:
            return False
        if fault.name is not None and not fnmatch.fnmatchcase(aim.name, fault.name):
            return False
        if fault.action in JOB_ACTIONS and not (aim.submits or aim.job_id):
            return False
        if fault.action is Action.VANISH_CLUSTER and aim.cluster_id is None:
            return False
        self.matched += 1
        return self.matched >= fault.nth and (fault.count is None or self.matched < fault.nth + fault.count)


class Faults:
    """
    The faults in force.

    Args:
        operations: names of the operations that a fault may aim at.
    """

    def __init__(self, operations: Collection[str] = ()) -> None:
        self._operations = frozenset(operations)
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
        """Return the faults in force, each with the number of calls it has matched."""
        return [{**one.fault.model_dump(mode="json"), "matched": one.matched} for one in self._standing]

    def read(self, orders: object) -> list[Fault]:
        """
        Return orders from parsed JSON or TOML: a list of them, one, or a table with the key `faults`.

        Raises:
            ValueError: which order is wrong, and why.
        """
        if isinstance(orders, dict):
            orders = orders["faults"] if orders.keys() == {"faults"} else [orders]
        try:
            found = _ORDERS.validate_python(orders)
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ValueError(f"{where}: {first['msg']}") from error
        unknown = {one.operation for one in found} - self._operations - {"*", "OBS.*"}
        if unknown:
            raise ValueError(f"operation: {min(unknown)} is not played")
        return found

    def load(self, path: Path) -> None:
        """
        Put the faults of a file in force: JSON if its name ends so, TOML otherwise; blocks, so call it at the start.

        Raises:
            CannotStart: the file cannot be read, or an order in it is wrong.
        """
        try:
            text = path.read_text(encoding="utf-8")
            orders = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
            self.add(self.read(orders))
        except (OSError, ValueError) as error:
            raise failures.CannotStart(f"the faults file {path} cannot be used: {error}") from error

    def meet(self, aim: Aim) -> Trouble:
        """
        Return what happens to this call.

        Every fault that matches counts the call. Delays add up, all deeds are done; of the others the first decides.
        """
        hitting = [one.fault for one in self._standing if one.hits(aim)]
        if not hitting:
            return NO_TROUBLE
        delay_s = sum(fault.seconds for fault in hitting if fault.action is Action.LATENCY)
        deeds = tuple(one for one in hitting if one.action in DEEDS)
        others = (one for one in hitting if one.action not in DEEDS and one.action is not Action.LATENCY)
        return Trouble(delay_s, next(others, None), deeds)


_ORDERS = pydantic.TypeAdapter(list[Fault])


def as_bytes(body: object) -> bytes:
    """Return a JSON value as it is sent."""
    return wire.as_json(200, body).body
