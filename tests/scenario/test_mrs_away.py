"""The whole service in virtual time while MRS cannot be reached: no name, no TLS, no route."""

from __future__ import annotations

import asyncio

import pytest
import structlog
from tests.support import history, service, service_harness

from mrs_relay.mrs import transport

pytestmark = pytest.mark.looptime

_IDS = [f"r-{number}" for number in range(6)]


class Cut:
    """A door that can be shut: what is sent meanwhile surely does not leave."""

    def __init__(self, replica: service_harness.Replica) -> None:
        self.shut = False
        self._send = replica.wire.send
        replica.wire.send = self.send  # type: ignore[method-assign]  # the client asks for it at each call

    async def send(self, request: transport.Request, timeout_s: float) -> transport.Response:
        """Send unless it is shut."""
        if self.shut:
            await asyncio.sleep(0.01)
            raise transport.NoConnection("cannot reach http://mrs.test: name or service not known")
        return await self._send(request, timeout_s)


async def test_requests_wait_while_mrs_cannot_be_reached_and_are_sent_once() -> None:
    """An hour without a name for MRS: accepted, queued, said in the log; then one job each, without an attempt lost."""
    async with service_harness.start() as here:
        await asyncio.sleep(5)
        door = Cut(here.replicas[0])
        door.shut = True

        with structlog.testing.capture_logs() as logs:
            for one in _IDS:
                here.put(service.job(one))
            await asyncio.sleep(3600)

        assert ([here.states(one) for one in _IDS], here.created()) == ([["accepted"]] * len(_IDS), [])

        logged = [entry for entry in logs if entry["event"] == "submission_not_sent"]
        assert 10 < len(logged) < 1000
        assert all("name or service not known" in entry["error"] for entry in logged)

        door.shut = False
        await here.until_ended(_IDS, 300)
        assert history.faults(_IDS, here.events(), here.created()) == []
        assert {event.data.get("attempt", 1) for event in here.events()} == {0, 1}  # 0: none was sent yet


async def test_jobs_that_run_while_mrs_cannot_be_reached_are_reported_late_and_right() -> None:
    """They end on MRS meanwhile: none is taken for vanished, each is reported with its own verdict."""
    async with service_harness.start(emulated={"pace": {"run_s": 600.0}}) as here:
        door = Cut(here.replicas[0])
        for one in _IDS:
            here.put(service.job(one))
        while not all("submitted" in here.states(one) for one in _IDS):
            await asyncio.sleep(0.2)
        door.shut = True
        await asyncio.sleep(3600)
        assert not any("succeeded" in here.states(one) for one in _IDS)
        door.shut = False
        await here.until_ended(_IDS, 300)
        assert {here.states(one)[-1] for one in _IDS} == {"succeeded"}
        assert history.faults(_IDS, here.events(), here.created()) == []
