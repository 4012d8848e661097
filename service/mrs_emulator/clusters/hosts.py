"""
The hosts of a cluster: id, name and address of each follow from the cluster's id and the host's number.

Source: API reference V1.1, page mrs_02_0057 (2021, 2022); `resource_id`, `node_group_name` from SDK 3.1.219. No page
says which hosts a cluster has that does not run: here none before it runs, and none after it was terminated.
"""

from __future__ import annotations

import re
import string
import uuid
from collections.abc import Mapping
from typing import Any

from mrs_emulator.clusters import cluster_life
from mrs_emulator.core import state

_SPACE = uuid.UUID("6f0d2a51-1f6e-5d3c-9a37-0c2f5b8e4d10")
_LETTERS = string.ascii_letters
_TYPES: Mapping[str, str] = {"master": "Master", "core": "Core", "task": "Task"}
_MIXED = 2
_MIXED_TYPES: Mapping[str, str] = {
    f"{role}_node_{kind}_group": f"{kind.title()}_{role.title()}"
    for role in ("core", "task")
    for kind in ("analysis", "streaming")
}
_OWN_GROUP = "node_group_"
_HOSTLESS = frozenset({"starting", "failed", "terminated"})
_SIZES: Mapping[str, int] = {"large": 2, "xlarge": 4}
_SIZE = re.compile(r"\.(?P<times>\d*)(?P<word>xlarge|large)(?:\.(?P<ratio>\d+))?")


def vm_id(cluster_id: str, number: int) -> str:
    """Return the id of the VM behind a host."""
    return str(uuid.uuid5(_SPACE, f"{cluster_id}/{number}"))


def listed(cluster: state.ClusterState, now_ms: int) -> list[dict[str, Any]]:
    """Return the hosts as ListHosts shows them, in the order of their groups."""
    segment = cluster.at(now_ms)
    if segment.state in _HOSTLESS:
        return []
    return [
        _members(cluster, group, number, place)
        for group in segment.groups
        for place, number in enumerate(group.hosts, start=1)
    ]


def address(number: int) -> str:
    """Return IP address of a host."""
    return f"192.168.{number // 200}.{10 + number % 200}"


def _members(cluster: state.ClusterState, group: cluster_life.Group, number: int, place: int) -> dict[str, Any]:
    record = cluster.record
    vm = uuid.uuid5(_SPACE, f"{record.cluster_id}/{number}")
    cores, memory_mb = _power(group.node_size)

    return {
        "id": str(vm),
        "name": f"{record.cluster_id}_{_short_name(group, place, vm)}",
        "ip": address(number),
        "status": "ACTIVE",
        "flavor": group.node_size,
        "type": _type(record.kind, group),
        "mem": str(memory_mb),
        "cpu": str(cores),
        "root_volume_size": str(group.root_size),
        "data_volume_type": group.disks.kind,
        "data_volume_size": group.disks.size,
        "data_volume_count": group.disks.count,
        "availability_zone_id": str(record.shown.get("azId") or record.shown.get("azName") or "az1"),
        "tags": [{"key": key, "value": value} for key, value in record.tags.items()],
        "resource_id": str(vm),
        "node_group_name": group.name,
    }


def _short_name(group: cluster_life.Group, place: int, vm: uuid.UUID) -> str:
    """Return what follows the cluster's id in a host's name; a CUSTOM group's hosts are named after their group."""
    letters = "".join(_LETTERS[byte % len(_LETTERS)] for byte in vm.bytes[:5])
    if group.name.startswith(_OWN_GROUP):
        return f"{group.name}{letters[:4]}"
    role = f"master{place}" if group.role == "master" else group.role
    return f"node_{role}_{letters}"


def _type(kind: int, group: cluster_life.Group) -> str:
    """Return the type of a host; MIXED tells analysis from streaming. Source: the vendor's Terraform provider."""
    if kind == _MIXED and group.name in _MIXED_TYPES:
        return _MIXED_TYPES[group.name]
    return _TYPES[group.role]


def _power(flavor: str) -> tuple[int, int]:
    """Return cores and MB of memory, read from a flavor's name such as c6.4xlarge.4.linux.mrs: 16 cores, 4 GB each."""
    found = _SIZE.search(flavor)
    if found is None:
        return 4, 16_384
    cores = _SIZES[found["word"]] * int(found["times"] or 1)
    return cores, cores * int(found["ratio"] or 4) * 1024
