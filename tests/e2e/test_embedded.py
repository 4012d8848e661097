"""At least once, on the embedded broker: nothing is lost or submitted twice; what comes twice has the same id."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from tests.support import brokers, history, service, waiting


async def test_a_killed_relay_on_a_broker_without_transactions_loses_nothing_and_doubles_no_job(
    embedded: brokers.TansuNode, tmp_path: Path
) -> None:
    """After SIGKILL and a new process: one job per request; events complete, repeats only with the same event id."""
    with service.emulator(tmp_path, "--slots", "0", "--run-s", "1") as mrs:
        more = {"ENGINE__SLOTS_PER_CLUSTER": "0", "ENGINE__MAX_IN_FLIGHT": "4"}
        name = f"embedded-{time.time_ns()}"
        here = service.Deployment(embedded.bootstrap, name, mrs.url, tmp_path, "at-least-once", more)
        await asyncio.to_thread(here.create_topics, 4)
        ids = [f"r-{number}" for number in range(100)]
        mrs.fault(action="latency", operation="CreateExecuteJob", seconds=0.1, count=None)
        first = here.start_relay("first")
        await here.send([(b"key-%d" % (n % 16), service.job(one)) for n, one in enumerate(ids)])
        await waiting.until(lambda: len(mrs.effects()) >= 40)
        first.kill()
        second = here.start_relay("second")
        events = await here.until_ended(ids)

        assert await asyncio.to_thread(second.stop) == 0

        created = [effect["name"] for effect in mrs.effects()]
        first_of_each = {event.event_id: event for event in reversed(events)}
        once = [event for event in events if first_of_each[event.event_id] is event]

        assert history.faults(ids, once, created) == []
        assert len(created) == len(ids)
