"""Clusters over time: created, resized, deleted, by the rules and against them. The clock is moved by hand."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.emulator import cluster_requests, http_client

STAGES = [
    "Verifying cluster parameters",
    "Applying for cluster resources",
    "Creating VM",
    "Initializing VM",
    "Installing MRS Manager",
    "Deploying cluster",
]
TASKS = cluster_requests.node_group("task_node_analysis_group", 2, data_volume_count=0)


async def running(**changes: Any) -> http_client.Client:
    """Return a desk at a cluster of 2 Master, 4 Core and 2 Task nodes that has just become running."""
    nodes = [*cluster_requests.v11()["node_groups"], TASKS]
    client = await cluster_requests.created(http_client.create(**changes), cluster_requests.v11(node_groups=nodes))
    client.clock.pass_s(5)
    assert await cluster_requests.state(client) == "running"
    return client


async def test_creation_goes_through_its_stages_to_running() -> None:
    """The stages take the same time each; then stageDesc is empty and the cluster is charged for."""
    client = await cluster_requests.created(http_client.create(pace={"create_s": 60}))
    seen = []

    for _ in range(6):
        found = await cluster_requests.details(client)
        assert found["clusterState"] == "starting"
        seen.append(found["stageDesc"])
        client.clock.pass_s(10)

    assert seen == STAGES
    found = await cluster_requests.details(client)
    begin_s = http_client.START_MS // 1000
    assert (found["clusterState"], found["stageDesc"], found["scale"], found["errorInfo"]) == ("running", None, "", "")
    assert [found[one] for one in ("createAt", "updateAt", "chargingStartTime")] == [
        str(begin_s),
        str(begin_s + 60),
        str(begin_s + 60),
    ]


async def test_speed_divides_the_durations_of_clusters() -> None:
    """A demo need not wait."""
    client = await cluster_requests.created(http_client.create(pace={"create_s": 600, "speed": 100}))
    client.clock.pass_s(5.9)
    assert await cluster_requests.state(client) == "starting"
    client.clock.pass_s(0.1)
    assert await cluster_requests.state(client) == "running"


@pytest.mark.parametrize(
    ("name", "state", "after_s"),
    [
        ("nightly-FAIL", "failed", 5),
        ("stuck_1", "starting", 9999),
        ("quick-1", "running", 0.5),
        ("slow", "running", 50),
    ],
)
async def test_words_in_the_name_decide_how_a_creation_goes(name: str, state: str, after_s: float) -> None:
    """Failures and delays can be asked for without any admin call."""
    client = await cluster_requests.created(http_client.create(), cluster_requests.v11(name))
    client.clock.pass_s(after_s - 0.1)
    assert await cluster_requests.state(client) == "starting"
    client.clock.pass_s(0.1)
    assert await cluster_requests.state(client) == state


async def test_tags_decide_before_words() -> None:
    """A tag may give outcome, duration and cause."""
    tags = {"emulator.create": "failed", "emulator.create_s": "30", "emulator.cause": "MRS.201"}
    body = cluster_requests.v11("stuck", tags=[{"key": key, "value": value} for key, value in tags.items()])
    client = await cluster_requests.created(http_client.create(), body)
    client.clock.pass_s(30)
    found = await cluster_requests.details(client)
    assert (found["clusterState"], found["stageDesc"]) == ("failed", "Cluster installation failed")
    assert found["errorInfo"].startswith("(MRS.201)")
    assert client.cluster in found["errorInfo"]


async def test_failed_creation_can_be_cleaned_up_and_can_tell_its_cause_in_the_stage() -> None:
    """Both are said somewhere and not everywhere, so both are settings."""
    rules = {"failed_cleaned_s": 60, "stage_tells_cause": True}
    client = await cluster_requests.created(http_client.create(cluster_rules=rules), cluster_requests.v11("fail"))
    client.clock.pass_s(5)
    assert "(MRS.104)" in (await cluster_requests.details(client))["stageDesc"]
    client.clock.pass_s(60)
    assert await cluster_requests.state(client) == "terminated"


async def test_scale_out_ends_in_running_with_more_nodes() -> None:
    """Number of nodes and scale change only at the end; instances is a difference and may be a string."""
    client = await running()
    reply = await cluster_requests.resize(client, "3", node_group="core_node_default_group")
    assert (reply.status, reply.json()) == (200, {"result": "succeeded"})
    seen = await cluster_requests.details(client)
    assert (seen["clusterState"], seen["scale"], seen["stageDesc"], seen["coreNodeNum"]) == (
        "scaling-out",
        "scaling-out",
        "Preparing for cluster expansion",
        "4",
    )
    client.clock.pass_s(3)
    seen = await cluster_requests.details(client)
    assert (seen["clusterState"], seen["scale"], seen["coreNodeNum"], seen["totalNodeNum"]) == (
        "running",
        "",
        "7",
        "11",
    )
    await cluster_requests.resize(client, 3)
    client.clock.pass_s(3)
    assert (await cluster_requests.details(client))["coreNodeNum"] == "10"


async def test_scale_in_takes_nodes_away_and_new_nodes_are_new() -> None:
    """Hosts that stay keep their ids; one that comes later never has the id of one that went."""
    client = await running()
    before = [one["id"] for one in await cluster_requests.hosts(client)]
    await cluster_requests.resize(client, 1, "scale_in")
    assert (await cluster_requests.details(client))["stageDesc"] == "Preparing for cluster shrink"
    assert len(await cluster_requests.hosts(client)) == 8
    client.clock.pass_s(3)
    left = [one["id"] for one in await cluster_requests.hosts(client)]
    assert (len(left), set(left) < set(before)) == (7, True)
    await cluster_requests.resize(client, 1)
    client.clock.pass_s(3)
    after = [one["id"] for one in await cluster_requests.hosts(client)]
    assert (len(after), len(set(after) - set(before))) == (8, 1)


async def test_failed_resize_is_running_again_with_the_old_nodes_and_says_so() -> None:
    """Only scale, stageDesc and the number of nodes tell; the next good resize clears it."""
    client = await running()
    await cluster_requests.tag(client, "emulator.resize", "failed")
    await cluster_requests.resize(client, 2)
    client.clock.pass_s(3)
    seen = await cluster_requests.details(client)
    assert (seen["clusterState"], seen["scale"], seen["stageDesc"], seen["coreNodeNum"]) == (
        "running",
        "scaling-error",
        "Cluster expansion failed",
        "4",
    )
    await cluster_requests.tag(client, "emulator.resize", "succeeded")
    await cluster_requests.resize(client, 2)
    client.clock.pass_s(3)
    seen = await cluster_requests.details(client)
    assert (seen["scale"], seen["stageDesc"], seen["coreNodeNum"]) == ("", None, "6")


async def test_stuck_resize_never_ends() -> None:
    """A poller needs a limit."""
    client = await running()
    await cluster_requests.tag(client, "emulator.resize", "stuck")
    await cluster_requests.resize(client, 2)
    client.clock.pass_s(99_999)
    assert await cluster_requests.state(client) == "scaling-out"


async def test_telekom_words_can_be_chosen() -> None:
    """The wording of stageDesc differs between documents."""
    client = await running(cluster_rules={"words": "scale-out"})
    await cluster_requests.resize(client, 1)
    assert (await cluster_requests.details(client))["stageDesc"] == "Preparing for scale-out"


async def test_task_nodes_named_by_id_are_those_that_go() -> None:
    """server_ids choose; without them the newest go. No Task node need remain."""
    client = await running()
    tasks = [one for one in await cluster_requests.hosts(client) if one["type"] == "Task"]
    reply = await cluster_requests.resize(
        client, 1, "scale_in", node_group="task_node_default_group", server_ids=[tasks[0]["id"]]
    )
    assert reply.status == 200
    client.clock.pass_s(3)
    assert [one["id"] for one in await cluster_requests.hosts(client) if one["type"] == "Task"] == [tasks[1]["id"]]
    await cluster_requests.resize(client, 1, "scale_in", node_group="task_node_analysis_group")
    client.clock.pass_s(3)
    assert (await cluster_requests.details(client))["taskNodeGroups"][0]["nodeNum"] == 0


async def test_first_task_nodes_need_a_flavor_and_later_ones_must_not_have_one() -> None:
    """task_node_info belongs to the first Task nodes only: 12000123 afterwards."""
    client = await cluster_requests.created(http_client.create())
    client.clock.pass_s(5)
    task = {"node_group": "task_node_default_group"}
    info = {"node_size": "t.large", "data_volume_type": "SSD", "data_volume_count": 1, "data_volume_size": 200}
    assert http_client.code(await cluster_requests.resize(client, 2, **task)) == "12000002"
    assert (await cluster_requests.resize(client, 2, **task, task_node_info=info)).status == 200
    client.clock.pass_s(3)
    found = await cluster_requests.details(client)
    assert [(one["groupName"], one["nodeNum"], one["nodeSize"]) for one in found["taskNodeGroups"]] == [
        ("task_node_analysis_group", 2, "t.large")
    ]
    assert http_client.code(await cluster_requests.resize(client, 2, **task, task_node_info=info)) == "12000123"
    assert (await cluster_requests.resize(client, 2, **task)).status == 200


@pytest.mark.parametrize(
    ("number", "direction", "changes", "expected"),
    [
        (0, "scale_out", {}, "12000002"),
        ("many", "scale_out", {}, "12000002"),
        (1, "sideways", {}, "12000002"),
        (1, "scale_out", {"node_id": "other"}, "12000002"),
        (1, "scale_out", {"node_group": "master_node_default_group"}, "12000002"),
        (1, "scale_out", {"node_group": "nope"}, "12000002"),
        (1, "scale_out", {"skip_bootstrap_scripts": "perhaps"}, "12000002"),
        (495, "scale_out", {}, "12000028"),
        (2, "scale_in", {}, "12000013"),
        (3, "scale_in", {"node_group": "task_node_default_group"}, "12000013"),
        (1, "scale_in", {"node_group": "task_node_streaming_group"}, "12000013"),
        (1, "scale_in", {"node_group": "task_node_default_group", "server_ids": ["nope"]}, "12000002"),
    ],
)
async def test_resize_beyond_the_limits_is_refused_and_changes_nothing(
    number: object, direction: str, changes: dict[str, object], expected: str
) -> None:
    """Three Core nodes must remain, 500 Core and Task nodes are the most."""
    client = await running()
    reply = await cluster_requests.resize(client, number, direction, **changes)
    assert (reply.status, http_client.code(reply)) == (400, expected)
    assert await cluster_requests.state(client) == "running"


async def test_resize_needs_a_body_with_parameters() -> None:
    """The wrapper is not optional."""
    client = await running()
    assert (
        http_client.code(await client.ask("PUT", f"{cluster_requests.INFOS}/{client.cluster}", {"instances": 1}))
        == "12000002"
    )


async def test_resize_is_refused_unless_the_cluster_is_running() -> None:
    """12000018 while it is being scaled, 12000012 in all other states, or 12000017 where that is chosen."""
    client = await cluster_requests.created(http_client.create())
    assert http_client.code(await cluster_requests.resize(client)) == "12000012"
    client.clock.pass_s(5)
    await cluster_requests.resize(client)
    assert http_client.code(await cluster_requests.resize(client)) == "12000018"
    client.clock.pass_s(3)
    await cluster_requests.delete(client)
    assert http_client.code(await cluster_requests.resize(client)) == "12000012"
    other = await cluster_requests.created(http_client.create(cluster_rules={"resize_refused_code": "12000017"}))
    assert http_client.code(await cluster_requests.resize(other)) == "12000017"


async def test_delete_goes_through_terminating_and_the_cluster_can_still_be_read() -> None:
    """204 without a body; hosts are gone with the cluster, its details are not."""
    client = await running()
    reply = await cluster_requests.delete(client)
    assert (reply.status, reply.body) == (204, b"")
    assert await cluster_requests.state(client) == "terminating"
    client.clock.pass_s(2)
    assert await cluster_requests.state(client) == "terminated"
    assert await cluster_requests.hosts(client) == []
    listed = (await client.ask("GET", f"{cluster_requests.INFOS}?clusterState=history")).json()
    assert [one["clusterId"] for one in listed["clusters"]] == [client.cluster]


@pytest.mark.parametrize("state", ["starting", "scaling-out", "scaling-in", "terminating", "terminated", "failed"])
async def test_delete_is_refused_in_these_states(state: str) -> None:
    """12000021; abnormal and frozen clusters can be deleted, as running ones."""
    client = http_client.create(clusters=[{"state": state}])
    reply = await cluster_requests.delete(client)
    assert (reply.status, http_client.code(reply)) == (400, "12000021")


@pytest.mark.parametrize("state", ["running", "abnormal", "frozen"])
async def test_delete_is_accepted_in_these_states(state: str) -> None:
    """All that are not refused by the page."""
    assert (await cluster_requests.delete(http_client.create(clusters=[{"state": state}]))).status == 204


async def test_delete_can_fail_or_answer_200() -> None:
    """A tag asks for the failure, a setting for the status of newer pages."""
    client = await running(cluster_rules={"delete_status": 200})
    await cluster_requests.tag(client, "emulator.delete", "failed")
    reply = await cluster_requests.delete(client)
    assert (reply.status, reply.json()) == (200, {"result": "succeeded"})
    client.clock.pass_s(2)
    found = await cluster_requests.details(client)
    assert (found["clusterState"], found["errorInfo"][:9]) == ("abnormal", "(MRS.104)")


async def test_states_may_follow_late() -> None:
    """With a delay the cluster looks untouched for a while, yet a second resize or delete is refused."""
    client = await running(cluster_rules={"late_state_s": 10})
    await cluster_requests.resize(client)
    assert await cluster_requests.state(client) == "running"
    assert http_client.code(await cluster_requests.resize(client)) == "12000018"
    assert http_client.code(await cluster_requests.delete(client)) == "12000021"
    client.clock.pass_s(10)
    assert await cluster_requests.state(client) == "scaling-out"
    client.clock.pass_s(3)
    assert (await cluster_requests.details(client))["coreNodeNum"] == "6"


async def test_terminated_cluster_is_forgotten_after_half_a_year() -> None:
    """Until then it can be read; afterwards it is 12000003, and its jobs are gone."""
    client = await running()
    job_id = await client.submitted()
    await cluster_requests.delete(client)
    client.clock.pass_s(180 * 86_400)
    assert await cluster_requests.state(client) == "terminated"
    client.clock.pass_s(2)
    assert http_client.code(await client.ask("GET", f"{cluster_requests.INFOS}/{client.cluster}")) == "12000003"
    assert http_client.code(await client.ask("GET", f"{client.base}/job-executions/{job_id}")) == "12000003"
    assert [one["id"] for one in (await client.effects(kind="job"))["effects"]] == [job_id]


async def test_jobs_are_taken_while_scaling_and_refused_before_and_after() -> None:
    """0056 in all states but running and scaling; Presto statements likewise."""
    client = await cluster_requests.created(http_client.create())
    assert http_client.code(await client.submit()) == "0056"
    client.clock.pass_s(5)
    await client.submitted()
    await cluster_requests.resize(client)
    await client.submitted()
    client.clock.pass_s(3)
    await cluster_requests.delete(client)
    assert http_client.code(await client.submit()) == "0056"
    assert http_client.code(await client.execute("select 1")) == "MRS.0011"


async def test_jobs_of_a_deleted_cluster_are_killed() -> None:
    """Nothing runs on where there is no cluster; their records stay."""
    client = await running(pace={"run_s": 600})
    job_id = await client.submitted()
    client.clock.pass_s(10)
    await cluster_requests.delete(client)
    client.clock.pass_s(2)
    assert await client.seen(job_id) == ("KILLED", "KILLED")


async def test_hosts_have_the_shape_of_the_samples() -> None:
    """One per node, with its role; a page is ten by default, and the total counts all."""
    client = await running()
    found = await cluster_requests.hosts(client)
    assert [one["type"] for one in found] == ["Master"] * 2 + ["Core"] * 4 + ["Task"] * 2
    first = found[0]
    assert first["name"].startswith(f"{client.cluster}_node_master1_")
    assert (first["status"], first["cpu"], first["mem"], first["root_volume_size"]) == ("ACTIVE", "16", "65536", "480")
    assert len({one["ip"] for one in found}) == 8
    await cluster_requests.resize(client, 5)
    client.clock.pass_s(3)
    reply = (await client.ask("GET", f"{cluster_requests.CLUSTERS}/{client.cluster}/hosts")).json()
    assert (reply["total"], len(reply["hosts"])) == (13, 10)
    assert len(await cluster_requests.hosts(client, "?pageSize=10&currentPage=2")) == 3


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("DELETE", f"{cluster_requests.CLUSTERS}/nope"),
        ("GET", f"{cluster_requests.CLUSTERS}/nope/hosts"),
        ("PUT", f"{cluster_requests.INFOS}/nope"),
        ("GET", f"{cluster_requests.CLUSTERS}/nope/tags"),
        ("POST", f"{cluster_requests.CLUSTERS}/nope/tags"),
        ("POST", f"{cluster_requests.CLUSTERS}/nope/tags/action"),
        ("DELETE", f"{cluster_requests.CLUSTERS}/nope/tags/k"),
        ("POST", f"{cluster_requests.V11}/autoscaling-policy/nope"),
    ],
)
async def test_unknown_cluster_is_12000003_everywhere(verb: str, path: str) -> None:
    """Never a 404."""
    reply = await http_client.create().ask(verb, path, {})
    assert (reply.status, http_client.code(reply)) == (400, "12000003")


async def test_clusters_are_listed_newest_first_and_found_by_tags() -> None:
    """Tags of a query are joined by AND; a bare key means an empty value."""
    client = http_client.create()
    for name, tags in (("a", {"owner": "x", "tmp": ""}), ("b", {"owner": "x"}), ("c", {"owner": "y", "tmp": "z"})):
        client.clock.pass_s(1)
        await cluster_requests.created(
            client, cluster_requests.v11(name, tags=[{"key": k, "value": v} for k, v in tags.items()])
        )

    async def names(query: str) -> list[str]:
        reply = await client.ask("GET", f"{cluster_requests.INFOS}?{query}")
        return [one["clusterName"] for one in reply.json()["clusters"]]

    assert await names("") == ["c", "b", "a", "emulator"]
    assert await names("tags=owner*x") == ["b", "a"]
    assert await names("tags=owner*x,tmp") == ["a"]
    assert await names("tags=nope*x") == []
    assert await names("clusterState=starting&clusterName=b") == ["b"]
