"""Rows of Presto through real processes: Kafka, relays that are killed, and the emulator's MRS and OBS over sockets."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.support import brokers, history, ports, service, waiting

ROWS = "select n, concat('row ', cast(n as varchar)) as name from unnest(sequence(1, 1000)) as t(n) order by n"


async def test_rows_come_once_through_kills_and_troubles_of_obs(kafka: brokers.KafkaNode, tmp_path: Path) -> None:
    """Ten statements, an OBS that is slow, drops replies and cuts them off, and a relay killed while it reads."""
    obs_port = ports.free_port()
    with service.emulator(tmp_path, "--obs-port", str(obs_port)) as mrs:
        more = {
            "RESULTS__PATH": "obs://lake/results",
            "OBS__ENDPOINT": f"http://127.0.0.1:{obs_port}",
            "OBS__PATH_STYLE": "true",
            "OBS__READ_TIMEOUT_S": "3",
        }
        here = service.Deployment(kafka.bootstrap, f"rows-{time.monotonic_ns()}", mrs.url, tmp_path, more=more)
        here.create_topics(partitions=2)
        for action in ("drop_after", "half_body", "latency"):
            order: dict[str, Any] = {"action": action, "operation": "OBS.GetObject", "count": 2}
            mrs.fault(**order, **({"seconds": 2.0} if action == "latency" else {}))

        ids = [f"q-{number}" for number in range(10)]
        first = here.start_relay("first")
        try:
            await here.send(
                [(one.encode(), service.sql(one, "presto", ROWS, result={"deliver": "both"})) for one in ids]
            )
            await waiting.until(lambda: mrs.hits() > 0)
        finally:
            first.kill()
        second = here.start_relay("second")
        try:
            events = await here.until_ended(ids)
        finally:
            second.kill()

        assert history.faults(ids, events, []) == []
        last = {event.request_id: event.data for event in events if event.state in history.LAST}
        for one in ids:
            result = last[one]["result"]
            [shown] = result["statements"]
            assert (len(shown["rows"]), shown["row_count"]) == (1000, 1000)
            assert shown["rows"][-1] == ["1000", "row 1000"]
            with await asyncio.to_thread(urllib.request.urlopen, result["url"], timeout=60) as reply:
                assert reply.read().count(b"\n") == 1001
        assert len({last[one]["result"]["location"] for one in ids}) == 10
