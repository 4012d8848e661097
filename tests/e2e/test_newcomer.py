"""The story of a newcomer on call, who has read nothing: from a job that waits to the record of what was decided."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright import sync_api
from tests.support import browser

expect = sync_api.expect

_SLOTS = 10
_NIGHT = [f"night-{number}" for number in range(10)]


@pytest.fixture
def shown() -> Iterator[browser.Dashboard]:
    """A relay whose cluster is full: ten jobs run for long, eleven wait, ten of them of one team."""
    with browser.dashboard() as found:
        for number in range(_SLOTS):
            found.submit(f"busy-{number}")
        for number in range(_SLOTS):
            found.seen(f"busy-{number}", "running")
        for one in _NIGHT:
            found.submit(one, labels={"team": "night"})
        found.submit("other", labels={"team": "day"})
        for one in (*_NIGHT, "other"):
            found.seen(one, "accepted")
        yield found


@pytest.fixture
def reader(shown: browser.Dashboard) -> Iterator[browser.Reader]:
    with browser.launched() as chromium, browser.window(chromium, shown.url) as found:
        yield found


def test_a_newcomer_sees_a_job_wait_asks_why_holds_releases_cancels_ten_and_finds_all_of_it(
    reader: browser.Reader, shown: browser.Dashboard
) -> None:
    """One address is typed; all that follows is links, buttons and the fields that they ask for."""
    page, cluster = reader.page, shown.relay.cluster
    pages = page.get_by_role("navigation", name="Pages")
    reader.open("/")

    # A job waits, and its page says why.
    page.get_by_role("link", name="night-0").click()
    reader.see("Why it waits", f"cluster {cluster} has {_SLOTS} of {_SLOTS} slots taken")
    expect(page.get_by_role("link", name="busy-3").first).to_be_visible()  # one of those that it waits for

    # The cluster is held, which every page says, and the request's own as another reason.
    page.get_by_role("link", name="Hold its cluster …").click()
    page.get_by_label("Reason").fill("its disks are full")
    page.get_by_label("Your name").fill("jo")
    page.get_by_role("button", name="Set it").click()
    reader.see("The control was sent", "its disks are full")
    pages.get_by_role("link", name="Overview").click()
    page.get_by_role("link", name=f"hold cluster/{cluster}").click()
    pages.get_by_role("link", name="Requests").click()
    page.get_by_role("link", name="night-0").click()
    reader.see("Why it waits", f"hold of cluster/{cluster} by jo", "its disks are full")

    # It is released again.
    pages.get_by_role("link", name="Controls").click()
    page.get_by_role("button", name=f"Lift cluster/{cluster}").click()
    reader.see("The control was lifted", "Nothing is held")

    # Ten by their label are cancelled; the label is a link on the page of each.
    pages.get_by_role("link", name="Requests").click()
    page.get_by_role("link", name="night-0").click()
    page.get_by_role("link", name="team=night").click()
    page.get_by_role("link", name="Cancel …").click()
    reader.see("10 of 10 matching requests will be asked to stop")
    page.get_by_label("Reason").fill("wrong input")
    page.get_by_role("button", name="Cancel 10 requests").click()
    reader.see("10 of 10 looked at: 10 sent, 0 passed over, 0 failed. Done.")
    for one in _NIGHT:
        shown.seen(one, "cancelled")
    shown.seen("other", "accepted")

    # All of it is on record.
    pages.get_by_role("link", name="Audit").click()
    reader.see("its disks are full", "wrong input")
    rows = page.locator("tbody tr")
    expect(rows.filter(has_text="wrong input")).to_have_count(10)
    expect(rows.filter(has_text=f"cluster/{cluster}").filter(has_text="hold").first).to_contain_text(
        "its disks are full"
    )
    expect(rows.filter(has_text="release")).to_have_count(1)
    assert browser.violations(page) == []
