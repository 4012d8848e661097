"""Data sources, job binaries and job objects of V1.1: rows with their rules, and pages by marker."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.emulator import http_client

from mrs_emulator.v11 import hql

BASE = f"/v1.1/{http_client.PROJECT}"
SOURCE = {"name": "clicks", "url": "/data/clicks", "type": "hdfs", "description": "raw"}
BINARY = {"name": "sessionize-jar", "url": "s3a://bucket/programs/s.jar", "description": "builder"}

ROWS = pytest.mark.parametrize(
    ("path", "envelope", "body", "change"),
    [
        ("data-sources", "data_source", SOURCE, ("PUT", {"type": "hdfs", "name": "other"})),
        ("job-binaries", "job_binary", BINARY, ("PUT", {"description": "", "name": "other"})),
        ("jobs", "job", {"name": "load", "type": "DistCp"}, ("PATCH", {"name": "other"})),
    ],
)


async def made(client: http_client.Client, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Create a row, expect success, give its members."""
    reply = await client.ask("POST", f"{BASE}/{path}", body)
    assert reply.status == 202, reply.body
    (members,) = reply.json().values()
    assert isinstance(members, dict)
    return members


async def test_data_source_is_printed_as_documented() -> None:
    """All members of the page, times without zone, updated_at null until the first update."""
    client = http_client.create()
    row = await made(client, "data-sources", SOURCE)
    stamp = "2026-11-23T08:00:00"
    assert row == SOURCE | {
        "created_at": stamp,
        "updated_at": None,
        "id": row["id"],
        "tenant_id": http_client.PROJECT,
        "is_public": False,
        "is_protected": False,
    }
    client.clock.pass_s(61)
    changed = (await client.ask("PUT", f"{BASE}/data-sources/{row['id']}", {"type": "hdfs", "url": "/v2"})).json()
    assert changed["data_source"] == row | {"url": "/v2", "updated_at": "2026-11-23T08:01:01"}


async def test_job_object_prints_its_binaries_in_full() -> None:
    """Ids are sent, objects come back; updated_at equals created_at at first."""
    client = http_client.create()
    binary = await made(client, "job-binaries", BINARY)
    row = await made(client, "jobs", {"name": "daily", "type": "MapReduce", "mains": [], "libs": [binary["id"]]})
    (lib,) = row["libs"]
    assert (lib["id"], lib["url"], lib["extra"]) == (binary["id"], BINARY["url"], None)
    assert "created_at" not in lib
    assert (row["mains"], row["interface"], row["updated_at"]) == ([], [], row["created_at"])
    changed = await client.ask("PATCH", f"{BASE}/jobs/{row['id']}", {"description": "new", "libs": []})
    assert changed.status == 202
    assert changed.json()["job"]["libs"] == row["libs"]
    assert changed.json()["job"]["description"] == "new"


@ROWS
async def test_row_is_read_changed_and_deleted(
    path: str, envelope: str, body: dict[str, Any], change: tuple[str, dict[str, Any]]
) -> None:
    """202 for create and update, 200 for reads, 204 without a body for delete, 404 afterwards."""
    client = http_client.create()
    row = await made(client, path, body)
    one = f"{BASE}/{path}/{row['id']}"
    shown = await client.ask("GET", one)
    assert (shown.status, shown.json()) == (200, {envelope: row})
    changed = await client.ask(change[0], one, change[1])
    assert (changed.status, changed.json()[envelope]["name"]) == (202, "other")
    gone = await client.ask("DELETE", one)
    assert (gone.status, gone.body) == (204, b"")
    for verb, sent in (("GET", None), (change[0], change[1]), ("DELETE", None)):
        reply = await client.ask(verb, one, sent)
        assert (reply.status, http_client.code(reply)) == (404, "12000002")


@ROWS
async def test_missing_row_is_400_where_the_settings_say_so(
    path: str, envelope: str, body: dict[str, Any], change: object
) -> None:
    """The pages name no status, so it can be chosen."""
    client = http_client.create(v11={"missing_status": 400})
    assert (await client.ask("GET", f"{BASE}/{path}/nothing")).status == 400
    assert await made(client, path, body)
    assert envelope
    assert change


@ROWS
async def test_names_are_unique_unless_the_settings_allow_namesakes(
    path: str, envelope: str, body: dict[str, Any], change: tuple[str, dict[str, Any]]
) -> None:
    """A second row of the name is refused, also by an update; a row may keep its own name."""
    client = http_client.create()
    row = await made(client, path, body)
    other = await made(client, path, body | {"name": "other"})
    assert http_client.code(await client.ask("POST", f"{BASE}/{path}", body)) == "12000002"
    renamed = await client.ask(change[0], f"{BASE}/{path}/{row['id']}", change[1])
    assert (renamed.status, http_client.code(renamed)) == (400, "12000002")
    kept = await client.ask(change[0], f"{BASE}/{path}/{other['id']}", change[1])
    assert kept.status == 202, envelope
    free = http_client.create(v11={"unique_names": False})
    assert (await made(free, path, body))["id"] != (await made(free, path, body))["id"]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "a.b"},
        {"name": "x" * 81},
        {"name": None},
        {"url": "relative"},
        {"url": ""},
        {"url": "/" + "x" * 255},
        {"url": "s3a://bucket/key"},
        {"type": "obs"},
        {"type": "ftp"},
        {"type": None},
        {"description": "x" * 65_536},
        {"is_public": "perhaps"},
        {"description": 7},
    ],
)
async def test_invalid_data_source_is_12000002(changes: dict[str, object]) -> None:
    """Characters, lengths, and paths that fit the type."""
    reply = await http_client.create().ask("POST", f"{BASE}/data-sources", SOURCE | changes)
    assert (reply.status, http_client.code(reply)) == (400, "12000002")


async def test_swift_is_not_supported() -> None:
    """The pages list the type and say that it does not work."""
    reply = await http_client.create().ask("POST", f"{BASE}/data-sources", SOURCE | {"type": "swift"})
    assert http_client.code(reply) == "12000054"


@pytest.mark.parametrize(("paths", "url", "code"), [("obs", "s3a://b/k", "12000086"), ("s3a", "obs://b/k", "12000002")])
async def test_schemes_follow_the_cluster_version_that_the_settings_choose(paths: str, url: str, code: str) -> None:
    """Old versions want s3a, new ones refuse it; by default both pass."""
    body = SOURCE | {"type": "obs", "url": url}
    assert (
        http_client.code(await http_client.create(v11={"paths": paths}).ask("POST", f"{BASE}/data-sources", body))
        == code
    )
    assert await made(http_client.create(), "data-sources", body)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("job-binaries", {**BINARY, "description": None}),
        ("job-binaries", {**BINARY, "url": "ftp://x"}),
        ("job-binaries", {**BINARY, "name": "s.jar"}),
        ("jobs", {"name": "x" * 65, "type": "DistCp"}),
        ("jobs", {"name": "x", "type": "spark"}),
        ("jobs", {"name": "x", "type": "Spark", "libs": ["nothing"]}),
        ("jobs", {"name": "x", "type": "Spark", "libs": "nothing"}),
        ("jobs", b"["),
        ("jobs", b"[]"),
    ],
)
async def test_invalid_binary_or_job_object_is_12000002(path: str, body: object) -> None:
    """As for data sources; binaries must have a description, and job objects binaries that exist."""
    reply = await http_client.create().ask("POST", f"{BASE}/{path}", body)
    assert (reply.status, http_client.code(reply)) == (400, "12000002")


async def test_forgiving_settings_take_what_other_clients_leave_out() -> None:
    """A description of a binary, and the type when a data source is changed."""
    client = http_client.create(v11={"strict_required": False})
    assert await made(client, "job-binaries", {**BINARY, "description": None})
    row = await made(client, "data-sources", SOURCE)
    assert (await client.ask("PUT", f"{BASE}/data-sources/{row['id']}", {"name": "new"})).status == 202
    strict = http_client.create()
    row = await made(strict, "data-sources", SOURCE)
    assert (await strict.ask("PUT", f"{BASE}/data-sources/{row['id']}", {"name": "new"})).status == 400


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("MapReduce", 500, "12000069"),
        ("Spark", 500, "12000069"),
        ("Hive", 500, "12000068"),
        ("SparkScript", 500, "12000068"),
        ("SparkSql", 400, "12000054"),
    ],
)
async def test_job_object_without_what_its_type_needs(kind: str, status: int, code: str) -> None:
    """Input errors that the tables list as 500."""
    reply = await http_client.create().ask("POST", f"{BASE}/jobs", {"name": "x", "type": kind})
    assert (reply.status, http_client.code(reply)) == (status, code)


async def test_binary_in_a_job_object_cannot_be_deleted() -> None:
    """Unless the settings say so; then the job object prints without it."""
    for refused in (True, False):
        client = http_client.create(v11={"in_use_refused": refused})
        binary = await made(client, "job-binaries", BINARY)
        row = await made(client, "jobs", {"name": "daily", "type": "Spark", "libs": [binary["id"]]})
        reply = await client.ask("DELETE", f"{BASE}/job-binaries/{binary['id']}")
        assert reply.status == (400 if refused else 204)
        shown = (await client.ask("GET", f"{BASE}/jobs/{row['id']}")).json()["job"]
        assert len(shown["libs"]) == (1 if refused else 0)


@pytest.mark.parametrize(
    ("path", "plural", "body"),
    [("data-sources", "data_sources", SOURCE), ("job-binaries", "binaries", BINARY),
     ("jobs", "jobs", {"type": "DistCp"})],
)  # fmt: skip
async def test_pages_start_after_the_marker(path: str, plural: str, body: dict[str, Any]) -> None:
    """`next` and `prev` lead through all rows and back; the full last page has no next."""
    client = http_client.create()
    for number in range(6):
        await made(client, path, body | {"name": f"row-{number}"})
    url = f"{BASE}/{path}?limit=2&sort_by=-name"
    seen, markers, marker = [], [], ""

    while True:
        page = (await client.ask("GET", url + (f"&marker={marker}" if marker else ""))).json()
        seen.append([row["name"] for row in page[plural]])
        markers.append(page["markers"])
        marker = page["markers"]["next"]
        if not marker:
            break

    assert seen == [["row-5", "row-4"], ["row-3", "row-2"], ["row-1", "row-0"]]

    back = (await client.ask("GET", f"{url}&marker={markers[2]['prev']}")).json()
    assert [row["name"] for row in back[plural]] == seen[1]
    assert markers[1]["prev"] is None

    whole = (await client.ask("GET", f"{BASE}/{path}")).json()
    assert len(whole[plural]) == 6
    assert whole["markers"] == {"prev": None, "next": None}
    assert [row["id"] for row in whole[plural]] == sorted(row["id"] for row in whole[plural])


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=0", 400), ("limit=x", 400), ("limit=1073741823", 400), ("sort_by=colour", 400), ("marker=nothing", 404)],
)
async def test_wrong_page_is_refused(query: str, status: int) -> None:
    """Limits from 1, known fields, markers that exist."""
    reply = await http_client.create().ask("GET", f"{BASE}/data-sources?{query}")
    assert (reply.status, http_client.code(reply)) == (status, "12000002")


async def test_what_was_created_can_be_counted() -> None:
    """Rows are effects like jobs."""
    client = http_client.create()
    await made(client, "data-sources", SOURCE)
    await made(client, "jobs", {"name": "load", "type": "DistCp"})
    found = await client.effects()
    assert found["counts"] == {"job": 0, "statement": 0, "data_source": 1, "job_object": 1}
    assert [one["name"] for one in found["effects"]] == ["clicks", "load"]


def test_hql_encoding_is_that_of_the_page() -> None:
    """The page's example: J and L swapped, one letter in front."""
    assert hql.decoded("gc2hvdyB0YWLsZXM7") == "show tables;"
    assert hql.decoded("g*") is None
    assert hql.decoded("g/w==") is None
