"""Register the kinds of work, and find the adapter of a request or of a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mrs_relay import errors
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import jobs
from mrs_relay.engine.work import adapter, batch_v2, batch_v11, call, cluster, statement
from mrs_relay.messages import requests
from mrs_relay.mrs import client as clients

_ALL: Final[tuple[adapter.WorkAdapter, ...]] = (
    batch_v2.BatchV2(),
    batch_v11.BatchV11(),
    statement.Statement(),
    call.Call(),
    cluster.Cluster(),
)

ADAPTERS: Final = {one.name: one for one in _ALL}
"""Name of each kind -> its adapter."""

_BATCH: Final[Mapping[jobs.Api, str]] = {"v2": "batch_v2", "v1.1": "batch_v11"}
_UNNAMED: Final = frozenset({"batch_v2", "batch_v11", "statement", "call", "cluster"})
"""Kinds from before ledger records named the kind; `of` derives them from other fields, so they stay unnamed."""


def taking(request: requests.Work) -> adapter.WorkAdapter:
    """Return the adapter that makes a job of a request."""
    for one in ADAPTERS.values():
        if one.takes(request):
            return one
    raise LookupError(f"no kind of work takes a {type(request).__name__}")


def of(job: jobs.Job) -> adapter.WorkAdapter:
    """
    Return the adapter of a job.

    Raises:
        StateUnreadable: this version does not know the kind.
    """
    if job.kind:
        if job.kind not in ADAPTERS:
            text = f"a job is of the kind {job.kind!r}, expected one of {', '.join(ADAPTERS)}"
            raise errors.StateUnreadable(f"{text}; if a later version of the relay has written it, run that version")
        return ADAPTERS[job.kind]

    # The record names no kind. NB: a call may have the subject `job`, too: the deletion of job records.
    if job.subject == "cluster":
        return ADAPTERS["cluster"]
    if job.subject == "call" or isinstance(job.work, jobs.Call):
        return ADAPTERS["call"]
    return ADAPTERS["statement" if job.statement else _BATCH[job.api]]


def is_known(name: str) -> bool:
    """Return whether this version knows the kind of work that a ledger record names; "" where it names none."""
    return not name or name in ADAPTERS


def place(job: jobs.Job) -> tuple[str, str]:
    """Return the place where a job is queued: its cluster, and the MRS operation that submits it."""
    return job.cluster, of(job).operation(job)


def recorded(kind: adapter.WorkAdapter) -> str:
    """Return the value of `Job.kind` for jobs of a kind."""
    return "" if kind.name in _UNNAMED else kind.name


def connect(client: clients.Client, settings: engine_settings.EngineSettings) -> Mapping[str, adapter.WorkCalls]:
    """Return the calls of each kind on a connection."""
    return {name: one.connect(client, settings) for name, one in ADAPTERS.items()}
