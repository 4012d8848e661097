"""Bodies of the V2 orders of clusters: CreateCluster and RunJobFlow. `creating_v11` has the V1.1 ones."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Self

import pydantic

from mrs_relay.mrs.models import base, creating_v11, fields, jobs, policies, tags

_OTHER_GROUPS: Final = ("core", "task", "node_group")

_Tags = tags.Tags  # the fields below are named like the module


class Volume(base.Asked):
    """A disk."""

    type: fields.DiskType
    size: Annotated[int, pydantic.Field(ge=10, le=32_768)]
    """GB."""


class ChargeInfo(base.Asked):
    """The billing of a cluster."""

    charge_mode: Literal["prePaid", "postPaid"]
    period_type: Literal["month", "year", "day"] | None = None
    period_num: Annotated[int, pydantic.Field(ge=1)] | None = None
    is_auto_pay: bool | None = None

    @pydantic.model_validator(mode="after")
    def _has_a_period(self) -> Self:
        if self.charge_mode == "prePaid" and self.period_num is None:
            raise ValueError("charge_mode prePaid needs period_num")
        return self


class NodeGroup(base.Asked):
    """A group of equal nodes to order."""

    group_name: Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9_]{1,64}$")]
    """A fixed name such as master_node_default_group, or node_group_1 and so on in a CUSTOM cluster."""
    node_num: fields.Nodes
    node_size: fields.NotEmpty
    """Flavor."""
    root_volume: Volume | None = None
    data_volume: Volume | None = None
    data_volume_count: fields.DataDisks | None = None
    charge_info: ChargeInfo | None = None
    auto_scaling_policy: policies.AutoScalingPolicy | None = None
    assigned_roles: tuple[str, ...] | None = None
    """Needed in a CUSTOM cluster."""

    @pydantic.model_validator(mode="after")
    def _has_its_disks(self) -> Self:
        if self.data_volume_count and self.data_volume is None:
            raise ValueError("data_volume is needed when data_volume_count is not 0")
        return self


class ClusterOrder(base.Asked):
    """The fields that both orders of a cluster have in common. Source: CreateCluster (V2), RunJobFlow."""

    cluster_version: fields.NotEmpty
    """Such as `MRS 3.1.0`, with the space."""
    cluster_name: fields.Name
    """Unique among the project's clusters; it is what a lost reply is looked up by."""
    cluster_type: Literal["ANALYSIS", "STREAMING", "MIXED", "CUSTOM"]
    charge_info: ChargeInfo | None = None
    region: fields.NotEmpty
    is_dec_project: bool | None = None
    vpc_name: fields.NotEmpty
    subnet_id: fields.NotEmpty | None = None
    subnet_name: fields.NotEmpty | None = None
    """One of subnet_id and subnet_name is needed."""
    components: fields.NotEmpty
    """Names joined by commas: `Hadoop,Spark2x,Hive`."""
    external_datasources: tuple[dict[str, Any], ...] | None = None
    availability_zone: fields.NotEmpty
    security_groups_id: str | None = None
    auto_create_default_security_group: bool | None = None
    safe_mode: Literal["SIMPLE", "KERBEROS"]
    manager_admin_password: fields.AdminPassword
    login_mode: Literal["PASSWORD", "KEYPAIR"]
    node_root_password: fields.RootPassword | None = None
    node_keypair_name: fields.NotEmpty | None = None
    enterprise_project_id: str | None = None
    eip_address: str | None = None
    eip_id: str | None = None
    mrs_ecs_default_agency: str | None = None
    template_id: str | None = None
    tags: _Tags | None = None
    log_collection: Literal[0, 1] | None = None
    node_groups: Annotated[tuple[NodeGroup, ...], pydantic.Field(min_length=1)]
    bootstrap_scripts: tuple[creating_v11.BootstrapScript, ...] | None = None
    log_uri: str | None = None
    component_configs: tuple[dict[str, Any], ...] | None = None

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.subnet_id is None and self.subnet_name is None:
            raise ValueError("one of subnet_id and subnet_name is needed")
        if self.login_mode == "PASSWORD" and self.node_root_password is None:
            raise ValueError("login_mode PASSWORD needs node_root_password")
        if self.login_mode == "KEYPAIR" and self.node_keypair_name is None:
            raise ValueError("login_mode KEYPAIR needs node_keypair_name")
        if self.eip_address is not None and self.eip_id is None:
            raise ValueError("eip_address needs eip_id")
        if (name := fields.repeated([group.group_name for group in self.node_groups])) is not None:
            raise ValueError(f"node_groups: the name {name!r} occurs twice")

        nodes = sum(group.node_num for group in self.node_groups if group.group_name.startswith(_OTHER_GROUPS))
        if nodes > fields.MAX_NODES:
            raise ValueError(f"node_groups: {nodes} core and task nodes, MRS takes {fields.MAX_NODES}")

        tags.check_unique(self.tags)

        return self


class SmnNotify(base.Asked):
    """Alarms to a topic of SMN."""

    topic_urn: fields.NotEmpty
    subscription_name: str | None = None


class ClusterToCreate(ClusterOrder):
    """The body of CreateCluster (V2)."""

    add_jobs: Annotated[tuple[creating_v11.JobToAdd, ...], pydantic.Field(max_length=1)] | None = None
    """One job at most, and only on clusters before MRS 1.8.7; RunJobFlow is the way to start jobs with a cluster."""
    smn_notify: SmnNotify | None = None


class Step(base.Asked):
    """One job of a flow."""

    job_execution: jobs.JobExecution


class JobFlow(ClusterOrder):
    """The body of RunJobFlow."""

    delete_when_no_steps: bool | None = None
    """Delete the cluster once the jobs are done; MRS takes false when it is absent."""
    steps: Annotated[tuple[Step, ...], pydantic.Field(min_length=1)]
    """The jobs. In which order they run, and what follows a failure, is not documented."""

    @pydantic.model_validator(mode="after")
    def _pays_afterwards(self) -> Self:
        if self.charge_info is not None and self.charge_info.charge_mode == "prePaid":
            raise ValueError("charge_info: RunJobFlow does not take prePaid")
        return self


class ClusterCreated(base.Reply):
    """Reply of CreateCluster, RunJobFlow and CreateClusterV11: the order was taken; the cluster may still fail."""

    cluster_id: str | None = None
    result: bool | None = None
    """V1.1 only: false means that the order was refused."""
    msg: str | None = None
    order_id: str | None = None

    def failure(self) -> base.Failure | None:
        """Return the failure that the body reports, or a reply that names no cluster."""
        if failure := super().failure():
            return failure
        if self.result is False:
            return base.Failure(message=self.msg or "the order was refused")
        return None if self.cluster_id else base.Failure(message="the reply names no cluster", certain=False)
