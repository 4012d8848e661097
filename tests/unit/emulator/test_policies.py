"""Auto scaling policies: what is stored, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.emulator import cluster_requests, http_client

RULE: dict[str, Any] = {
    "name": "out-pending",
    "adjustment_type": "scale_out",
    "cool_down_minutes": 10,
    "scaling_adjustment": 1,
    "trigger": {
        "metric_name": "YARNAppPending",
        "metric_value": "5",
        "comparison_operator": "GTOE",
        "evaluation_periods": 2,
    },
}
PLAN: dict[str, Any] = {
    "period_type": "daily",
    "start_time": "8:00",
    "end_time": "20:00",
    "min_capacity": 2,
    "max_capacity": 5,
}
SCRIPT: dict[str, Any] = {
    "name": "warm cache",
    "uri": "s3a://b/warm.sh",
    "nodes": ["task"],
    "action_stage": "after_scale_in",
    "fail_action": "continue",
}


def policy(**changes: object) -> dict[str, Any]:
    """Return a policy with one of each."""
    return {
        "auto_scaling_enable": True,
        "min_capacity": 1,
        "max_capacity": 5,
        "resources_plans": [PLAN],
        "rules": [RULE],
        "exec_scripts": [SCRIPT],
        **changes,
    }


async def put(client: http_client.Client, value: object, group: str = "task_node_default_group") -> tuple[int, Any]:
    """Return status and body of the reply."""
    url = f"{cluster_requests.V11}/autoscaling-policy/{client.cluster}"
    reply = await client.ask("POST", url, {"node_group": group, "auto_scaling_policy": value})
    return reply.status, reply.json()


async def test_policy_replaces_the_one_before_and_shows_in_the_task_group() -> None:
    """The general name and the group's own mean the same group."""
    nodes = [*cluster_requests.v11()["node_groups"], cluster_requests.node_group("task_node_analysis_group", 1)]
    client = await cluster_requests.created(http_client.create(), cluster_requests.v11(node_groups=nodes))
    assert (await cluster_requests.details(client))["taskNodeGroups"][0]["AutoScalingPolicy"] is None
    assert await put(client, policy()) == (200, {"result": "succeeded"})
    off = policy(auto_scaling_enable=False, rules=[], resources_plans=[])
    assert (await put(client, off, "task_node_analysis_group"))[0] == 200
    assert (await cluster_requests.details(client))["taskNodeGroups"][0]["AutoScalingPolicy"] == off


async def test_policy_may_come_with_the_cluster() -> None:
    """In the Task groups of an order; it is checked there, too."""
    task = cluster_requests.node_group("task_node_analysis_group", 1, auto_scaling_policy=policy())
    nodes = [*cluster_requests.v11()["node_groups"], task]
    client = await cluster_requests.created(http_client.create(), cluster_requests.v11(node_groups=nodes))
    assert (await cluster_requests.details(client))["taskNodeGroups"][0]["AutoScalingPolicy"] == policy()
    task["auto_scaling_policy"] = policy(min_capacity=501)
    body = cluster_requests.v11("other", node_groups=[*cluster_requests.v11()["node_groups"], task])
    assert http_client.code(await client.ask("POST", cluster_requests.FLOW, body)) == "12000002"


async def test_numbers_may_be_strings() -> None:
    """Published examples send them so."""
    rule = {**RULE, "cool_down_minutes": "10", "scaling_adjustment": "1"}
    assert (await put(http_client.create(), policy(auto_scaling_enable="true", min_capacity="1", rules=[rule])))[
        0
    ] == 200


def trigger(**changes: object) -> dict[str, Any]:
    """Return a policy whose trigger differs."""
    return policy(rules=[{**RULE, "trigger": {**RULE["trigger"], **changes}}])


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        policy(auto_scaling_enable="perhaps"),
        policy(rules=[], resources_plans=[]),
        policy(min_capacity=-1),
        policy(max_capacity=501),
        policy(min_capacity=6),
        policy(resources_plans=[{**PLAN, "period_type": "weekly"}]),
        policy(resources_plans=[{**PLAN, "start_time": "24:00"}]),
        policy(resources_plans=[{**PLAN, "end_time": "8:29"}]),
        policy(resources_plans=[{**PLAN, "effective_days": ["SOMEDAY"]}]),
        policy(rules=[{**RULE, "name": "no spaces"}]),
        policy(rules=[RULE, RULE]),
        policy(rules=[{**RULE, "adjustment_type": "sideways"}]),
        policy(rules=[{**RULE, "cool_down_minutes": 10_081}]),
        policy(rules=[{**RULE, "scaling_adjustment": 101}]),
        policy(rules=[{**RULE, "trigger": {}}]),
        trigger(metric_name="Mood"),
        trigger(metric_value="1.234"),
        trigger(comparison_operator="EQ"),
        trigger(evaluation_periods=289),
        policy(exec_scripts=[{**SCRIPT, "fail_action": "errorout"}]),
        policy(exec_scripts=[{**SCRIPT, "action_stage": "whenever"}]),
    ],
)
async def test_wrong_policy_is_12000002(wrong: object) -> None:
    """Limits are those of the tables."""
    status, body = await put(http_client.create(), wrong)
    assert (status, body["error_code"]) == (400, "12000002")


async def test_only_task_groups_can_have_a_policy() -> None:
    """Core and Master nodes do not scale by themselves."""
    assert (await put(http_client.create(), policy(), "core_node_analysis_group"))[1]["error_code"] == "12000002"
