"""
The vendor's own SDK, unmodified, against the emulator: clusters, auto scaling and tags.

It signs with AK/SK and is synchronous, so it runs in threads. What it cannot parse, no client of it could use.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from huaweicloudsdkmrs import v1, v2
from tests.support import vendor_sdk

from mrs_emulator.core import settings
from mrs_emulator.http import server

PACE = {"create_s": 0.2, "resize_s": 0.1, "delete_s": 0.1, "new_s": 0, "submitted_s": 0, "accepted_s": 0, "run_s": 0.2}
SIZE = "c6.4xlarge.4.linux.mrs"


class Vendor(vendor_sdk.Vendor):
    """The vendor's clients, with what these tests do again and again."""

    async def details(self, cluster_id: str) -> Any:
        """Return details of a cluster."""
        request = v1.ShowClusterDetailsRequest(cluster_id=cluster_id)
        return (await self.ask(self.v1.show_cluster_details, request)).cluster

    async def until(self, cluster_id: str, *states: str) -> Any:
        """Return details of a cluster once it is in one of the states."""
        async with asyncio.timeout(60):
            while (found := await self.details(cluster_id)).cluster_state not in states:
                await asyncio.sleep(0.02)
        return found

    async def created(self, name: str = "etl", **changes: object) -> str:
        """Return id of a cluster ordered by V1.1's run-job-flow."""
        body = v1.CreateClusterReqV11(
            cluster_version="MRS 3.1.2-LTS.3",
            cluster_name=name,
            billing_type=12,
            data_center="eu-west-0",
            available_zone_id="eu-west-0a",
            vpc="vpc-data",
            vpc_id="0b8d6f1e",
            subnet_id="5c1f7a2d",
            subnet_name="subnet-data",
            safe_mode=0,
            component_list=[v1.ComponentAmbV11(component_name=one) for one in ("Hadoop", "Spark2x", "Hive")],
            node_groups=[
                v1.NodeGroupV11("master_node_default_group", 2, SIZE),
                v1.NodeGroupV11("core_node_analysis_group", 3, SIZE),
            ],
            tags=[v1.Tag("owner", "etl")],
            **changes,
        )

        reply = await self.ask(self.v1.create_cluster, v1.CreateClusterRequest(body=body))
        assert (reply.status_code, reply.result, reply.msg) == (200, True, "")
        return str(reply.cluster_id)


@asynccontextmanager
async def vendor(**changes: object) -> AsyncIterator[Vendor]:
    """Yield the vendor's clients at a fresh emulator that checks signatures."""
    chosen = settings.EmulatorSettings.model_validate({"port": 0, "pace": PACE, **changes})
    async with server.running(chosen) as live:
        yield Vendor(live.url)


def v2_body(kind: Any, name: str, **changes: object) -> Any:
    """Return a V2 order."""
    disk = v2.Volume(type="SAS", size=600)
    groups = [
        v2.NodeGroupV2(
            group_name=group, node_num=number, node_size=SIZE, root_volume=disk, data_volume=disk, data_volume_count=1
        )
        for group, number in (("master_node_default_group", 2), ("core_node_analysis_group", 3))
    ]

    return kind(
        cluster_version="MRS 3.1.0",
        cluster_name=name,
        cluster_type="ANALYSIS",
        region="cn-north-4",
        availability_zone="cn-north-4a",
        vpc_name="vpc-data",
        subnet_id="5c1f7a2d",
        subnet_name="subnet-data",
        components="Hadoop,Spark2x,Hive",
        safe_mode="SIMPLE",
        manager_admin_password="Example@2026x",  # noqa: S106 - an example
        login_mode="KEYPAIR",
        node_keypair_name="kp-data",
        node_groups=groups,
        **changes,
    )


async def test_cluster_is_created_scaled_and_deleted() -> None:
    """CreateCluster (V1.1), ShowClusterDetails, UpdateClusterScaling, ListHosts, ListClusters, DeleteCluster."""
    async with vendor() as at:
        cluster_id = await at.created()
        found = await at.details(cluster_id)
        assert (found.cluster_name, found.cluster_state, found.tags) == ("etl", "starting", "owner=etl")
        found = await at.until(cluster_id, "running")
        assert (found.master_node_num, found.core_node_num, found.total_node_num) == ("2", "3", "5")
        assert [one.component_name for one in found.component_list] == ["Hadoop", "Spark2x", "Hive"]

        wanted = v1.ClusterScalingParams(scale_type="scale_out", node_id="node_orderadd", instances=2)
        request = v1.UpdateClusterScalingRequest(cluster_id, v1.ClusterScalingReq(parameters=wanted))
        assert (await at.ask(at.v1.update_cluster_scaling, request)).result == "succeeded"
        assert await at.refused(at.v1.update_cluster_scaling, request) == (400, "12000018")
        await at.until(cluster_id, "running")
        hosts = await at.ask(at.v1.list_hosts, v1.ListHostsRequest(cluster_id, page_size="5"))
        assert (hosts.total, len(hosts.hosts), hosts.hosts[0].type, hosts.hosts[0].data_volume_size) == (
            7,
            5,
            "Master",
            100,
        )

        request = v1.ListClustersRequest(cluster_state="running", tags="owner*etl", page_size="5", current_page="1")
        page = await at.ask(at.v1.list_clusters, request)
        assert (page.cluster_total, [one.cluster_id for one in page.clusters]) == (1, [cluster_id])

        request = v1.DeleteClusterRequest(cluster_id)
        assert (await at.ask(at.v1.delete_cluster, request)).status_code == 204
        assert await at.refused(at.v1.delete_cluster, request) == (400, "12000021")
        assert (await at.until(cluster_id, "terminated")).scale == ""


async def test_job_comes_with_the_cluster_and_the_cluster_goes_with_it() -> None:
    """CreateCluster (V1.1) with add_jobs and shutdown_cluster; the job is read through V2."""
    job = v1.AddJobsReqV11(
        job_type=1,
        job_name="wc",
        jar_path="s3a://b/wc.jar",
        submit_job_once_cluster_run=True,
        shutdown_cluster=True,
    )
    async with vendor() as at:
        cluster_id = await at.created(add_jobs=[job])
        await at.until(cluster_id, "terminated")
        jobs = await at.ask(at.v2.show_job_exe_list_new, v2.ShowJobExeListNewRequest(cluster_id))
        assert [(one.job_name, one.job_result) for one in jobs.job_list] == [("wc", "SUCCEEDED")]


async def test_v2_orders() -> None:
    """CreateCluster and RunJobFlow of V2; a second order with the same name is refused."""
    async with vendor() as at:
        request = v2.CreateClusterRequest(v2_body(v2.CreateClusterReqV2, "plain", tags=[v2.Tag("owner", "v2")]))
        reply = await at.ask(at.v2.create_cluster, request)
        assert (await at.details(reply.cluster_id)).tags == "owner=v2"
        assert await at.refused(at.v2.create_cluster, request) == (400, "12000043")

        job = v2.JobExecution(
            job_type="SparkSubmit", job_name="agg", arguments=["--class", "A", "a.jar"], properties={}
        )
        body = v2_body(v2.RunJobFlowCommand, "flow", steps=[v2.StepConfig(job)], delete_when_no_steps=True)
        reply = await at.ask(at.v2.run_job_flow, v2.RunJobFlowRequest(body))
        await at.until(reply.cluster_id, "terminated")
        jobs = await at.ask(at.v2.show_job_exe_list_new, v2.ShowJobExeListNewRequest(reply.cluster_id, job_name="agg"))
        assert (jobs.total_record, jobs.job_list[0].job_result) == (1, "SUCCEEDED")


async def test_auto_scaling_policy_is_stored() -> None:
    """CreateScalingPolicy; a wrong one is refused with the member's name."""
    trigger = v1.Trigger("YARNAppPending", "5", "GTOE", 2)
    rule = v1.Rule("out", "", "scale_out", 10, 1, trigger)
    policy = v1.AutoScalingPolicy(auto_scaling_enable=True, min_capacity=1, max_capacity=4, rules=[rule])
    async with vendor() as at:
        cluster_id = settings.Cluster().cluster_id
        body = v1.AutoScalingPolicyReqV11("task_node_default_group", policy)
        request = v1.CreateScalingPolicyRequest(cluster_id, body)
        assert (await at.ask(at.v1.create_scaling_policy, request)).result == "succeeded"
        policy.min_capacity = 5
        assert await at.refused(at.v1.create_scaling_policy, request) == (400, "12000002")


async def test_tags_are_added_listed_and_removed() -> None:
    """One tag and batches of them, the tags of a cluster and of the project."""
    cluster_id = settings.Cluster().cluster_id

    async with vendor() as at:

        async def tags() -> dict[str, str]:
            found = await at.ask(at.v1.list_cluster_tags, v1.ListClusterTagsRequest(cluster_id))
            return {one.key: one.value for one in found.tags}

        body = v1.CreateTagReq(v1.Tag("owner", "etl"))
        reply = await at.ask(at.v1.create_cluster_tag, v1.CreateClusterTagRequest(cluster_id, body))
        assert reply.status_code == 204
        many = [v1.Tag("tier", "gold"), v1.Tag("größe", "1 %")]
        batch = v1.BatchCreateClusterTagsReq("create", many)
        assert (
            await at.ask(at.v1.batch_create_cluster_tags, v1.BatchCreateClusterTagsRequest(cluster_id, batch))
        ).status_code == 204
        assert await tags() == {"owner": "etl", "tier": "gold", "größe": "1 %"}
        await at.ask(at.v1.delete_cluster_tag, v1.DeleteClusterTagRequest(cluster_id, "größe"))
        gone = v1.BatchDeleteClusterTagsReq("delete", [v1.Tag("tier", "gold")])
        await at.ask(at.v1.batch_delete_cluster_tags, v1.BatchDeleteClusterTagsRequest(cluster_id, gone))
        assert await tags() == {"owner": "etl"}
        everything = await at.ask(at.v1.list_all_tags, v1.ListAllTagsRequest())
        assert [(one.key, one.values) for one in everything.tags] == [("owner", ["etl"])]

        missing = v1.DeleteClusterTagRequest(cluster_id, "tier")
        assert await at.refused(at.v1.delete_cluster_tag, missing) == (404, "12005003")
        wrong = v1.CreateClusterTagRequest(cluster_id, v1.CreateTagReq(v1.Tag("a=b", "")))
        assert await at.refused(at.v1.create_cluster_tag, wrong) == (400, "12005002")


async def test_clusters_are_found_and_counted_by_tags() -> None:
    """ListClustersByTags with both of its actions."""
    async with vendor() as at:
        cluster_id = await at.created("nightly-1")
        query = {"tags": [v1.TagWithMultiValue("owner", ["etl"])], "matches": [v1.Match("resource_name", "night")]}
        request = v1.ListClustersByTagsRequest(v1.ListResourceReq(action="filter", limit=10, offset=0, **query))
        found = await at.ask(at.v1.list_clusters_by_tags, request)
        assert (found.total_count, found.resources[0].resource_id) == (1, cluster_id)
        request = v1.ListClustersByTagsRequest(v1.ListResourceReq(action="count", **query))
        assert (await at.ask(at.v1.list_clusters_by_tags, request)).total_count == 1


async def test_unknown_cluster_is_read_as_12000003() -> None:
    """The SDK finds code and message in the camelCase keys, too."""
    async with vendor() as at:
        assert await at.refused(at.v1.show_cluster_details, v1.ShowClusterDetailsRequest("nope")) == (400, "12000003")
