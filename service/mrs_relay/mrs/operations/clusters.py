"""
The V1.1 cluster reads; V2 has none.

Source: v1.1 reference (ListClusters, ShowClusterDetails). Their limits are not documented.
"""

from __future__ import annotations

from typing import Final

from mrs_relay.mrs import operation
from mrs_relay.mrs.models import clusters

_CLUSTERS: Final = "/v1.1/{project_id}/cluster_infos"

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
