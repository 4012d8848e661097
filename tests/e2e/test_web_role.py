"""`mrs-relay web` as processes on real brokers and a real PostgreSQL, killed while a reader follows them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
from tests.support import brokers, history, postgres, service, web_replicas

_REQUESTS = 16
_KILLS = 2  # each replica once; the kill loop kills more
_ALL_S = 240.0


async def _succeeded(session: aiohttp.ClientSession, web: web_replicas.Replica) -> set[str]:
    async with session.get(f"{web.url}/v1/requests?state=succeeded&limit=100") as response:
        page = await response.json()
    return {one["id"] for one in page["items"]}


async def _submit(session: aiohttp.ClientSession, webs: list[web_replicas.Replica], number: int) -> None:
    """Send a request, again to another replica until one has answered, as any client would."""
    body: dict[str, Any] = {
        "type": "mrs.job.submit",
        "data": {"cluster": service.CLUSTER, "job": {"job_type": "SparkSubmit", "arguments": ["x.jar"]}},
        "key": f"k-{number}",
    }

    for web in itertools.cycle(webs):
        try:
            headers = {"Idempotency-Key": f"r-{number}"}
            async with session.post(f"{web.url}/v1/requests", json=body, headers=headers) as response:
                if response.status == 202:
                    return
                assert response.status == 503, await response.text()
        except (aiohttp.ClientError, ConnectionError):
            pass
        await asyncio.sleep(0.1)


async def _kill(session: aiohttp.ClientSession, webs: list[web_replicas.Replica]) -> None:
    """Kill one replica after the other; each time the other one serves."""
    for number in range(_KILLS):
        web = webs[number % 2]
        web.kill()
        await webs[(number + 1) % 2].ready(session)
        web.start()
        await web.ready(session)


@contextlib.contextmanager
def _started(webs: list[web_replicas.Replica]) -> Iterator[None]:
    for web in webs:
        web.start()
    yield
    for web in webs:
        assert web.stop() == 0


async def _play(here: service.Deployment, effects: service.Emulator, databases: list[str]) -> None:
    await asyncio.to_thread(here.create_topics, 4)
    relay = here.start_relay("one")
    webs = [web_replicas.Replica(here, database) for database in databases]
    ids = {f"r-{number}" for number in range(_REQUESTS)}
    with _started(webs):
        async with aiohttp.ClientSession(timeout=web_replicas.TIMEOUT) as session, asyncio.timeout(_ALL_S):
            reader = web_replicas.StreamReader(session, webs)
            for web in webs:
                await web.ready(session)
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(reader.run())
                group.create_task(_kill(session, webs))
                for number in range(_REQUESTS):
                    await _submit(session, webs, number)
                    await asyncio.sleep(0.2)
                while {one.request_id for one in reader.delivered if one.state in history.LAST} != ids:
                    await asyncio.sleep(0.1)
                reading.cancel()

            for web in webs:
                await web.ready(session)
                while await _succeeded(session, web) != ids:
                    await asyncio.sleep(0.1)  # a replica may be a moment behind the one that answered last

    published = {(one.request_id, one.sequence) for one in await here.story()}
    delivered = [(one.request_id, one.sequence) for one in reader.delivered]
    assert len(delivered) == len(set(delivered))
    assert (set(delivered), reader.faults) == (published, [])
    assert len(effects.effects()) == _REQUESTS
    relay.send(signal.SIGTERM)


async def test_a_reader_loses_and_repeats_nothing_while_replicas_on_one_postgresql_are_killed(
    kafka: brokers.KafkaNode, tmp_path: Path
) -> None:
    """Two replicas, one of which is always down; requests are sent through whichever answers."""
    with postgres.running(tmp_path / "postgres.log") as address, service.emulator(tmp_path, "--run-s", "1") as mrs:
        here = service.Deployment(kafka.bootstrap, f"web-{time.time_ns()}", mrs.url, tmp_path)
        await _play(here, mrs, [address, address])


async def test_a_reader_loses_and_repeats_nothing_between_replicas_with_files_of_their_own(
    embedded: brokers.TansuNode, tmp_path: Path
) -> None:
    """At least once, on a broker that tells no ids of topics."""
    with service.emulator(tmp_path, "--run-s", "1") as mrs:
        here = service.Deployment(embedded.bootstrap, f"web-{time.time_ns()}", mrs.url, tmp_path, "at-least-once")
        await _play(here, mrs, [f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "two")])
