"""
Adapt the engine to operations on a cluster: create it, run a flow of jobs on a new one, resize it, delete it.

MRS accepts an order at once and carries it out in minutes. Meanwhile `cluster_tracker` follows the cluster until it
reaches the target of the order. An order whose reply was lost is looked up before it is repeated: a new cluster by the
token in its name, a deletion by the state of its cluster. An order cannot be cancelled.
"""

from __future__ import annotations

from typing import Final

import msgspec
import structlog

from mrs_relay import errors
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.model import facts, jobs
from mrs_relay.engine.work import adapter, call, codes
from mrs_relay.messages import requests
from mrs_relay.mrs import client as clients
from mrs_relay.mrs.models import clusters as models
from mrs_relay.mrs.operations import clusters as operations
from mrs_relay.mrs.operations import lists, registry

_log = structlog.get_logger(__name__)

_NAMES_CLUSTER: Final = frozenset({"created", "flowed"})
_BEING_DELETED: Final = frozenset({models.ClusterState.TERMINATING, models.ClusterState.TERMINATED})


class Cluster(call.Call):
    """Operations on clusters: calls with a target."""

    name = "cluster"
    traits = adapter.Traits(follows_cluster=True, can_be_stopped=False, ends_with_reply=True, names_operation=True)

    def takes(self, request: requests.Work) -> bool:
        """Return whether the request creates, resizes or deletes a cluster."""
        return isinstance(request, requests.ClusterRequest)

    def draft(self, request: requests.Work, result_job_types: frozenset[str]) -> adapter.Draft:  # noqa: ARG002 - there are no rows
        """Check the call against the operation's own model, and set the target of the cluster."""
        match request:
            case requests.ClusterCreate(body=body):
                work = call.checked(operations.CREATE_CLUSTER, body=body, target=jobs.TargetState("created"))
                return adapter.Draft(work, "", str(body["cluster_name"]))
            case requests.ClusterFlow(body=body):
                steps = body.get("steps")
                target = jobs.TargetState("flowed", jobs=len(steps) if isinstance(steps, list) else 0)
                work = call.checked(operations.RUN_JOB_FLOW, body=body, target=target)
                return adapter.Draft(work, "", str(body["cluster_name"]))
            case requests.ClusterResize(cluster=cluster, parameters=parameters):
                path, target = {"cluster_id": cluster}, jobs.TargetState("resized")
                body = {"parameters": parameters}
                return adapter.Draft(
                    call.checked(operations.UPDATE_CLUSTER_SCALING, path, body=body, target=target), cluster
                )
            case _:
                assert isinstance(request, requests.ClusterDelete)  # noqa: S101 - see `takes`
                path, target = {"cluster_id": request.cluster}, jobs.TargetState("deleted")
                return adapter.Draft(call.checked(operations.DELETE_CLUSTER, path, target=target), request.cluster)

    def subject(self, request: requests.Work) -> adapter.PolicySubject:
        """Return the cluster, or the body that creates one, and the types of the jobs that are ordered with it."""
        if isinstance(request, requests.ClusterCreate | requests.ClusterFlow):
            return adapter.PolicySubject([], tuple(call.named_job_types(request.body)), ordered=request.body)
        return adapter.PolicySubject(adapter.named_clusters(request))

    def connect(self, client: clients.Client, settings: engine_settings.EngineSettings) -> adapter.WorkCalls:  # noqa: ARG002 - nothing is kept of a reply
        """Return the calls of operations on clusters."""
        return Calls(client)

    def is_findable(self, job: jobs.Job) -> bool:
        """Return whether MRS shows the effect of an order in doubt; a resize by a difference cannot be recognized."""
        work = job.work
        return isinstance(work, jobs.Call) and work.target is not None and work.target.kind != "resized"

    def followed(self, job: jobs.Job, submitted: jobs.Job, target: jobs.TargetState | None) -> jobs.Job:
        """Keep the target instead of the call, and drop a requested stop: an order cannot be cancelled."""
        target = target or (job.work.target if isinstance(job.work, jobs.Call) else None)
        if target is None or submitted.seen is None:
            return submitted
        return msgspec.structs.replace(submitted, work=target, cluster=submitted.seen.job_id, stop=None)


def target_of(job: jobs.Job) -> jobs.TargetState | None:
    """Return the target that the cluster of a job is followed to."""
    return job.work if isinstance(job.work, jobs.TargetState) else None


class Calls(adapter.WorkCalls):
    """
    The calls of operations on clusters.

    Args:
        client: the MRS client.
    """

    def __init__(self, client: clients.Client) -> None:
        self._client = client

    async def submit(self, job: jobs.Job) -> facts.Fact:
        """Send the order, once. A new cluster gets the job's name, by which a look-up finds it."""
        work = adapter.unsent(job, jobs.Call)
        target, body = work.target, work.body

        if target is not None and target.kind in _NAMES_CLUSTER and body is not None:
            body = {**body, "cluster_name": job.mrs_name}
        # The order contains a difference of nodes: note the total while the cluster still has its old size.
        if target is not None and target.kind == "resized" and body is not None:
            target = await self._with_nodes(job.cluster, target, models.ClusterResizing.model_validate(body))

        try:
            reply = await call.send(self._client, registry.named(work.operation), work, body)
        except errors.MrsBusy:
            if target is not None and target.kind == "deleted" and await self.find_submitted(job):
                return facts.SubmissionAccepted(job.cluster, target)  # it is being deleted already, or is gone
            raise
        return facts.SubmissionAccepted(getattr(reply, "cluster_id", None) or job.cluster, target)

    async def _with_nodes(
        self, cluster_id: str, target: jobs.TargetState, order: models.ClusterResizing
    ) -> jobs.TargetState:
        """
        Return the target of a resize with the number of nodes that it leads to.

        The order contains only a difference, and a resize ends in state `running` whether it succeeded or failed.
        """
        try:
            found = await show_cluster(self._client, cluster_id)
        except errors.MrsUntouched as error:
            raise type(error)(f"the cluster could not be read before its resize: {error.message}") from error

        if found is None or found.total_node_num is None:
            return target
        more = order.parameters.instances if order.parameters.scale_type == "scale_out" else -order.parameters.instances
        return jobs.TargetState(target.kind, nodes=found.total_node_num + more)

    async def find_submitted(self, job: jobs.Job) -> list[jobs.MrsStatus]:
        """Return the clusters that show the effect of an order in doubt; empty: MRS shows none."""
        work = job.work
        if isinstance(work, jobs.Call) and work.target is not None and work.target.kind == "deleted":
            cluster = await show_cluster(self._client, job.cluster)
            gone = cluster is None or cluster.cluster_state in _BEING_DELETED
            return [jobs.MrsStatus(job.cluster)] if gone else []

        name = job.mrs_name
        listed = self._client.iterate(lists.CLUSTERS, query={"clusterName": name})
        since_ms = adapter.list_since_ms(job)
        found = [one async for one in listed if one.cluster_name == name and _is_since(one, since_ms)]
        return [jobs.MrsStatus(one.cluster_id) for one in sorted(found, key=lambda one: one.created_s or 0)]


def _is_since(cluster: models.Cluster, since_ms: int) -> bool:
    return not cluster.created_s or cluster.created_s * 1000 >= since_ms


def is_about(refusal: errors.MrsError) -> bool:
    """Return whether a list of jobs was refused because there is no such cluster, or because of the cluster's state."""
    return isinstance(refusal, errors.MrsBusy) or refusal.code == codes.NO_SUCH_CLUSTER


async def is_gone(client: clients.Client, cluster_id: str, refusal: errors.MrsError) -> bool:
    """
    Return whether a list of jobs was refused because the cluster is there no more, as the cluster itself shows.

    False, too, if that cannot be read.
    """
    if not cluster_id or not is_about(refusal):
        return False
    try:
        shown = await show_cluster(client, cluster_id)
    except errors.MrsError as error:
        _log.warning("cluster_not_read", cluster=cluster_id, error=str(error))
        return False
    return shown is None or shown.cluster_state == models.ClusterState.TERMINATED


async def show_cluster(client: clients.Client, cluster_id: str) -> models.Cluster | None:
    """
    Read a cluster from MRS; None: there is no such cluster.

    Raises:
        MrsError: as the client.
    """
    try:
        reply = await client.call(operations.SHOW_CLUSTER_DETAILS, path={"cluster_id": cluster_id})
    except errors.MrsRefused as error:
        if error.code == codes.NO_SUCH_CLUSTER:
            return None
        raise
    return reply.cluster
