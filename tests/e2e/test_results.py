"""Rows of SQL through real processes: Kafka, relays that are killed, and the emulator's MRS and OBS over sockets."""

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


FOLDERS = {
    "spark": "select explode(sequence(1, 12000)) as n, cast(null as string) as none",
    "hive": "with d as (select explode(split(space(119), ' ')) as x), "
    "e as (select explode(split(space(99), ' ')) as y) "
    "select row_number() over (order by 1) as n, cast(null as string) as none from d cross join e",
}


async def test_rows_of_hive_and_spark_come_through_folders_that_are_removed(
    kafka: brokers.KafkaNode, tmp_path: Path
) -> None:
    """More rows than MRS gives out, in the event and as addresses, through kills and an OBS that drops replies."""
    obs_port = ports.free_port()
    with service.emulator(tmp_path, "--obs-port", str(obs_port)) as mrs:
        more = {
            "RESULTS__PATH": "obs://lake/results",
            "RESULTS__MAX_ROWS": "20000",
            "RESULTS__FOLDER_LIFE_S": "45",
            "OBS__ENDPOINT": f"http://127.0.0.1:{obs_port}",
            "OBS__PATH_STYLE": "true",
            "OBS__READ_TIMEOUT_S": "3",
            "ENGINE__INLINE_RESULT_BYTES": "900000",
        }
        here = service.Deployment(kafka.bootstrap, f"folders-{time.monotonic_ns()}", mrs.url, tmp_path, more=more)
        here.create_topics(partitions=2)
        for operation in ("OBS.GetObject", "OBS.ListObjects"):
            mrs.fault(action="drop_after", operation=operation, count=1)

        wanted = {f"{engine}-{number}": engine for engine in FOLDERS for number in range(3)}
        first = here.start_relay("first")
        try:
            await here.send(
                [
                    (one.encode(), service.sql(one, engine, FOLDERS[engine], result={"deliver": "both"}))
                    for one, engine in wanted.items()
                ]
            )
            await waiting.until(lambda: mrs.hits() > 0)
        finally:
            first.kill()
        second = here.start_relay("second")
        try:
            events = await here.until_ended(list(wanted))
            assert history.faults(list(wanted), events, [effect["name"] for effect in mrs.effects()]) == []
            last = {event.request_id: event.data for event in events if event.state in history.LAST}
            places = set()
            for one, engine in wanted.items():
                result = last[one]["result"]
                [shown] = result["statements"]
                assert (shown["row_count"], result.get("truncated")) == (12_000, None)
                rows = [list(row.values()) if isinstance(row, dict) else row for row in shown["rows"]]
                assert rows == [[number, None] for number in range(1, 12_001)]
                assert isinstance(shown["rows"][0], dict) is (engine == "spark")
                with await asyncio.to_thread(urllib.request.urlopen, result["urls"][0], timeout=60) as reply:
                    assert reply.read().count(b"null}\n") == 4096
                places.add(result["location"])
            assert len(places) == len(wanted)
            await waiting.until(lambda: not written(tmp_path))
        finally:
            second.kill()


def written(folder: Path) -> list[Path]:
    """Return all objects in folders of rows."""
    return [one for one in folder.rglob("*") if "/mr" in str(one) and one.is_file()]
