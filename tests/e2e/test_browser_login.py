"""Logging in to the dashboard in a real Chromium: with a token, at a provider; and what a taken token leaves."""

from __future__ import annotations

import asyncio
import pathlib
import threading
from collections.abc import Iterator

import pytest
from playwright import sync_api
from tests.support import browser, oidc_provider, ports, web_role

from mrs_relay.api.access import callers, tokens
from mrs_relay.common import clock

expect = sync_api.expect


@pytest.fixture(scope="module")
def chromium() -> Iterator[sync_api.Browser]:
    with browser.launched() as found:
        yield found


def test_a_person_logs_in_with_a_token_decides_and_logs_out(chromium: sync_api.Browser, tmp_path: pathlib.Path) -> None:
    """The page that was wanted comes after the login; one whose token is taken back shows nothing more."""
    file = tmp_path / "tokens"
    token, line = tokens.make("ann", callers.read_grants("operator@*"), None)
    file.write_text(line)
    chosen = web_role.chosen(api={"access": {"tokens_file": file}})
    with (
        browser.dashboard(chosen=chosen) as shown,
        browser.window(chromium, shown.url, expected="401") as reader,
    ):
        shown.run(shown.stage.put(web_role.event("r-1", 3, "running", time_ms=clock.SystemClock().now_ms())))
        reader.open("/requests?text=r-1")
        reader.see("authentication is needed")
        assert browser.violations(reader.page) == []
        reader.page.get_by_label("Token").fill("mrsr_wrong")
        reader.page.get_by_role("button", name="Log in").click()
        reader.see("the token is not known")
        reader.page.get_by_label("Token").fill(token)
        reader.page.get_by_role("button", name="Log in").click()
        reader.page.wait_for_url("**/requests?text=r-1")

        reader.page.get_by_role("link", name="r-1").click()
        reader.page.get_by_label("Reason").fill("wrong date")
        reader.page.get_by_role("button", name="Cancel this request").click()
        reader.see("The cancel was sent")
        reader.page.get_by_role("link", name="Account").click()
        reader.see("You are ann", "operator@*")
        assert browser.violations(reader.page) == []

        reader.open("/requests")
        file.write_text("# none\n")
        reader.see("the session has ended, or its token was taken back")
        expect(reader.page.get_by_role("link", name="r-1")).to_be_hidden()
        file.write_text(line)
        reader.page.get_by_label("Token").fill(token)
        reader.page.get_by_role("button", name="Log in").click()
        reader.page.get_by_role("link", name="Account").click()
        reader.page.get_by_role("button", name="Log out").click()
        expect(reader.page.get_by_role("heading", name="Log in")).to_be_visible()
        reader.open("/requests")
        reader.see("authentication is needed")


def test_a_person_logs_in_at_a_provider(chromium: sync_api.Browser, provider: oidc_provider.Provider) -> None:
    """Chromium follows from here to there and back, with the cookies that it accepts."""
    port = ports.free_port()
    oidc = {
        "issuer": provider.url,
        "audience": oidc_provider.AUDIENCE,
        "client_id": oidc_provider.CLIENT,
        "redirect_uri": f"http://127.0.0.1:{port}/login/callback",
    }

    now_s = clock.SystemClock().now_ms() // 1000
    provider.claims = {"groups": ["operator@*"], "iat": now_s, "exp": now_s + 300}

    chosen = web_role.chosen(api={"port": port, "access": {"oidc": oidc}})
    with (
        browser.dashboard(chosen=chosen) as shown,
        browser.window(chromium, shown.url, expected="401") as reader,
    ):
        reader.open("/controls")
        reader.page.get_by_role("link", name="Log in at your provider").click()
        reader.page.wait_for_url("**/controls")
        reader.page.get_by_label("Scope").fill("cluster/c-1")
        reader.page.get_by_label("Reason").fill("upgrade")
        reader.page.get_by_role("button", name="Set it").click()
        reader.see("The control was sent")
        reader.open("/login")
        reader.see("You are ann")


@pytest.fixture
def provider() -> Iterator[oidc_provider.Provider]:
    """A provider with a thread and a loop of its own, as Playwright has the test's."""
    found: list[oidc_provider.Provider] = []
    is_up, loop = threading.Event(), asyncio.new_event_loop()
    end = asyncio.Event()

    async def serve() -> None:
        async with oidc_provider.serving() as made:
            found.append(made)
            is_up.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), name="provider")
    thread.start()
    is_up.wait(30)
    yield found[0]
    loop.call_soon_threadsafe(end.set)
    thread.join(30)
    loop.close()
