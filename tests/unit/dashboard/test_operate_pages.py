"""Controls and what relays report, on pages that are read without a browser."""

from __future__ import annotations

import asyncio
import html

from tests.support import web_role
from tests.unit.dashboard.shown import Pages, pages

from mrs_relay.common import clock
from mrs_relay.kafka import records
from mrs_relay.messages import status


async def _shows(shown: Pages, path: str, words: str) -> str:
    """Wait until a page shows some words."""
    async with asyncio.timeout(60):
        while words not in (text := await shown.get(path)):
            await asyncio.sleep(0.02)
    return text


async def test_a_control_is_set_shown_on_the_overview_and_lifted() -> None:
    """Who holds what, and why, is the first thing that the next person on call sees."""
    async with pages() as shown:
        fields = {
            "scope": "cluster/c-1",
            "mode": "hold",
            "reason": "upgrade <b>",
            "by": "ann",
            "until": "2099-01-01T00:00",
        }
        _, headers = await shown.send("/controls", fields, 303)
        assert "The control was sent" in await shown.get(headers["Location"])
        text = await _shows(shown, "/controls", "cluster/c-1")
        for words in ("ann", "upgrade &lt;b&gt;", "2099-01-01 00:00:00"):
            assert words in text
        assert "<strong>hold</strong> cluster/c-1" in await shown.get("/")

        _, headers = await shown.send("/controls/lift", {"scope": "cluster/c-1"}, 303)
        assert "The control was lifted" in await shown.get(headers["Location"])
        await _shows(shown, "/controls", "Nothing is held")
        text = await _shows(shown, "/audit", "<strong>release</strong>")
        assert "upgrade &lt;b&gt;" in text
        assert "<strong>hold</strong>" not in await shown.get("/audit?action=release")


async def test_a_control_that_is_not_valid_is_refused_with_the_reason() -> None:
    """The rules are those of the API."""
    async with pages() as shown:
        good = {"scope": "all", "mode": "hold", "reason": "x", "by": "", "until": ""}
        assert "give a reason" in (await shown.send("/controls", {**good, "reason": " "}, 422))[0]
        assert "unknown scope" in html.unescape((await shown.send("/controls", {**good, "scope": "moon/x"}, 422))[0])
        assert "mode" in (await shown.send("/controls", {**good, "mode": "stop"}, 422))[0]
        assert "until" in (await shown.send("/controls", {**good, "until": "soon"}, 422))[0]
        assert "has no control" in (await shown.send("/controls/lift", {"scope": "all"}, 404))[0]
        await shown.send("/controls", good, 403, {"Sec-Fetch-Site": "cross-site"})
        await shown.send("/controls/lift", {"scope": "all"}, 403, {})
    async with pages(read_only=True) as shown:
        assert 'method="post"' not in await shown.get("/controls")
        await shown.send("/controls", good, 403)


async def _reported(shown: Pages, *contents: tuple[str, status.Content]) -> None:
    now_ms = clock.SystemClock().now_ms()
    for key, content in contents:
        value = status.encode(status.encode_content(content), at_ms=now_ms, replica="r-a", epoch_ms=1)
        await shown.stage.put(records.Outgoing("mrs.status", key.encode(), value))


async def test_what_relays_report_is_shown_as_gauges_queues_and_reasons() -> None:
    """Slots, budgets, queues, limits of tenants, partitions, and why a request waits."""
    line = [status.InLine("/tests", "w-1", 5, web_role.NOW_MS)]
    queue = status.Queue(
        tenant="",
        operation="CreateExecuteJob",
        waiting=12,
        oldest_ms=1,
        causes=[status.Cause("slots_taken")],
        line=line,
    )

    pause = status.Pause(operation="StopJob", state="failing", code="http_503", text="<no>", since_ms=1)
    cluster = status.Cluster(
        connection="mrs",
        cluster="c-1",
        slots_used=3,
        slots_limit=10,
        holders=[status.Ref("/tests", "h-1")],
        pauses=[pause],
        queues=[queue],
    )

    tenant = status.Tenant(
        name="", topic="mrs.requests", connection="mrs", partitions=[0], total=2, waiting=12, most_running=5
    )
    budget = status.Budget(operation="CreateExecuteJob", per_minute=60, granted=30, used=20, needed=True)
    replica = status.Replica(
        version="1", tenants=[tenant], connections=[status.Connection(name="mrs", budgets=[budget])]
    )
    broken = status.Partition(tenant="", topic="mrs.requests", partition=0, state="unreadable", error="bad record 7")

    async with pages(web_role.event("w-1", 1, "accepted", cluster="c-1")) as shown:
        await _reported(
            shown,
            (status.replica_key("r-a"), replica),
            (status.partition_key("mrs.requests", 0), broken),
            (status.cluster_key("r-a", "mrs", "c-1"), cluster),
        )

        text = await _shows(shown, "/clusters", "3 of 10")
        for words in ("20 of 60", "h-1", "w-1", "&lt;no&gt;", "StopJob", "12"):
            assert words in text

        assert "c-1" not in await shown.get("/clusters?cluster=c-2")

        text = await shown.get("/tenants")
        for words in ("0 of 5", "mrs.requests-0", "unreadable", "bad record 7"):
            assert words in text
        text = await shown.get("/")
        for words in ("3 of 10", "20 of 60", "bad record 7"):
            assert words in text

        assert "Why it waits" in await shown.get("/requests/w-1")


async def test_a_reader_who_asks_too_often_reads_so_on_a_page() -> None:
    """The limit is asked before any page."""
    async with pages(requests_per_s=1) as shown:
        await shown.get("/audit")
        await shown.get("/audit")
        assert "more requests than api.requests_per_s allows" in await shown.get("/audit", 429)
