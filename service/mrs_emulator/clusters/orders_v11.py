"""
Reads the body of V1.1's run-job-flow: a cluster, and at most one job.

Only what all sources require is required. Flavors, disks and quota problems that MRS finds out later are played by
rule, see `stages.py`; hybrid and custom clusters cannot be ordered here.

Source: API reference V1.1, page mrs_02_0028 (2021, 2022), Open Telekom Cloud, SDK 3.1.219.
"""

from __future__ import annotations

from mrs_emulator.clusters import cluster_life, orders, policies, tagging
from mrs_emulator.core import checks, fields, refusals
from mrs_emulator.v11 import v11_validation

_REQUIRED = (
    "cluster_version",
    "cluster_name",
    "billing_type",
    "data_center",
    "component_list",
    "available_zone_id",
    "safe_mode",
)
_GROUPS = {
    "master_node_default_group",
    "core_node_analysis_group",
    "core_node_streaming_group",
    "task_node_analysis_group",
    "task_node_streaming_group",
}
_ON_DEMAND = 12
_DISTCP = 5


def read(body: fields.Fields, rules: orders.Rules) -> orders.Order:
    """
    Return the order in a body.

    Raises:
        Refusal: 12000002 and the code that belongs to the member.
    """
    if not body.has("vpc") and not body.has("vpc_id"):
        raise refusals.of_cluster("12000209")

    body.need(*_REQUIRED, "vpc", "vpc_id")
    if not body.has("subnet_id") and not body.has("subnet_name"):
        raise refusals.of_cluster("12000210")
    if body.number("billing_type") != _ON_DEMAND:
        raise refusals.of_cluster("12000053")

    kind = body.number("cluster_type", least=0, most=orders.STREAMING)
    version = body.text("cluster_version")
    orders.check_version(version, rules.cluster)
    _check_access(body)
    components = _components(body)
    nodes = _groups(body, version, kind)
    orders.check_nodes(nodes, rules.cluster)
    flow, delete_after = _job(body, rules)
    orders.check_flow(flow, components, rules.pace)

    return orders.Order(
        name=body.text("cluster_name", pattern=orders.NAME),
        version=version,
        components=components,
        kind=kind,
        kerberos=body.number("safe_mode", least=0, most=1) == 1,
        prepaid=False,
        enterprise_project=body.text("enterprise_project_id") or "0",
        tags=tagging.read_new(body.objects("tags"), rules.cluster),
        nodes=nodes,
        shown={
            "dataCenter": body.text("data_center"),
            "vpc": body.text("vpc"),
            "vpcId": body.text("vpc_id"),
            "subnetId": body.text("subnet_id") or None,
            "subnetName": body.text("subnet_name") or None,
            "securityGroupsId": body.text("security_groups_id") or None,
            "slaveSecurityGroupsId": body.text("security_groups_id") or None,
            "azId": body.text("available_zone_id"),
            "nodePublicCertName": body.text("node_public_cert_name") or None,
            "logCollection": body.number("log_collection", 1, least=0, most=1),
        },
        scripts=orders.scripts(body),
        flow=flow,
        delete_after=delete_after,
    )


def job(one: fields.Fields, rules: orders.Rules) -> tuple[checks.Submission, bool]:
    """
    Return the job of an `add_jobs` element, and whether the cluster goes with it.

    Raises:
        Refusal: 12000002; 12000054 for a type that cannot come with a cluster; otherwise as for submit-job.
    """
    one.need("job_type", "job_name", "submit_job_once_cluster_run")
    if not one.flag("submit_job_once_cluster_run"):
        raise refusals.invalid(f"{one.path('submit_job_once_cluster_run')} must be true")
    number = one.number("job_type", least=1, most=7)
    if number == _DISTCP:
        raise refusals.of_cluster("12000054", why=f"job_type {number}")
    body = {**one.raw(), "job_type": number, "cluster_id": "ordered"}
    return v11_validation.order(body, rules.quirks, rules.old).submission(), one.flag("shutdown_cluster")


def _job(body: fields.Fields, rules: orders.Rules) -> tuple[tuple[checks.Submission, ...], bool]:
    for one in body.objects("add_jobs", most=1):
        wanted, delete_after = job(one, rules)
        return (wanted,), delete_after
    return (), False


def _check_access(body: fields.Fields) -> None:
    body.number("login_mode", 1, least=0, most=1)
    orders.password(body, "cluster_admin_secret")
    orders.password(body, "cluster_master_secret")


def _components(body: fields.Fields) -> tuple[str, ...]:
    found = body.objects("component_list")
    for one in found:
        one.need("component_name")
    if not found:
        raise refusals.invalid("component_list is required")
    return tuple(one.text("component_name") for one in found)


def _groups(body: fields.Fields, version: str, kind: int) -> tuple[orders.Nodes, ...]:
    """Return either node_groups, or the flat members of older clients."""
    found = _listed(body) if body.array("node_groups") else _flat(body, kind)
    masters = sum(one.number for one in found if one.name.startswith("master"))
    if masters not in {1, 2}:
        raise refusals.invalid("there must be one or two Master nodes")
    if masters == 1 and version.startswith("MRS 3"):
        raise refusals.invalid(f"{version} needs two Master nodes")
    if not any(one.number for one in found if one.name.startswith("core")):
        raise refusals.invalid("there must be at least one Core node")
    return found


def _listed(body: fields.Fields) -> tuple[orders.Nodes, ...]:
    found = []
    for one in body.objects("node_groups"):
        one.need("group_name", "node_num", "node_size")
        name = one.text("group_name")
        if name not in _GROUPS:
            raise refusals.invalid(f"{one.path('group_name')} must be one of {', '.join(sorted(_GROUPS))}")

        policy = None
        if one.has("auto_scaling_policy") and name.startswith("task"):  # other groups' policies are not honoured
            policy = policies.read(one.object("auto_scaling_policy"))

        found.append(
            orders.Nodes(
                name=name,
                number=one.number("node_num", least=0, most=orders.NODES_MAX),
                size=one.text("node_size"),
                disks=disks(one),
                root_kind=one.one_of("root_volume_type", orders.DISK_KINDS, "SAS"),
                root_size=one.number("root_volume_size", 480, least=1),
                policy=policy,
            )
        )

    return tuple(found)


def _flat(body: fields.Fields, kind: int) -> tuple[orders.Nodes, ...]:
    body.need("master_node_num", "master_node_size", "core_node_num", "core_node_size")
    word = "streaming" if kind == orders.STREAMING else "analysis"

    found = [
        orders.Nodes(
            "master_node_default_group",
            body.number("master_node_num", least=1, most=2),
            body.text("master_node_size"),
            _role_disks(body, "master_data_"),
        ),
        orders.Nodes(
            f"core_node_{word}_group",
            body.number("core_node_num", least=1, most=orders.NODES_MAX),
            body.text("core_node_size"),
            _role_disks(body, "core_data_"),
        ),
    ]

    for one in body.objects("task_node_groups", most=1):
        one.need("node_num", "node_size", "data_volume_type", "data_volume_count", "data_volume_size")
        policy = policies.read(one.object("auto_scaling_policy")) if one.has("auto_scaling_policy") else None
        number = one.number("node_num", least=0, most=orders.NODES_MAX)
        name = f"task_node_{word}_group"
        found.append(orders.Nodes(name, number, one.text("node_size"), disks(one), policy=policy))

    return tuple(found)


def _role_disks(body: fields.Fields, prefix: str) -> cluster_life.Disks:
    """Return the disks of a role; the older pair volume_type and volume_size wins when it is there."""
    return disks(body, "" if body.has("volume_type") else prefix)


def disks(one: fields.Fields, prefix: str = "data_") -> cluster_life.Disks:
    """
    Return the data disks in the members that begin with a prefix.

    Raises:
        Refusal: 12000002.
    """
    return cluster_life.Disks(
        one.one_of(f"{prefix}volume_type", orders.DISK_KINDS, "SAS"),
        one.number(f"{prefix}volume_size", 100, least=100, most=32_000),
        one.number(f"{prefix}volume_count", 1, least=0, most=20),
    )
