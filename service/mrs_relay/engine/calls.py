"""
Makes the calls that are no job submissions: any operation of MRS, and the orders that change clusters.

Like the submitter it sends each call once and says what is certain. An order whose reply was lost is looked for before
anybody repeats it: a new cluster by the mark in its name, a deletion by the state of its cluster.
"""

from __future__ import annotations

from typing import Any, Final

from mrs_relay import errors
from mrs_relay.engine import codes, facts, jobs, results, ways
from mrs_relay.engine import settings as engine_settings
from mrs_relay.messages import events
from mrs_relay.mrs import client as clients
from mrs_relay.mrs import operation, transport
from mrs_relay.mrs.models import clusters as models
from mrs_relay.mrs.operations import clusters as operations
from mrs_relay.mrs.operations import executions, lists, registry

_NOT_FOUND: Final = 404

_BEING_DELETED: Final = frozenset({models.ClusterState.TERMINATING, models.ClusterState.TERMINATED})


class Caller:
    """
    Calls MRS for jobs whose work is a call.

    Args:
        client: the MRS client.
        settings: `inline_result_bytes`, of a reply that an event carries.
    """

    def __init__(self, client: clients.Client, settings: engine_settings.EngineSettings) -> None:
        self._client = client
        self._old = ways.V11(client, settings)
        self._most_reply_bytes = settings.inline_result_bytes

    async def call(self, job: jobs.Job, work: jobs.Call) -> facts.Fact:
        """
        Make the call, once.

        Raises:
            MrsError: as the client; its class says whether the call may have had an effect.
        """
        wanted = registry.named(work.operation)
        goal, body = work.goal, work.body
        if goal is not None and goal.kind in {"created", "flowed"} and body is not None:
            body = {**body, "cluster_name": job.mrs_name}
        if goal is not None and goal.kind == "resized" and body is not None:
            goal = await self._with_nodes(job.cluster, goal, models.ClusterResizing.model_validate(body))
        query = work.query or None
        deletes_run = job.subject == "job" and wanted is executions.DELETE_JOB_EXECUTION
        if deletes_run and (known := await self._known_about_run(job, work)) is not None:
            return known
        try:
            reply = await self._send(wanted, work.path, query, body)
        except errors.MrsBusy:
            if goal is not None and goal.kind == "deleted" and await self.sought(job, work):
                return facts.Taken(job.cluster, goal)  # it is being deleted already, or is gone
            raise
        except errors.MrsRefused as error:
            if deletes_run and _is_gone(error):
                return facts.Replied(events.Result(reply={}))  # its record is gone, which is what was asked for
            raise
        if goal is None:
            return facts.Replied(results.reply(reply, self._most_reply_bytes))
        return facts.Taken(getattr(reply, "cluster_id", None) or job.cluster, goal)

    async def _send(
        self,
        wanted: operation.AnyOperation,
        path: dict[str, str],
        query: dict[str, Any] | None,
        body: dict[str, Any] | None,
    ) -> Any:  # noqa: ANN401 - the operation's own reply
        """
        Send the call; of one that was sent and failed nobody knows the outcome.

        A write that MRS calls failed may be half done, and a read is not repeated without end. Only a call that surely
        did not leave waits for MRS to be there.
        """
        try:
            return await self._client.call(wanted, path=path, query=query, body=body, spend_budget=False)
        except errors.MrsUntouched as error:
            if error.status is None and not isinstance(error.__cause__, transport.Lost):
                raise
            raise errors.MrsAmbiguous(
                error.message,
                method=error.method,
                path=error.path,
                status=error.status,
                code=error.code,
                request_id=error.request_id,
            ) from error

    async def _known_about_run(self, job: jobs.Job, work: jobs.Call) -> facts.Fact | None:
        """
        What stands against deleting a V1.1 job; None: nothing, it is a job of the request's cluster.

        V1.1 deletes, and stops, by the job's id alone, whatever its cluster; the request names one, and may name no
        other. Where MRS does not show the job by itself, the cluster's list decides.
        """
        run_id = work.path["job_execution_id"]
        shown = await self._old.find(job.cluster, run_id)
        if isinstance(shown, ways.Gone):
            return facts.Replied(events.Result(reply={}))
        if shown.cluster_id in {None, "", job.cluster}:
            return None
        text = f"job {run_id} is none of cluster {job.cluster}; name the cluster on which it ran"
        return facts.Refused(jobs.Reason("invalid", "bad_value", text, field="data.job_ids"))

    async def _with_nodes(self, cluster_id: str, goal: jobs.Goal, order: models.ClusterResizing) -> jobs.Goal:
        """How many nodes there are to be: the order tells a difference only, and both outcomes end in `running`."""
        try:
            found = await shown(self._client, cluster_id)
        except errors.MrsUntouched as error:
            raise type(error)(f"the cluster could not be read before its resize: {error.message}") from error
        if found is None or found.total_node_num is None:
            return goal
        more = order.parameters.instances if order.parameters.scale_type == "scale_out" else -order.parameters.instances
        return jobs.Goal(goal.kind, nodes=found.total_node_num + more)

    async def sought(self, job: jobs.Job, work: jobs.Call) -> list[jobs.Seen]:
        """
        Look for the effect of an order in doubt; empty when there is none to be seen.

        Raises:
            MrsError: as the client.
        """
        if work.goal is not None and work.goal.kind == "deleted":
            cluster = await shown(self._client, job.cluster)
            gone = cluster is None or cluster.cluster_state in _BEING_DELETED
            return [jobs.Seen(job.cluster)] if gone else []
        name = job.mrs_name
        listed = self._client.iterate(lists.CLUSTERS, query={"clusterName": name})
        since_ms = ways.oldest_ms(job)
        found = [one async for one in listed if one.cluster_name == name and _is_since(one, since_ms)]
        return [jobs.Seen(one.cluster_id) for one in sorted(found, key=lambda one: one.created_s or 0)]


def _is_since(cluster: models.Cluster, since_ms: int) -> bool:
    return not cluster.created_s or cluster.created_s * 1000 >= since_ms


def _is_gone(error: errors.MrsRefused) -> bool:
    """Whether there is no such job, so that its record need not be deleted. Source: Terraform providers: 404 (V1.1)."""
    return error.code in codes.NO_SUCH_JOB or error.status == _NOT_FOUND


async def shown(client: clients.Client, cluster_id: str) -> models.Cluster | None:
    """
    What MRS shows of a cluster; None when it knows no such cluster.

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
