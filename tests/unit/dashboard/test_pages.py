"""What pages show, and what they refuse, through a client without a browser."""

from __future__ import annotations

import html
import re
from urllib.parse import urlencode

import pytest
from tests.support import web_role
from tests.unit.dashboard.shown import pages

from mrs_relay.client import wording
from mrs_relay.dashboard import bulk
from mrs_relay.kafka import records
from mrs_relay.messages import audit, codec, dead_letters, events, reasons


def hidden(text: str) -> dict[str, str]:
    """Return what a form of the page sends besides what people fill in."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', text)
    return {name: html.unescape(value) for name, value in found}


async def test_pages_are_strict_about_what_browsers_may_load() -> None:
    """Nothing from elsewhere, no script or style within a page, no frame of another site."""
    async with pages(web_role.failed("r-1")) as shown:
        for path in ("/", "/requests", "/requests/r-1", "/dead-letters", "/bulk?action=cancel", "/requests/none"):
            async with shown.client.session.get(shown.client.url + path) as response:
                text = await response.text()
                policy = response.headers["Content-Security-Policy"]
            assert "unsafe" not in policy
            assert "frame-ancestors 'none'" in policy
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text), path
            for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', text):
                async with shown.client.session.get(shown.client.url + html.unescape(address)) as file:
                    assert file.status == 200
                    assert "immutable" in file.headers["Cache-Control"]


async def test_what_others_wrote_is_shown_as_text() -> None:
    """Ids, labels, reasons and addresses come from anyone who may send a message."""
    evil = "<script>alert('x')</script>"
    reason = reasons.Reason(kind="job_failed", code="job_result", message=evil)
    mrs = events.BodyMrs(job_id=evil, tracking_url="javascript:alert(1)")

    story = web_role.event(evil, 2, "failed", reason=reason, labels={evil: evil}, cluster=evil, mrs=mrs)
    async with pages(story) as shown:
        for path in (
            "/",
            "/requests",
            f"/requests?{urlencode({'text': evil})}",
            f"/bulk?action=cancel&{urlencode({'text': evil})}",
        ):
            text = await shown.get(path)
            assert evil not in text
            assert html.escape(evil) in text.replace("&#34;", "&quot;").replace("&#39;", "&#x27;")

        found = re.search(r'class="open" href="([^"]+)"', await shown.get("/requests"))
        assert found is not None

        text = await shown.get(html.unescape(found[1]))
        assert evil not in text
        assert 'href="javascript:' not in text


async def test_the_overview_counts_and_links() -> None:
    """The first page says what fails and waits, and how far it has read."""
    now_ms = web_role.NOW_MS
    async with pages(
        web_role.event("w-1", 1, "accepted", time_ms=now_ms, cluster="c-1"), web_role.failed("f-1")
    ) as shown:
        text = await shown.get("/")
        assert "/requests/w-1?source=%2Ftests" in text
        assert "/requests/f-1?source=%2Ftests" in text
        assert "mrs.dead-letters" in text
        assert "/requests?cluster=c-1" in text


async def test_filters_are_in_the_address_and_pages_follow_each_other() -> None:
    """A link shows others what one sees."""
    stories = [
        web_role.event(f"r-{n:02}", 1, "accepted", cluster=f"c-{n % 2}", time_ms=web_role.NOW_MS + n) for n in range(20)
    ]
    async with pages(*stories) as shown:
        seen: list[str] = []
        path = "/requests?cluster=c-1&limit=4"
        while path:
            text = await shown.get(path)
            assert 'name="cluster" value="c-1"' in text
            seen += re.findall(r'class="open" href="/requests/(r-\d+)', text)
            following = re.search(r'rel="next" href="([^"]+)"', text)
            path = html.unescape(following[1]) if following else ""
        assert seen == [f"r-{n:02}" for n in range(19, 0, -2)]


async def test_a_wrong_filter_is_said_beside_the_form() -> None:
    """What was typed stays there to be corrected."""
    async with pages() as shown:
        text = await shown.get("/requests?label=team&text=abc", 400)
        assert "<strong>label</strong>" in text
        assert 'value="team"' in text
        assert 'value="abc"' in text
        assert "there is no such parameter" in await shown.get("/requests?colour=red", 400)
        assert "expected the `next`" in html.unescape(await shown.get("/requests?cursor=x", 400))


async def test_rows_stay_where_they_are_and_new_ones_are_counted() -> None:
    """A page that is being read changes in place; what is new comes when the reader asks."""
    async with pages(
        *(web_role.event(f"r-{n}", 1, "accepted", time_ms=web_role.NOW_MS + n) for n in range(3))
    ) as shown:
        first = await shown.get("/requests?state=accepted")
        live = re.search(r'hx-get="(/live[^"]+)"', first)
        assert live is not None

        address = re.sub(r"new_since=\d+", f"new_since={web_role.NOW_MS - 10}", html.unescape(live[1]))
        await shown.stage.put(
            web_role.event("r-1", 2, "submitted", time_ms=web_role.NOW_MS + 20),
            web_role.event("r-9", 1, "accepted", time_ms=web_role.NOW_MS - 5),  # before the page, read after it
        )
        await shown.client.seen("r-9", "accepted")
        again = await shown.get(address)

        assert re.findall(r'class="open" href="/requests/(r-\d)', again) == ["r-2", "r-1", "r-0"]
        assert "1 new: show" in again
        assert again.count("no longer matches") == 1
        assert "expected those of a page" in await shown.get("/live?keys=zz&new_since=1", 400)
        assert "expected that of a page" in await shown.get("/live?new_since=x", 400)


async def test_a_request_shows_its_life_its_result_and_what_mrs_said() -> None:
    """All that events hold about it, on one page."""
    rows = [{"name": "=1+1", "count": 3}, {"name": None, "count": 4}]
    result = events.Result(statements=[events.StatementResult(rows=rows, row_count=2)])
    mrs = events.BodyMrs(job_id="j-7", app_id="application_1", tracking_url="https://yarn/app", progress=50.0)

    story = [
        *web_role.story("r-1", cluster="c-1", labels={"team": "a"})[:3],
        web_role.event("r-1", 4, "succeeded", mrs=mrs, result=result, cluster="c-1", labels={"team": "a"}),
    ]
    async with pages(*story) as shown:
        text = await shown.get("/requests/r-1")
        for words in ("<svg", "attempt 1", "j-7", "application_1", 'href="https://yarn/app"', "2 rows", "team=a"):
            assert words in text
        assert text.count("<summary>JSON</summary>") == 4
        assert "Cancel this request" not in text
        async with shown.client.session.get(f"{shown.client.url}/requests/r-1/result.csv?statement=1") as response:
            assert await response.text() == "name,count\r\n'=1+1,3\r\n,4\r\n"
            assert response.content_type == "text/csv"
            assert "r-1-1.csv" in response.headers["Content-Disposition"]
        assert "the result has 1 statements" in await shown.get("/requests/r-1/result.csv?statement=2", 404)
        assert "the result has 1 statements" in html.unescape(
            await shown.get("/requests/r-1/result.csv?statement=x", 404)
        )


async def test_events_of_foreign_programs_are_shown_as_far_as_they_can_be_read() -> None:
    """Whoever may write to the topic may write anything into an event's free fields."""
    for extra in ({"result": 5}, {"result": {"statements": [7, {"rows": "x", "row_count": "y"}, {"rows": [1, [2]]}]}}):
        data = {"request": {"id": "r-1", "source": "/x"}, "state": "strange", "sequence": 1, **extra}
        headers = {
            "specversion": b"1.0",
            "id": b"e",
            "source": b"/y",
            "type": b"mrs.sql.strange",
            "time": b"2026-03-01T12:00:00Z",
        }

        foreign = records.Outgoing(
            web_role.KAFKA.topics.events,
            b"k",
            codec.encode(data),
            tuple((f"ce_{name}", value) for name, value in headers.items()),
        )

        async with pages(foreign) as shown:
            assert "strange" in await shown.get("/requests/r-1")
            assert "strange" in await shown.get("/requests")
            await shown.get("/")


async def test_of_several_requests_with_one_id_the_reader_chooses() -> None:
    """Each is linked with its source."""
    async with pages(web_role.event("r-1", 1, "accepted"), web_role.event("r-1", 1, "accepted", source="/b")) as shown:
        text = await shown.get("/requests/r-1", 409)
        assert "/requests/r-1?source=%2Fb" in text
        await shown.get("/requests/r-1?source=%2Fb")
        assert "there is no request" in await shown.get("/requests/none", 404)


async def test_a_cancel_and_a_verdict_need_a_reason_and_become_messages() -> None:
    """The page sends what the HTTP API sends, and says so."""
    async with pages(web_role.event("r-1", 1, "accepted"), web_role.event("u-1", 5, "unknown")) as shown:
        await shown.send("/requests/r-1/cancel", {"note": " "}, 422)
        await shown.send("/requests/u-1/resolve", {"note": "looked", "verdict": "lost"}, 422)
        await shown.send("/requests/r-1/resolve", {"note": "looked", "verdict": "failed"}, 409)
        await shown.send("/requests/r-1/cancel", {"note": "x"}, 403, {"Sec-Fetch-Site": "cross-site"})
        assert shown.sent() == []

        _, headers = await shown.send("/requests/r-1/cancel", {"note": "wrong date"}, 303)
        assert "The cancel was sent" in await shown.get(headers["Location"])
        _, headers = await shown.send("/requests/u-1/resolve", {"note": "looked", "verdict": "failed"}, 303)
        assert "The verdict was sent" in await shown.get(headers["Location"])
        assert shown.sent() == [("mrs.job.cancel", "r-1", "wrong date"), ("mrs.job.resolve", "u-1", "looked")]


async def test_a_dead_letter_is_read_kept_and_sent_once_more() -> None:
    """Its bytes are text that is never run; a replay needs a reason, and each outcome is shown."""
    evil = dead_letters.DeadLetter(
        key=b"k",
        value=b"<script>alert(1)</script>",
        headers=(("x", b"<b>"),),
        code="bad_id",
        message="no id",
        topic="mrs.requests",
        partition=0,
        offset=70,
        timestamp_ms=web_role.NOW_MS,
    )
    made = [web_role.letter(number) for number in range(60)]
    async with pages(*made, records.Outgoing("mrs.dead-letters", *evil.write())) as shown:
        assert "/dead-letters/mrs.requests-0-70" in (listed := await shown.get("/dead-letters?code=bad_id"))
        assert "/dead-letters/replay?code=bad_id" in listed
        page = await shown.get("/dead-letters/mrs.requests-0-70")
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        assert "<script>alert" not in page
        url = f"{shown.client.url}/dead-letters/mrs.requests-0-70/message"
        async with shown.client.session.get(url) as answer:
            assert (await answer.read(), answer.content_type) == (evil.value, "application/octet-stream")
            assert answer.headers["Content-Disposition"] == 'attachment; filename="mrs.requests-0-70"'

        path = "/dead-letters/mrs.requests-0-70/replay"
        await shown.send(path, {"note": " "}, 422)
        await shown.send(path, {"note": "x"}, 403, {"Sec-Fetch-Site": "cross-site"})
        _, headers = await shown.send(path, {"note": "repaired"}, 303)
        assert "was sent once more" in await shown.get(headers["Location"])

        preview = await shown.get("/dead-letters/replay?code=bad_id")
        assert "<strong>61</strong> dead letters will be looked at" in preview
        assert preview.count("sent to partition 0 of mrs.requests") == 10
        fields = {**hidden(preview), "note": "repaired"}
        await shown.send("/dead-letters/replay", hidden(preview), 422)
        text, _ = await shown.send("/dead-letters/replay", fields)
        text += (await shown.send("/dead-letters/replay", hidden(text)))[0]
        assert text.count('class="o-sent"') == 61
        assert "61 sent, 0 passed over, 0 failed. Done." in text
        await shown.send("/dead-letters/replay", {**fields, "sent": "many"}, 422)
        assert len(shown.stage.broker.committed("mrs.requests")) == 62
        await shown.get("/dead-letters/none", 404)


async def test_requests_that_failed_are_sent_again_one_by_one_or_all_that_match() -> None:
    """Under ids that name the old ones, with a reason; the messages of a step are looked for together."""
    data = {"cluster": "c-1", "engine": "spark", "statement": "select 1"}
    ids = [f"r-{number}" for number in range(60)]
    made = [
        records.Outgoing(
            "mrs.requests",
            one.encode(),
            codec.encode({"id": one, "source": "/tests", "type": "mrs.sql.submit", "data": data}),
            wording.HEADERS,
        )
        for one in ids[:-1]
    ]
    async with pages(*made, *map(web_role.failed, ids), web_role.event("ok", 3, "running")) as shown:
        assert "Send it again" in await shown.get("/requests/r-1")
        assert "Send it again" not in await shown.get("/requests/ok")
        await shown.send("/requests/r-1/retry", {"note": ""}, 422)
        await shown.send("/requests/ok/retry", {"note": "x"}, 409)
        _, headers = await shown.send("/requests/r-1/retry", {"note": "input was late"}, 303)
        assert "It was sent again" in (page := await shown.get(headers["Location"]))
        assert "r-1-retry-4" in page

        assert "action=retry&amp;state=failed" in await shown.get("/requests")
        preview = await shown.get("/bulk?action=retry&state=failed")
        assert "<strong>60</strong> of 60 matching requests will be sent again under new ids" in preview
        fields = {**hidden(preview), "note": "input was late"}
        text, _ = await shown.send("/bulk", fields)
        text += (await shown.send("/bulk", hidden(text)))[0]
        assert text.count("sent again as") == 59
        assert "has left topic mrs.requests" in text
        assert "59 sent, 0 passed over, 1 failed. Done." in text

        sent = [codec.decode(one.value or b"")["id"] for one in shown.stage.broker.committed("mrs.requests")]
        assert set(sent) == {one + end for one in ids[:-1] for end in ("", "-retry-4")}
        whys = [audit.read(one.value) for one in shown.stage.broker.committed("mrs.audit")]
        assert {(one.data.action, one.data.why) for one in whys} == {("retry", "input was late")}


async def test_all_that_match_are_cancelled_step_by_step_and_nothing_else() -> None:
    """The preview counts, later requests are left alone, and each outcome is shown."""
    stories = [
        web_role.event(f"r-{n:03}", 1, "accepted", cluster="c-1", time_ms=web_role.NOW_MS + n) for n in range(120)
    ]
    others = [web_role.event("other", 1, "accepted", cluster="c-2"), *web_role.story("ended", cluster="c-1")]
    async with pages(*stories, *others) as shown:
        preview = await shown.get("/bulk?action=cancel&cluster=c-1")
        assert "<strong>120</strong> of 121 matching requests will be asked to stop" in preview
        fields = hidden(preview)
        fields["until_ms"] = str(web_role.NOW_MS + 100_000)
        await shown.stage.put(web_role.event("late", 1, "accepted", cluster="c-1", time_ms=web_role.NOW_MS + 200_000))
        await shown.client.seen("late", "accepted")

        await shown.send("/bulk", fields, 422)  # no reason
        await shown.send("/bulk", {**fields, "note": "x"}, 403, {})
        outcomes: list[str] = []
        fields["note"] = "wrong & late"
        for _ in range(3):
            text, _headers = await shown.send("/bulk", fields)
            outcomes += re.findall(r'class="o-(\w+)"', text)
            fields = hidden(text)
        assert sorted(outcomes) == ["passed"] + ["sent"] * 120
        assert "121 of 121 looked at: 120 sent, 1 passed over, 0 failed. Done." in text
        assert fields == {}
        assert [(kind, note) for kind, _, note in shown.sent()] == [("mrs.job.cancel", "wrong & late")] * 120
        assert "late" not in {request for _, request, _ in shown.sent()}


async def test_what_one_state_fits_is_found_among_many_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The few that a person must settle may be older than all that the preview would look at."""
    monkeypatch.setattr(bulk, "_LOOKED_AT", 5)
    monkeypatch.setattr(bulk, "_STEP", 5)
    others = [web_role.event(f"r-{n}", 1, "accepted", time_ms=web_role.NOW_MS + n) for n in range(20)]
    async with pages(web_role.event("u-1", 5, "unknown", time_ms=web_role.NOW_MS - 1), *others) as shown:
        preview = await shown.get("/bulk?action=resolve")
        assert "<strong>1</strong> of 21 matching requests will be resolved" in preview
        assert "/requests/u-1?" in preview
        fields = hidden(preview)
        text, _ = await shown.send("/bulk", {**fields, "note": "looked", "verdict": "failed"})
        assert "1 of 1 looked at: 1 sent, 0 passed over, 0 failed. Done." in text
        assert shown.sent() == [("mrs.job.resolve", "u-1", "looked")]


async def test_a_step_of_another_filter_or_with_wrong_numbers_is_refused() -> None:
    """The cursor belongs to what was previewed."""
    async with pages(
        *(web_role.event(f"r-{n:03}", 1, "accepted", time_ms=web_role.NOW_MS + n) for n in range(60))
    ) as shown:
        fields = {"action": "cancel", "note": "x", "until_ms": str(web_role.NOW_MS + 1_000_000)}
        text, _ = await shown.send("/bulk", fields)
        cursor = re.search(r'name="cursor" value="([^"]+)"', text)
        assert cursor is not None
        await shown.send("/bulk", {**fields, "cursor": html.unescape(cursor[1]), "state": "accepted"}, 400)
        await shown.send("/bulk", {**fields, "until_ms": "x"}, 422)
        await shown.send("/bulk", {**fields, "until_ms": "9" * 40}, 422)
        await shown.send("/bulk", {**fields, "action": "delete"}, 400)
        assert "expected one of" in await shown.get("/bulk?action=delete", 400)


async def test_a_read_only_dashboard_offers_and_does_nothing() -> None:
    """`api.read_only` holds for pages, too."""
    made = (web_role.event("r-1", 1, "accepted"), web_role.failed("r-2"), web_role.letter(1))
    async with pages(*made, read_only=True) as shown:
        letter = "/dead-letters/mrs.requests-0-1"
        shown_pages = ("/requests", "/requests/r-1", "/bulk?action=cancel", "/requests/r-2", letter)
        for path in (*shown_pages, "/dead-letters/replay", "/bulk?action=retry&state=failed"):
            text = await shown.get(path)
            assert "Cancel this" not in text
            assert 'method="post"' not in text
        for path in ("/requests/r-1/cancel", "/requests/r-2/retry", f"{letter}/replay", "/dead-letters/replay"):
            await shown.send(path, {"note": "x"}, 403)
        assert shown.sent() == []


async def test_dead_letters_are_listed_with_their_reason() -> None:
    """The bytes are the sender's, and are not in the list."""
    async with pages(web_role.letter(5), web_role.letter(6, code="bad_source")) as shown:
        text = await shown.get("/dead-letters")
        assert "mrs.requests-0-5" in text
        assert "not json" not in text
        assert "mrs.requests-0-5" not in await shown.get("/dead-letters?code=bad_source")


async def test_an_empty_audit_says_whether_a_filter_makes_it_so() -> None:
    """What a filter leaves out has been decided all the same."""
    async with pages() as shown:
        assert "Nobody has decided anything yet" in await shown.get("/audit")
        assert "No decision here matches" in await shown.get("/audit?by=ann")


@pytest.mark.parametrize("path", ["/static/none.css", "/static/..%2Fpages.py", "/static/"])
async def test_only_files_of_the_dashboard_are_served(path: str) -> None:
    """The name is looked up, never opened."""
    async with pages() as shown, shown.client.session.get(shown.client.url + path) as response:
        assert response.status == 404
