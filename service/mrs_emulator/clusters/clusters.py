"""
Clusters of V1.1: list, details, delete, hosts. Keys are camelCase, counts are strings, times seconds in strings.

Source: API reference V1.1, pages mrs_02_0030, 0031, 0032 and 0057 (2021, 2022); unset members are null, not left out.
Chosen where they are silent: the list is newest first and shows all states; clusterName compares whole names; without
enterpriseProjectId all projects are shown; a cluster that is being created shows the nodes that were ordered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from mrs_emulator.clusters import cluster_life, hosts, stages, tagging
from mrs_emulator.core import checks, records, refusals, routes, settings, state, wire
from mrs_emulator.jobs import jobs

_OK = 200
_INFOS = "/v1.1/{project_id}/cluster_infos"
_CLUSTERS = "/v1.1/{project_id}/clusters"
_DEFAULT_PAGE_SIZE = 10
_GROUPS: Mapping[str, Callable[[str], bool]] = {
    "existing": lambda one: one != "terminated",
    "history": lambda one: one == "terminated",
}
_STATES = frozenset(
    {
        "starting",
        "running",
        "terminated",
        "failed",
        "abnormal",
        "terminating",
        "frozen",
        "scaling-out",
        "scaling-in",
        *_GROUPS,
    }
)
_ANY_PROJECT = frozenset({"", "all_granted_eps"})

_T = TypeVar("_T")


class Clusters:
    """
    Handlers of the cluster operations that act on clusters there are.

    Args:
        world: the clusters.
        chosen: the settings.
        acts: makes the segments of a delete.
        running: the jobs, which end with their cluster.
    """

    def __init__(
        self, world: state.World, chosen: settings.EmulatorSettings, acts: stages.Stages, running: jobs.Jobs
    ) -> None:
        self._world = world
        self._project_id = chosen.project_id
        self._rules = chosen.cluster_rules
        self._stages = acts
        self._jobs = running

    def operations(self) -> Iterable[routes.Route]:
        """Return the operations; no limit is documented for V1.1."""
        one = f"{_CLUSTERS}/{{cluster_id}}"
        return (
            routes.Route("ListClusters", "GET", _INFOS, self.list_page),
            routes.Route("ShowClusterDetails", "GET", f"{_INFOS}/{{cluster_id}}", self.show),
            routes.Route("DeleteCluster", "DELETE", one, self.delete),
            routes.Route("ListHosts", "GET", f"{one}/hosts", self.list_hosts),
        )

    async def list_page(self, call: routes.Call) -> wire.Reply:
        """Answer ListClusters: a page of clusters; past the end it is empty."""
        query = dict(call.request.pairs())
        wanted_state = checks.one_of(query, "clusterState", _STATES)
        matches = [one for one in self._world.clusters.values() if _matches(one, query, wanted_state, call.now_ms)]
        matches.sort(key=lambda one: -one.created_ms)
        page = [self._members(one, call.now_ms) for one in _page(matches, query)]
        return wire.as_json(_OK, {"clusterTotal": len(matches), "clusters": page})

    async def show(self, call: routes.Call) -> wire.Reply:
        """Answer ShowClusterDetails: one cluster."""
        cluster = self._world.cluster(call.path["cluster_id"])
        return wire.as_json(_OK, {"cluster": self._members(cluster, call.now_ms)})

    async def delete(self, call: routes.Call) -> wire.Reply:
        """Answer DeleteCluster: begin to delete a cluster."""
        cluster = self._world.cluster(call.path["cluster_id"])
        record, now_ms = cluster.record, call.now_ms
        before = cluster.at(now_ms)
        if before.state not in cluster_life.DELETABLE or cluster.busy(now_ms):
            raise refusals.of_cluster("12000021", state=before.state)
        if record.prepaid:
            raise refusals.of_cluster("12000024")

        begin_ms = self._stages.begin_ms(now_ms)
        play = self._stages.play("delete", record.cluster_id, record.tags)
        ahead = self._stages.deletion(begin_ms, before, play)
        self._world.change(cluster, life=record.life.planned(now_ms, ahead), flow=None)
        self._jobs.end_all(cluster, begin_ms)
        if self._rules.delete_status == _OK:
            return wire.as_json(_OK, {"result": "succeeded"})

        return wire.Reply(self._rules.delete_status)

    async def list_hosts(self, call: routes.Call) -> wire.Reply:
        """Answer ListHosts: a page of a cluster's hosts."""
        cluster = self._world.cluster(call.path["cluster_id"])
        found = hosts.listed(cluster, call.now_ms)
        page = _page(found, dict(call.request.pairs()))
        return wire.as_json(_OK, {"total": len(found), "hosts": page})

    def _members(self, cluster: state.ClusterState, now_ms: int) -> dict[str, Any]:
        record = cluster.record
        seen = cluster.at(now_ms)
        components = [
            _component(record.version, number, name) for number, name in enumerate(record.components, start=1)
        ]

        return {
            **_FIXED,
            **_nodes(record, seen),
            **record.shown,
            "clusterId": record.cluster_id,
            "clusterName": record.name,
            "clusterState": seen.state,
            "stageDesc": seen.stage,
            "errorInfo": seen.error,
            "scale": seen.scale,
            "createAt": _seconds(record.created_ms),
            "updateAt": _seconds(max(seen.begin_ms, record.created_ms)),
            "chargingStartTime": _seconds(record.life.first("running", record.created_ms) or record.created_ms),
            "billingType": "Prepaid" if record.prepaid else "Metered",
            "componentList": components,
            "tenantId": self._project_id,
            "clusterVersion": record.version,
            "clusterType": record.kind,
            "safeMode": int(record.kerberos),
            "enterpriseProjectId": record.enterprise_project,
            "tags": ",".join(f"{key}={value}" for key, value in record.tags.items()) or None,
            "bootstrapScripts": list(record.scripts),
        }


def _seconds(at_ms: int) -> str:
    return str(at_ms // 1000)


def _page(items: list[_T], query: Mapping[str, str]) -> list[_T]:
    size = checks.whole_number(query, "pageSize", least=1) or _DEFAULT_PAGE_SIZE
    number = checks.whole_number(query, "currentPage", least=1) or 1
    return items[(number - 1) * size : number * size]


def _matches(cluster: state.ClusterState, query: Mapping[str, str], wanted_state: str | None, now_ms: int) -> bool:
    record = cluster.record
    if query.get("clusterName") not in {None, "", record.name}:
        return False
    if query.get("enterpriseProjectId", "") not in {*_ANY_PROJECT, record.enterprise_project}:
        return False
    if query.get("tags") and not tagging.from_list_filter(query["tags"]).matches(record.tags):
        return False
    if wanted_state is None:
        return True
    group = _GROUPS.get(wanted_state)
    seen = cluster.state(now_ms)
    return group(seen) if group else wanted_state == seen


def _nodes(record: records.Cluster, seen: cluster_life.Segment) -> dict[str, Any]:
    """Return the members that describe nodes and their groups."""
    tasks = [one for one in seen.groups if one.role == "task"]
    members: dict[str, Any] = {
        "masterNodeNum": str(cluster_life.count(seen.groups, "master")),
        "coreNodeNum": str(cluster_life.count(seen.groups, "core")),
        "totalNodeNum": str(cluster_life.count(seen.groups)),
        "nodeGroups": [_node_group(one) for one in seen.groups],
        "taskNodeGroups": [_node_group(one) | {"AutoScalingPolicy": record.policies.get(one.name)} for one in tasks],
    }

    for role in ("master", "core"):
        first = next((one for one in seen.groups if one.role == role), None)
        if first is not None:
            members |= {
                f"{role}NodeSize": first.node_size,
                f"{role}DataVolumeType": first.disks.kind,
                f"{role}DataVolumeSize": first.disks.size,
                f"{role}DataVolumeCount": first.disks.count,
            }

    return members


def _component(version: str, number: int, name: str) -> dict[str, Any]:
    return {
        "id": None,
        "componentId": f"{version}_{number:03d}",
        "componentName": name,
        "componentVersion": "emulated",
        "external_datasources": None,
        "componentDesc": name,
        "componentDescEn": None,
    }


def _node_group(group: cluster_life.Group) -> dict[str, Any]:
    return {
        "groupName": group.name,
        "nodeNum": len(group.hosts),
        "nodeSize": group.node_size,
        "nodeSpecId": "",
        "vmProductId": "",
        "vmSpecCode": None,
        "nodeProductId": "",
        "rootVolumeSize": group.root_size,
        "rootVolumeProductId": "",
        "rootVolumeType": group.root_kind,
        "rootVolumeResourceSpecCode": "",
        "rootVolumeResourceType": "",
        "dataVolumeType": group.disks.kind,
        "dataVolumeCount": group.disks.count,
        "dataVolumeSize": group.disks.size,
        "dataVolumeProductId": "",
        "dataVolumeResourceSpecCode": "",
        "dataVolumeResourceType": "",
    }


_FIXED: Mapping[str, Any] = {
    "dataCenter": "emulator",
    "vpc": "vpc-emulator",
    "vpcId": None,
    "duration": "0",
    "fee": None,
    "hadoopVersion": None,
    "externalIp": None,
    "externalAlternateIp": None,
    "internalIp": "127.0.0.1",
    "deploymentId": None,
    "remark": "",
    "orderId": None,
    "azId": None,
    "azName": "az1",
    "instanceId": None,
    "vnc": None,
    "volumeSize": 0,
    "volumeType": None,
    "subnetId": None,
    "subnetName": "subnet-emulator",
    "securityGroupsId": None,
    "slaveSecurityGroupsId": None,
    "isMrsManagerFinish": True,
    "nodePublicCertName": None,
    "masterNodeIp": "127.0.0.1",
    "privateIpFirst": "127.0.0.1",
    "logCollection": 1,
    "periodType": 0,
}
