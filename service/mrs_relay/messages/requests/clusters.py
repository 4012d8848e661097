"""Clusters: create, with jobs or without, resize and delete."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic

from mrs_relay.messages.requests import base


class _ClusterOrder(base.Queued):
    body: Annotated[
        dict[str, Any],
        pydantic.Field(
            description="The body of the MRS operation, by the API's names. A token of 17 characters is added to "
            "cluster_name, with the deployment's tag 24, and it is cut to 47, or 40, before that. Passwords in it "
            "stand in the requests topic as sent."
        ),
    ]


class ClusterCreate(_ClusterOrder):
    """
    Order a cluster (CreateCluster of V2) and follow it until it runs.

    Answered by `mrs.cluster.*` events: `succeeded` when it runs, `failed` when its creation failed.
    """


class ClusterFlow(_ClusterOrder):
    """
    Order a cluster together with jobs (RunJobFlow of V2) and follow it until the jobs have ended.

    Answered by `mrs.cluster.*` events: `succeeded` when all jobs did, `failed` when one failed or the cluster did.
    """


class ClusterResize(base.Queued):
    """
    Add nodes to a cluster or remove some (UpdateClusterScaling), and follow it until that is done.

    `parameters` are those of the operation. Answered by `mrs.cluster.*` events: `succeeded` when the cluster runs with
    the number of nodes that follows from it.
    """

    cluster: base.ClusterId
    parameters: Annotated[dict[str, Any], pydantic.Field(description="`parameters` of UpdateClusterScaling.")]


class ClusterDelete(base.Queued):
    """
    Delete a cluster and follow it until it is gone.

    Answered by `mrs.cluster.*` events.
    """

    cluster: base.ClusterId
