"""Tags of clusters: their rules, batches, and queries by tags."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.emulator import desk, ordering

TAGS = f"{ordering.CLUSTERS}/{desk.CLUSTER}/tags"
FIND = f"{ordering.CLUSTERS}/resource_instances/action"


async def tags(at: desk.Desk) -> dict[str, str]:
    """Tags of the desk's cluster."""
    reply = await at.ask("GET", f"{ordering.CLUSTERS}/{at.cluster}/tags")
    assert reply.status == 200
    return {one["key"]: one["value"] for one in reply.json()["tags"]}


async def batch(at: desk.Desk, action: str, *pairs: tuple[str, str]) -> tuple[int, str]:
    """Status and code of a batch."""
    body = {"action": action, "tags": [{"key": key, "value": value} for key, value in pairs]}
    reply = await at.ask("POST", f"{TAGS}/action", body)
    return reply.status, "" if reply.status == 204 else desk.code(reply)


async def test_tag_is_added_overwritten_and_removed() -> None:
    """204 each time, without a body; adding twice is no error, removing twice is 12005003 with 404."""
    at = desk.desk()
    for value in ("etl", "etl", "ads"):
        reply = await ordering.tag(at, "owner", value)
        assert (reply.status, reply.body) == (204, b"")
    assert await tags(at) == {"owner": "ads"}
    assert (await ordering.details(at))["tags"] == "owner=ads"
    assert (await at.ask("DELETE", f"{TAGS}/owner")).status == 204
    reply = await at.ask("DELETE", f"{TAGS}/owner")
    assert (reply.status, desk.code(reply)) == (404, "12005003")


async def test_key_in_a_path_is_decoded() -> None:
    """Keys may hold any characters but the forbidden ones."""
    at = desk.desk()
    await ordering.tag(at, "größe 1%", "ü")
    assert (await at.ask("DELETE", f"{TAGS}/gr%C3%B6%C3%9Fe%201%25")).status == 204
    assert await tags(at) == {}


@pytest.mark.parametrize("key", ["", "k" * 37, " k", "k ", *(f"a{one}b" for one in "=*<>\\,|/\x00\x1f")])
async def test_illegal_key_is_12005002(key: str) -> None:
    """1 to 36 characters, none of the forbidden ones, no space at the ends."""
    reply = await ordering.tag(desk.desk(), key)
    assert (reply.status, desk.code(reply)) == (400, "12005002")


@pytest.mark.parametrize("value", ["v" * 44, " v", "a=b", "a,b"])
async def test_illegal_value_is_12005002(value: str) -> None:
    """At most 43 characters, the same rules; it may be empty."""
    assert desk.code(await ordering.tag(desk.desk(), "k", value)) == "12005002"


async def test_longest_and_strangest_legal_tags_pass() -> None:
    """Lengths are counted in characters, not bytes."""
    at = desk.desk()
    assert (await ordering.tag(at, "ü" * 36, "ß" * 43)).status == 204
    assert (await ordering.tag(at, "k", "")).status == 204


async def test_strict_tags_allow_few_characters() -> None:
    """Another document allows letters, digits, hyphen and underscore only."""
    at = desk.desk(cluster_rules={"strict_tags": True})
    assert desk.code(await ordering.tag(at, "a.b", "c")) == "12005002"
    assert (await ordering.tag(at, "a-b_1", "c")).status == 204


@pytest.mark.parametrize("body", [{}, {"tag": "x"}, {"tag": {"key": "k"}}, {"tag": {"key": 1, "value": ""}}, []])
async def test_malformed_tag_is_12000002(body: object) -> None:
    """The wrapper is needed, both members are strings."""
    assert desk.code(await desk.desk().ask("POST", TAGS, body)) == "12000002"


async def test_eleventh_tag_is_12005001_and_overwriting_is_not() -> None:
    """Ten tags a cluster, or as many as the settings say."""
    at = desk.desk()
    for number in range(10):
        await ordering.tag(at, f"k{number}", "v")
    reply = await ordering.tag(at, "k10", "v")
    assert (reply.status, desk.code(reply)) == (400, "12005001")
    assert (await ordering.tag(at, "k9", "w")).status == 204
    assert (await ordering.tag(desk.desk(cluster_rules={"tags_max": 20}), "k", "")).status == 204


async def test_batches_are_idempotent_and_done_as_a_whole() -> None:
    """Existing keys are overwritten, missing ones are no error; one wrong tag, and nothing is changed."""
    at = desk.desk()
    for _ in range(2):
        assert await batch(at, "create", ("owner", "etl"), ("tier", "gold")) == (204, "")
    assert await batch(at, "create", ("new", "x"), ("bad=", "x")) == (400, "12005002")
    assert await batch(at, "create", *((f"k{number}", "") for number in range(9))) == (400, "12005001")
    assert await tags(at) == {"owner": "etl", "tier": "gold"}
    for _ in range(2):
        assert await batch(at, "delete", ("tier", "silver"), ("never=there", "")) == (204, "")
    assert await tags(at) == {"owner": "etl"}


async def test_wrong_batch_is_refused() -> None:
    """Unknown action, missing tags, and for a delete: empty or too long keys."""
    at = desk.desk()
    assert await batch(at, "update", ("a", "b")) == (400, "12000002")
    assert desk.code(await at.ask("POST", f"{TAGS}/action", {"action": "create"})) == "12000002"
    assert await batch(at, "delete", ("", "")) == (400, "12005002")
    assert await batch(at, "delete", ("k" * 37, "")) == (400, "12005002")


async def tagged() -> desk.Desk:
    """A desk at a project with four clusters, made a second apart, and one that is gone."""
    at = desk.desk()
    for name, pairs in {
        "alpha": {"owner": "etl", "tier": "gold"},
        "beta": {"owner": "etl"},
        "gamma": {"owner": "ads", "tier": "gold", "x": ""},
        "delta": {},
        "gone": {"owner": "ghost"},
    }.items():
        at.clock.pass_s(1)
        one = await ordering.created(at, ordering.v11(name, tags=[{"key": k, "value": v} for k, v in pairs.items()]))
    at.clock.pass_s(5)
    await ordering.delete(one)
    at.clock.pass_s(5)
    return at


def wanted(**tags: list[str]) -> list[dict[str, Any]]:
    """Tags of a query."""
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
    at = await tagged()
    reply = await at.ask("POST", FIND, {"action": "filter", **query})
    assert reply.status == 200
    assert [one["resource_name"] for one in reply.json()["resources"]] == expected
    total = 5 if "limit" in query else len(expected)
    assert reply.json()["total_count"] == total
    counted = await at.ask("POST", FIND, {"action": "count", **query})
    assert counted.json() == {"total_count": total}


async def test_found_cluster_has_id_and_tags() -> None:
    """The detail is null, as in the examples."""
    at = await tagged()
    reply = await at.ask("POST", FIND, {"action": "filter", "tags": wanted(tier=["gold"], owner=["etl"])})
    found = reply.json()["resources"][0]
    assert found["resource_detail"] is None
    assert found["tags"] == [{"key": "tier", "value": "gold"}, {"key": "owner", "value": "etl"}]
    assert (await at.ask("GET", f"{ordering.INFOS}/{found['resource_id']}")).status == 200


async def test_any_of_several_values_will_do_where_that_is_chosen() -> None:
    """The documents say that values are joined by OR, and that only the first is used."""
    at = desk.desk(cluster_rules={"first_tag_value_only": False})
    await ordering.tag(at, "owner", "ads")
    reply = await at.ask("POST", FIND, {"action": "count", "tags": wanted(owner=["etl", "ads"])})
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
    assert desk.code(await desk.desk().ask("POST", FIND, body)) == "12000002"


async def test_all_tags_of_the_project_have_each_value_once() -> None:
    """Terminated clusters are left out."""
    reply = await (await tagged()).ask("GET", f"{ordering.CLUSTERS}/tags")
    assert reply.json() == {
        "tags": [
            {"key": "owner", "values": ["etl", "ads"]},
            {"key": "tier", "values": ["gold"]},
            {"key": "x", "values": [""]},
        ]
    }
