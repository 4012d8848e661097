"""What the client's tests share: settings, a transport without sockets, a scripted server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from tests.support import clocks

from mrs_relay.mrs import client, settings, transport

PROJECT = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
CLUSTER = "6b2f1c34-7f0e-4a52-9c11-2f6f0d8a7e01"
JOB = "b6c1d6b0-3f1c-4d7e-8a47-1d6f0e9a2c55"
SECRET = "example-secret-key-for-tests-0001"  # noqa: S105 - no real key
START_MS = clocks.START_MS

AT_CLUSTER = {"cluster_id": CLUSTER}
AT_JOB = {"cluster_id": CLUSTER, "job_execution_id": JOB}
AT_STATEMENT = {"cluster_id": CLUSTER, "sql_id": "20261123_073010_00013_ab3de"}
BODY = {"job_type": "MapReduce", "job_name": "wc-7f3a9c1e", "arguments": ["obs://demo-bucket/a.jar"]}


def group(**changes: object) -> settings.MrsSettings:
    """Return settings for tests, with changes."""
    fields: dict[str, Any] = {
        "endpoint": "http://mrs.example.com",
        "project_id": PROJECT,
        "access_key": "EXAMPLEACCESSKEY0001",
        "secret_key": SECRET,
        "budgets": False,
    }
    return settings.MrsSettings(**{**fields, **changes})


class FakeTransport:
    """Answers from a list, in order, and remembers what was sent."""

    def __init__(self, *answers: transport.Response | Exception) -> None:
        self.answers = list(answers)
        self.sent: list[transport.Request] = []
        self.timeouts_s: list[float] = []

    async def send(self, request: transport.Request, timeout_s: float) -> transport.Response:
        """Give the next answer."""
        self.sent.append(request)
        self.timeouts_s.append(timeout_s)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def answer(
    status: int, body: Mapping[str, object] | bytes = b"", headers: Mapping[str, str] | None = None
) -> transport.Response:
    """Return a response; a mapping becomes JSON."""
    if isinstance(body, bytes):
        return transport.Response(status, body, headers or {})
    return transport.Response(
        status, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})}
    )


def client_with(*answers: transport.Response | Exception, **changes: object) -> tuple[client.Client, FakeTransport]:
    """Return a client over a fake transport that gives these answers."""
    door = FakeTransport(*answers)
    return client.Client(group(**changes), door, clocks.HandClock()), door


class Wire:
    """One accepted connection of the scripted server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """Read one whole request: head and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return head + await self.reader.readexactly(length)

    async def reply(self, status: int, body: bytes, *headers: str) -> None:
        """Send one whole reply."""
        lines = "".join(f"{line}\r\n" for line in headers)
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
        self.writer.write(head.encode() + body)
        await self.writer.drain()

    async def write(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()


Script = Callable[[Wire], Awaitable[None]]


class Server:
    """What a scripted server has seen."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def server(script: Script) -> AsyncIterator[Server]:
    """Yield a server on loopback that plays `script` on each connection and closes it afterwards."""
    seen = Server()
    running: set[asyncio.Task[None]] = set()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                await script(Wire(reader, writer))
        finally:
            running.discard(task)
            writer.close()

    listener = await asyncio.start_server(play, "127.0.0.1", 0)
    seen.port = listener.sockets[0].getsockname()[1]
    try:
        yield seen
    finally:
        listener.close()
        tasks = set(running)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await listener.wait_closed()
