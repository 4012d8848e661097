"""Body of the V1.1 order of a cluster, and the parts of it that V2 shares."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import pydantic

from mrs_relay.mrs.models import base, fields, jobs_v11, policies, tags

Stage = Literal[
    "BEFORE_COMPONENT_FIRST_START",
    "AFTER_COMPONENT_FIRST_START",
    "BEFORE_SCALE_IN",
    "AFTER_SCALE_IN",
    "BEFORE_SCALE_OUT",
    "AFTER_SCALE_OUT",
]

_Tags = tags.Tags  # the fields below are named like the module


class BootstrapScript(base.Asked):
    """A script that runs on new nodes."""

    name: fields.ScriptName
    uri: fields.NotEmpty
    """An OBS path, or a local one that starts with / and ends with .sh."""
    parameters: str | None = None
    nodes: Annotated[tuple[fields.NotEmpty, ...], pydantic.Field(min_length=1)]
    """V1.1: master, core, task, in lower case. V2: names of node groups."""
    active_master: bool | None = None
    before_component_start: bool | None = None
    fail_action: policies.FailAction
    start_time: int | None = None
    state: Literal["PENDING", "IN_PROGRESS", "SUCCESS", "FAILURE"] | None = None
    action_stages: tuple[Stage, ...] | None = None


class JobToAdd(jobs_v11.JobProgram):
    """A job that runs once the cluster does."""

    shutdown_cluster: bool | None = None
    """Delete the cluster after the job."""
    submit_job_once_cluster_run: Literal[True] = True
    """Must be true here."""


class ComponentToInstall(base.Asked):
    """A component by its name."""

    component_name: fields.NotEmpty


class TaskGroupToCreate(base.Asked):
    """A group of task nodes of a flat order."""

    node_num: fields.Nodes
    node_size: fields.NotEmpty
    data_volume_type: fields.DiskType
    data_volume_count: fields.DataDisks
    data_volume_size: fields.DataDiskSize
    auto_scaling_policy: policies.AutoScalingPolicy | None = None


class NodeGroupToCreate(base.Asked):
    """A group of nodes."""

    group_name: Literal[
        "master_node_default_group",
        "core_node_analysis_group",
        "core_node_streaming_group",
        "task_node_analysis_group",
        "task_node_streaming_group",
    ]
    node_num: fields.Nodes
    node_size: fields.NotEmpty
    root_volume_size: Annotated[str, pydantic.Field(coerce_numbers_to_str=True, pattern=r"^\d+$")] | None = None
    """GB; MRS declares it as text."""
    root_volume_type: fields.DiskType | None = None
    data_volume_type: fields.DiskType | None = None
    data_volume_count: fields.DataDisks | None = None
    data_volume_size: fields.DataDiskSize | None = None
    auto_scaling_policy: policies.AutoScalingPolicy | None = None
    """Honoured on the task groups only."""


class ClusterToRun(base.Asked):
    """
    The body of CreateClusterV11: a cluster and, if wanted, one job that runs on it.

    Give `node_groups`, or the flat fields from master_node_num to task_node_groups. Required is what all sources
    require. Source: run-job-flow (V1.1).
    """

    billing_type: Literal[12] = 12
    """Pay per use; nothing else can be ordered here."""
    data_center: fields.NotEmpty
    """Region id."""
    available_zone_id: fields.NotEmpty
    cluster_name: fields.Name
    """Unique among the project's clusters; it is what a lost reply is looked up by."""
    cluster_version: fields.NotEmpty
    vpc: fields.NotEmpty
    """Name of the VPC."""
    vpc_id: fields.NotEmpty
    subnet_id: fields.NotEmpty | None = None
    subnet_name: fields.NotEmpty | None = None
    """One of subnet_id and subnet_name is needed."""
    security_groups_id: str | None = None
    component_list: Annotated[tuple[ComponentToInstall, ...], pydantic.Field(min_length=1)]
    safe_mode: Literal[0, 1]
    """0 normal, 1 Kerberos."""
    cluster_type: Literal[0, 1] | None = None
    """0 analysis, 1 streaming."""
    cluster_admin_secret: fields.AdminPassword | None = None
    login_mode: Literal[0, 1] | None = None
    """0 password, 1 key pair."""
    cluster_master_secret: fields.RootPassword | None = None
    node_public_cert_name: fields.NotEmpty | None = None
    node_groups: tuple[NodeGroupToCreate, ...] | None = None
    master_node_num: Literal[1, 2] | None = None
    master_node_size: fields.NotEmpty | None = None
    core_node_num: Annotated[int, pydantic.Field(ge=1, le=fields.MAX_NODES)] | None = None
    core_node_size: fields.NotEmpty | None = None
    master_data_volume_type: fields.DiskType | None = None
    master_data_volume_size: fields.DataDiskSize | None = None
    master_data_volume_count: Literal[1] | None = None
    core_data_volume_type: fields.DiskType | None = None
    core_data_volume_size: fields.DataDiskSize | None = None
    core_data_volume_count: Annotated[int, pydantic.Field(ge=1, le=20)] | None = None
    volume_type: fields.DiskType | None = None
    volume_size: fields.DataDiskSize | None = None
    task_node_groups: tuple[TaskGroupToCreate, ...] | None = None
    add_jobs: Annotated[tuple[JobToAdd, ...], pydantic.Field(max_length=1)] | None = None
    """One job at most; the reply does not contain its id, so look it up by job_name."""
    bootstrap_scripts: tuple[BootstrapScript, ...] | None = None
    log_collection: Literal[0, 1] | None = None
    enterprise_project_id: str | None = None
    tags: _Tags | None = None

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.subnet_id is None and self.subnet_name is None:
            raise ValueError("one of subnet_id and subnet_name is needed")
        if self.login_mode == 0 and self.cluster_master_secret is None:
            raise ValueError("login_mode 0 needs cluster_master_secret")
        if self.login_mode == 1 and self.node_public_cert_name is None:
            raise ValueError("login_mode 1 needs node_public_cert_name")
        tags.check_unique(self.tags)
        return self

    @pydantic.model_validator(mode="after")
    def _has_nodes(self) -> Self:
        if self.node_groups is not None:
            counts = [one.node_num for one in self.node_groups if not one.group_name.startswith("master")]
        else:
            flat = ("master_node_num", "master_node_size", "core_node_num", "core_node_size")
            missing = [name for name in flat if getattr(self, name) is None]
            if missing:
                raise ValueError(f"node_groups, or the fields {', '.join(missing)}, are needed")
            counts = [self.core_node_num or 0, *(one.node_num for one in self.task_node_groups or ())]
        if sum(counts) > fields.MAX_NODES:
            raise ValueError(f"{sum(counts)} core and task nodes, MRS takes {fields.MAX_NODES}")
        return self
