"""Each role on each route, of the right tenant and of the wrong one, and callers whom nobody knows."""

from __future__ import annotations

import asyncio
import json
import pathlib
from typing import Any, Final

import pytest
from aiohttp import web
from tests.support import access, cells, logins, web_role

from mrs_relay.api import streams
from mrs_relay.api.access import callers, least_roles
from mrs_relay.common import http_server

_NEW: Final = {"type": "mrs.sql.submit", "tenant": "etl", "data": access.SQL}
_BODIES: Final[dict[str, dict[str, Any]]] = {
    "POST /v1/requests": _NEW,
    "POST /v1/requests/validate": _NEW,
    "POST /v1/requests/dry-run": _NEW,
    "POST /v1/requests/{id}/retry": {"note": "again"},
    "PUT /v1/controls/{scope}": {"mode": "hold", "reason": "a test", "by": "somebody else"},
    "POST /v1/requests/{id}/cancel": {"note": "late"},
    "POST /v1/requests/{id}/resolve": {"verdict": "failed", "note": "looked"},
    "POST /v1/dead-letters/replay": {"tenant": "etl", "note": "again"},
}
_IDS: Final = {
    "POST /v1/requests/{id}/resolve": "etl-2",
    "POST /v1/requests/{id}/retry": "etl-3",
    "POST /requests/{id}/resolve": "etl-2",
    "POST /requests/{id}/retry": "etl-3",
}
_FORMS: Final[dict[str, dict[str, str]]] = {
    "POST /requests/{id}/cancel": {"note": "late"},
    "POST /requests/{id}/resolve": {"verdict": "failed", "note": "looked"},
    "POST /requests/{id}/retry": {"note": "again"},
    "POST /dead-letters/{position}/replay": {"note": "again"},
    "POST /dead-letters/replay": {"note": "again", "tenant": "etl"},
    "POST /controls": {"scope": "tenant/etl", "mode": "hold", "reason": "a test"},
    "POST /controls/lift": {"scope": "tenant/etl"},
    "POST /bulk": {"action": "cancel", "note": "late", "tenant": "etl", "until_ms": "1"},
}
_STATUS: Final = {
    "POST /requests/{id}/cancel": 303,
    "POST /requests/{id}/resolve": 303,
    "POST /requests/{id}/retry": 303,
    "POST /dead-letters/{position}/replay": 303,
    "POST /controls": 303,
    "POST /controls/lift": 404,  # as with DELETE
    "GET /requests/{id}/result.csv": 404,  # the request has none
    "PUT /v1/controls/{scope}": 202,
    "DELETE /v1/controls/{scope}": 404,  # of a tenant there is no control
}
_QUERIES: Final = {
    "GET /v1/events": "?after=beginning&wait=0",
    "GET /live": "?new_since=0",
    "GET /bulk": "?action=cancel",
    "GET /dead-letters/replay": "?tenant=etl",
}
_SENT: Final = {route for route in _BODIES if "{id}" in route} | {"POST /v1/requests"}
_OF_NO_TENANT: Final = {"GET /v1/openapi.json", "GET /metrics"}
_OF_ALL: Final = {"GET /v1/clusters", "GET /v1/budgets"}
_LISTS: Final = {
    *("GET /v1/tenants", "GET /v1/queues", "GET /v1/partitions"),
    *("GET /v1/audit", "GET /v1/requests", "GET /v1/dead-letters", "GET /v1/events", "GET /v1/controls"),
    *("GET /", "GET /requests", "GET /live", "GET /bulk", "GET /dead-letters"),
    *("GET /clusters", "GET /tenants", "GET /controls", "GET /audit"),
}


class _Matrix:
    """
    Asks for every route as every caller.

    Args:
        client: of the role.
        known: the callers.
    """

    def __init__(self, client: web_role.Client, known: access.Callers) -> None:
        self.client = client
        self.known = known
        self.number = 0
        self._cookies: dict[str, str] = {}

    async def log_in(self) -> None:
        """Log a browser of each caller in; from now on their sessions authenticate, as their own pages send them."""
        for name in access.GRANTS:
            async with logins.browser(self.client.url) as browser:
                [cookie] = (await browser.log_in(self.known.tokens[name])).cookies
                self._cookies[name] = cookie.partition(";")[0]

    def _authentication(self, caller: str | None) -> dict[str, str]:
        if not self._cookies or caller is None:
            return self.known.headers(caller)
        return {"Sec-Fetch-Site": "same-origin", "Cookie": self._cookies[caller]}

    async def ask(self, route: str, caller: str | None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Ask for what concerns the tenant etl."""
        method, _, path = route.partition(" ")
        path = path.replace("{id}", _IDS.get(route, "etl-1")).replace("{name}", "theme.js") + _QUERIES.get(route, "")
        path = path.replace("{scope}", "tenant%2Fetl").replace("{position}", "etl.requests-0-1")
        self.number += 1
        given = {"Idempotency-Key": f"new-{self.number}", **self._authentication(caller), **headers}
        content: dict[str, Any] = {"json": _BODIES.get(route)}
        if route in _FORMS:
            content = {"data": _FORMS[route]}
            given = {"Sec-Fetch-Site": "same-origin", **given}
        url = self.client.url + path
        async with self.client.session.request(method, url, headers=given, allow_redirects=False, **content) as reply:
            found = await reply.text()
            return reply.status, (json.loads(found) if "json" in reply.content_type else found), dict(reply.headers)


@pytest.fixture
def known(tmp_path: pathlib.Path) -> access.Callers:
    """Callers of each role."""
    return access.Callers(tmp_path)


def _require_kind(route: str, found: Any, kind: str) -> None:
    """Check that programs get the problem as JSON, people as a page."""
    if route.partition(" ")[2].startswith(("/v1/", "/metrics", "/health", "/ready")):
        assert found["type"] == f"urn:mrs-relay:problem:{kind}"
    else:
        assert ("<h1>Log in</h1>" if kind == "unauthorized" else "That did not work") in found


def _expected(route: str, name: str) -> int:
    """Return the status that a caller gets who asks for what concerns the tenant etl."""
    least, grants = least_roles.LEAST[route], callers.read_grants(access.GRANTS[name])
    if route in _OF_NO_TENANT or route in _LISTS:
        return 200 if max(grants.values()) >= least else 403
    here = max(grants.get("*", 0), 0 if route in _OF_ALL else grants.get("etl", 0))
    if here >= least:
        return _STATUS.get(route, 202 if route in _SENT else 200)
    is_one = "{id}" in route or "{position}" in route
    if here < callers.Role.VIEWER and is_one and max(grants.values()) >= least:
        return 404  # what one may not see is not there
    return 403


@pytest.mark.parametrize("by", ["token", "session"])
async def test_each_role_may_do_on_each_route_what_the_table_says(known: access.Callers, by: str) -> None:
    """A viewer reads, an operator writes too; nobody reads or writes for a tenant that is not theirs."""
    stage = access.stage()
    await access.put_requests(stage)

    async with web_role.role(stage, known.chosen()) as client:
        matrix = _Matrix(client, known)
        if by == "session":
            await matrix.log_in()
        for route in least_roles.LEAST:
            for name in access.GRANTS:
                with cells.cell(route, name):
                    status, found, _ = await matrix.ask(route, name)
                    lifted = {"DELETE /v1/controls/{scope}": 200, "POST /controls/lift": 303}.get(route)
                    is_lifted = status == lifted  # what another caller has set
                    assert (404 if is_lifted else status) == _expected(route, name), found
                    if status == 403 and not isinstance(found, str):  # else a page says so
                        assert found["type"] == "urn:mrs-relay:problem:forbidden"


async def test_unknown_callers_get_401_on_every_route(known: access.Callers) -> None:
    """Without a token, with one that has expired, with one that was never made."""
    stage = access.stage()
    await access.put_requests(stage)
    async with web_role.role(stage, known.chosen()) as client:
        matrix = _Matrix(client, known)
        for route in (*least_roles.LEAST, "GET /v1/nowhere", "PUT /v1/requests"):
            for name in (None, "expired", "mrsr_made-up", "a.b.c", ""):
                with cells.cell(route, name):
                    status, found, headers = await matrix.ask(route, name)
                    assert status == 401
                    _require_kind(route, found, "unauthorized")
                    assert headers["WWW-Authenticate"].startswith('Bearer realm="mrs-relay"')
        assert not access.written(stage, "etl")


@pytest.mark.parametrize("by", ["token", "session"])
@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        ({"Host": "attacker.example"}, "foreign-host"),
        ({"Origin": "https://attacker.example"}, "foreign-origin"),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}, "foreign-origin"),
    ],
)
async def test_foreign_hosts_and_origins_are_refused_on_every_route_whoever_asks(
    known: access.Callers, headers: dict[str, str], kind: str, by: str
) -> None:
    """A page of another site may make the browser of an administrator ask."""
    stage = access.stage()
    await access.put_requests(stage)
    async with web_role.role(stage, known.chosen()) as client:
        matrix = _Matrix(client, known)
        if by == "session":
            await matrix.log_in()
        for route in (*least_roles.LEAST, "GET /health", "GET /ready"):
            with cells.cell(route):
                status, found, _ = await matrix.ask(route, "admin of all", **headers)
                assert status == 403
                _require_kind(route, found, kind)
        assert not access.written(stage, "etl")


def test_a_route_without_a_least_role_is_not_served() -> None:
    """The service does not start, so that whoever adds a route says whose it is."""
    application = web.Application()
    application.add_routes([web.get("/health", http_server.alive), web.get("/metrics", http_server.alive)])
    least_roles.require_complete(application)
    application.add_routes([web.post("/v1/new/{id}", http_server.alive)])
    with pytest.raises(LookupError, match=r"POST /v1/new/\{id\}"):
        least_roles.require_complete(application)


async def test_lists_and_streams_hold_only_what_the_caller_may_see(known: access.Callers) -> None:
    """Without a filter a caller sees the tenants of the token; a filter by another tenant is refused."""
    stage = access.stage()
    await access.put_requests(stage)
    async with web_role.role(stage, known.chosen()) as client:
        for name, seen in {"viewer": {"etl"}, "operator of the other": {"bi"}, "viewer of all": {"etl", "bi"}}.items():
            headers = known.headers(name)
            for text in ("", "?text=-1", "?state=running"):
                page = await client.get(f"/v1/requests{text}", headers=headers)
                assert {one["tenant"] for one in page["items"]} == seen
            letters = await client.get("/v1/dead-letters", headers=headers)
            assert {one["tenant"] for one in letters["items"]} == seen
            events = await client.get("/v1/events?after=beginning&wait=0", headers=headers)
            assert {one["source"].rpartition("/")[2] for one in events["items"]} == seen

        for path in ("/v1/requests", "/v1/dead-letters", "/v1/events", "/v1/requests/bi-1"):
            mark = "&wait=0" if path == "/v1/events" else ""
            found = await client.get(f"{path}?tenant=bi{mark}", status=403, headers=known.headers("viewer"))
            assert found["type"] == "urn:mrs-relay:problem:forbidden"
        mixed = known.headers("operator here, viewer there")
        await client.get("/v1/requests/bi-1", headers=mixed)
        await client.post("/v1/requests/bi-1/cancel", {}, 403, mixed)


async def test_the_caller_travels_with_the_message(known: access.Callers) -> None:
    """As the CloudEvents attributes `authid` and `authtype`; the body cannot claim another one."""
    stage = access.stage()
    await access.put_requests(stage)
    async with web_role.role(stage, known.chosen()) as client:
        matrix = _Matrix(client, known)
        for route in _SENT:
            status, _, _ = await matrix.ask(route, "operator")
            assert status == 202
        claimed = {**_NEW, "authid": "ann"}
        await client.post("/v1/requests", claimed, 422, {"Idempotency-Key": "x", **known.headers("operator")})
    sent = [json.loads(record.value or b"") for record in access.written(stage, "etl")]
    assert len(sent) == 4
    assert {(one["authid"], one["authtype"]) for one in sent} == {("operator", "api_key")}


async def test_replies_tell_browsers_to_run_and_embed_nothing(known: access.Callers) -> None:
    """Errors, too."""
    async with web_role.role(access.stage(), known.chosen()) as client:
        matrix = _Matrix(client, known)
        for route, caller in (("GET /v1/requests", "viewer"), ("GET /v1/requests", None), ("GET /health", None)):
            _, _, headers = await matrix.ask(route, caller)
            assert headers["Content-Security-Policy"].startswith("default-src 'none'; frame-ancestors 'none'")
            assert headers["X-Content-Type-Options"] == "nosniff"


async def test_no_name_of_a_tenant_stands_for_several(tmp_path: pathlib.Path) -> None:
    """A caller's text must not mean "whichever tenant"."""
    known = access.Callers(tmp_path)
    async with web_role.role(access.stage(), known.chosen()) as client:
        ours = known.headers("operator")
        for name in ("+", "*"):
            await client.get(f"/v1/requests?tenant={'%2B' if name == '+' else name}", 403, ours)
            body = {**_NEW, "tenant": name}
            await client.post("/v1/requests", body, 403, {**ours, "Idempotency-Key": "r-9"})


@pytest.mark.parametrize("by", ["token", "session"])
@pytest.mark.parametrize("change", ["taken back", "another role"])
async def test_a_stream_ends_soon_after_its_token_is_taken_back_or_has_another_role(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, change: str, by: str
) -> None:
    """Within seconds, not with the next heartbeat, nor when its reader happens to leave."""
    monkeypatch.setattr(streams, "_ASK_S", 0.1)
    known, stage = access.Callers(tmp_path), access.stage()
    async with web_role.role(stage, known.chosen()) as client:
        matrix = _Matrix(client, known)
        if by == "session":
            await matrix.log_in()
        headers = matrix._authentication("viewer")
        async with client.session.get(f"{client.url}/v1/events", headers=headers) as response:
            assert (await response.content.readline()).startswith(b"retry:")
            text = known.file.read_text()
            known.file.write_text("" if change == "taken back" else text.replace("viewer@etl", "viewer@bi"))
            async with asyncio.timeout(12):  # the heartbeat comes after 15 s
                assert b"etl-9" not in await response.content.read()
        await client.get("/v1/events?wait=0", 401 if change == "taken back" else 200, headers)


async def _metrics(client: web_role.Client, known: access.Callers) -> str:
    async with client.session.get(f"{client.url}/metrics", headers=known.headers("admin of all")) as answer:
        return await answer.text()


async def test_a_call_that_has_waited_is_not_answered_to_who_may_not_read_any_longer(tmp_path: pathlib.Path) -> None:
    """The event comes after the token was taken back."""
    known, stage = access.Callers(tmp_path), access.stage()
    async with web_role.role(stage, known.chosen()) as client, asyncio.timeout(60), asyncio.TaskGroup() as group:
        headers = known.headers("viewer")
        for roles, status in (("viewer@bi", 403), ("", 401)):
            known.file.write_text(text := known.file.read_text())
            waits = group.create_task(client.get("/v1/events?wait=15", status, headers), name="waits")
            while "mrs_relay_web_streams 1.0" not in await _metrics(client, known):
                await asyncio.sleep(0.01)
            known.file.write_text(text.replace("viewer@etl", roles) if roles else "")
            await stage.put(web_role.event("etl-9", status, "accepted", event_source="/mrs-relay/etl"))
            assert "etl-9" not in str(await waits)
            known.file.write_text(text)


async def test_strangers_learn_whether_it_is_ready_and_no_names(tmp_path: pathlib.Path) -> None:
    """Reasons and topics tell how the service is built."""
    known = access.Callers(tmp_path)
    async with web_role.role(access.stage(), known.chosen()) as client:
        assert await client.get("/ready") == {"ready": True, "writes": True}
        assert "behind" in await client.get("/ready", headers=known.headers("viewer"))
