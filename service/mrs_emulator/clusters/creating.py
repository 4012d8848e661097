"""
The operations that order a cluster: V2's CreateCluster and RunJobFlow, and V1.1's run-job-flow (CreateClusterV11).

All answer at once with the id of a cluster that is starting. Names are unique; how many clusters may start at the
same time is documented (ten), the error above that is not, so no call is refused for it.

Source: API reference V1.1, page mrs_02_0028; V2, pages mrs_02_0101 and RunJobFlow. 200 for all three.
"""

from __future__ import annotations

from collections.abc import Iterable

from mrs_emulator.clusters import flows, orders, orders_v2, orders_v11, stages
from mrs_emulator.core import fields, ids, records, refusals, routes, settings, state, wire

_OK = 200
_NAME_FREE = frozenset({"failed", "terminated"})


class Creating:
    """
    Handlers of the operations that order a cluster.

    Args:
        world: the clusters.
        making: source of ids.
        chosen: what may be ordered.
        acts: makes the life of a cluster.
        coming: starts the jobs that come with it.
    """

    def __init__(
        self,
        world: state.World,
        making: ids.Ids,
        chosen: settings.EmulatorSettings,
        acts: stages.Stages,
        coming: flows.Flows,
    ) -> None:
        self._world = world
        self._ids = making
        self._rules = orders.Rules(chosen.cluster_rules, chosen.quirks, chosen.pace, chosen.v11)
        self._stages = acts
        self._flows = coming

    def operations(self) -> Iterable[routes.Route]:
        """Return the operations; no limit is documented for V1.1."""
        return (
            routes.Route("CreateCluster", "POST", "/v2/{project_id}/clusters", self.create, 60),
            routes.Route("RunJobFlow", "POST", "/v2/{project_id}/run-job-flow", self.run_flow, 60),
            routes.Route("CreateClusterV11", "POST", "/v1.1/{project_id}/run-job-flow", self.create_v11),
        )

    async def create(self, call: routes.Call) -> wire.Reply:
        """Answer CreateCluster: order a cluster; a prepaid one gets an order id, too."""
        wanted = orders_v2.read(fields.Fields(call.body()), self._rules, with_steps=False)
        cluster_id = self._enter(wanted, call)
        order = {"order_id": self._ids.request_id()} if wanted.prepaid else {}
        return wire.as_json(_OK, {"cluster_id": cluster_id, **order})

    async def run_flow(self, call: routes.Call) -> wire.Reply:
        """Answer RunJobFlow: order a cluster and the steps that shall run on it."""
        wanted = orders_v2.read(fields.Fields(call.body()), self._rules, with_steps=True)
        return wire.as_json(_OK, {"cluster_id": self._enter(wanted, call)})

    async def create_v11(self, call: routes.Call) -> wire.Reply:
        """Answer CreateCluster of V1.1: order a cluster, and perhaps a job."""
        wanted = orders_v11.read(fields.Fields(call.body()), self._rules)
        return wire.as_json(_OK, {"cluster_id": self._enter(wanted, call), "result": True, "msg": ""})

    def _enter(self, wanted: orders.Order, call: routes.Call) -> str:
        self._check_name(wanted.name, call.now_ms)
        cluster_id = self._ids.uuid()

        record = records.Cluster(
            cluster_id=cluster_id,
            name=wanted.name,
            version=wanted.version,
            components=wanted.components,
            slots=self._rules.cluster.slots,
            created_ms=call.now_ms,
            life=self._stages.creation(call.now_ms, (cluster_id, wanted.name), wanted.tags, wanted.groups()),
            kind=wanted.kind,
            kerberos=wanted.kerberos,
            prepaid=wanted.prepaid,
            enterprise_project=wanted.enterprise_project,
            tags=wanted.tags,
            policies={one.name: one.policy for one in wanted.nodes if one.policy is not None},
            shown=wanted.shown,
            scripts=wanted.scripts,
            flow=records.Flow(wanted.flow, call.user, wanted.delete_after)
            if wanted.flow or wanted.delete_after
            else None,
        )

        self._world.add(record)
        self._flows.watch(call.now_ms)
        self._world.note(state.Effect("cluster", cluster_id, wanted.name, cluster_id, call.now_ms))
        return cluster_id

    def _check_name(self, name: str, now_ms: int) -> None:
        for one in self._world.clusters.values():
            if one.record.name != name:
                continue
            if self._rules.cluster.names_freed and one.state(now_ms) in _NAME_FREE:
                continue
            raise refusals.of_cluster("12000043", name=name)
