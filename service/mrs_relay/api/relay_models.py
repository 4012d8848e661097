"""
What the HTTP API says about the relays themselves: why a request waits, clusters, tenants, queues, budgets, partitions.

It comes from the topic on which the relays publish their status, so each item says which relay reported it, and when.
"""

from __future__ import annotations

from typing import Annotated

import pydantic

from mrs_relay.api import models

_Any = Annotated[str | None, pydantic.Field(max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")]


class _Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True)


class _Query(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    limit: Annotated[models.Limit, pydantic.Field(description="Most items.")] = 500


class RequestRef(_Model):
    """A request."""

    source: str
    id: str


class Hold(_Model):
    """One thing that holds a request."""

    code: Annotated[str, pydantic.Field(description="For programs, such as slots_taken; docs/why.md lists them.")]
    text: Annotated[str, pydantic.Field(description="For people: what holds it.")]
    clears: Annotated[str, pydantic.Field(description="What ends that.")]
    earliest_at: Annotated[
        str | None,
        pydantic.Field(description="Not before this moment, as far as is known now; missing: it is not known."),
    ] = None
    requests: Annotated[
        list[RequestRef] | None, pydantic.Field(description="The requests that it waits for, as far as they are known.")
    ] = None
    relay: Annotated[str | None, pydantic.Field(description="Name of the relay that reports it.")] = None
    reported_at: str | None = None
    stale: Annotated[
        bool, pydantic.Field(description="That relay is silent or has left: it may no longer be true.")
    ] = False


class Why(_Model):
    """What holds a request, in order."""

    tenant: str
    source: str
    id: str
    state: str
    ended: bool
    holds: Annotated[list[Hold], pydantic.Field(description="Never empty; the first one is to end first.")]


class _Report(_Model):
    relay: Annotated[str, pydantic.Field(description="Name of the relay that reports it.")]
    reported_at: str
    stale: Annotated[bool, pydantic.Field(description="The relay is silent or has left: it may no longer be true.")]


class _List(_Model):
    total: Annotated[int, pydantic.Field(description="Number of items, with those beyond `limit`.")]
    problem: Annotated[str | None, pydantic.Field(description="Why the answer may be out of date, or empty.")] = None


class Pause(_Model):
    """An operation on a cluster that is paused."""

    operation: str
    state: Annotated[str, pydantic.Field(description="full, refusing, failing, or closed: a short rest.")]
    code: Annotated[str, pydantic.Field(description="Code of MRS's last answer.")]
    text: Annotated[str, pydantic.Field(description="Its meaning.")]
    since: str | None = None
    until: Annotated[str | None, pydantic.Field(description="Missing: the next call is a trial.")] = None


class ClusterReport(_Report):
    """A cluster in one relay."""

    slots_used: int
    slots_limit: Annotated[int, pydantic.Field(description="Of this relay; 0: no limit.")]
    holders: Annotated[list[RequestRef], pydantic.Field(description="Requests that hold a slot, at most 20.")]
    pauses: list[Pause]
    waiting: int


class Cluster(_Model):
    """A cluster that requests use or wait for."""

    cluster: Annotated[str, pydantic.Field(description='MRS cluster id; "": calls without a cluster.')]
    connection: str
    waiting: Annotated[int, pydantic.Field(description="Requests that wait for it, in all relays that are not stale.")]
    slots_used: Annotated[int, pydantic.Field(description="Likewise.")]
    paused: Annotated[bool, pydantic.Field(description="A relay that is not stale has paused an operation on it.")]
    relays: list[ClusterReport]


class ClusterList(_List):
    """Clusters, by connection and id."""

    items: list[Cluster]


class ClustersQuery(_Query):
    """Filters of clusters."""

    cluster: Annotated[_Any, pydantic.Field(description="MRS cluster id.")] = None
    connection: Annotated[_Any, pydantic.Field(description="Name of the connection to MRS.")] = None


class TenantReport(_Report):
    """A tenant in one relay; limits are this relay's part of them."""

    partitions: Annotated[list[int], pydantic.Field(description="Partitions that the relay owns.")]
    waiting: int
    running: Annotated[int, pydantic.Field(description="0 where there are no tenants.")]
    most_running: int | None = None
    most_queued: int | None = None
    most_per_minute: int | None = None


class Tenant(_Model):
    """A tenant; without tenants the one without a name."""

    tenant: str
    topic: Annotated[str, pydantic.Field(description="Where its requests are read.")]
    connection: str
    partitions: Annotated[int, pydantic.Field(description="Partitions of the topic; 0: not known.")]
    waiting: Annotated[int, pydantic.Field(description="In all relays that are not stale.")]
    running: Annotated[int, pydantic.Field(description="Likewise.")]
    relays: list[TenantReport]


class TenantList(_List):
    """Tenants, by name."""

    items: list[Tenant]


class TenantsQuery(_Query):
    """Filters of tenants."""

    tenant: _Any = None


class InLine(RequestRef):
    """A request in its queue."""

    priority: int
    since: str


class Queue(_Report):
    """The requests of one tenant that wait for one operation on a cluster, in one relay."""

    connection: str
    cluster: str
    operation: str
    tenant: str
    waiting: int
    oldest_since: Annotated[str | None, pydantic.Field(description="Of those in `line`.")] = None
    holds: Annotated[list[Hold], pydantic.Field(description="What holds the first one.")]
    line: Annotated[list[InLine], pydantic.Field(description="The first ones, at most 20, in order.")]


class QueueList(_List):
    """Queues, by connection, cluster and relay."""

    items: list[Queue]


class QueuesQuery(_Query):
    """Filters of queues."""

    tenant: _Any = None
    cluster: Annotated[_Any, pydantic.Field(description="MRS cluster id.")] = None
    connection: Annotated[_Any, pydantic.Field(description="Name of the connection to MRS.")] = None


class BudgetReport(_Report):
    """A budget in one relay."""

    granted: Annotated[int, pydantic.Field(description="Calls a minute that this relay may make.")]
    used: Annotated[int, pydantic.Field(description="Calls that it has made in the last minute.")]
    needed: Annotated[bool, pydantic.Field(description="It has more calls to make than it may.")]


class Budget(_Model):
    """The calls a minute of one operation that MRS allows."""

    connection: str
    operation: str
    per_minute: Annotated[int, pydantic.Field(description="For all relays together.")]
    used: Annotated[int, pydantic.Field(description="In the last minute, by all relays that are not stale.")]
    paused_until: Annotated[
        str | None, pydantic.Field(description="Until then nothing is submitted on the connection.")
    ] = None
    paused_for: Annotated[str | None, pydantic.Field(description="throttled or unreachable")] = None
    relays: list[BudgetReport]


class BudgetList(_List):
    """Budgets of the operations in use, by connection and name."""

    items: list[Budget]


class BudgetsQuery(_Query):
    """Filters of budgets."""

    connection: Annotated[_Any, pydantic.Field(description="Name of the connection to MRS.")] = None
    operation: Annotated[_Any, pydantic.Field(description="Of MRS.")] = None


class Partition(_Report):
    """A partition of a topic of requests, as its owner reports it."""

    tenant: str
    topic: str
    partition: int
    state: Annotated[
        str,
        pydantic.Field(description="running, restoring, parked (a rebalance), waiting, unreadable, leaderless, ended"),
    ]
    next_offset: Annotated[int | None, pydantic.Field(description="First request that is not committed.")] = None
    lag: Annotated[int | None, pydantic.Field(description="Requests that are not committed.")] = None
    restored: Annotated[float | None, pydantic.Field(description="Part of the ledger read, while restoring.")] = None
    error: Annotated[str | None, pydantic.Field(description="Why it does not work.")] = None
    not_before: Annotated[int, pydantic.Field(description="Requests that wait for their own time.")]
    choosing: Annotated[int, pydantic.Field(description="Requests for which a cluster is being chosen.")]
    in_doubt: Annotated[int, pydantic.Field(description="Requests whose submission is being looked up.")]


class PartitionList(_List):
    """Partitions, by topic and number."""

    items: list[Partition]


class PartitionsQuery(_Query):
    """Filters of partitions."""

    tenant: _Any = None
    topic: Annotated[_Any, pydantic.Field(description="Topic of requests.")] = None
