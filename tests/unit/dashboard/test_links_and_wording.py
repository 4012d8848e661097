"""Addresses of pages, forms of other sites, CSV, and how times are written."""

from __future__ import annotations

import pytest
from aiohttp import test_utils

from mrs_relay.api import guards, problems
from mrs_relay.dashboard import forms, links, request_page, wording


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (-5, "0 ms"),
        (999, "999 ms"),
        (1_000, "1.0 s"),
        (9_950, "9.9 s"),
        (59_999, "59 s"),
        (250_000, "4 min 10 s"),
        (11_100_000, "3 h 5 min"),
        (187_200_000, "2 d 4 h"),
    ],
)
def test_a_duration_is_written_in_its_two_largest_units(milliseconds: int, text: str) -> None:
    """People compare durations at a glance."""
    assert wording.duration(milliseconds) == text


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://yarn:8090/proxy/app_1", True),
        ("http://yarn/app", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("//yarn/app", False),
        ("https://", False),
        ("https://[", False),
        (None, False),
    ],
)
def test_only_an_address_of_the_web_becomes_a_link(address: str | None, *, shown: bool) -> None:
    """MRS gives the text, and the job's author may have chosen it."""
    assert (links.of_web(address) == address) is (shown or address is None)
    assert (links.of_web(address) is not None) is shown


def test_empty_fields_are_no_filter_and_times_without_a_zone_are_utc() -> None:
    """Browsers send every field of a form."""
    request = test_utils.make_mocked_request(
        "GET", "/requests?text=&state=failed&since=2026-03-01T12:00&until=2026-03-01T12:00:05"
    )
    assert links.given(request) == {
        "state": "failed",
        "since": "2026-03-01T12:00:00Z",
        "until": "2026-03-01T12:00:05Z",
    }
    with pytest.raises(problems.ProblemError, match="expected once"):
        links.given(test_utils.make_mocked_request("GET", "/requests?state=failed&state=running"))


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Origin": "http://127.0.0.1:8090"}, True),
        ({"Origin": "https://mrs.example"}, True),
        ({"Origin": "https://mrs.example:443"}, True),
        ({"Origin": "HTTPS://MRS.example"}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8090"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://mrs.example"}, False),
        ({}, False),
    ],
)
def test_a_form_is_taken_only_from_a_page_of_this_site(headers: dict[str, str], *, taken: bool) -> None:
    """A form on another site could otherwise cancel requests in the name of who looks at it."""
    request = test_utils.make_mocked_request("POST", "/bulk", headers={"Host": "127.0.0.1:8090", **headers})
    own = guards.OwnAddresses({"https://mrs.example"})
    if taken:
        own.require_own_page(request)
    else:
        with pytest.raises(problems.ProblemError, match="does not come from a page"):
            own.require_own_page(request)


@pytest.mark.parametrize("note", ["", "   ", "x" * 501])
def test_a_decision_needs_a_reason_of_reasonable_length(note: str) -> None:
    """It comes back in the events, for those who ask why."""
    with pytest.raises(problems.ProblemError, match="expected 1 to 500 characters"):
        forms.note({"note": note})


def test_csv_keeps_numbers_and_disarms_formulas() -> None:
    """A spreadsheet runs what begins like a formula; a negative number is none."""
    rows: list[list[object]] = [["=HYPERLINK(1)", "-12.5", -3, None], ["@x", "plain, with comma", "+1e9", 'a "b"']]
    assert request_page.as_csv(["name", "=sum"], rows) == (
        'name,\'=sum\r\n\'=HYPERLINK(1),-12.5,-3,\r\n\'@x,"plain, with comma",+1e9,"a ""b"""\r\n'
    )
