"""`mrs-relay web` as processes on real brokers and a real PostgreSQL, killed while a reader follows them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
from tests.support import brokers, child, history, ports, postgres, service

_REQUESTS = 16
_KILLS = 4
_ALL_S = 120.0


class Web:
    """
    One replica of the role; it keeps its port when it is started again.

    Args:
        here: the deployment.
        database: its database, or one that it shares.
    """

    def __init__(self, here: service.Deployment, database: str) -> None:
        self._here = here
        self._port = ports.free_port()
        self._more = {
            "MRS_RELAY_API__PORT": str(self._port),
            "MRS_RELAY_API__HEARTBEAT_S": "1",
            "MRS_RELAY_READ_MODEL__DATABASE": database,
            "MRS_RELAY_READ_MODEL__LEASE_S": "1.5",
        }
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: child.Child | None = None

    def start(self) -> None:
        log = self._here.workdir / f"{self._here.name}-web-{self._port}.log"
        command = [sys.executable, "-m", "mrs_relay", "web"]
        self._process = child.Child(command, log=log, env={**self._here.environment(), **self._more})

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()

    def stop(self) -> int:
        assert self._process is not None
        return self._process.stop()

    async def ready(self, session: aiohttp.ClientSession) -> None:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(f"{self.url}/ready") as response:
                        if response.status == 200:
                            return
                assert self._process is not None
                assert self._process.alive, "the role ended"
                await asyncio.sleep(0.1)


async def _follow(session: aiohttp.ClientSession, webs: list[Web], delivered: list[tuple[str, int]]) -> None:
    """Follow the stream, from one replica to the next whenever it breaks, until all requests have ended."""
    last, ended = "beginning", set[str]()
    for web in itertools.cycle(webs):
        try:
            async with session.get(f"{web.url}/v1/events", headers={"Last-Event-ID": last}) as response:
                if response.status != 200:
                    await asyncio.sleep(0.2)
                    continue
                block: dict[str, str] = {}
                async for raw in response.content:
                    line = raw.decode().rstrip("\n")
                    if line:
                        name, _, value = line.partition(": ")
                        block[name] = value
                        continue
                    assert block.get("event") != "reset", block
                    last = block.get("id", last)
                    if "data" in block:
                        data = json.loads(block["data"])["data"]
                        delivered.append((data["request"]["id"], data["sequence"]))
                        ended |= {data["request"]["id"]} if data["state"] in history.LAST else set()
                    block = {}
                    if len(ended) == _REQUESTS:
                        return
        except (aiohttp.ClientError, ConnectionError):
            await asyncio.sleep(0.1)


async def _succeeded(session: aiohttp.ClientSession, web: Web) -> set[str]:
    async with session.get(f"{web.url}/v1/requests?state=succeeded&limit=100") as response:
        page = await response.json()
    return {one["id"] for one in page["items"]}


async def _submit(session: aiohttp.ClientSession, webs: list[Web], number: int) -> None:
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


async def _kill(session: aiohttp.ClientSession, webs: list[Web]) -> None:
    """Kill one replica after the other; each time the other one serves."""
    for number in range(_KILLS):
        web = webs[number % 2]
        web.kill()
        await webs[(number + 1) % 2].ready(session)
        web.start()
        await web.ready(session)


@contextlib.contextmanager
def _started(webs: list[Web]) -> Iterator[None]:
    for web in webs:
        web.start()
    yield
    for web in webs:
        assert web.stop() == 0


async def _play(here: service.Deployment, effects: service.Emulator, databases: list[str]) -> None:
    await asyncio.to_thread(here.create_topics, 4)
    relay = here.start_relay("one")
    webs = [Web(here, database) for database in databases]
    delivered: list[tuple[str, int]] = []
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=2, sock_read=10)
    with _started(webs):
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.timeout(_ALL_S):
            for web in webs:
                await web.ready(session)
            async with asyncio.TaskGroup() as group:
                group.create_task(_follow(session, webs, delivered))
                group.create_task(_kill(session, webs))
                for number in range(_REQUESTS):
                    await _submit(session, webs, number)
                    await asyncio.sleep(0.2)

            for web in webs:
                await web.ready(session)
                while await _succeeded(session, web) != {f"r-{number}" for number in range(_REQUESTS)}:
                    await asyncio.sleep(0.1)  # a replica may be a moment behind the one that answered last

    published = [(one.request_id, one.sequence) for one in await here.story()]
    assert len(delivered) == len(set(delivered))
    assert set(delivered) == set(published)
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
