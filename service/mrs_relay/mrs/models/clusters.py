"""Bodies of the V1.1 clusters and hosts. Clusters have camelCase keys on the wire and snake_case ones here."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Final, Literal, Self

import pydantic
from pydantic import alias_generators

from mrs_relay.mrs.models import base, fields

_CAMEL = pydantic.ConfigDict(alias_generator=alias_generators.to_camel)


class ClusterState(enum.StrEnum):
    """
    Values of `clusterState`; an unknown word is no end.

    Source: ShowClusterDetails. States of stopped clusters exist in error texts but are not documented.
    """

    STARTING = "starting"
    RUNNING = "running"
    SCALING_OUT = "scaling-out"
    SCALING_IN = "scaling-in"
    ABNORMAL = "abnormal"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    FAILED = "failed"
    FROZEN = "frozen"


class ClusterQuery(base.Asked):
    """Filters and page of ListClusters."""

    model_config = _CAMEL

    page_size: Annotated[int, pydantic.Field(ge=1, le=2_147_483_646)] | None = None
    """Clusters per page; MRS takes 10 when it is absent."""
    current_page: Annotated[int, pydantic.Field(ge=1)] | None = None
    """Page number from 1; a page past the end is empty."""
    cluster_name: Annotated[str, pydantic.Field(min_length=1)] | None = None
    """Exact or partial match: not documented."""
    cluster_state: str | None = None
    """One of `ClusterState`, or the groups `existing` and `history`."""
    tags: str | None = None
    """`key*value,key2*value2`: all must match."""
    enterprise_project_id: str | None = None


class Component(base.Part):
    """A component installed on a cluster."""

    model_config = _CAMEL

    component_id: str | None = None
    component_name: str | None = None
    component_version: str | None = None
    component_desc: str | None = None


class NodeGroup(base.Part):
    """A group of equal nodes."""

    model_config = _CAMEL

    group_name: str | None = None
    node_num: int | None = None
    node_size: str | None = None


class Cluster(base.Part):
    """
    One cluster; the fields that callers use, all others kept as they came. Any of them may be null.

    Source: ShowClusterDetails, ListClusters (V1.1).
    """

    model_config = _CAMEL

    cluster_id: str
    cluster_name: base.Text = ""
    cluster_state: Annotated[str, pydantic.StringConstraints(strip_whitespace=True, to_lower=True)]
    """One of `ClusterState`, or a word that MRS has learnt since."""
    stage_desc: str | None = None
    """Progress or cause of failure, in words that differ between sources: for people only."""
    scale: str | None = None
    """The present change of the nodes; empty without one."""
    created_s: Annotated[int | None, pydantic.Field(alias="createAt")] = None
    """Seconds since the epoch."""
    updated_s: Annotated[int | None, pydantic.Field(alias="updateAt")] = None
    """Seconds since the epoch."""
    cluster_version: str | None = None
    cluster_type: int | None = None
    """0 analysis, 1 streaming, 2 mixed, 3 custom."""
    safe_mode: int | None = None
    """0 normal, 1 Kerberos."""
    master_node_num: int | None = None
    core_node_num: int | None = None
    total_node_num: int | None = None
    error_info: str | None = None
    component_list: tuple[Component, ...] | None = None
    node_groups: tuple[NodeGroup, ...] | None = None
    task_node_groups: tuple[NodeGroup, ...] | None = None
    tags: str | tuple[Any, ...] | None = None
    """`k1=v1,k2=v2`; some tables say a list."""
    manager_installed: Annotated[
        bool | None,
        pydantic.Field(
            validation_alias=pydantic.AliasChoices("isMrsManagerFinish", "mrsManagerFinish", "ismrsManagerFinish"),
            serialization_alias="isMrsManagerFinish",
        ),
    ] = None
    """Whether MRS Manager is installed. Three spellings are documented."""


class ClusterReply(base.Reply):
    """Reply of ShowClusterDetails."""

    cluster: Cluster

    @pydantic.model_validator(mode="before")
    @classmethod
    def _with_envelope(cls, body: Any) -> Any:  # noqa: ANN401 - raw JSON before pydantic has judged it
        """Accept the fields without their envelope, as the tables of two regions print them."""
        return {"cluster": body} if isinstance(body, dict) and "clusterId" in body else body


class ClusterListReply(base.Reply):
    """Reply of ListClusters: one page."""

    model_config = _CAMEL

    cluster_total: int | None = None
    """Clusters that match, presumably on all pages."""
    clusters: tuple[Cluster, ...]


class TaskNodes(base.Asked):
    """Flavor and disks of the first task nodes of a cluster."""

    node_size: fields.NotEmpty
    data_volume_type: fields.DiskType | None = None
    data_volume_count: fields.DataDisks | None = None
    data_volume_size: fields.DataDiskSize | None = None


class Resizing(base.Asked):
    """The group of nodes to change."""

    scale_type: Literal["scale_out", "scale_in"]
    instances: Annotated[int, pydantic.Field(ge=1, le=fields.MAX_NODES)]
    """The number of nodes to add or remove: a difference, so sending it twice changes twice."""
    node_group: fields.Name = "core_node_default_group"
    """core_node_default_group, task_node_default_group, or the group's name in V2."""
    node_id: Literal["node_orderadd"] = "node_orderadd"
    """A constant."""
    order_id: str | None = None
    skip_bootstrap_scripts: bool | None = None
    scale_without_start: bool | None = None
    server_ids: tuple[fields.NotEmpty, ...] | None = None
    """Task nodes to remove; MRS chooses when it is absent."""
    task_node_info: TaskNodes | None = None
    """Only when the cluster has no task nodes yet."""

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.server_ids and len(self.server_ids) != self.instances:
            raise ValueError(f"server_ids: {len(self.server_ids)} ids for {self.instances} instances")
        if self.scale_type == "scale_in" and self.task_node_info is not None:
            raise ValueError("task_node_info belongs to scale_out")
        return self


class ClusterResizing(base.Asked):
    """The body of UpdateClusterScaling."""

    parameters: Resizing
    service_id: str | None = None
    plan_id: str | None = None
    previous_values: dict[str, str] | None = None


_SUCCEEDED: Final = "succeeded"


class OutcomeReply(base.Reply):
    """
    Reply of UpdateClusterScaling and CreateScalingPolicy: `result`.

    Source: both pages: on failure `result` carries the error code; with which HTTP status is not documented.
    """

    result: str | None = None

    def failure(self) -> base.Failure | None:
        """Return the failure that the body reports."""
        if failure := super().failure():
            return failure
        if self.result is None or self.result == _SUCCEEDED:
            return None
        return base.Failure(message=f"the result is {self.result}", code=self.result)


class HostQuery(base.Asked):
    """Page of ListHosts."""

    model_config = _CAMEL

    page_size: fields.PageSize | None = None
    """Hosts per page; MRS takes 10 when it is absent."""
    current_page: fields.PageNumber | None = None
    """Page number from 1."""


class Host(base.Part):
    """One node of a cluster. Numbers come as text."""

    model_config = pydantic.ConfigDict(coerce_numbers_to_str=True)

    id: str
    name: base.Text = ""
    ip: str | None = None
    status: str | None = None
    """ACTIVE; other values are not documented."""
    flavor: str | None = None
    type: str | None = None
    """Role; sources print Master, MasterNode, Core, CoreNode, Analysis_Task and more."""
    mem: str | None = None
    cpu: str | None = None
    root_volume_size: str | None = None
    data_volume_type: str | None = None
    data_volume_size: int | None = None
    data_volume_count: int | None = None


class HostListReply(base.Reply):
    """Reply of ListHosts: one page."""

    total: int | None = None
    """Hosts of the cluster, presumably on all pages."""
    hosts: tuple[Host, ...]
