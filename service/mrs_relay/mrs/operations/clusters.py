"""
The clusters: ordered by V2 or V1.1, read, resized and deleted by V1.1.

Names of V1.1 operations that V2 has as well end in `V11`. Source: v2 reference (CreateCluster, RunJobFlow) and v1.1
reference; limits: "Selecting an API Type", none for V1.1.
"""

from __future__ import annotations

from typing import Final

from mrs_relay.mrs import operation
from mrs_relay.mrs.models import base, clusters, creating, creating_v11

_CLUSTERS: Final = "/v1.1/{project_id}/cluster_infos"
_V11: Final = "/v1.1/{project_id}/clusters"

CREATE_CLUSTER: Final[operation.Operation[creating.ClusterToCreate, creating.ClusterCreated]] = operation.Operation(
    name="CreateCluster",
    verb="POST",
    path="/v2/{project_id}/clusters",
    safety=operation.Safety.NON_REPEATABLE_WRITE,
    per_minute=60,
    body=creating.ClusterToCreate,
    reply=creating.ClusterCreated,
    accepted=frozenset({200, 202}),
    source="mrs_02_0101, CreateCluster.html",
)
"""Order a cluster. Names are unique, so look a lost reply up by `cluster_name`; the cluster may still fail later."""


RUN_JOB_FLOW: Final[operation.Operation[creating.JobFlow, creating.ClusterCreated]] = operation.Operation(
    name="RunJobFlow",
    verb="POST",
    path="/v2/{project_id}/run-job-flow",
    safety=operation.Safety.NON_REPEATABLE_WRITE,
    per_minute=60,
    body=creating.JobFlow,
    reply=creating.ClusterCreated,
    accepted=frozenset({200, 202}),
    source="RunJobFlow.html",
)
"""Order a cluster and jobs that start with it; the reply does not contain their ids, list them by `job_name`."""


CREATE_CLUSTER_V11: Final[operation.Operation[creating_v11.ClusterToRun, creating.ClusterCreated]] = (
    operation.Operation(
        name="CreateClusterV11",
        verb="POST",
        path="/v1.1/{project_id}/run-job-flow",
        safety=operation.Safety.NON_REPEATABLE_WRITE,
        per_minute=None,
        body=creating_v11.ClusterToRun,
        reply=creating.ClusterCreated,
        accepted=frozenset({200, 202}),
        source="mrs_02_0028",
    )
)
"""Order a cluster and, if wanted, one job that starts with it. Look a lost reply up by `cluster_name`."""


UPDATE_CLUSTER_SCALING: Final[operation.Operation[clusters.ClusterResizing, clusters.OutcomeReply]] = (
    operation.Operation(
        name="UpdateClusterScaling",
        verb="PUT",
        path=_CLUSTERS + "/{cluster_id}",
        safety=operation.Safety.NON_REPEATABLE_WRITE,
        per_minute=None,
        body=clusters.ClusterResizing,
        reply=clusters.OutcomeReply,
        accepted=frozenset({200, 202}),
        source="mrs_02_0029",
    )
)
"""Add or remove nodes, by a difference. Both outcomes end in `running`: read `scale` and the numbers of nodes."""


LIST_CLUSTERS: Final[operation.Operation[None, clusters.ClusterListReply]] = operation.Operation(
    name="ListClusters",
    verb="GET",
    path=_CLUSTERS,
    safety=operation.Safety.READ,
    per_minute=None,
    query=clusters.ClusterQuery,
    reply=clusters.ClusterListReply,
    accepted=frozenset({200}),
    source="mrs_02_0030",
)
"""List the project's clusters by page; a page past the end is empty."""

SHOW_CLUSTER_DETAILS: Final[operation.Operation[None, clusters.ClusterReply]] = operation.Operation(
    name="ShowClusterDetails",
    verb="GET",
    path=_CLUSTERS + "/{cluster_id}",
    safety=operation.Safety.READ,
    per_minute=None,
    reply=clusters.ClusterReply,
    accepted=frozenset({200}),
    source="mrs_02_0031",
)
"""Read one cluster, terminated ones included. An unknown one is refused with 12000003, in older regions with 404."""

DELETE_CLUSTER: Final[operation.Operation[None, base.Empty]] = operation.Operation(
    name="DeleteCluster",
    verb="DELETE",
    path=_V11 + "/{cluster_id}",
    safety=operation.Safety.REPEATABLE_WRITE,
    per_minute=None,
    reply=base.Empty,
    accepted=frozenset({200, 202, 204}),
    source="mrs_02_0032",
)
"""Delete a cluster. On a repeat, 12000021 may mean that it is being deleted."""


LIST_HOSTS: Final[operation.Operation[None, clusters.HostListReply]] = operation.Operation(
    name="ListHosts",
    verb="GET",
    path=_V11 + "/{cluster_id}/hosts",
    safety=operation.Safety.READ,
    per_minute=None,
    query=clusters.HostQuery,
    reply=clusters.HostListReply,
    accepted=frozenset({200}),
    source="mrs_02_0057",
)
"""List the nodes of a cluster by page."""
