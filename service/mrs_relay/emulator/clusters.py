"""
The cluster reads of V1.1: list and details. Keys are camelCase, counts are strings, times are seconds in strings.

Source: API reference V1.1, pages mrs_02_0030 and mrs_02_0031 (2021, 2022); unset members are null, not left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mrs_relay.emulator import checks, routes, settings, state, wire

_OK = 200
_BASE = "/v1.1/{project_id}/cluster_infos"
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


class Clusters:
    """
    Handlers of the cluster reads.

    Args:
        world: the clusters.
        project_id: the project they belong to.
    """

    def __init__(self, world: state.World, project_id: str) -> None:
        self._world = world
        self._project_id = project_id

    def operations(self) -> Iterable[routes.Route]:
        """The operations; no limit is documented for V1.1."""
        return (
            routes.Route("ListClusters", "GET", _BASE, self.list_page),
            routes.Route("ShowClusterDetails", "GET", f"{_BASE}/{{cluster_id}}", self.show),
        )

    async def list_page(self, call: routes.Call) -> wire.Reply:
        """ListClusters: a page of clusters; past the end it is empty."""
        query = dict(call.request.pairs())
        size = checks.whole_number(query, "pageSize", least=1) or _DEFAULT_PAGE_SIZE
        number = checks.whole_number(query, "currentPage", least=1) or 1
        wanted_state = checks.one_of(query, "clusterState", _STATES)
        matches = [one for one in self._world.clusters.values() if _matches(one.settings, query, wanted_state)]
        page = matches[(number - 1) * size : number * size]
        members = [self._members(one) for one in page]
        return wire.as_json(_OK, {"clusterTotal": len(matches), "clusters": members})

    async def show(self, call: routes.Call) -> wire.Reply:
        """ShowClusterDetails: one cluster."""
        cluster = self._world.cluster(call.path["cluster_id"])
        return wire.as_json(_OK, {"cluster": self._members(cluster)})

    def _members(self, cluster: state.ClusterState) -> dict[str, Any]:
        described = cluster.settings
        created_s = str(cluster.created_ms // 1000)
        components = [
            _component(described.version, number, name) for number, name in enumerate(described.components, start=1)
        ]
        return {
            **_FIXED,
            "clusterId": described.cluster_id,
            "clusterName": described.name,
            "clusterState": described.state,
            "createAt": created_s,
            "updateAt": created_s,
            "chargingStartTime": created_s,
            "componentList": components,
            "tenantId": self._project_id,
            "clusterVersion": described.version,
            "scale": described.state if described.state.startswith("scaling") else "",
        }


def _matches(cluster: settings.Cluster, query: Mapping[str, str], wanted_state: str | None) -> bool:
    if query.get("clusterName") not in {None, "", cluster.name}:
        return False
    if query.get("tags") or query.get("enterpriseProjectId") not in {None, "", "0", "all_granted_eps"}:
        return False  # the emulator's clusters have no tags and belong to the default enterprise project
    if wanted_state is None:
        return True
    group = _GROUPS.get(wanted_state)
    return group(cluster.state) if group else wanted_state == cluster.state


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


def _node_group(name: str, nodes: int) -> dict[str, Any]:
    return {
        "groupName": name,
        "nodeNum": nodes,
        "nodeSize": "emulated.4xlarge.4.linux.bigdata",
        "nodeSpecId": "",
        "vmProductId": "",
        "vmSpecCode": None,
        "nodeProductId": "",
        "rootVolumeSize": 480,
        "rootVolumeProductId": "",
        "rootVolumeType": "SAS",
        "rootVolumeResourceSpecCode": "",
        "rootVolumeResourceType": "",
        "dataVolumeType": "SAS",
        "dataVolumeCount": 1,
        "dataVolumeSize": 600,
        "dataVolumeProductId": "",
        "dataVolumeResourceSpecCode": "",
        "dataVolumeResourceType": "",
    }


_FIXED: Mapping[str, Any] = {
    "masterNodeNum": "2",
    "coreNodeNum": "3",
    "totalNodeNum": "5",
    "stageDesc": None,
    "billingType": "Metered",
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
    "bootstrapScripts": [],
    "isMrsManagerFinish": True,
    "safeMode": 0,
    "nodePublicCertName": None,
    "masterNodeIp": "127.0.0.1",
    "privateIpFirst": "127.0.0.1",
    "errorInfo": "",
    "tags": "",
    "masterNodeSize": "emulated.4xlarge.4.linux.bigdata",
    "coreNodeSize": "emulated.4xlarge.4.linux.bigdata",
    "masterDataVolumeType": "SAS",
    "masterDataVolumeSize": 600,
    "masterDataVolumeCount": 1,
    "coreDataVolumeType": "SAS",
    "coreDataVolumeSize": 600,
    "coreDataVolumeCount": 1,
    "enterpriseProjectId": "0",
    "clusterType": 0,
    "logCollection": 1,
    "periodType": 0,
    "nodeGroups": [_node_group("master_node_default_group", 2), _node_group("core_node_analysis_group", 3)],
    "taskNodeGroups": [],
}
