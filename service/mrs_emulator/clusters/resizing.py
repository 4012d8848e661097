"""
UpdateClusterScaling: add or remove Core or Task nodes. `instances` is a difference, so a repeat scales again.

A resize always ends in `running`; how it went shows in `scale`, stageDesc and the number of nodes, see `stages.py`.

Source: API reference V1.1, page mrs_02_0029. Chosen where it is silent: a removal that leaves too few nodes is
12000013 at once; `server_ids` decide which and how many Task nodes go; 12000124 is never answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from mrs_emulator.clusters import cluster_life, hosts, orders, orders_v11, stages
from mrs_emulator.core import fields, refusals, routes, settings, state, wire

_OK = 200
_CORES_MIN = 3


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A resize body, checked: the group's name as sent, the difference, VM ids to remove, and new Task nodes."""

    group: str
    more: int
    server_ids: tuple[str, ...]
    task_nodes: tuple[str, cluster_life.Disks] | None


class Resizing:
    """
    Handler of the resize.

    Args:
        world: the clusters.
        chosen: the disputed parts.
        acts: makes the segments.
    """

    def __init__(self, world: state.World, chosen: settings.ClusterRules, acts: stages.Stages) -> None:
        self._world = world
        self._rules = chosen
        self._stages = acts

    def operations(self) -> Iterable[routes.Route]:
        """Return the operation; no limit is documented for V1.1."""
        path = "/v1.1/{project_id}/cluster_infos/{cluster_id}"
        return (routes.Route("UpdateClusterScaling", "PUT", path, self.resize),)

    async def resize(self, call: routes.Call) -> wire.Reply:
        """Answer UpdateClusterScaling: begin to add or remove nodes."""
        cluster = self._world.cluster(call.path["cluster_id"])
        wanted = _read(fields.Fields(call.body()))
        self._check_state(cluster, call.now_ms)
        record = cluster.record
        before = cluster.at(call.now_ms)
        groups = self._resized(cluster, before.groups, wanted)
        play = self._stages.play("resize", record.cluster_id, record.tags)
        ahead = self._stages.resize(self._stages.begin_ms(call.now_ms), before, groups, play)
        self._world.change(cluster, life=record.life.planned(call.now_ms, ahead))
        return wire.as_json(_OK, {"result": "succeeded"})

    def _check_state(self, cluster: state.ClusterState, now_ms: int) -> None:
        if cluster.record.kind == orders.CUSTOM:
            raise refusals.of_cluster("12000054", why="custom clusters cannot be scaled here")
        if cluster.record.prepaid:
            raise refusals.of_cluster("12000065")
        seen = cluster.state(now_ms)
        if seen in cluster_life.SCALING or (seen == "running" and cluster.busy(now_ms)):
            raise refusals.of_cluster("12000018")
        if seen != "running":
            raise refusals.of_cluster(self._rules.resize_refused_code, state=seen)

    def _resized(
        self, cluster: state.ClusterState, groups: tuple[cluster_life.Group, ...], wanted: _Wanted
    ) -> tuple[cluster_life.Group, ...]:
        """Return the groups after the resize."""
        found = _group(groups, wanted.group)
        tasks = wanted.group.startswith("task")
        if wanted.task_nodes is not None and tasks and cluster_life.count(groups, "task"):
            raise refusals.of_cluster("12000123")

        if wanted.more < 0:
            if found is None or not found.hosts:
                raise refusals.of_cluster("12000013", why="the cluster has no such nodes")
            return _with(groups, _fewer(cluster.record.cluster_id, found, wanted))

        if cluster_life.count(groups, "core", "task") + wanted.more > self._rules.nodes_max:
            raise refusals.of_cluster("12000028", most=self._rules.nodes_max)

        if wanted.task_nodes is not None and tasks:
            name = found.name if found else _task_group_name(wanted.group, groups)
            found = cluster_life.Group(name, wanted.task_nodes[0], (), wanted.task_nodes[1])
        if found is None:
            raise refusals.invalid("task_node_info is required: the cluster has no Task nodes")
        first = cluster_life.next_host(groups, cluster.record.life)

        return _with(groups, replace(found, hosts=(*found.hosts, *range(first, first + wanted.more))))


def _read(body: fields.Fields) -> _Wanted:
    body.need("parameters")
    wanted = body.object("parameters")
    wanted.need("scale_type", "node_id", "instances")
    direction = wanted.one_of("scale_type", ("scale_out", "scale_in"))
    wanted.one_of("node_id", ("node_orderadd",))
    number = wanted.number("instances", least=1)
    wanted.flag("skip_bootstrap_scripts")
    wanted.flag("scale_without_start")
    task_nodes = None

    if direction == "scale_out" and wanted.has("task_node_info"):
        info = wanted.object("task_node_info")
        info.need("node_size")
        task_nodes = (info.text("node_size"), orders_v11.disks(info))

    group = wanted.text("node_group") or "core_node_default_group"
    if group.startswith("master"):
        raise refusals.invalid("node_group must be a group of Core or Task nodes")
    server_ids = tuple(wanted.texts("server_ids")) if direction == "scale_in" else ()
    return _Wanted(group, number if direction == "scale_out" else -number, server_ids, task_nodes)


def _group(groups: tuple[cluster_life.Group, ...], name: str) -> cluster_life.Group | None:
    """
    Return the group that a name means: its own, or the first of its role for the two general names.

    Raises:
        Refusal: 12000002, no cluster has a group of this name.
    """
    own = next((one for one in groups if one.name == name), None)
    if own is not None:
        return own
    if name in {"core_node_default_group", "task_node_default_group"}:
        return next((one for one in groups if one.role == name[:4]), None)
    if name in {"task_node_analysis_group", "task_node_streaming_group"}:
        return None
    raise refusals.invalid(f"node_group {name} does not exist")


def _task_group_name(asked: str, groups: tuple[cluster_life.Group, ...]) -> str:
    """Return the name of a cluster's first Task group: the one asked for, or the sister of its Core group."""
    if asked != "task_node_default_group":
        return asked
    core = next((one.name for one in groups if one.role == "core"), "core_node_analysis_group")
    return core.replace("core", "task", 1)


def _fewer(cluster_id: str, group: cluster_life.Group, wanted: _Wanted) -> cluster_life.Group:
    if wanted.server_ids and group.role == "task":
        numbers = {hosts.vm_id(cluster_id, number): number for number in group.hosts}
        if any(one not in numbers for one in wanted.server_ids):
            raise refusals.invalid("server_ids must be ids of the group's nodes")
        gone = {numbers[one] for one in wanted.server_ids}
        return replace(group, hosts=tuple(number for number in group.hosts if number not in gone))
    left = len(group.hosts) + wanted.more
    least = _CORES_MIN if group.role == "core" else 0
    if left < least:
        raise refusals.of_cluster("12000013", why=f"at least {least} nodes must remain in {group.name}")
    return replace(group, hosts=group.hosts[:left])


def _with(groups: tuple[cluster_life.Group, ...], changed: cluster_life.Group) -> tuple[cluster_life.Group, ...]:
    if all(one.name != changed.name for one in groups):
        return (*groups, changed)
    return tuple(changed if one.name == changed.name else one for one in groups)
