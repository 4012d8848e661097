"""The dashboard in a real Chromium: every page and action, its accessibility, its keys, and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright import sync_api
from tests.support import browser, web_role

from mrs_relay.common import clock
from mrs_relay.messages import events, reasons

expect = sync_api.expect
PAGES = {
    "overview": "/",
    "requests": "/requests",
    "filtered": "/requests?state=failed&text=night",
    "wrong filter": "/requests?label=x",
    "running": "/requests/etl-running",
    "failed": "/requests/nightly-etl",
    "unknown": "/requests/presto-7",
    "result": "/requests/report",
    "nothing there": "/requests/none",
    "bulk cancel": "/bulk?action=cancel",
    "bulk resolve": "/bulk?action=resolve&state=unknown",
    "dead letters": "/dead-letters",
    "dead letter": "/dead-letters/mrs.requests-0-5",
    "replay": "/dead-letters/replay",
    "bulk retry": "/bulk?action=retry&state=failed",
    "controls": "/controls?scope=cluster/c-1",
    "clusters": "/clusters",
    "tenants": "/tenants",
    "audit": "/audit",
    "account": "/login",
}


def furnish(shown: browser.Dashboard) -> None:
    """Give the pages something of each kind to show."""
    now_ms = clock.SystemClock().now_ms()
    rows = [{"nation": "PERU", "customers": 3}, {"nation": "=CHINA", "customers": -4}]
    result = events.Result(statements=[events.StatementResult(rows=rows, row_count=2)])

    mrs = events.BodyMrs(
        job_id="j-1",
        job_state="RUNNING",
        progress=40.0,
        app_id="application_1_2",
        tracking_url="https://yarn.example/a",
    )

    failed = reasons.Reason(kind="job_failed", code="job_result", message="MRS says FAILED")
    lost = reasons.Reason(kind="unresolved", code="lost_reply", message="the reply was lost")

    shown.put(
        *web_role.story("etl-running", start_ms=now_ms - 60_000, cluster="c-1", labels={"team": "etl"})[:2],
        web_role.event("etl-running", 3, "running", time_ms=now_ms - 50_000, mrs=mrs, cluster="c-1"),
        web_role.event("nightly-etl", 1, "accepted", time_ms=now_ms - 90_000),
        web_role.event("nightly-etl", 2, "submitted", time_ms=now_ms - 80_000),
        web_role.event("nightly-etl", 3, "retrying", time_ms=now_ms - 70_000, reason=failed),
        web_role.event("nightly-etl", 4, "failed", time_ms=now_ms - 40_000, reason=failed),
        web_role.event("presto-7", 1, "accepted", time_ms=now_ms - 30_000),
        web_role.event("presto-7", 2, "unknown", time_ms=now_ms - 20_000, reason=lost),
        *web_role.story("report", start_ms=now_ms - 20_000)[:3],
        web_role.event("report", 4, "succeeded", time_ms=now_ms - 10_000, result=result),
        web_role.letter(5),
    )


@pytest.fixture(scope="module")
def chromium() -> Iterator[sync_api.Browser]:
    with browser.launched() as found:
        yield found


@pytest.fixture(scope="module")
def shown() -> Iterator[browser.Dashboard]:
    with browser.dashboard() as found:
        furnish(found)
        yield found


@pytest.fixture
def reader(chromium: sync_api.Browser, shown: browser.Dashboard) -> Iterator[browser.Reader]:
    with browser.window(chromium, shown.url) as found:
        yield found


def test_every_page_is_accessible_and_its_console_is_silent(
    chromium: sync_api.Browser, shown: browser.Dashboard
) -> None:
    """axe-core finds nothing, and no script, style or address is refused; only colours differ between the schemes."""
    found: dict[str, object] = {}
    # Chromium itself says in the console that some of these pages have the status 400 or 404.
    with browser.window(chromium, shown.url, expected="status of 40", color_scheme="light") as reader:
        for name, path in PAGES.items():
            reader.page.emulate_media(color_scheme="light")
            reader.open(path)
            wrong = browser.violations(reader.page)
            reader.page.emulate_media(color_scheme="dark")
            wrong = [*wrong, *browser.violations(reader.page, "color-contrast")]
            if wrong:
                found[name] = wrong
    assert found == {}


def test_a_page_is_read_without_javascript(chromium: sync_api.Browser, shown: browser.Dashboard) -> None:
    """Filters, pages, events and forms are HTML."""
    with browser.window(chromium, shown.url, java_script_enabled=False) as reader:
        reader.open("/")
        reader.page.get_by_role("link", name="Requests").click()
        reader.page.get_by_label("State").select_option("failed")
        reader.page.get_by_role("button", name="Filter").click()
        reader.page.get_by_role("link", name="nightly-etl").click()
        reader.see("MRS says FAILED", "attempt 1")
        expect(reader.page.get_by_role("button", name="Theme")).to_be_hidden()


def test_a_running_page_changes_under_the_reader_and_keeps_what_is_open(
    reader: browser.Reader, shown: browser.Dashboard
) -> None:
    """A new event comes in without a reload; the opened JSON stays open and nothing that was typed is lost."""
    shown.put(web_role.event("moving", 1, "accepted", time_ms=clock.SystemClock().now_ms()))
    reader.open("/requests/moving")
    reader.page.locator("summary").first.click()
    reader.page.get_by_label("Reason").fill("half a rea")
    shown.put(web_role.event("moving", 2, "submitted", time_ms=clock.SystemClock().now_ms()))
    reader.see("MRS took the job")
    expect(reader.page.locator("details").first).to_have_attribute("open", "")
    expect(reader.page.get_by_label("Reason")).to_have_value("half a rea")


def test_rows_do_not_jump_and_what_is_new_is_a_button(reader: browser.Reader, shown: browser.Dashboard) -> None:
    """The list that one reads changes in place, until one asks for more, or pauses it."""
    now_ms = clock.SystemClock().now_ms()
    shown.put(*(web_role.event(f"row-{n}", 1, "accepted", time_ms=now_ms + n) for n in range(3)))
    reader.open("/requests?text=row-")
    links = reader.page.locator("a.open")
    expect(links).to_have_text(["row-2", "row-1", "row-0"])

    later_ms = clock.SystemClock().now_ms() + 1_000
    shown.put(
        web_role.event("row-1", 2, "running", time_ms=later_ms),
        web_role.event("row-9", 1, "accepted", time_ms=later_ms),
    )
    reader.see("1 new: show")
    expect(links).to_have_text(["row-2", "row-1", "row-0"])
    expect(reader.page.locator("tbody tr").nth(1)).to_contain_text("running")

    reader.page.get_by_role("button", name="Pause").click()
    expect(reader.page.get_by_role("button", name="Go on")).to_be_visible()
    reader.page.get_by_role("link", name="1 new: show").click()
    expect(links).to_have_text(["row-9", "row-2", "row-1", "row-0"])


def test_filters_live_in_the_address(reader: browser.Reader) -> None:
    """A link can be sent to others, and Back returns to what was filtered."""
    reader.open("/requests")
    reader.page.get_by_label("State").select_option("unknown")
    reader.page.get_by_label("Text", exact=True).fill("presto")
    reader.page.get_by_role("button", name="Filter").click()
    expect(reader.page).to_have_url(re.compile("text=presto&state=unknown"))
    reader.page.get_by_role("link", name="presto-7").click()
    reader.see("the reply was lost")
    reader.page.go_back()
    expect(reader.page.get_by_label("State")).to_have_value("unknown")


def test_one_request_is_cancelled_with_a_reason(reader: browser.Reader, shown: browser.Dashboard) -> None:
    """The page shows the relay's own answer, with the reason, as soon as MRS confirms."""
    shown.submit("slow-1")
    shown.seen("slow-1", "running")
    reader.open("/requests/slow-1")
    reader.page.get_by_role("button", name="Cancel this request").click()
    expect(reader.page.get_by_label("Reason")).to_be_focused()  # the browser asks for it
    reader.page.get_by_label("Reason").fill("wrong date")
    reader.page.get_by_role("button", name="Cancel this request").click()
    reader.see("The cancel was sent", "wrong date", "cancelled")
    shown.seen("slow-1", "cancelled")


def test_an_unknown_request_is_settled_with_a_verdict(reader: browser.Reader, shown: browser.Dashboard) -> None:
    """A person who has looked at MRS says how it ended; the message goes to the relay."""
    before = len(shown.stage.broker.committed(web_role.KAFKA.topics.requests))
    reader.open("/requests/presto-7")
    reader.page.get_by_label("It has").select_option("succeeded")
    reader.page.get_by_label("Who says so and why").fill("jo: rows are there")
    reader.page.get_by_role("button", name="Resolve this request").click()
    reader.see("The verdict was sent")
    sent = shown.stage.broker.committed(web_role.KAFKA.topics.requests)[before:]
    assert b"jo: rows are there" in (sent[0].value or b"")


@pytest.mark.parametrize("scripts", [True, False])
def test_ten_by_filter_are_cancelled_and_each_outcome_is_shown(
    chromium: sync_api.Browser, shown: browser.Dashboard, *, scripts: bool
) -> None:
    """Preview with number and sample, a reason, progress and outcomes; the relay then stops exactly these."""
    team = f"team-{scripts}".lower()
    ids = [f"{team}-{n}" for n in range(10)]
    for one in ids:
        shown.submit(one, labels={"team": team})
    shown.submit(f"{team}-kept", labels={"team": "other"})
    for one in (*ids, f"{team}-kept"):
        shown.shown(one)

    with browser.window(chromium, shown.url, java_script_enabled=scripts) as reader:
        reader.open("/requests")
        reader.page.get_by_label("Label").fill(f"team={team}")
        reader.page.get_by_role("button", name="Filter").click()
        reader.page.get_by_role("link", name="Cancel …").click()
        reader.see("10 of 10 matching requests will be asked to stop", ids[0])
        reader.page.get_by_label("Reason").fill("wrong input")
        reader.page.get_by_role("button", name="Cancel 10 requests").click()
        reader.see("10 of 10 looked at: 10 sent, 0 passed over, 0 failed. Done.")
        assert reader.page.locator("td.o-sent").count() == 10
        reader.page.get_by_role("link", name=ids[3]).click()

    for one in ids:
        shown.seen(one, "cancelled")


def test_a_hundred_and_more_go_step_by_step(reader: browser.Reader, shown: browser.Dashboard) -> None:
    """Each step is a form that the page sends by itself, and all outcomes stay on the page."""
    now_ms = clock.SystemClock().now_ms()
    shown.put(*(web_role.event(f"many-{n}", 1, "accepted", time_ms=now_ms - n, cluster="c-many") for n in range(120)))
    reader.open("/bulk?action=cancel&cluster=c-many")
    reader.page.get_by_label("Reason").fill("too many")
    reader.page.get_by_role("button", name="Cancel 120 requests").click()
    reader.see("120 of 120 looked at: 120 sent, 0 passed over, 0 failed. Done.")
    assert reader.page.locator("td.o-sent").count() == 120


def test_a_newcomer_holds_a_cluster_and_releases_it(reader: browser.Reader, shown: browser.Dashboard) -> None:
    """From the list to the control and back: what waits for the cluster stays, and goes on when it is lifted."""
    cluster = shown.relay.cluster
    reader.open(f"/requests?cluster={cluster}")
    reader.page.get_by_role("link", name="Hold this cluster …").click()
    expect(reader.page.get_by_label("Scope")).to_have_value(f"cluster/{cluster}")
    reader.page.get_by_label("Reason").fill("its disks are full")
    reader.page.get_by_label("Your name").fill("jo")
    reader.page.get_by_role("button", name="Set it").click()
    reader.see("The control was sent", "its disks are full")
    reader.open("/")
    reader.see(f"hold cluster/{cluster} by jo: its disks are full")

    shown.submit("held-1")
    shown.seen("held-1", "accepted")
    reader.open("/requests/held-1")
    reader.see("Why it waits")
    reader.open("/controls")
    reader.page.get_by_role("button", name=f"Lift cluster/{cluster}").click()
    reader.see("The control was lifted", "Nothing is held")
    shown.seen("held-1", "running")
    reader.page.get_by_role("link", name="Audit").click()
    reader.see("its disks are full", "release")


def test_rows_of_a_result_are_downloaded(reader: browser.Reader) -> None:
    """The table shows them, the file has them."""
    reader.open("/requests/report")
    expect(reader.page.locator("table.data tbody tr")).to_have_count(2)
    with reader.page.expect_download() as download:
        reader.page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename == "report-1.csv"
    assert download.value.path().read_bytes() == b"nation,customers\r\nPERU,3\r\n'=CHINA,-4\r\n"


def test_keys_go_everywhere_and_leave_typing_alone(reader: browser.Reader) -> None:
    """`/` finds, `g r` goes, `j` and `k` move, Enter opens, `?` explains, and they can be switched off."""
    keyboard = reader.page.keyboard
    reader.open("/")
    keyboard.press("/")
    expect(reader.page.locator("#find")).to_be_focused()
    keyboard.type("gr jkt")
    expect(reader.page.locator("#find")).to_have_value("gr jkt")
    reader.page.locator("#main").focus()
    keyboard.type("gr")
    expect(reader.page.get_by_role("heading", name="Requests")).to_be_visible()
    keyboard.type("jjk")
    expect(reader.page.locator("a.open").first).to_be_focused()
    keyboard.press("Enter")
    expect(reader.page.get_by_role("heading", name="Timeline")).to_be_visible()

    keyboard.press("?")
    expect(reader.page.get_by_role("dialog")).to_be_visible()
    assert browser.violations(reader.page) == []
    reader.page.get_by_label("Keys act without Ctrl or Alt").uncheck()
    keyboard.press("Escape")
    keyboard.press("/")
    expect(reader.page.locator("#find")).not_to_be_focused()


def test_the_chosen_theme_stays(chromium: sync_api.Browser, shown: browser.Dashboard) -> None:
    """The system decides until the reader does."""
    with browser.window(chromium, shown.url, color_scheme="dark") as reader:
        reader.open("/")
        expect(reader.page.locator("body")).to_have_css("background-color", "rgb(15, 18, 22)")
        reader.page.get_by_role("button", name="Theme").click()
        expect(reader.page.locator("body")).to_have_css("background-color", "rgb(246, 247, 249)")
        reader.open("/requests")
        expect(reader.page.locator("body")).to_have_css("background-color", "rgb(246, 247, 249)")


def test_a_request_that_failed_is_sent_again(reader: browser.Reader, shown: browser.Dashboard) -> None:
    """Under a new id, whose page comes with its first event."""
    shown.submit("again")
    shown.seen("again", "running")
    failed = reasons.Reason(kind="job_failed", code="job_result", message="MRS says FAILED")
    now_ms = clock.SystemClock().now_ms() + 60_000
    shown.put(web_role.event("again", 50, "failed", source="/mrs-relay/http", reason=failed, time_ms=now_ms))
    reader.open("/requests/again")
    reader.page.get_by_label("Reason").fill("input was late")
    reader.page.get_by_role("button", name="Send it again").click()
    reader.see("It was sent again")
    shown.seen("again-retry-50", "running")
    reader.page.get_by_role("link", name="again-retry-50").click()
    expect(reader.page.get_by_role("heading", name="Timeline")).to_be_visible()

    reader.open("/requests?text=again&state=failed")
    reader.page.get_by_role("link", name="Retry failed").click()
    reader.page.get_by_label("Reason").fill("all of them")
    reader.page.get_by_role("button", name=re.compile("Retry 1 request")).click()
    reader.see("sent again as again-retry-50", "Done.")


def test_dead_letters_are_sent_once_more_one_and_all(reader: browser.Reader) -> None:
    """With a reason; the outcome of each is shown, and what is unreadable still is set aside again."""
    reader.open("/dead-letters")
    reader.page.get_by_role("link", name="mrs.requests-0-5").click()
    reader.see("not json", "no id can be read")
    reader.page.get_by_label("Reason").fill("the sender was repaired")
    reader.page.get_by_role("button", name="Send it once more").click()
    reader.see("The message was sent once more")

    reader.open("/dead-letters")
    reader.page.get_by_role("link", name="Replay …").click()
    reader.page.get_by_label("Reason").fill("all of them")
    reader.page.get_by_role("button", name=re.compile("Replay [0-9]+ dead letter")).click()
    reader.see("sent: to partition 0 of mrs.requests", "Done.")
    assert browser.violations(reader.page) == []


def test_a_lost_connection_is_said(chromium: sync_api.Browser) -> None:
    """A page that can no longer be kept up to date must not look as if it were."""
    with browser.window(chromium, "", expected="") as reader:
        with browser.dashboard() as gone:
            reader.page.goto(gone.url + "/")
            expect(reader.page.locator("#lost")).to_be_hidden()
        expect(reader.page.locator("#lost")).to_be_visible()


def test_an_answer_that_is_refused_is_said(chromium: sync_api.Browser, shown: browser.Dashboard) -> None:
    """It is no lost connection, and the reader can do something about it."""
    with browser.window(chromium, "", expected="") as reader:
        reader.page.goto(shown.url + "/clusters")
        reader.page.route("**/clusters", lambda route: route.fulfill(status=429))
        expect(reader.page.locator("#lost")).to_contain_text("mrs-relay refused this (429); reload the page")


def test_a_form_of_another_site_is_refused(chromium: sync_api.Browser, shown: browser.Dashboard) -> None:
    """The browser says where a form comes from, and the dashboard listens."""
    before = len(shown.stage.broker.committed(web_role.KAFKA.topics.requests))
    with browser.window(chromium, shown.url, expected="status of 40") as reader:
        target = f"{shown.url}/requests/etl-running/cancel"
        reader.page.set_content(f'<form method="post" action="{target}"><input name="note" value="x"></form>')
        with reader.page.expect_response(lambda answer: answer.request.method == "POST") as answer:
            reader.page.evaluate("document.forms[0].submit()")
        assert answer.value.status == 403
    assert len(shown.stage.broker.committed(web_role.KAFKA.topics.requests)) == before
