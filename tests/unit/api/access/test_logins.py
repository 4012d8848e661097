"""Browsers log in with a token, and what their session is worth: roles, ends, other replicas, other sites."""

from __future__ import annotations

import base64
import html
import pathlib
import re
from typing import Any

import pytest
from aiohttp import test_utils, web
from tests.support import access, cells, clocks, logins, web_role

from mrs_relay import errors
from mrs_relay.api import guards
from mrs_relay.api.access import failures, sessions
from mrs_relay.api.access import logins as all_logins
from mrs_relay.api.problems import ProblemError

_KEY = "k" * 40


@pytest.fixture
def known(tmp_path: pathlib.Path) -> access.Callers:
    """Callers of each role."""
    return access.Callers(tmp_path)


def _with(known: access.Callers, **chosen: Any) -> Any:
    """Return settings of a role with further settings of access."""
    found = known.chosen()
    given = found.api.access.model_copy(update=chosen)
    return found.model_copy(update={"api": found.api.model_copy(update={"access": given})})


async def _furnished() -> web_role.Stage:
    stage = access.stage()
    await access.put_requests(stage)
    return stage


async def test_a_token_logs_a_browser_in_and_its_role_counts_as_with_the_token_itself(known: access.Callers) -> None:
    """Pages and API; the cookie is out of reach of scripts, and is sent along with no form of another site."""
    async with web_role.role(await _furnished(), known.chosen()) as client, logins.browser(client.url) as browser:
        page = await browser.ask("GET", "/requests?state=running")
        assert (page.status, "authentication is needed" in page.text) == (401, True)
        assert 'value="/requests?state=running"' in page.text

        begun = await browser.log_in(known.tokens["viewer"], "/requests?state=running")
        assert (begun.status, begun.target) == (303, "/requests?state=running")
        [cookie] = begun.cookies
        assert cookie.startswith("mrs-relay-session=")
        assert {"HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=28800"} <= set(cookie.split("; "))
        assert known.tokens["viewer"] not in cookie

        assert "etl-1" in (await browser.ask("GET", begun.target)).text
        assert (await browser.ask("GET", "/v1/requests/etl-1")).status == 200
        assert (await browser.ask("GET", "/v1/requests/bi-1")).status == 404
        assert (await browser.ask("POST", "/requests/etl-1/cancel", data={"note": "late"})).status == 403
        assert "viewer@etl" in (await browser.ask("GET", "/login")).text

        gone = await browser.ask("POST", "/logout")
        assert (gone.status, gone.target) == (303, "/login")
        assert (await browser.ask("GET", "/requests")).status == 401


async def test_the_session_of_a_token_that_is_taken_back_or_has_ended_is_over(known: access.Callers) -> None:
    """With the next request; other sessions go on, and roles are those that the file has now."""
    async with web_role.role(await _furnished(), known.chosen()) as client, logins.browser(client.url) as browser:
        await browser.log_in(known.tokens["viewer"])
        live = re.search(r'hx-get="(/live[^"]*)"', (await browser.ask("GET", "/requests")).text)
        assert live is not None

        rows = html.unescape(live[1])  # what an open list asks for all the time
        assert "etl-1" in (await browser.ask("GET", rows)).text

        lines = known.file.read_text().splitlines()
        [line] = [one for one in lines if " viewer " in one]
        known.file.write_text(line.replace("viewer@etl", "viewer@bi"))

        assert (await browser.ask("GET", "/v1/requests/etl-1")).status == 404
        assert "etl-1" not in (await browser.ask("GET", rows)).text

        known.file.write_text(f"{line} 2020-01-01T00:00:00Z")
        assert (await browser.ask("GET", "/v1/requests/etl-1")).status == 401

        known.file.write_text(f"{line}\n")
        assert (await browser.ask("GET", "/v1/requests/etl-1")).status == 200

        known.file.write_text("# none\n")
        assert (await browser.ask("GET", rows)).status == 401

        page = await browser.ask("GET", "/requests")
        assert (page.status, "the session has ended, or its token was taken back" in page.text) == (401, True)


async def test_a_session_writes_only_from_pages_of_this_service(known: access.Callers) -> None:
    """A browser sends the cookie along whatever page asks; a token that a program sends needs no page."""
    body = {"note": "late"}
    stage = await _furnished()
    async with web_role.role(stage, known.chosen()) as client, logins.browser(client.url) as browser:
        await browser.log_in(known.tokens["operator"])
        for headers in ({}, logins.FOREIGN, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"}):
            for method, path, content in (
                ("POST", "/v1/requests/etl-1/cancel", {"json": body}),
                ("PUT", "/v1/controls/tenant%2Fetl", {"json": {"mode": "hold", "reason": "x"}}),
                ("DELETE", "/v1/controls/tenant%2Fetl", {}),
                ("POST", "/requests/etl-1/cancel", {"data": body}),
                ("POST", "/logout", {}),
            ):
                with cells.cell(headers, path):
                    assert (await browser.ask(method, path, headers, **content)).status == 403

        own = {"Origin": client.url}
        assert (await browser.ask("POST", "/v1/requests/etl-1/cancel", own, json=body)).status == 202
        assert (await browser.ask("POST", "/v1/requests/etl-1/cancel", logins.OURS, json=body)).status == 202

        program = known.headers("operator")
        assert (await browser.ask("POST", "/v1/requests/etl-1/cancel", program, json=body)).status == 202

    assert len(access.written(stage, "etl")) == 3


async def test_other_sites_log_no_browser_in(known: access.Callers) -> None:
    """Else a page could make its reader work under another name."""
    async with web_role.role(access.stage(), known.chosen()) as client, logins.browser(client.url) as browser:
        for headers in ({}, logins.FOREIGN):
            with cells.cell(headers):
                answer = await browser.log_in(known.tokens["viewer"], headers=headers)
                assert (answer.status, answer.cookies) == (403, [])


async def test_every_replica_with_the_same_key_takes_a_session_and_no_other_one(
    known: access.Callers, tmp_path: pathlib.Path
) -> None:
    """Replicas share nothing else; a new key in the first line leaves sessions of the second one alone."""
    keys, newer = tmp_path / "keys", tmp_path / "newer"
    keys.write_text(f"{_KEY}\n")
    newer.write_text(f"{'n' * 40}\n{_KEY}\n")
    stage = await _furnished()
    async with (
        web_role.role(stage, _with(known, session_key_file=keys)) as first,
        web_role.role(stage, _with(known, session_key_file=newer)) as second,
        web_role.role(stage, known.chosen()) as stranger,
        logins.browser(first.url) as browser,
    ):
        await browser.log_in(known.tokens["viewer"])
        for client, status in ((first, 200), (second, 200), (stranger, 401)):
            browser.url = client.url
            assert (await browser.ask("GET", "/requests")).status == status


def test_a_session_ends_after_its_time() -> None:
    """However long the browser keeps the cookie."""
    time, own = clocks.HandClock(web_role.NOW_MS), guards.OwnAddresses(())
    made = sessions.Sessions(sessions.seal(None), 60, own, time)
    response = web.Response()
    made.begin(response, sessions.OfToken(b"d" * 32), secure=False)
    headers = {"Host": "127.0.0.1", "Cookie": response.cookies.output(header="").partition(";")[0].strip()}
    request = test_utils.make_mocked_request("GET", "/", headers=headers)
    assert made.content(request) == sessions.OfToken(b"d" * 32)
    time.pass_s(60)
    assert made.content(request) is None
    assert made.is_claimed(request)


def test_a_cookie_that_was_changed_or_made_for_something_else_counts_for_nothing() -> None:
    """A login under way is no session; a key of another service opens nothing."""
    seal = sessions.seal(None)
    value = seal.close("session", sessions._Session(sessions.OfToken(b"d" * 32), 1))
    assert seal.open("session", value, sessions._Session) is not None
    assert seal.open("login", value, sessions._Session) is None
    odd = [
        base64.urlsafe_b64encode(header).decode().rstrip("=") + value[value.index(".") :]
        for header in (b'{"alg":"dir","enc":{}}', b'{"alg":"dir","enc":"A256GCM","crit":1}', b"[]", b"1")
    ]
    for bad in ("", "a", value[:-6] + "AAAAAA", value.replace("..", ".x."), "é", "a.b.c.d.e", *odd):
        with cells.cell(bad):
            assert seal.open("session", bad, sessions._Session) is None
    assert sessions.seal(None).open("session", value, sessions._Session) is None


@pytest.mark.parametrize("text", ["", "\n\n", "short\n", f"{_KEY}\nshort\n"])
def test_a_file_of_keys_that_are_too_short_is_refused_at_the_start(tmp_path: pathlib.Path, text: str) -> None:
    """Such a key could be guessed, and with it every session made."""
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(errors.SettingsError, match="at least 32 characters"):
        sessions.seal(file)
    with pytest.raises(errors.SettingsError, match="session_key_file"):
        sessions.seal(tmp_path / "none")


@pytest.mark.parametrize(
    ("target", "is_ours"),
    [
        ("/", True),
        ("/requests?state=failed&text=a%20b#top", True),
        ("/requests/a%2Fb", True),
        ("//attacker.example", False),
        ("/\\attacker.example", False),
        ("/a\\b", False),
        ("/\t/attacker.example", False),
        ("/\n/attacker.example", False),
        (" //attacker.example", False),
        ("https://attacker.example/", False),
        ("javascript:alert(1)", False),
        ("requests", False),
        ("/é", False),
        ("", False),
        (None, False),
        ("/" + "a" * 2000, False),
    ],
)
def test_a_login_leads_to_a_page_of_this_service_only(target: str | None, *, is_ours: bool) -> None:
    """Else a link to the login could lead to a page that looks like ours."""
    assert all_logins.local(target) == (target if is_ours else "/")


async def test_addresses_with_many_failed_logins_must_wait(known: access.Callers) -> None:
    """Also with the right token, else the answer would say which one is right."""
    async with web_role.role(access.stage(), known.chosen()) as client, logins.browser(client.url) as browser:
        for _ in range(10):
            assert (await browser.log_in("mrsr_guessed", "/audit")).status == 401
        answer = await browser.log_in(known.tokens["viewer"])
        assert (answer.status, answer.cookies) == (429, [])
        assert 0 < int(answer.headers["Retry-After"]) <= 60
        assert (await browser.ask("GET", "/v1/requests", known.headers("viewer"))).status == 200


def test_failures_are_forgotten_after_a_minute_and_of_many_addresses_the_oldest() -> None:
    """The list stays small, however many ask."""
    time = clocks.HandClock(web_role.NOW_MS)
    found = failures.Failures(time)
    for _ in range(12):
        found.note("a")
    with pytest.raises(ProblemError):
        found.require_few("a")
    found.require_few("b")
    time.pass_s(61)
    found.require_few("a")
    for number in range(10_001):
        found.note(str(number))
    assert len(found._at_s) == 10_000
    assert "a" not in found._at_s


async def test_where_browsers_speak_tls_the_cookie_is_this_hosts_alone(known: access.Callers) -> None:
    """Behind a proxy, too, whose address says so; a cookie that plain HTTP could have set is not read there."""
    chosen = known.chosen()
    chosen = chosen.model_copy(
        update={"api": chosen.api.model_copy(update={"addresses": frozenset({"https://mrs.example"})})}
    )
    async with web_role.role(access.stage(), chosen) as client, logins.browser(client.url) as browser:
        through_proxy = {"Host": "mrs.example", "Origin": "https://mrs.example", **logins.OURS}
        begun = await browser.log_in(known.tokens["viewer"], headers=through_proxy)
        [cookie] = begun.cookies
        assert cookie.startswith("__Host-mrs-relay-session=")
        assert "Secure" in cookie.split("; ")

        value = cookie.partition("=")[2].partition(";")[0]
        for name, host, status in (
            ("__Host-mrs-relay-session", "mrs.example", 200),
            ("mrs-relay-session", "mrs.example", 401),
            ("mrs-relay-session", "127.0.0.1", 200),
        ):
            with cells.cell(name, host):
                headers = {"Host": host, "Cookie": f"{name}={value}"}
                assert (await browser.ask("GET", "/v1/requests", headers)).status == status
