"""Controls over HTTP: listed as the topic has them, set and lifted by its records."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import pytest
from tests.support import web_role

from mrs_relay.messages import controls
from mrs_relay.read_model import controls as projected
from mrs_relay.read_model import database, store

_TOPIC = "mrs.control"


async def _call(client: web_role.Client, verb: str, scope: str, status: int, body: object = None) -> Any:
    url = f"{client.url}/v1/controls/{quote(scope, safe='')}"
    async with client.session.request(verb, url, json=body) as response:
        found = await response.json(content_type=None)
        assert response.status == status, found
        return found


async def _listed(client: web_role.Client, *scopes: str) -> list[Any]:
    """Wait until exactly these scopes are listed."""
    while True:
        items: list[Any] = (await client.get("/v1/controls"))["items"]
        if [one["scope"] for one in items] == list(scopes):
            return items
        await asyncio.sleep(0.01)


def _written(stage: web_role.Stage) -> list[tuple[str, controls.Control | None]]:
    read = [controls.read(one.key, one.value, one.timestamp_ms) for one in stage.broker.committed(_TOPIC)]
    return [(str(scope), control) for scope, control in read]


async def test_control_is_set_listed_and_lifted() -> None:
    """Each is a record of the topic; the list is what the topic says."""
    stage = web_role.Stage()
    async with web_role.role(stage) as client:
        body = {"mode": "hold", "reason": "upgrade", "by": "ann", "until": "2099-01-01T00:00:00Z"}
        found = await _call(client, "PUT", "cluster/c-1", 202, body)
        assert (found["scope"], found["until"]) == ("cluster/c-1", "2099-01-01T00:00:00.000Z")
        (shown,) = await _listed(client, "cluster/c-1")
        assert shown == found

        lifted = await _call(client, "DELETE", "cluster/c-1", 200)
        assert lifted == found
        await _listed(client)
        assert [(scope, control and control.mode) for scope, control in _written(stage)] == [
            ("cluster/c-1", "hold"),
            ("cluster/c-1", None),
        ]


async def test_controls_that_others_set_are_listed_and_those_that_are_over_are_not() -> None:
    """The topic is read from its beginning, whoever wrote to it, by each role that writes to a database."""
    stage = web_role.Stage()
    for scope, value in {
        "tenant/a": b'{"mode": "drain", "reason": "r", "at": "2026-01-02T00:00:00Z"}',
        "all": b'{"mode": "hold", "reason": "r", "at": "2026-01-01T00:00:00Z"}',
        "tenant/b": b'{"mode": "hold", "reason": "r", "until": "2020-01-01T00:00:00Z"}',
        "nowhere": b"{}",
    }.items():
        stage.broker.put(_TOPIC, 0, scope.encode(), value)
    async with web_role.role(stage) as client:
        await _listed(client, "all", "tenant/a")
        found = await client.get("/v1/controls?mode=drain")
        assert [one["scope"] for one in found["items"]] == ["tenant/a"]


async def test_every_replica_on_one_database_knows_the_topic(tmp_path: Any) -> None:
    """The one that does not write lists what the other one writes, sets controls, and learns that the topic is gone."""
    stage = web_role.Stage()
    stage.broker.put(_TOPIC, 0, b"all", b'{"mode": "hold", "reason": "r"}')
    chosen = web_role.chosen(f"sqlite:///{tmp_path}/web.sqlite")
    async with web_role.role(stage, chosen) as writer, web_role.role(stage, chosen) as other:
        await _listed(writer, "all")
        while "problem" in (found := await other.get("/v1/controls")):
            await asyncio.sleep(0.01)
        assert [one["scope"] for one in found["items"]] == ["all"]
        await _call(other, "PUT", "cluster/c-1", 202, {"mode": "hold", "reason": "r"})
        await _listed(other, "all", "cluster/c-1")

    stage.broker.drop_topic(_TOPIC)
    async with web_role.role(stage, chosen) as writer, web_role.role(stage, chosen) as other:
        for client in (writer, other):
            while "no topic mrs.control" not in (await client.get("/v1/controls")).get("problem", ""):
                await asyncio.sleep(0.01)
            await _call(client, "PUT", "all", 503, {"mode": "hold", "reason": "r"})


async def test_database_that_refuses_the_table_stops_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are still read; the list says that it is out of date, and is written as soon as it can be."""
    replace, is_down = store.Store.replace_controls, True

    async def refused(self: store.Store, rows: Any) -> None:
        if is_down:
            raise database.DatabaseDown("it refuses a text")
        await replace(self, rows)

    monkeypatch.setattr(store.Store, "replace_controls", refused)
    monkeypatch.setattr(projected, "_AGAIN_S", 0.05)
    stage = web_role.Stage()
    stage.broker.put(_TOPIC, 0, b"all", b'{"mode": "hold", "reason": "r"}')
    await stage.put(*web_role.story("r-1"))
    async with web_role.role(stage) as client:
        await client.seen("r-1")
        while (await client.get("/v1/controls")).get("problem") != "it refuses a text":
            await asyncio.sleep(0.01)
        is_down = False
        await _listed(client, "all")


async def test_table_forgets_what_was_lifted_while_nobody_read(tmp_path: Any) -> None:
    """Also when compaction has removed the tombstone: the table is written again from the beginning."""
    stage = web_role.Stage()
    stage.broker.put(_TOPIC, 0, b"all", b'{"mode": "hold", "reason": "r"}')
    chosen = web_role.chosen(f"sqlite:///{tmp_path}/web.sqlite")
    async with web_role.role(stage, chosen) as client:
        await _listed(client, "all")
    stage.broker.create_topic(_TOPIC, 1)
    async with web_role.role(stage, chosen) as client:
        await _listed(client)


@pytest.mark.parametrize(
    ("verb", "scope", "body", "status"),
    [
        ("PUT", "queue/x", {"mode": "hold", "reason": "r"}, 422),
        ("PUT", "all", {"mode": "hold"}, 422),
        ("PUT", "all", {"mode": "stop", "reason": "r"}, 422),
        ("PUT", "all", {"mode": "skip", "reason": "r"}, 422),
        ("PUT", "all", {"mode": "hold", "reason": "r", "more": 1}, 422),
        ("PUT", "all", {"mode": "hold", "reason": "a\0b"}, 422),
        ("PUT", "all", {"mode": "hold", "reason": "r", "by": "a\nb"}, 422),
        ("DELETE", "all", None, 404),
        ("DELETE", "queue/x", None, 422),
    ],
)
async def test_what_no_replica_would_take_is_refused(verb: str, scope: str, body: object, status: int) -> None:
    """Nothing is written."""
    stage = web_role.Stage()
    async with web_role.role(stage) as client:
        await _call(client, verb, scope, status, body)
        assert _written(stage) == []


async def test_read_only_role_sets_and_lifts_nothing() -> None:
    """As with requests."""
    stage = web_role.Stage()
    async with web_role.role(stage, web_role.chosen(api={"read_only": True})) as client:
        await _call(client, "PUT", "all", 403, {"mode": "hold", "reason": "r"})
        await _call(client, "DELETE", "all", 403)
        assert _written(stage) == []


async def test_missing_topic_is_named_and_leaves_the_role_ready() -> None:
    """A deployment from before controls; a broker that makes topics by itself would make one that forgets."""
    stage = web_role.Stage()
    stage.broker.drop_topic(_TOPIC)
    async with web_role.role(stage) as client:
        while "no topic mrs.control" not in (found := await client.get("/v1/controls")).get("problem", ""):
            await asyncio.sleep(0.01)
        assert found["items"] == []
        problem = await _call(client, "PUT", "all", 503, {"mode": "hold", "reason": "r"})
        assert "topics create" in problem["detail"]
        assert stage.broker.committed("mrs.audit") == []


async def test_request_says_which_controls_hold_it() -> None:
    """Those whose scope names it, and how they are lifted; a held request is in no queue."""
    stage = web_role.Stage()
    for scope in ("all", "tenant/x", "type/sql", "label/team=a", "label/team=b"):
        stage.broker.put(_TOPIC, 0, scope.encode(), b'{"mode": "hold", "reason": "upgrade", "by": "ann"}')
    await stage.put(web_role.event("r-1", 1, "accepted", cluster="c-1", labels={"team": "a"}))
    async with web_role.role(stage) as client:
        while len((await client.get("/v1/controls"))["items"]) < 5:
            await asyncio.sleep(0.01)
        held = (await client.get("/v1/requests/r-1/why"))["holds"]
        named = [one for one in held if one["code"] == "control"]
        scopes = ["all", "type/sql", "label/team=a"]
        assert [one["text"] for one in named] == [f"hold of {scope} by ann: upgrade" for scope in scopes]
        assert [one["clears"].split("`")[1] for one in named] == [f"mrs-relay release {scope}" for scope in scopes]
