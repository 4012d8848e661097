"""What the API answers about requests and dead letters."""

from __future__ import annotations

import base64

import pytest
from tests.support import cells, web_role

from mrs_relay.kafka import records


async def test_a_request_is_shown_with_its_present_state_and_its_events() -> None:
    """The state is that of the last event; the whole event comes along."""
    stage = web_role.Stage()
    await stage.put(*web_role.story("r-1", cluster="c-1", labels={"team": "a"}))
    async with web_role.role(stage) as client:
        found = await client.get("/v1/requests/r-1")
        assert (found["state"], found["ended"], found["sequence"]) == ("succeeded", True, 4)
        assert (found["cluster"], found["labels"], found["type"]) == ("c-1", {"team": "a"}, "sql")
        assert found["last_event"]["data"]["state"] == "succeeded"
        listed = await client.get("/v1/requests/r-1/events")
        assert [one["data"]["sequence"] for one in listed["items"]] == [1, 2, 3, 4]
        assert listed["items"][0]["type"] == "mrs.sql.accepted"


_FILTERS: dict[str, list[str]] = {
    "": ["r-3", "r-2", "r-1"],
    "state=failed": ["r-2"],
    "type=job": ["r-3"],
    "cluster=c-2": ["r-3", "r-2"],
    "cluster=c-2&state=failed": ["r-2"],
    "label=team%3Da": ["r-3", "r-1"],
    "label=team%3Da&state=succeeded": ["r-3", "r-1"],
    "label=team%3Da&cluster=c-1": ["r-1"],
    "reason=job_failed": ["r-2"],
    "text=R-3": ["r-3"],
    "text=%25": [],
    "tenant=": ["r-3", "r-2", "r-1"],
    "tenant=x": [],
    "since=2026-11-23T08:00:11Z": ["r-3", "r-2"],
    "until=2026-11-23T08:00:11Z": ["r-1"],
}


async def test_filters_combine_and_the_newest_come_first() -> None:
    """All filters must match."""
    stage = web_role.Stage()
    start_ms = web_role.milliseconds("2026-11-23T08:00:00Z")
    await stage.put(*web_role.story("r-1", cluster="c-1", labels={"team": "a"}, start_ms=start_ms))
    await stage.put(web_role.failed("r-2", cluster="c-2", labels={"team": "b"}, time_ms=start_ms + 11_000))
    await stage.put(
        *web_role.story("r-3", cluster="c-2", labels={"team": "a"}, subject="job", start_ms=start_ms + 20_000)
    )
    async with web_role.role(stage) as client:
        for query, expected in _FILTERS.items():
            with cells.cell(query):
                assert web_role.ids(await client.get(f"/v1/requests?{query}")) == expected


async def test_pages_neither_repeat_nor_miss_a_request_while_new_ones_come() -> None:
    """The order is that of the first events, which never changes."""
    stage = web_role.Stage()
    for number in range(7):
        await stage.put(*web_role.story(f"r-{number}", start_ms=web_role.NOW_MS + number * 10))
    async with web_role.role(stage) as client:
        page = await client.get("/v1/requests?limit=3")
        found = web_role.ids(page)
        await stage.put(*web_role.story("new", start_ms=web_role.NOW_MS + 1_000))
        await client.seen("new")
        while "next" in page:
            page = await client.get(f"/v1/requests?limit=3&cursor={page['next']}")
            found += web_role.ids(page)
        assert found == [f"r-{number}" for number in reversed(range(7))]


async def test_an_id_that_several_services_use_is_answered_with_the_candidates() -> None:
    """Source and tenant name the one that is meant."""
    stage = web_role.Stage()
    await stage.put(
        web_role.event("r-1", 1, "accepted", source="/a"), web_role.event("r-1", 1, "accepted", source="/b")
    )
    async with web_role.role(stage) as client:
        problem = await client.get("/v1/requests/r-1", status=409)
        assert sorted(one["source"] for one in problem["candidates"]) == ["/a", "/b"]
        assert (await client.get("/v1/requests/r-1?source=/b"))["source"] == "/b"


_WRONG: dict[str, tuple[int, str, str]] = {
    "/v1/requests?status=failed": (400, "invalid-parameter", "status: there is no such parameter; known: tenant"),
    "/v1/requests?state=done": (400, "invalid-parameter", "state: Input should be 'accepted'"),
    "/v1/requests?state=failed&state=unknown": (400, "invalid-parameter", "state: expected once, got several"),
    "/v1/requests?limit=0": (400, "invalid-parameter", "limit: "),
    "/v1/requests?since=yesterday": (400, "invalid-parameter", "since: expected a time such as"),
    "/v1/requests?cursor=x": (400, "invalid-cursor", "cursor: expected the `next` of an earlier page"),
    "/v1/requests/none": (404, "no-such-request", "there is no request with the id 'none'"),
    "/v1/requests/a%00b": (404, "no-such-request", "there is no request"),
    "/v1/nothing": (404, "no-such-path", "see /v1/openapi.json"),
    "/v1/events?after=x": (400, "invalid-position", "after, Last-Event-ID: expected the id of an event"),
    "/v1/events?wait=61": (400, "invalid-parameter", "wait: "),
}


async def test_a_wrong_question_is_answered_with_what_to_do() -> None:
    """A misspelt filter must not be passed over: the answer would be to another question."""
    async with web_role.role(web_role.Stage()) as client:
        for path, (status, kind, words) in _WRONG.items():
            with cells.cell(path):
                problem = await client.get(path, status=status)
                assert (problem["type"], problem["status"]) == (f"urn:mrs-relay:problem:{kind}", status)
                assert words in problem["detail"]


async def test_a_cursor_of_other_filters_is_refused() -> None:
    """Pages of two questions do not fit together."""
    stage = web_role.Stage()
    for number in range(3):
        await stage.put(*web_role.story(f"r-{number}"))
    async with web_role.role(stage) as client:
        page = await client.get("/v1/requests?limit=1")
        problem = await client.get(f"/v1/requests?state=failed&cursor={page['next']}", status=400)
        assert "belongs to other filters" in problem["detail"]


async def test_a_cursor_with_a_number_that_no_database_takes_is_refused() -> None:
    """Callers can read a cursor, and write one."""
    stage = web_role.Stage()
    for number in range(2):
        await stage.put(*web_role.story(f"r-{number}"), web_role.letter(number))

    async with web_role.role(stage) as client:
        for path in ("/v1/requests", "/v1/dead-letters"):
            given: str = (await client.get(f"{path}?limit=1"))["next"]
            raw = base64.urlsafe_b64decode(given + "=" * (-len(given) % 4))
            digest, (_, _, others) = raw[:4], raw[4:].partition(b",")
            for forged_number in (b"%d" % 2**63, b"-%d" % (2**63 + 1), b"%d" % 2**70, b"1e30"):
                with cells.cell(path, forged_number):
                    forged = (
                        base64.urlsafe_b64encode(digest + b"[" + forged_number + b"," + others).rstrip(b"=").decode()
                    )
                    problem = await client.get(f"{path}?cursor={forged}", status=400)
                    assert problem["type"] == "urn:mrs-relay:problem:invalid-cursor"


async def test_an_answer_that_has_not_changed_is_not_sent_again() -> None:
    """The ETag of an answer changes with it."""
    stage = web_role.Stage()
    await stage.put(*web_role.story("r-1")[:2])
    async with web_role.role(stage) as client:
        async with client.session.get(f"{client.url}/v1/requests") as response:
            etag = response.headers["ETag"]
        async with client.session.get(f"{client.url}/v1/requests", headers={"If-None-Match": etag}) as response:
            assert (response.status, await response.read()) == (304, b"")
        await stage.put(*web_role.story("r-1")[2:])
        await client.seen("r-1")
        assert (await client.get("/v1/requests", headers={"If-None-Match": etag}))["items"][0]["state"] == "succeeded"


async def test_dead_letters_are_listed_with_their_reason_and_without_their_content() -> None:
    """Their bytes are the sender's own data."""
    stage = web_role.Stage()
    await stage.put(web_role.letter(1), web_role.letter(2, "unreadable_json"))
    async with web_role.role(stage) as client:
        found = await client.get("/v1/dead-letters?code=unreadable_json")
        (one,) = found["items"]
        assert (one["position"], one["code"], one["size_bytes"]) == ("mrs.requests-0-2", "unreadable_json", 8)
        first = await client.get("/v1/dead-letters?limit=1")
        second = await client.get(f"/v1/dead-letters?limit=1&cursor={first['next']}")
        assert {first["items"][0]["position"], second["items"][0]["position"]} == {
            "mrs.requests-0-1",
            "mrs.requests-0-2",
        }
        assert "not json" not in str(found)


async def test_tenants_that_share_a_topic_of_events_are_told_apart_by_the_source_of_their_events() -> None:
    """The same id of two tenants is two requests."""
    stage = web_role.Stage()
    tenants = {name: {"requests": f"{name}.requests"} for name in ("red", "blue")}
    await stage.put(
        web_role.event("r-1", 1, "accepted", event_source="/mrs-relay/red"),
        web_role.event("r-1", 1, "accepted", event_source="/mrs-relay/blue"),
        web_role.letter(1, topic="blue.requests"),
    )
    async with web_role.role(stage, web_role.chosen(tenants=tenants)) as client:
        assert (await client.get("/v1/requests/r-1?tenant=red"))["tenant"] == "red"
        assert len((await client.get("/v1/requests"))["items"]) == 2
        assert len((await client.get("/v1/requests?tenant=blue"))["items"]) == 1
        assert len((await client.get("/v1/events?tenant=blue&after=beginning&wait=0"))["items"]) == 1
        assert [one["tenant"] for one in (await client.get("/v1/dead-letters?tenant=blue"))["items"]] == ["blue"]


@pytest.mark.parametrize("depth", [90, 300, 700, 930, 990, 5_000])
async def test_an_event_that_is_nested_deeply_is_shown_without_what_is_deepest_or_passed_over(depth: int) -> None:
    """A foreign producer's JSON ends no page and no answer."""
    stage = web_role.Stage()
    await stage.put(*web_role.story("r-1"))
    deep = web_role.event("r-1", 5, "running")
    headers = tuple((name, b"r1-5" if name == "ce_id" else raw) for name, raw in deep.headers)
    value = (deep.value or b"")[:-1] + b',"odd":%b1%b}' % (b"[" * depth, b"]" * depth)
    await stage.put(records.Outgoing(deep.topic, deep.key, value, headers))
    await stage.put(web_role.event("last", 1, "accepted"))

    async with web_role.role(stage) as client:
        await client.seen("last", "accepted")
        for path in ("/v1/requests/r-1", "/v1/requests/r-1/events", "/v1/events?after=beginning&wait=0"):
            with cells.cell(path):
                found = str(await client.get(path))
                is_shown = "'odd'" in found
                assert is_shown == (depth < 700) or 700 <= depth < 1000
                assert ("nested too deeply" in found) == (is_shown and depth > 100)
        async with client.session.get(f"{client.url}/requests/r-1") as answer:
            assert answer.status == 200
        async with client.session.get(f"{client.url}/v1/events?after=beginning") as answer:
            await answer.content.readuntil(b'"last"')


@pytest.mark.parametrize("number", ["1e400", "9" * 5_000])
async def test_an_event_with_a_number_that_nothing_takes_is_shown_without_it(number: str) -> None:
    """JSON has no limit for numbers, and an answer that fails would keep a reader at this place for ever."""
    stage = web_role.Stage()
    odd = web_role.event("r-1", 1, "accepted")
    value = (odd.value or b"")[:-1] + b',"odd":[%b,2.5,7]}' % number.encode()
    await stage.put(records.Outgoing(odd.topic, odd.key, value, odd.headers), web_role.event("last", 1, "accepted"))
    async with web_role.role(stage) as client:
        await client.seen("last", "accepted")
        for path in ("/v1/requests/r-1", "/v1/requests/r-1/events", "/v1/events?after=beginning&wait=0"):
            with cells.cell(path):
                assert f"['(too large a number to be shown: {number[:40]})', 2.5, 7]" in str(await client.get(path))
        assert (await client.get("/v1/events?after=beginning&wait=0&id=r-1"))["items"]
        async with client.session.get(f"{client.url}/requests/r-1") as answer:
            assert answer.status == 200


async def test_a_time_that_is_none_is_shown_as_it_is_and_ends_no_page() -> None:
    """RFC 3339 has moments that in UTC are before the year 1 or after 9999; each page would fail for one of them."""
    stage = web_role.Stage()
    moments = ("0001-01-01T00:00:00+14:00", "1960-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "2016-12-31T23:59:60Z")
    for number, moment in enumerate(moments):
        sent = web_role.event(f"r-{number}", 1, "accepted")
        headers = tuple((name, moment.encode() if name == "ce_time" else raw) for name, raw in sent.headers)
        await stage.put(records.Outgoing(sent.topic, sent.key, sent.value, headers))

    await stage.put(*web_role.story("last"))
    async with web_role.role(stage) as client:
        await client.seen("last")
        found, path = list[str](), "/v1/requests?limit=1"
        while path:
            page = await client.get(path)
            found += [one["started_at"] for one in page["items"]]
            path = f"/v1/requests?limit=1&cursor={page['next']}" if page.get("next") else ""

        assert found == [
            "253402351199000 (not a time in milliseconds)",
            "2026-11-23T08:00:01.000Z",
            "2017-01-01T00:00:00.000Z",
            "-315619200000 (not a time in milliseconds)",
            "-62135647200000 (not a time in milliseconds)",
        ]

        for number in range(len(moments)):
            for page_path in (f"/v1/requests/r-{number}", f"/v1/requests/r-{number}/why", f"/requests/r-{number}"):
                async with client.session.get(client.url + page_path) as answer:
                    assert answer.status == 200, page_path

        async with client.session.get(f"{client.url}/requests") as answer:
            assert answer.status == 200
