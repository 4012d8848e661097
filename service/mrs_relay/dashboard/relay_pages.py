"""The pages of clusters and tenants: what the relays report about queues, slots, budgets and partitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from mrs_relay.api import relay_models, replies
from mrs_relay.api.access import callers, scopes
from mrs_relay.dashboard import links, sources


@dataclass(frozen=True, slots=True)
class Slots:
    """A cluster, and the places among its running jobs that the living relays use and may use; None: no limit."""

    cluster: relay_models.Cluster
    used: int
    limit: int | None


class RelayPages:
    """
    The handlers of the pages.

    Args:
        used: what pages are made of.
    """

    def __init__(self, used: sources.Sources) -> None:
        self._used = used

    async def clusters(self, request: web.Request) -> web.StreamResponse:
        """Answer with queues; and with clusters and budgets, which all tenants share, to who may see all tenants."""
        query = replies.checked(links.given(request), relay_models.ClustersQuery)
        reported, scope = self._used.reported, scopes.of(request)
        sees_all = scope.may(callers.EVERY)
        queues = reported.queues(relay_models.QueuesQuery(cluster=query.cluster, connection=query.connection), scope)

        return self._used.renderer.page(
            "clusters",
            path="/clusters",
            here=request.path_qs,
            problem=queues.problem,
            sees_all=sees_all,
            may_hold=self._used.may_decide(request, callers.EVERY),
            clusters=slots(reported.clusters(query, scope).items) if sees_all else (),
            queues=[queue for queue in queues.items if not queue.stale],
            budgets=reported.budgets(relay_models.BudgetsQuery(connection=query.connection), scope).items
            if sees_all
            else (),
        )

    async def tenants(self, request: web.Request) -> web.StreamResponse:
        """Answer with tenants and the partitions of their topics."""
        query = replies.checked(links.given(request), relay_models.TenantsQuery)
        reported, scope = self._used.reported, scopes.of(request)
        found = reported.tenants(query, scope)
        partitions = reported.partitions(relay_models.PartitionsQuery(tenant=query.tenant), scope)
        names = {one.tenant for one in found.items}
        may_hold = {name for name in names if self._used.may_decide(request, name or callers.EVERY)}

        return self._used.renderer.page(
            "tenants",
            path="/tenants",
            here=request.path_qs,
            problem=found.problem,
            tenants=found.items,
            partitions=partitions.items,
            most=most,
            may_hold=may_hold,
        )


def slots(found: Sequence[relay_models.Cluster]) -> list[Slots]:
    """Return the clusters with their places."""
    return [Slots(one, one.slots_used, _slots_limit(one)) for one in found]


def _slots_limit(cluster: relay_models.Cluster) -> int | None:
    limits = [one.slots_limit for one in cluster.relays if not one.stale]
    return sum(limits) if all(limits) and limits else None


def most(tenant: relay_models.Tenant, limit: str) -> int | None:
    """Return a tenant's limit, whose parts the living relays report; None: there is none."""
    parts = [getattr(one, limit) for one in tenant.relays if not one.stale]
    known = [part for part in parts if part is not None]
    return sum(known) if known else None
