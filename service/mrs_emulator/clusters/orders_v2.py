"""
Reads the bodies of V2's CreateCluster and RunJobFlow: a cluster, and the steps that shall run on it.

Steps start together, in the order of the list, when the cluster runs; no page says more about their order. A step
that fails does not hold up the others.

Source: API reference V2, page mrs_02_0101 and RunJobFlow (2021 to 2025), SDK 3.1.219.
"""

from __future__ import annotations

import re

from mrs_emulator.clusters import cluster_life, orders, orders_v11, policies, tagging
from mrs_emulator.core import checks, fields, refusals

_REQUIRED = (
    "cluster_version",
    "cluster_name",
    "cluster_type",
    "region",
    "vpc_name",
    "components",
    "availability_zone",
    "safe_mode",
    "manager_admin_password",
    "login_mode",
    "node_groups",
)
_KINDS = ("ANALYSIS", "STREAMING", "MIXED", "CUSTOM")
_MASTER = "master_node_default_group"
_NEEDED = (
    (_MASTER, "core_node_analysis_group"),
    (_MASTER, "core_node_streaming_group"),
    (_MASTER, "core_node_analysis_group", "core_node_streaming_group"),
    (_MASTER,),
)
_FIXED = {
    _MASTER,
    "core_node_analysis_group",
    "core_node_streaming_group",
    "task_node_analysis_group",
    "task_node_streaming_group",
}
_TEMPLATES = ("mgmt_control_combined_v2", "mgmt_control_separated_v2", "mgmt_control_data_separated_v2")
_GROUP_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
_CUSTOM_GROUP = re.compile(r"node_group_\w+")
_CUSTOM_GROUPS_MAX = 9
_PREPAID_MAX = {"month": 9, "year": 3}


def read(body: fields.Fields, rules: orders.Rules, *, with_steps: bool) -> orders.Order:
    """
    Return the order in a body.

    Args:
        body: the body.
        rules: what may be ordered.
        with_steps: it is RunJobFlow's, which has steps and cannot be prepaid.

    Raises:
        Refusal: 12000002 and the code that belongs to the member.
    """
    body.need(*_REQUIRED)
    if not body.has("subnet_id") and not body.has("subnet_name"):
        raise refusals.of_cluster("12000210")

    prepaid = _prepaid(body)
    if prepaid and with_steps:
        raise refusals.of_cluster("12000053")

    version = body.text("cluster_version")
    orders.check_version(version, rules.cluster)
    kind = _KINDS.index(body.one_of("cluster_type", _KINDS))
    _check_access(body)
    components = tuple(one.strip() for one in body.text("components").split(",") if one.strip())
    nodes = _groups(body, kind)
    orders.check_nodes(nodes, rules.cluster)
    flow, delete_after = _steps(body, rules) if with_steps else _jobs(body, rules)
    orders.check_flow(flow, components, rules.pace)

    return orders.Order(
        name=body.text("cluster_name", pattern=orders.NAME),
        version=version,
        components=components,
        kind=kind,
        kerberos=body.one_of("safe_mode", ("SIMPLE", "KERBEROS")) == "KERBEROS",
        prepaid=prepaid,
        enterprise_project=body.text("enterprise_project_id") or "0",
        tags=tagging.read_new(body.objects("tags"), rules.cluster),
        nodes=nodes,
        shown={
            "dataCenter": body.text("region"),
            "vpc": body.text("vpc_name"),
            "subnetId": body.text("subnet_id") or None,
            "subnetName": body.text("subnet_name") or None,
            "securityGroupsId": body.text("security_groups_id") or None,
            "slaveSecurityGroupsId": body.text("security_groups_id") or None,
            "azName": body.text("availability_zone"),
            "nodePublicCertName": body.text("node_keypair_name") or None,
            "logCollection": body.number("log_collection", 1, least=0, most=1),
        },
        scripts=orders.scripts(body),
        flow=flow,
        delete_after=delete_after,
    )


def _prepaid(body: fields.Fields) -> bool:
    charge = body.object("charge_info")
    mode = charge.one_of("charge_mode", ("prePaid", "postPaid"), "postPaid")
    if mode == "prePaid":
        charge.need("period_num")
        period = charge.one_of("period_type", ("month", "year", "day"), "month")
        charge.number("period_num", least=1, most=_PREPAID_MAX.get(period))
    return mode == "prePaid"


def _check_access(body: fields.Fields) -> None:
    mode = body.one_of("login_mode", ("PASSWORD", "KEYPAIR"))
    body.need("node_root_password" if mode == "PASSWORD" else "node_keypair_name")
    orders.password(body, "manager_admin_password")
    orders.password(body, "node_root_password")
    body.one_of("template_id", _TEMPLATES)
    if body.has("eip_address"):
        body.need("eip_id")


def _steps(body: fields.Fields, rules: orders.Rules) -> tuple[tuple[checks.Submission, ...], bool]:
    if body.any("steps") is None:
        raise refusals.invalid("steps is required")
    found = []
    for one in body.objects("steps"):
        one.need("job_execution")
        found.append(checks.submission(one.object("job_execution").raw(), rules.quirks))
    return tuple(found), body.flag("delete_when_no_steps")


def _jobs(body: fields.Fields, rules: orders.Rules) -> tuple[tuple[checks.Submission, ...], bool]:
    """Return the job of CreateCluster's add_jobs, which older versions take."""
    for one in body.objects("add_jobs", most=1):
        wanted, delete_after = orders_v11.job(one, rules)
        return (wanted,), delete_after
    return (), False


def _groups(body: fields.Fields, kind: int) -> tuple[orders.Nodes, ...]:
    found = tuple(_group(one, kind) for one in body.objects("node_groups"))
    names = {one.name for one in found}
    for needed in _NEEDED[kind]:
        if needed not in names:
            raise refusals.invalid(f"node_groups must have a {needed}")
    if sum(one.name not in _FIXED for one in found) > _CUSTOM_GROUPS_MAX:
        raise refusals.invalid(f"node_groups must not have more than {_CUSTOM_GROUPS_MAX} groups of their own")
    return found


def _group(one: fields.Fields, kind: int) -> orders.Nodes:
    one.need("group_name", "node_num", "node_size")
    name = one.text("group_name", pattern=_GROUP_NAME)
    custom = kind == orders.CUSTOM
    if name not in _FIXED and not (custom and _CUSTOM_GROUP.fullmatch(name)):
        allowed = f"one of {', '.join(sorted(_FIXED))}" + (" or node_group_…" if custom else "")
        raise refusals.invalid(f"{one.path('group_name')} must be {allowed}")
    if custom and not one.texts("assigned_roles"):
        raise refusals.invalid(f"{one.path('assigned_roles')} is required")

    count = one.number("data_volume_count", 1 if one.has("data_volume") else 0, least=0, most=20)
    if count:
        one.need("data_volume")
    root_kind, root_size = _volume(one, "root_volume", 480)
    kind_of_disk, size = _volume(one, "data_volume", 600)
    policy = policies.read(one.object("auto_scaling_policy")) if one.has("auto_scaling_policy") else None

    return orders.Nodes(
        name=name,
        number=one.number("node_num", least=0, most=orders.NODES_MAX),
        size=one.text("node_size"),
        disks=cluster_life.Disks(kind_of_disk, size, count),
        root_kind=root_kind,
        root_size=root_size,
        policy=policy,
    )


def _volume(one: fields.Fields, name: str, usual_size: int) -> tuple[str, int]:
    if not one.has(name):
        return "SAS", usual_size
    volume = one.object(name)
    volume.need("type", "size")
    return volume.one_of("type", orders.DISK_KINDS), volume.number("size", least=10, most=32_768)
