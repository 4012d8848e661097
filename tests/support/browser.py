"""
Debian's Chromium, driven by Playwright, and a dashboard that runs beside the test: role, relay and emulated MRS.

Playwright's functions for tests without an event loop are used, so the dashboard has a thread with a loop of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import pathlib
import shutil
import threading
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import axe_playwright_python
from playwright import sync_api
from tests.support import web_role

from mrs_relay import settings
from mrs_relay.kafka import records
from mrs_relay.testing import rehearsal

_Value = TypeVar("_Value")

_PROGRAM = "chromium"
_WAIT_S = 60.0
_OPTIONS = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking")  # root has no sandbox
sync_api.expect.set_options(timeout=_WAIT_S * 1000)  # five seconds by itself
_AXE = pathlib.Path(axe_playwright_python.__file__).with_name("axe.min.js")


class BrowserMissing(RuntimeError):  # noqa: N818 - named for what is the case
    """There is no Chromium on this machine."""


@contextlib.contextmanager
def launched() -> Iterator[sync_api.Browser]:
    """Start Chromium for the length of the context."""
    program = shutil.which(_PROGRAM)
    if program is None:
        raise BrowserMissing(f"{_PROGRAM} is not there: run `make tools` (Debian: apt-get install {_PROGRAM})")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_OPTIONS)
        yield browser
        browser.close()


@dataclass
class Dashboard:
    """
    A running dashboard.

    Attributes:
        url: where it is served.
        stage: its broker.
        relay: the relay on the same broker.
    """

    url: str
    stage: web_role.Stage
    relay: rehearsal.Relay
    _client: web_role.Client
    _loop: asyncio.AbstractEventLoop

    def run(self, work: Awaitable[_Value]) -> _Value:
        """Run something in the dashboard's loop."""
        return asyncio.run_coroutine_threadsafe(_of(work), self._loop).result(_WAIT_S)

    def put(self, *outgoing: records.Outgoing) -> None:
        """Write events, and wait until the pages know the last one."""
        self.run(self.stage.put(*outgoing))
        last = [dict(one.headers) for one in outgoing if one.topic == web_role.KAFKA.topics.events][-1]
        self.seen(last["ce_subject"].decode(), last["ce_type"].decode().rpartition(".")[2])

    def submit(self, request_id: str, **data: Any) -> None:
        """Send a request to the relay."""
        job = {"cluster": self.relay.cluster, "job": {"job_type": "SparkSubmit", "arguments": ["x.jar"]}, **data}
        self.run(self._client.post("/v1/requests", {"id": request_id, "type": "mrs.job.submit", "data": job}))

    def shown(self, request_id: str) -> None:
        """Wait until the pages show a request."""
        self.run(self._shown(request_id))

    async def _shown(self, request_id: str) -> None:
        while True:
            async with self._client.session.get(f"{self.url}/v1/requests/{request_id}") as response:
                if response.ok:
                    return
            await asyncio.sleep(0.01)

    def seen(self, request_id: str, state: str) -> None:
        """Wait until the pages show a request in a state."""
        self.run(self._client.seen(request_id, state))


async def _of(work: Awaitable[_Value]) -> _Value:
    async with asyncio.timeout(_WAIT_S):
        return await work


@contextlib.contextmanager
def dashboard(run_s: float = 600.0, chosen: settings.WebRoleSettings | None = None) -> Iterator[Dashboard]:
    """
    Run a dashboard in a thread for the length of the context.

    Args:
        run_s: how long jobs on its MRS take.
        chosen: its settings; None: the usual ones.
    """
    started: list[Dashboard] = []
    failed: list[BaseException] = []
    is_up, end = threading.Event(), asyncio.Event()

    async def serve() -> None:
        pace = rehearsal.QUICK.pace.model_copy(update={"run_s": run_s})
        async with rehearsal.Relay(rehearsal.QUICK.model_copy(update={"pace": pace})) as relay:
            stage = web_role.Stage(broker=relay.kafka)
            async with web_role.role(stage, chosen) as client:
                started.append(Dashboard(client.url, stage, relay, client, asyncio.get_running_loop()))
                is_up.set()
                await end.wait()

    def live() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            failed.append(error)
        finally:
            is_up.set()

    thread = threading.Thread(target=live, name="dashboard")
    thread.start()
    is_up.wait(_WAIT_S)
    try:
        if started:
            yield started[0]
    finally:
        if started:
            started[0]._loop.call_soon_threadsafe(end.set)
        thread.join(_WAIT_S)
    if failed:
        raise failed[0]


@dataclass
class Reader:
    """
    One browser window, and what went wrong in it.

    Attributes:
        page: Playwright's.
        url: of the dashboard.
        complaints: errors of the console and of scripts.
        expected: part of the complaints that belong to the test.
    """

    page: sync_api.Page
    url: str
    complaints: list[str] = field(default_factory=list)
    expected: str | None = None

    def note(self, complaint: str) -> None:
        """Keep a complaint that the test does not expect."""
        if self.expected is None or self.expected not in complaint:
            self.complaints.append(complaint)

    def open(self, path: str) -> None:
        """Go to a page of the dashboard."""
        self.page.goto(self.url + path)

    def see(self, *words: str) -> None:
        """Wait until the page shows these words."""
        for one in words:
            sync_api.expect(self.page.locator("body")).to_contain_text(one)


@contextlib.contextmanager
def window(browser: sync_api.Browser, url: str, *, expected: str | None = None, **options: Any) -> Iterator[Reader]:
    """Open a window for the length of the context; a complaint of its console fails the test."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
    reader = Reader(context.new_page(), url, expected=expected)
    reader.page.on("console", lambda said: reader.note(f"{said.type}: {said.text}"))
    reader.page.on("pageerror", lambda error: reader.note(str(error)))
    reader.page.set_default_timeout(_WAIT_S * 1000)
    try:
        yield reader
    finally:
        context.close()
    assert reader.complaints == [], reader.complaints


def violations(page: sync_api.Page, *rules: str) -> Sequence[str]:
    """Return what axe-core finds wrong with the page that is shown, by all of its rules or by these."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_AXE.read_text())
    options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
    found = page.evaluate("options => axe.run(options)", options)
    return [f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes']]}" for one in found["violations"]]
