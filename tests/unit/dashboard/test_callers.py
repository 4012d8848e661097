"""What pages show and offer to callers of some tenants and roles, and to those whom nobody knows."""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
from collections.abc import AsyncIterator, Mapping

import pytest
from tests.support import access, cells, web_role

from mrs_relay.common import clock
from mrs_relay.kafka import records
from mrs_relay.messages import status

_OURS = {"Sec-Fetch-Site": "same-origin"}


class _Shown:
    def __init__(self, client: web_role.Client, known: access.Callers) -> None:
        self._client = client
        self._known = known

    async def is_held(self, scope: str) -> None:
        """Hold a scope, and wait until pages show it."""
        headers = {**_OURS, **self._known.headers("operator of all")}
        fields = {"scope": scope, "mode": "hold", "reason": "upgrade", "by": "", "until": ""}
        url = f"{self._client.url}/controls"
        async with self._client.session.post(url, headers=headers, data=fields, allow_redirects=False) as response:
            assert response.status == 303
        async with asyncio.timeout(60):
            while f"<code>{scope}</code>" not in (await self.page("/controls", "operator of all"))[1]:
                await asyncio.sleep(0.02)

    async def page(
        self, path: str, caller: str | None, *, method: str = "GET", fields: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        """Ask for a page, which must be one; returns its status and text."""
        headers = {**_OURS, **self._known.headers(caller)}
        url = self._client.url + path
        async with self._client.session.request(method, url, headers=headers, data=fields) as response:
            assert response.content_type == "text/html"
            return response.status, await response.text()


def _full_cluster() -> status.Cluster:
    """Return one whose only slot a request of the tenant bi has, while one of etl waits."""
    queue = status.Queue(
        tenant="etl",
        operation="CreateExecuteJob",
        waiting=1,
        oldest_ms=1,
        causes=[status.Cause("slots_taken")],
        line=[status.InLine("/tests", "etl-4", 5, web_role.NOW_MS)],
    )
    holder = status.Ref("/tests", "bi-1")
    return status.Cluster(
        connection="mrs", cluster="c-1", slots_used=1, slots_limit=1, holders=[holder], queues=[queue]
    )


@contextlib.asynccontextmanager
async def _shown(folder: pathlib.Path) -> AsyncIterator[_Shown]:
    known, stage = access.Callers(folder), access.stage()
    await access.put_requests(stage)
    tenants = [
        status.Tenant(name=name, topic=f"{name}.requests", connection="mrs", partitions=[0], total=1)
        for name in access.TENANTS
    ]
    reported = status.encode_content(status.Replica(version="1", tenants=tenants, connections=[]))

    now_ms = clock.SystemClock().now_ms()
    value = status.encode(reported, at_ms=now_ms, replica="r-a", epoch_ms=1)
    full = status.encode(status.encode_content(_full_cluster()), at_ms=now_ms, replica="r-a", epoch_ms=1)
    await stage.put(
        web_role.event("etl-4", 1, "accepted", event_source="/mrs-relay/etl", cluster="c-1"),
        records.Outgoing("mrs.status", status.replica_key("r-a").encode(), value),
        records.Outgoing("mrs.status", status.cluster_key("r-a", "mrs", "c-1").encode(), full),
    )
    async with web_role.role(stage, known.chosen()) as client:
        yield _Shown(client, known)


async def test_people_read_on_a_page_why_something_is_refused(tmp_path: pathlib.Path) -> None:
    """Whoever refuses it: the roles, who is not known, the router; programs get JSON."""
    async with _shown(tmp_path) as shown:
        for path, caller, method, status, words in (
            ("/requests/etl-1/cancel", "viewer", "POST", 403, "this needs the role operator"),
            ("/bulk?action=cancel", "viewer", "GET", 403, "this needs the role operator"),
            ("/", None, "GET", 401, "authentication is needed"),
            ("/nowhere", "viewer", "GET", 404, "there is no such path"),
            ("/requests", "viewer", "POST", 405, "POST: expected GET"),
        ):
            with cells.cell(path, method):
                fields = {"note": "x"} if method == "POST" else None
                found, text = await shown.page(path, caller, method=method, fields=fields)
                assert found == status
                assert words in text

        with pytest.raises(AssertionError):
            await shown.page("/v1/nowhere", "viewer")


async def test_only_the_readers_own_tenants_are_named(tmp_path: pathlib.Path) -> None:
    """The names of the others are none of their business."""
    async with _shown(tmp_path) as shown:
        for path in ("/requests", "/dead-letters"):
            _, text = await shown.page(path, "viewer")
            assert '<option value="etl">' in text
            assert '<option value="bi">' not in text


async def test_decisions_are_offered_only_to_those_who_may_take_them(tmp_path: pathlib.Path) -> None:
    """A button that is refused helps nobody; what holds requests of several tenants needs the role for all."""
    here, everywhere = {"operator", "operator here, viewer there", "operator of all"}, {"operator of all"}
    offers = {
        ("/requests", "Resolve unknown"): here,
        ("/requests?tenant=etl", "Resolve unknown"): here,
        ("/requests?cluster=c-1", "Hold this cluster"): everywhere,
        ("/requests/etl-4", "Cancel this request"): here,
        ("/requests/etl-4", "Hold this request"): everywhere,
        ("/requests/etl-3", "Send it again"): here,
        ("/requests", "Retry failed"): here,
        ("/dead-letters", "Replay …"): here,
        ("/dead-letters/etl.requests-0-1", "Send it once more"): here,
        ("/dead-letters/etl.requests-0-1", "not json"): here,
        ("/clusters", ">Control</th>"): everywhere,
        ("/tenants", 'href="/controls?scope=tenant%2Fetl"'): here,
        ("/tenants", 'href="/controls?scope=tenant%2Fbi"'): everywhere,
        ("/controls", "Set a control"): here,
        ("/controls", ">Lift<"): everywhere,
    }

    async with _shown(tmp_path) as shown:
        await shown.is_held("all")
        for (path, words), those in offers.items():
            for caller in ("viewer", *here):
                with cells.cell(path, words, caller):
                    status, text = await shown.page(path, caller)
                    assert status == 200
                    assert (words in text) == (caller in those)
        _, text = await shown.page("/requests?tenant=bi", "operator here, viewer there")
        assert "Resolve unknown" not in text
        _, text = await shown.page("/", "viewer")
        assert text.count("are shown to who may see all tenants") == 2


async def test_who_holds_a_slot_may_be_of_another_tenant_than_who_waits(tmp_path: pathlib.Path) -> None:
    """The link to it names no tenant."""
    async with _shown(tmp_path) as shown:
        _, text = await shown.page("/clusters", "operator of all")
        assert text.count('"/requests/bi-1?source=%2Ftests"') == 2  # in the line of the cluster, and of the queue
        assert (await shown.page("/requests/bi-1?source=%2Ftests", "operator of all"))[0] == 200
