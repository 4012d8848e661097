"""
CreateScalingPolicy: set the auto scaling policy of the Task nodes; it replaces the one before.

Source: API reference V1.1, page mrs_02_0056. There is no read in V1.1; cluster details show it as AutoScalingPolicy
in taskNodeGroups, as one example does. Accepted in any state and without Task nodes: no page forbids it.
"""

from __future__ import annotations

from collections.abc import Iterable

from mrs_emulator.clusters import policies
from mrs_emulator.core import fields, refusals, routes, state, wire

_OK = 200


class ScalingPolicies:
    """
    Handler of the auto scaling operation.

    Args:
        world: the clusters.
    """

    def __init__(self, world: state.World) -> None:
        self._world = world

    def operations(self) -> Iterable[routes.Route]:
        """Return the operation; no limit is documented for V1.1."""
        path = "/v1.1/{project_id}/autoscaling-policy/{cluster_id}"
        return (routes.Route("CreateScalingPolicy", "POST", path, self.create),)

    async def create(self, call: routes.Call) -> wire.Reply:
        """Answer CreateScalingPolicy: set a policy."""
        cluster = self._world.cluster(call.path["cluster_id"])
        body = fields.Fields(call.body())
        body.need("node_group", "auto_scaling_policy")
        group = body.text("node_group")
        named = {one.name for one in cluster.at(call.now_ms).groups if one.role == "task"}
        known = named | {"task_node_default_group", "task_node_analysis_group", "task_node_streaming_group"}
        if group not in known:
            raise refusals.invalid("node_group must be a group of Task nodes")
        policy = policies.read(body.object("auto_scaling_policy"))
        if group == "task_node_default_group":
            group = min(named, default=group)
        self._world.change(cluster, policies={**cluster.record.policies, group: policy})
        return wire.as_json(_OK, {"result": "succeeded"})
