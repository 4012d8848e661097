"""Replicas of `mrs-relay web` as processes, and a reader of the stream of events that changes from one to the next."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from tests.support import child, ports, service, waiting

TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=2, sock_read=5)
"""For sessions that read streams; a replica sends a heartbeat every second."""

LEASE_S = 1.5
_STOP_S = 60.0


class Replica:
    """
    One replica of the role; it keeps its port when it is started again.

    Args:
        here: the deployment.
        database: its database, or one that it shares.
        more: further settings, by variable name without prefix.
    """

    def __init__(self, here: service.Deployment, database: str, **more: str) -> None:
        self._here = here
        self._port = ports.free_port()
        given = {
            "API__PORT": str(self._port),
            "API__HEARTBEAT_S": "1",
            "READ_MODEL__DATABASE": database,
            "READ_MODEL__LEASE_S": str(LEASE_S),
            **more,
        }
        self._more = {f"MRS_RELAY_{name}": value for name, value in given.items()}
        self.url = f"http://127.0.0.1:{self._port}"
        self.log = here.workdir / f"{here.name}-web-{self._port}.log"
        self._process: child.Child | None = None

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.alive

    def start(self) -> None:
        """Start its process."""
        command = [sys.executable, "-m", "mrs_relay", "web"]
        self._process = child.Child(command, log=self.log, env={**self._here.environment(), **self._more})

    def send(self, signal_number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send(signal_number)

    def kill(self) -> None:
        """End it by SIGKILL."""
        assert self._process is not None
        self._process.kill()

    def stop(self) -> int:
        """End it by SIGTERM; returns its exit code."""
        assert self._process is not None
        return self._process.stop(_STOP_S)

    async def ready(self, session: aiohttp.ClientSession, timeout_s: float = waiting.LIMIT_S) -> None:
        """
        Wait until it answers that it is ready.

        Raises:
            TimeoutError: it has not. ChildFailed: it has ended.
        """
        async with asyncio.timeout(timeout_s):
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(f"{self.url}/ready") as response:
                        if response.status == 200:
                            return
                if not self.alive:
                    raise child.ChildFailed(f"the replica at {self.url} has ended; see {self.log}")
                await asyncio.sleep(0.1)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event as the stream has brought it."""

    event_id: str
    request_id: str
    sequence: int
    state: str


@dataclass(eq=False)
class StreamReader:
    """
    Reads `/v1/events` from the beginning, as a browser does: on the next replica whenever the stream breaks off.

    Attributes:
        delivered: all events so far.
        faults: answers that a reader must never get.
        replica: where it reads at present, or tries to.
        moves: how often it has gone to another replica.
    """

    session: aiohttp.ClientSession
    replicas: Sequence[Replica]
    delivered: list[Delivery] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    moves: int = -1
    _last: str = "beginning"
    _response: aiohttp.ClientResponse | None = None

    @property
    def replica(self) -> Replica:
        """Return the replica where it reads, or tries to."""
        return self.replicas[max(0, self.moves) % len(self.replicas)]

    def leave(self) -> None:
        """Break the stream off, so that it continues on the next replica."""
        if self._response is not None:
            self._response.close()

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            self.moves += 1
            with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                await self._read()
            await asyncio.sleep(0.1)

    async def _read(self) -> None:
        headers = {"Last-Event-ID": self._last}
        async with self.session.get(f"{self.replica.url}/v1/events", headers=headers) as response:
            if response.status != 200:
                if response.status != 503:
                    self.faults.append(f"the stream answered {response.status}: {await response.text()}")
                return
            self._response = response
            try:
                await self._blocks(response)
            finally:
                self._response = None

    async def _blocks(self, response: aiohttp.ClientResponse) -> None:
        block: dict[str, str] = {}
        async for raw in response.content:
            line = raw.decode().rstrip("\n")
            if line:
                name, _, value = line.partition(": ")
                block[name] = value
                continue
            self._take(block)
            block = {}

    def _take(self, block: dict[str, str]) -> None:
        """Take a whole block; one that was broken off comes again."""
        if block.get("event") == "reset":
            self.faults.append(f"the stream was reset: {block}")
        elif "data" in block:
            event: dict[str, Any] = json.loads(block["data"])
            data = event["data"]
            self.delivered.append(Delivery(event["id"], data["request"]["id"], data["sequence"], data["state"]))
        self._last = block.get("id", self._last)
