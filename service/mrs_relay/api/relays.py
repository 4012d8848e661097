"""Answer questions about the relays themselves, from the status that they publish."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import pydantic
from aiohttp import web

from mrs_relay.api import relay_models, replies, requests
from mrs_relay.api.access import callers, scopes
from mrs_relay.common import clock
from mrs_relay.messages import status
from mrs_relay.read_model import controls as projected
from mrs_relay.read_model import database, holds, projector, queue_holds, status_board, why

C = TypeVar("C", bound=status.Content)
_M = TypeVar("_M", bound=pydantic.BaseModel)

_BEHIND = 1_000
"""Records that the database may be behind before an answer says so."""


class Relays:
    """
    The handlers of what relays report.

    Args:
        opened: the database.
        asked: finds requests.
        reading: reads events and the relays' status, in this process.
    """

    def __init__(self, opened: database.Database, asked: requests.Requests, reading: projector.Projector) -> None:
        self._database = opened
        self._asked = asked
        self._reading = reading

    async def explain(self, request: web.Request) -> web.StreamResponse:
        """Answer with what holds a request."""
        return replies.reply(request, await self.explained(await self._asked.one(request), scopes.of(request)))

    async def explained(self, row: Mapping[str, Any], scope: scopes.Scope) -> relay_models.Why:
        """Return what holds a request. Raises DatabaseDown."""
        ordered = await projected.in_effect(self._database, self._reading.now_ms())
        known = holds.Known(self._board, self._problems(), ordered)
        found = why.explain(_asked_of(row), known, self._reading.now_ms())
        same = {name: row[name] for name in ("tenant", "source", "id", "state", "ended")}
        return relay_models.Why(**same, holds=_visible(scope, map(shown, found)))

    async def list_clusters(self, request: web.Request) -> web.StreamResponse:
        """Answer with the clusters in use."""
        query = replies.query(request, relay_models.ClustersQuery)
        return replies.reply(request, self.clusters(query, scopes.of(request)))

    def clusters(self, query: relay_models.ClustersQuery, scope: scopes.Scope) -> relay_models.ClusterList:
        """Return the clusters in use, which all tenants share. Raises ProblemError: the caller has no role for all."""
        scope.require(callers.EVERY)
        several: dict[tuple[str, str], list[status_board.Seen[status.Cluster]]] = {}
        for seen in self._board.clusters(self._reading.now_ms()):
            place = seen.content.connection, seen.content.cluster
            if _fits(place, (query.connection, query.cluster)):
                several.setdefault(place, []).append(seen)
        items = [_cluster(*place, found) for place, found in several.items()]
        return relay_models.ClusterList(**self._shown(items, query.limit))

    async def list_tenants(self, request: web.Request) -> web.StreamResponse:
        """Answer with the tenants."""
        query = replies.query(request, relay_models.TenantsQuery)
        return replies.reply(request, self.tenants(query, scopes.of(request)))

    def tenants(self, query: relay_models.TenantsQuery, scope: scopes.Scope) -> relay_models.TenantList:
        """Return the tenants."""
        several: dict[tuple[str, str, str], list[tuple[status_board.Seen[status.Replica], status.Tenant]]] = {}
        for seen in self._board.replicas(self._reading.now_ms()):
            for one in seen.content.tenants:
                if _fits((one.name,), (query.tenant,)) and scope.may(one.name):
                    several.setdefault((one.name, one.topic, one.connection), []).append((seen, one))
        items = [_tenant(*place, found) for place, found in sorted(several.items(), key=lambda item: item[0])]
        return relay_models.TenantList(**self._shown(items, query.limit))

    async def list_queues(self, request: web.Request) -> web.StreamResponse:
        """Answer with the queues."""
        query = replies.query(request, relay_models.QueuesQuery)
        return replies.reply(request, self.queues(query, scopes.of(request)))

    def queues(self, query: relay_models.QueuesQuery, scope: scopes.Scope) -> relay_models.QueueList:
        """Return the queues."""
        board, now_ms = self._board, self._reading.now_ms()
        wanted = query.connection, query.cluster, query.tenant
        items = [
            _queue(seen, one, _visible(scope, map(shown, queue_holds.of_queue(seen, one, board, now_ms))))
            for seen in board.clusters(now_ms)
            for one in seen.content.queues
            if _fits((seen.content.connection, seen.content.cluster, one.tenant), wanted) and scope.may(one.tenant)
        ]
        return relay_models.QueueList(**self._shown(items, query.limit))

    async def list_budgets(self, request: web.Request) -> web.StreamResponse:
        """Answer with the budgets of the operations in use."""
        query = replies.query(request, relay_models.BudgetsQuery)
        return replies.reply(request, self.budgets(query, scopes.of(request)))

    def budgets(self, query: relay_models.BudgetsQuery, scope: scopes.Scope) -> relay_models.BudgetList:
        """Return the budgets in use, which all tenants share. Raises ProblemError: the caller has no role for all."""
        scope.require(callers.EVERY)
        several: dict[tuple[str, str], list[_Budgeted]] = {}
        for seen in self._board.replicas(self._reading.now_ms()):
            for one in seen.content.connections:
                for budget in one.budgets:
                    place = one.name, budget.operation
                    if _fits(place, (query.connection, query.operation)):
                        several.setdefault(place, []).append((seen, one, budget))
        items = [_budget(*place, found) for place, found in sorted(several.items(), key=lambda item: item[0])]
        return relay_models.BudgetList(**self._shown(items, query.limit))

    async def list_partitions(self, request: web.Request) -> web.StreamResponse:
        """Answer with the partitions of the topics of requests."""
        query = replies.query(request, relay_models.PartitionsQuery)
        return replies.reply(request, self.partitions(query, scopes.of(request)))

    def partitions(self, query: relay_models.PartitionsQuery, scope: scopes.Scope) -> relay_models.PartitionList:
        """Return the partitions of the topics of requests."""
        items = [
            _partition(seen)
            for seen in self._board.partitions(self._reading.now_ms())
            if _fits((seen.content.tenant, seen.content.topic), (query.tenant, query.topic))
            and scope.may(seen.content.tenant)
        ]
        return relay_models.PartitionList(**self._shown(items, query.limit))

    @property
    def _board(self) -> status_board.StatusBoard:
        return self._reading.status.board

    def _problems(self) -> list[str]:
        """Return why an answer about a request may be out of date."""
        progress = self._reading.progress
        behind = sum((progress.behind or {}).values())
        late = f"this answer is {behind} records behind the topics of events" if behind > _BEHIND else None
        return [text for text in (progress.problem, late, self._reading.status.problem) if text is not None]

    def _shown(self, items: Sequence[_M], limit: int) -> dict[str, Any]:
        """Return the members of a list: the first items, the number of all, and what is wrong with them."""
        return {"items": items[:limit], "total": len(items), "problem": self._reading.status.problem}


def _visible(scope: scopes.Scope, found: Iterable[relay_models.Hold]) -> list[relay_models.Hold]:
    """Return holds as the caller may see them: without the requests that it waits for, if others' may be among them."""
    if scope.visible is None:
        return list(found)
    return [one.model_copy(update={"requests": None}) for one in found]


_Budgeted = tuple[status_board.Seen[status.Replica], status.Connection, status.Budget]


def _fits(found: Iterable[str], wanted: Iterable[str | None]) -> bool:
    return all(want is None or want == have for have, want in zip(found, wanted, strict=True))


def _asked_of(row: Mapping[str, Any]) -> holds.Asked:
    reason = [text for text in (row["reason_code"], row["reason_message"]) if text]
    return holds.Asked(
        tenant=row["tenant"],
        source=row["source"],
        id=row["id"],
        state=row["state"],
        ended=row["ended"],
        updated_ms=row["updated_ms"],
        cluster=row["cluster"] or "",
        kafka_key=row["kafka_key"],
        reason=": ".join(reason),
        job_id=row["job_id"] or "",
        progress=row["progress"],
        kind=row["kind"],
        labels={} if row["labels"] is None else msgspec.json.decode(row["labels"]),
    )


def shown(hold: holds.Hold) -> relay_models.Hold:
    """Return a hold as the API shows it."""
    return relay_models.Hold.model_validate(holds.members(hold))


def _moment(epoch_ms: int) -> str | None:
    return clock.shown(epoch_ms) if epoch_ms else None


def _ref(one: status.Ref) -> relay_models.RequestRef:
    return relay_models.RequestRef(source=one.source, id=one.id)


def _origin(seen: status_board.Seen[C]) -> dict[str, Any]:
    return {"relay": seen.replica, "reported_at": clock.shown(seen.at_ms), "stale": seen.stale}


def _cluster(connection: str, cluster: str, found: Sequence[status_board.Seen[status.Cluster]]) -> relay_models.Cluster:
    reports = [_cluster_report(seen) for seen in found]
    live = [one for one in reports if not one.stale]
    return relay_models.Cluster(
        cluster=cluster,
        connection=connection,
        waiting=sum(one.waiting for one in live),
        slots_used=sum(one.slots_used for one in live),
        paused=any(one.pauses for one in live),
        relays=reports,
    )


def _cluster_report(seen: status_board.Seen[status.Cluster]) -> relay_models.ClusterReport:
    one = seen.content
    return relay_models.ClusterReport(
        **_origin(seen),
        slots_used=one.slots_used,
        slots_limit=one.slots_limit,
        holders=[_ref(holder) for holder in one.holders],
        pauses=[
            relay_models.Pause(
                operation=pause.operation,
                state=pause.state,
                code=pause.code,
                text=pause.text,
                since=_moment(pause.since_ms),
                until=_moment(pause.until_ms),
            )
            for pause in one.pauses
        ],
        waiting=sum(queue.waiting for queue in one.queues),
    )


def _tenant(
    name: str, topic: str, connection: str, found: Sequence[tuple[status_board.Seen[status.Replica], status.Tenant]]
) -> relay_models.Tenant:
    limits = ("waiting", "running", "most_running", "most_queued", "most_per_minute", "partitions")
    reports = [
        relay_models.TenantReport(**_origin(seen), **{name: getattr(one, name) for name in limits})
        for seen, one in found
    ]
    live = [one for one in reports if not one.stale]

    return relay_models.Tenant(
        tenant=name,
        topic=topic,
        connection=connection,
        partitions=max(one.total for _, one in found),
        waiting=sum(one.waiting for one in live),
        running=sum(one.running for one in live),
        relays=reports,
    )


def _queue(
    seen: status_board.Seen[status.Cluster], one: status.Queue, held: list[relay_models.Hold]
) -> relay_models.Queue:
    return relay_models.Queue(
        **_origin(seen),
        connection=seen.content.connection,
        cluster=seen.content.cluster,
        operation=one.operation,
        tenant=one.tenant,
        waiting=one.waiting,
        oldest_since=_moment(one.oldest_ms),
        holds=held,
        line=[
            relay_models.InLine(source=job.source, id=job.id, priority=job.priority, since=clock.shown(job.since_ms))
            for job in one.line
        ],
    )


def _budget(connection: str, operation: str, found: Sequence[_Budgeted]) -> relay_models.Budget:
    reports = [
        relay_models.BudgetReport(**_origin(seen), granted=one.granted, used=one.used, needed=one.needed)
        for seen, _, one in found
    ]
    paused = max((one for seen, one, _ in found if not seen.stale), key=_paused_until_ms, default=None)
    return relay_models.Budget(
        connection=connection,
        operation=operation,
        per_minute=max(one.per_minute for _, _, one in found),
        used=sum(one.used for one in reports if not one.stale),
        paused_until=None if paused is None else _moment(paused.paused_until_ms),
        paused_for=None if paused is None else paused.paused_for or None,
        relays=reports,
    )


def _paused_until_ms(one: status.Connection) -> int:
    return one.paused_until_ms


def _partition(seen: status_board.Seen[status.Partition]) -> relay_models.Partition:
    one = seen.content
    same = ("tenant", "topic", "partition", "state", "next_offset", "lag", "restored", "error")
    return relay_models.Partition(
        **_origin(seen),
        **{name: getattr(one, name) for name in same},
        not_before=one.not_before.count,
        choosing=one.choosing.count,
        in_doubt=one.in_doubt.count,
    )
