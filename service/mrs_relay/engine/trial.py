"""
Show what a request would make the relay send to MRS, without sending anything.

The request is read and turned into a job as `intake` does, and submitted as `execution` does, to a client that only
notes the call. So the answer is what would be sent, byte by byte, but for the project and the signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from mrs_relay import errors
from mrs_relay.engine import redaction
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import facts, jobs
from mrs_relay.engine.work import codes, kinds
from mrs_relay.kafka import records
from mrs_relay.messages import codec, dead_letters, reasons
from mrs_relay.mrs import client as clients
from mrs_relay.mrs import operation, validation
from mrs_relay.mrs.models import base

_PROJECT: Final = "PROJECT"
_CHOSEN: Final = "CHOSEN"
_HIDDEN: Final = "***"


@dataclass(frozen=True, slots=True)
class Call:
    """
    A call to MRS.

    Attributes:
        operation: its name.
        method: HTTP method.
        path: with its query; the project is `PROJECT`, a cluster that is still to be chosen `CHOSEN`.
        body: as JSON value, without secrets; None: it has none.
    """

    operation: str
    method: str
    path: str
    body: Any = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What would become of a request.

    Attributes:
        reason: why it would be rejected; None: it would be accepted.
        call: what would be sent to MRS at first.
        chooses_cluster: a cluster is chosen before.
        not_before_ms: it waits until then, epoch milliseconds; 0: it does not.
        limits: the tenant's limits, which it counts against, by their names.
    """

    reason: reasons.Reason | None = None
    call: Call | None = None
    chooses_cluster: bool = False
    not_before_ms: int = 0
    limits: Mapping[str, float] = field(default_factory=dict)


async def run(record: records.Record, policy: policies.Policy, most_bytes: int) -> Outcome:
    """
    Return what would become of a request.

    Args:
        record: its message as it would stand in the topic.
        policy: the tenant's rules.
        most_bytes: the largest size of a message that the relay reads.
    """
    meaning = reader.read(record, frozenset(), most_bytes, policy)
    if isinstance(meaning, dead_letters.DeadLetter):
        return Outcome(reasons.Reason(kind="invalid", code=meaning.code, message=meaning.message))
    fact = meaning[1]
    if isinstance(fact, facts.InvalidRequest):
        return Outcome(_shown(fact.reason))
    if not isinstance(fact, facts.Requested):
        return Outcome()
    if fact.rejection is not None:
        return Outcome(_shown(fact.rejection))

    limits = {name: limit for name, limit in policy.limits.model_dump().items() if limit is not None}
    job = fact.job
    chooses = job.choice is not None
    sent = await _submitted(
        msgspec.structs.replace(job, cluster=job.cluster or (_CHOSEN if chooses else ""), attempt=1)
    )
    if isinstance(sent, jobs.Reason):
        return Outcome(_shown(sent))
    return Outcome(None, sent, chooses, job.not_before_ms, limits)


async def _submitted(job: jobs.Job) -> Call | jobs.Reason | None:
    """Submit a job to a client that notes the call; returns it, or why it cannot be built."""
    adapter = kinds.of(job)
    noting = _NotingClient(adapter.operation(job))
    try:
        await adapter.connect(noting, engine_settings.EngineSettings()).submit(job)
    except _NotedError:
        return noting.call_made
    except errors.MrsRefused as error:
        return jobs.Reason("refused", error.code or "invalid", error.message)
    return noting.call_made


class _NotedError(errors.MrsUntouched):
    """The call was noted, not sent."""


class _NotingClient(clients.Client):
    """
    A client that notes the call of one operation instead of sending it, and finds nothing on MRS.

    Args:
        wanted: name of the operation.
    """

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self.call_made: Call | None = None

    async def call(
        self,
        wanted: operation.Operation[Any, Any],
        *,
        path: Mapping[str, str] | None = None,
        query: base.Asked | Mapping[str, Any] | None = None,
        body: base.Asked | Mapping[str, Any] | bytes | None = None,
        timeout_s: float | None = None,
        spend_budget: bool | None = None,
    ) -> Any:  # noqa: ANN401 - the reply of any operation
        """Note the call. Raises MrsRefused: it is not well formed. MrsUntouched: it was noted."""
        del timeout_s, spend_budget
        if wanted.name != self._wanted:
            raise errors.MrsRefused("nothing is looked for", code=codes.NO_SUCH_CLUSTER)
        asked = validation.query_text(wanted, query)
        data = validation.body_bytes(wanted, body)
        where = wanted.at(_PROJECT, path or {})
        shown = without_secrets(codec.decode(data)) if data else None
        self.call_made = Call(wanted.name, wanted.verb, f"{where}?{asked}" if asked else where, shown)
        raise _NotedError("nothing was sent")


def without_secrets(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a body of the API whose secrets are replaced; SQL and arguments, which the asking one sent, stay."""
    if isinstance(value, dict):
        return {
            name: _HIDDEN if redaction.is_secret(str(name)) and inner is not None else without_secrets(inner)
            for name, inner in value.items()
        }
    return [without_secrets(inner) for inner in value] if isinstance(value, list) else value


def _shown(reason: jobs.Reason) -> reasons.Reason:
    return reasons.Reason(kind=reason.kind, code=reason.code, message=reason.message, field=reason.field)
