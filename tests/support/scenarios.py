"""One success of every operation of the API overview: what a client asks for, and the effect it must see."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
from tests.support import emulated

from mrs_relay import errors
from mrs_relay.mrs.models import clusters, jobs

Scenario = Callable[[emulated.Pair], Awaitable[None]]

SCENARIOS: Final[dict[str, Scenario]] = {}
AT: Final = {"cluster_id": emulated.CLUSTER}
_SAMPLES: Final = Path(__file__).parents[1] / "unit" / "mrs" / "samples"
JOB: Final = {"job_type": "MapReduce", "job_name": "wordcount", "arguments": ["obs://demo/a.jar", "wordcount"]}
LIVE: Final[dict[str, Any]] = {"pace": {"create_s": 60, "resize_s": 60, "delete_s": 60}}


def scenario(name: str) -> Callable[[Scenario], Scenario]:
    """Make a function the test of an operation's success."""

    def add(play: Scenario) -> Scenario:
        SCENARIOS[name] = play
        return play

    return add


def sample(file: str, name: str, **changes: Any) -> dict[str, Any]:
    """Return the first sample request of an operation, with changes."""
    found = json.loads((_SAMPLES / f"{file}.json").read_text())
    first = next(one for one in found if one["operation"] == name and one["kind"] == "request")
    return {**first["body"], **changes}


# --- clusters ---


async def _state(mrs: emulated.Pair, cluster_id: str) -> clusters.Cluster:
    reply: clusters.ClusterReply = await mrs.call("ShowClusterDetails", {"cluster_id": cluster_id})
    return reply.cluster


async def _runs(mrs: emulated.Pair, cluster_id: str) -> None:
    assert (await _state(mrs, cluster_id)).cluster_state == "starting"
    mrs.clock.pass_s(61)
    assert (await _state(mrs, cluster_id)).cluster_state == "running"


@scenario("CreateCluster")
async def _create_cluster(mrs: emulated.Pair) -> None:
    body = sample("v2-clusters", "CreateCluster")
    reply = await mrs.call("CreateCluster", body=body)
    await _runs(mrs, reply.cluster_id)
    cluster = await _state(mrs, reply.cluster_id)
    assert (cluster.cluster_name, cluster.core_node_num, cluster.tags) == ("orders-nightly", 3, "owner=data-platform")


@scenario("RunJobFlow")
async def _run_job_flow(mrs: emulated.Pair) -> None:
    reply = await mrs.call("RunJobFlow", body=sample("v2-clusters", "RunJobFlow"))
    await _runs(mrs, reply.cluster_id)
    mrs.clock.pass_s(1)
    page = await mrs.call("ShowJobExeListNew", {"cluster_id": reply.cluster_id}, query={"job_name": "nightly-agg"})
    assert [job.job_name for job in page.jobs] == ["nightly-agg"]
    mrs.clock.pass_s(600)
    assert (await _state(mrs, reply.cluster_id)).cluster_state == "terminated"


@scenario("CreateClusterV11")
async def _create_cluster_v11(mrs: emulated.Pair) -> None:
    reply = await mrs.call("CreateClusterV11", body=sample("v11-clusters", "CreateClusterV11"))
    assert reply.result is True
    await _runs(mrs, reply.cluster_id)


@scenario("UpdateClusterScaling")
async def _resize(mrs: emulated.Pair) -> None:
    before = (await _state(mrs, emulated.CLUSTER)).core_node_num
    assert before is not None
    body = {"parameters": {"scale_type": "scale_out", "instances": 2}}
    assert (await mrs.call("UpdateClusterScaling", AT, body=body)).result == "succeeded"
    assert (await _state(mrs, emulated.CLUSTER)).cluster_state == "scaling-out"
    mrs.clock.pass_s(61)
    after = await _state(mrs, emulated.CLUSTER)
    assert (after.cluster_state, after.core_node_num) == ("running", before + 2)


@scenario("ListClusters")
async def _list_clusters(mrs: emulated.Pair) -> None:
    page = await mrs.call("ListClusters", query={"clusterState": "running", "pageSize": 5, "currentPage": 1})
    assert [one.cluster_id for one in page.clusters] == [emulated.CLUSTER]
    assert (await mrs.call("ListClusters", query={"currentPage": 2})).clusters == ()


@scenario("ShowClusterDetails")
async def _show_cluster(mrs: emulated.Pair) -> None:
    cluster = await _state(mrs, emulated.CLUSTER)
    assert (cluster.cluster_id, cluster.cluster_state) == (emulated.CLUSTER, "running")
    assert isinstance(cluster.created_s, int)


@scenario("DeleteCluster")
async def _delete_cluster(mrs: emulated.Pair) -> None:
    await mrs.call("DeleteCluster", AT)
    assert (await _state(mrs, emulated.CLUSTER)).cluster_state == "terminating"
    mrs.clock.pass_s(61)
    assert (await _state(mrs, emulated.CLUSTER)).cluster_state == "terminated"


@scenario("ListHosts")
async def _list_hosts(mrs: emulated.Pair) -> None:
    page = await mrs.call("ListHosts", AT, query={"pageSize": 1})
    assert page.total >= 2
    assert len(page.hosts) == 1
    assert page.hosts[0].id


@scenario("CreateScalingPolicy")
async def _set_policy(mrs: emulated.Pair) -> None:
    created = await mrs.call("CreateClusterV11", body=sample("v11-clusters", "CreateClusterV11"))
    mrs.clock.pass_s(61)
    body = sample("v11-clusters", "CreateScalingPolicy")
    assert (await mrs.call("CreateScalingPolicy", {"cluster_id": created.cluster_id}, body=body)).result == "succeeded"


# --- tags ---


async def _tags(mrs: emulated.Pair) -> dict[str, str]:
    return {tag.key: tag.value for tag in (await mrs.call("ListClusterTags", AT)).tags}


@scenario("CreateClusterTag")
async def _add_tag(mrs: emulated.Pair) -> None:
    for value in ("etl", "adhoc"):
        await mrs.call("CreateClusterTag", AT, body={"tag": {"key": "owner", "value": value}})
        assert await _tags(mrs) == {"owner": value}


@scenario("DeleteClusterTag")
async def _delete_tag(mrs: emulated.Pair) -> None:
    await mrs.call("CreateClusterTag", AT, body={"tag": {"key": "wichtig für", "value": "x"}})
    await mrs.call("DeleteClusterTag", {**AT, "key": "wichtig für"})
    assert await _tags(mrs) == {}


@scenario("ListClusterTags")
async def _list_tags(mrs: emulated.Pair) -> None:
    assert await _tags(mrs) == {}


@scenario("BatchCreateClusterTags")
async def _batch_tags(mrs: emulated.Pair) -> None:
    tags = [{"key": "owner", "value": "etl"}, {"key": "tier", "value": "gold"}]
    await mrs.call("BatchCreateClusterTags", AT, body={"action": "create", "tags": tags})
    await mrs.call("BatchCreateClusterTags", AT, body={"action": "delete", "tags": tags[1:]})
    assert await _tags(mrs) == {"owner": "etl"}


@scenario("ListAllTags")
async def _all_tags(mrs: emulated.Pair) -> None:
    await mrs.call("CreateClusterTag", AT, body={"tag": {"key": "owner", "value": "etl"}})
    found = (await mrs.call("ListAllTags")).tags
    assert [(one.key, one.values) for one in found] == [("owner", ("etl",))]


@scenario("ListClustersByTags")
async def _find_by_tags(mrs: emulated.Pair) -> None:
    await mrs.call("CreateClusterTag", AT, body={"tag": {"key": "owner", "value": "etl"}})
    wanted = {"tags": [{"key": "owner", "values": ["etl"]}]}
    found = await mrs.call("ListClustersByTags", body={"action": "filter", **wanted})
    assert [one.resource_id for one in found.resources] == [emulated.CLUSTER]
    counted = await mrs.call("ListClustersByTags", body={"action": "count", **wanted})
    assert (counted.total_count, counted.resources) == (1, ())


# --- V2 jobs ---


async def submitted(mrs: emulated.Pair, **changes: Any) -> dict[str, str]:
    reply: jobs.SubmitReply = await mrs.call("CreateExecuteJob", AT, body={**JOB, **changes})
    return {**AT, "job_execution_id": reply.job_id}


@scenario("CreateExecuteJob")
async def _submit(mrs: emulated.Pair) -> None:
    at = await submitted(mrs)
    assert [effect.effect_id for effect in mrs.mrs.effects()] == [at["job_execution_id"]]


@scenario("ShowSingleJobExe")
async def _show_job(mrs: emulated.Pair) -> None:
    at = await submitted(mrs)
    mrs.clock.pass_s(60)
    job = (await mrs.call("ShowSingleJobExe", at)).job_detail
    assert (job.job_name, job.ended, job.job_result) == ("wordcount", True, "SUCCEEDED")


@scenario("ShowJobExeListNew")
async def _list_jobs(mrs: emulated.Pair) -> None:
    for number in range(3):
        await submitted(mrs, job_name=f"job-{number}")
    page = await mrs.call("ShowJobExeListNew", AT, query={"limit": 2, "offset": 2, "sort_by": "asc"})
    assert (page.total_record, [job.job_name for job in page.jobs]) == (3, ["job-2"])


@scenario("StopJob")
async def _stop(mrs: emulated.Pair) -> None:
    at = await submitted(mrs)
    mrs.clock.pass_s(2)
    await mrs.call("StopJob", at)
    mrs.clock.pass_s(2)
    assert (await mrs.call("ShowSingleJobExe", at)).job_detail.job_result == "KILLED"


@scenario("BatchDeleteJobs")
async def _delete_jobs(mrs: emulated.Pair) -> None:
    at = await submitted(mrs)
    mrs.clock.pass_s(60)
    await mrs.call("BatchDeleteJobs", AT, body={"job_id_list": [at["job_execution_id"]]})
    with pytest.raises(errors.MrsRefused, match="0176"):
        await mrs.call("ShowSingleJobExe", at)


@scenario("ShowSqlResultWithJob")
async def _statement_results(mrs: emulated.Pair) -> None:
    at = await submitted(mrs, job_type="SparkSql", arguments=["select 1"])
    mrs.clock.pass_s(60)
    async with asyncio.timeout(20):  # SQL runs in real time
        while not (await mrs.call("ShowSingleJobExe", at)).job_detail.ended:
            await asyncio.sleep(0.005)
            mrs.clock.pass_s(1)
    assert (await mrs.call("ShowSqlResultWithJob", at)).statements


# --- V2 SQL ---


@scenario("ExecuteSql")
async def _execute_sql(mrs: emulated.Pair) -> None:
    reply = await mrs.call("ExecuteSql", AT, body={"sql_content": "show tables"})
    assert reply.id
    assert reply.ended


@scenario("ShowSqlResult")
async def _show_sql(mrs: emulated.Pair) -> None:
    started = await mrs.call("ExecuteSql", AT, body={"sql_content": "select 1"})
    shown = await mrs.call("ShowSqlResult", {**AT, "sql_id": started.id})
    assert shown.id == started.id


@scenario("CancelSql")
async def _cancel_sql(mrs: emulated.Pair) -> None:
    started = await mrs.call("ExecuteSql", AT, body={"sql_content": "select 1"})
    assert (await mrs.call("CancelSql", {**AT, "sql_id": started.id})).done
