"""Tags of clusters: their rules, batches, and queries by tags."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.emulator import cluster_requests, http_client

TAGS = f"{cluster_requests.CLUSTERS}/{http_client.CLUSTER}/tags"
FIND = f"{cluster_requests.CLUSTERS}/resource_instances/action"


async def tags(client: http_client.Client) -> dict[str, str]:
    """Return tags of the desk's cluster."""
    reply = await client.ask("GET", f"{cluster_requests.CLUSTERS}/{client.cluster}/tags")
    assert reply.status == 200
    return {one["key"]: one["value"] for one in reply.json()["tags"]}


async def batch(client: http_client.Client, action: str, *pairs: tuple[str, str]) -> tuple[int, str]:
    """Return status and code of a batch."""
    body = {"action": action, "tags": [{"key": key, "value": value} for key, value in pairs]}
    reply = await client.ask("POST", f"{TAGS}/action", body)
    return reply.status, "" if reply.status == 204 else http_client.code(reply)


async def test_tag_is_added_overwritten_and_removed() -> None:
    """204 each time, without a body; adding twice is no error, removing twice is 12005003 with 404."""
    client = http_client.create()
    for value in ("etl", "etl", "ads"):
        reply = await cluster_requests.tag(client, "owner", value)
        assert (reply.status, reply.body) == (204, b"")
    assert await tags(client) == {"owner": "ads"}
    assert (await cluster_requests.details(client))["tags"] == "owner=ads"
    assert (await client.ask("DELETE", f"{TAGS}/owner")).status == 204
    reply = await client.ask("DELETE", f"{TAGS}/owner")
    assert (reply.status, http_client.code(reply)) == (404, "12005003")


async def test_key_in_a_path_is_decoded() -> None:
    """Keys may hold any characters but the forbidden ones."""
    client = http_client.create()
    await cluster_requests.tag(client, "größe 1%", "ü")
    assert (await client.ask("DELETE", f"{TAGS}/gr%C3%B6%C3%9Fe%201%25")).status == 204
    assert await tags(client) == {}


@pytest.mark.parametrize("key", ["", "k" * 37, " k", "k ", *(f"a{one}b" for one in "=*<>\\,|/\x00\x1f")])
async def test_illegal_key_is_12005002(key: str) -> None:
    """1 to 36 characters, none of the forbidden ones, no space at the ends."""
    reply = await cluster_requests.tag(http_client.create(), key)
    assert (reply.status, http_client.code(reply)) == (400, "12005002")


@pytest.mark.parametrize("value", ["v" * 44, " v", "a=b", "a,b"])
async def test_illegal_value_is_12005002(value: str) -> None:
    """At most 43 characters, the same rules; it may be empty."""
    assert http_client.code(await cluster_requests.tag(http_client.create(), "k", value)) == "12005002"


async def test_longest_and_strangest_legal_tags_pass() -> None:
    """Lengths are counted in characters, not bytes."""
    client = http_client.create()
    assert (await cluster_requests.tag(client, "ü" * 36, "ß" * 43)).status == 204
    assert (await cluster_requests.tag(client, "k", "")).status == 204


async def test_strict_tags_allow_few_characters() -> None:
    """Another document allows letters, digits, hyphen and underscore only."""
    client = http_client.create(cluster_rules={"strict_tags": True})
    assert http_client.code(await cluster_requests.tag(client, "a.b", "c")) == "12005002"
    assert (await cluster_requests.tag(client, "a-b_1", "c")).status == 204


@pytest.mark.parametrize("body", [{}, {"tag": "x"}, {"tag": {"key": "k"}}, {"tag": {"key": 1, "value": ""}}, []])
async def test_malformed_tag_is_12000002(body: object) -> None:
    """The wrapper is needed, both members are strings."""
    assert http_client.code(await http_client.create().ask("POST", TAGS, body)) == "12000002"


async def test_eleventh_tag_is_12005001_and_overwriting_is_not() -> None:
    """Ten tags a cluster, or as many as the settings say."""
    client = http_client.create()
    for number in range(10):
        await cluster_requests.tag(client, f"k{number}", "v")
    reply = await cluster_requests.tag(client, "k10", "v")
    assert (reply.status, http_client.code(reply)) == (400, "12005001")
    assert (await cluster_requests.tag(client, "k9", "w")).status == 204
    assert (await cluster_requests.tag(http_client.create(cluster_rules={"tags_max": 20}), "k", "")).status == 204


async def test_batches_are_idempotent_and_done_as_a_whole() -> None:
    """Existing keys are overwritten, missing ones are no error; one wrong tag, and nothing is changed."""
    client = http_client.create()
    for _ in range(2):
        assert await batch(client, "create", ("owner", "etl"), ("tier", "gold")) == (204, "")
    assert await batch(client, "create", ("new", "x"), ("bad=", "x")) == (400, "12005002")
    assert await batch(client, "create", *((f"k{number}", "") for number in range(9))) == (400, "12005001")
    assert await tags(client) == {"owner": "etl", "tier": "gold"}
    for _ in range(2):
        assert await batch(client, "delete", ("tier", "silver"), ("never=there", "")) == (204, "")
    assert await tags(client) == {"owner": "etl"}


async def test_wrong_batch_is_refused() -> None:
    """Unknown action, missing tags, and for a delete: empty or too long keys."""
    client = http_client.create()
    assert await batch(client, "update", ("a", "b")) == (400, "12000002")
    assert http_client.code(await client.ask("POST", f"{TAGS}/action", {"action": "create"})) == "12000002"
    assert await batch(client, "delete", ("", "")) == (400, "12005002")
    assert await batch(client, "delete", ("k" * 37, "")) == (400, "12005002")


async def tagged() -> http_client.Client:
    """Return a desk at a project with four clusters, made a second apart, and one that is gone."""
    client = http_client.create()
    for name, pairs in {
        "alpha": {"owner": "etl", "tier": "gold"},
        "beta": {"owner": "etl"},
        "gamma": {"owner": "ads", "tier": "gold", "x": ""},
        "delta": {},
        "gone": {"owner": "ghost"},
    }.items():
        client.clock.pass_s(1)
        one = await cluster_requests.created(
            client, cluster_requests.v11(name, tags=[{"key": k, "value": v} for k, v in pairs.items()])
        )

    client.clock.pass_s(5)
    await cluster_requests.delete(one)
    client.clock.pass_s(5)
    return client


def wanted(**tags: list[str]) -> list[dict[str, Any]]:
    """Return tags of a query."""
    return [{"key": key, "values": values} for key, values in tags.items()]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["delta", "gamma", "beta", "alpha", "emulator"]),
        ({"tags": wanted(owner=["etl"])}, ["beta", "alpha"]),
        ({"tags": wanted(owner=["etl"], tier=["gold"])}, ["alpha"]),
        ({"tags": wanted(tier=[])}, ["gamma", "alpha"]),
        ({"tags": [{"key": "tier"}]}, ["gamma", "alpha"]),
        ({"tags": wanted(owner=["etl", "ads"])}, ["beta", "alpha"]),
        ({"tags_any": wanted(owner=["ads"], tier=["gold"])}, ["gamma", "alpha"]),
        ({"not_tags": wanted(owner=["etl"], tier=["gold"])}, ["delta", "gamma", "beta", "emulator"]),
        ({"not_tags_any": wanted(owner=["etl"], tier=["gold"])}, ["delta", "emulator"]),
        ({"matches": [{"key": "resource_name", "value": "LPH"}]}, ["alpha"]),
        ({"matches": [{"key": "resource_name", "value": ""}]}, []),
        ({"limit": "2", "offset": "1"}, ["gamma", "beta"]),
        ({"limit": 1000, "offset": 99}, []),
    ],
)
async def test_clusters_are_found_by_tags(query: dict[str, Any], expected: list[str]) -> None:
    """Newest first; only the first value of a key counts; the total does not depend on the page."""
    client = await tagged()
    reply = await client.ask("POST", FIND, {"action": "filter", **query})
    assert reply.status == 200
    assert [one["resource_name"] for one in reply.json()["resources"]] == expected
    total = 5 if "limit" in query else len(expected)
    assert reply.json()["total_count"] == total
    counted = await client.ask("POST", FIND, {"action": "count", **query})
    assert counted.json() == {"total_count": total}


async def test_found_cluster_has_id_and_tags() -> None:
    """The detail is null, as in the examples."""
    client = await tagged()
    reply = await client.ask("POST", FIND, {"action": "filter", "tags": wanted(tier=["gold"], owner=["etl"])})
    found = reply.json()["resources"][0]
    assert found["resource_detail"] is None
    assert found["tags"] == [{"key": "tier", "value": "gold"}, {"key": "owner", "value": "etl"}]
    assert (await client.ask("GET", f"{cluster_requests.INFOS}/{found['resource_id']}")).status == 200


async def test_any_of_several_values_will_do_where_that_is_chosen() -> None:
    """The documents say that values are joined by OR, and that only the first is used."""
    client = http_client.create(cluster_rules={"first_tag_value_only": False})
    await cluster_requests.tag(client, "owner", "ads")
    reply = await client.ask("POST", FIND, {"action": "count", "tags": wanted(owner=["etl", "ads"])})
    assert reply.json() == {"total_count": 1}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"action": "search"},
        {"action": "filter", "limit": 1001},
        {"action": "filter", "limit": 0},
        {"action": "filter", "offset": -1},
        {"action": "filter", "tags": [{"key": ""}]},
        {"action": "filter", "tags": [{"key": "k" * 128}]},
        {"action": "filter", "tags": wanted(a=["v" * 256])},
        {"action": "filter", "tags": wanted(a=["v", "v"])},
        {"action": "filter", "tags": wanted(a=[str(one) for one in range(11)])},
        {"action": "filter", "tags": [{"key": f"k{one}"} for one in range(11)]},
        {"action": "filter", "tags_any": [{"key": "k"}, {"key": "k"}]},
        {"action": "filter", "matches": [{"key": "resource_id", "value": "x"}]},
    ],
)
async def test_wrong_query_is_12000002(body: dict[str, Any]) -> None:
    """At most ten keys with ten values each, all different."""
    assert http_client.code(await http_client.create().ask("POST", FIND, body)) == "12000002"


async def test_all_tags_of_the_project_have_each_value_once() -> None:
    """Terminated clusters are left out."""
    reply = await (await tagged()).ask("GET", f"{cluster_requests.CLUSTERS}/tags")
    assert reply.json() == {
        "tags": [
            {"key": "owner", "values": ["etl", "ads"]},
            {"key": "tier", "values": ["gold"]},
            {"key": "x", "values": [""]},
        ]
    }
