"""
The socket around the emulator: aiohttp's low-level server, one handler, no routing of its own.

`running` is for tests and demos (it yields the address), `serve` for a process of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from mrs_emulator.core import clock, core, failures, refusals, settings, wire
from mrs_emulator.iam import signature
from mrs_emulator.obs import listener

_SHUTDOWN_S = 5.0
"""Seconds that requests under way get to end when the server stops."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that listens: where, and the emulator behind it."""

    host: str
    port: int
    emulator: core.Emulator
    obs_port: int | None = None

    @property
    def url(self) -> str:
        """Base URL, without a slash at the end."""
        return _url(self.host, self.port)

    @property
    def obs_url(self) -> str:
        """
        Base URL of OBS, without a slash at the end.

        Raises:
            LookupError: OBS is not served.
        """
        if self.obs_port is None:
            raise LookupError("OBS is not served: set obs_port")
        return _url(self.host, self.obs_port)


@asynccontextmanager
async def running(chosen: settings.EmulatorSettings, *, timer: clock.Clock | None = None) -> AsyncIterator[Running]:
    """
    Listen while the block runs.

    Args:
        chosen: the settings; port 0 takes a free one.
        timer: the time; None is the machine's.

    Raises:
        CannotStart: the data folder cannot be read, SQL is not installed though there is data, or the address is taken.
    """
    async with core.Emulator(chosen, timer) as emulator:
        runner = web.ServerRunner(
            web.Server(_Shell(emulator).handle, request_factory=_request, access_log=None),
            shutdown_timeout=_SHUTDOWN_S,
        )
        await runner.setup()

        try:
            site = web.TCPSite(runner, chosen.host, chosen.port, backlog=1024)
            try:
                await site.start()
            except OSError as error:
                raise failures.CannotStart(f"cannot listen on {chosen.host}:{chosen.port}: {error.strerror}") from error
            host, port = runner.addresses[0][:2]
            emulator.serve_pages()
            async with _objects(chosen, emulator) as obs_port:
                yield Running(host, port, emulator, obs_port)
        finally:
            await runner.cleanup()


@asynccontextmanager
async def _objects(chosen: settings.EmulatorSettings, emulator: core.Emulator) -> AsyncIterator[int | None]:
    """Serve OBS while the block runs, where the settings say so; yields its port."""
    if chosen.obs_port is None:
        yield None
        return
    domains = (*chosen.obs_domains, f"obs.{chosen.iam.region}.myhuaweicloud.com")
    played = listener.Listener(emulator, domains)
    async with listener.listening(played, chosen.host, chosen.obs_port) as port:
        yield port


def _url(host: str, port: int) -> str:
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def serve(
    chosen: settings.EmulatorSettings, *, ready: asyncio.Event | None = None, stop: asyncio.Event | None = None
) -> None:
    """
    Run the emulator until `stop` is set, or until cancelled.

    Args:
        chosen: the settings.
        ready: set once the port listens.
        stop: ends the server; requests under way get a few seconds.

    Raises:
        CannotStart: as for `running`.
    """
    async with running(chosen) as server:
        _log.info("emulator.listening", url=server.url, project_id=chosen.project_id, auth=chosen.auth)
        if ready is not None:
            ready.set()
        await (stop or asyncio.Event()).wait()
    _log.info("emulator.stopped")


class _Shell:
    """Turns aiohttp's requests into the emulator's and replies back."""

    def __init__(self, emulator: core.Emulator) -> None:
        self._emulator = emulator

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await request.read() if request.body_exists else b""
        except web.HTTPRequestEntityTooLarge:
            reply = self._emulator.refuse(refusals.too_large())
        else:
            path, _, query = request.raw_path.partition("?")
            reply = await self._emulator.handle(wire.Request(request.method, path, query, request.headers, body))
        if reply.dropped and request.transport is not None:
            request.transport.close()
        headers = {**reply.headers, "Content-Type": reply.content_type}
        if reply.cut_to is not None:
            return await _cut(request, reply, headers)
        return web.Response(body=reply.body, status=reply.status or 200, headers=headers)


async def _cut(request: web.BaseRequest, reply: wire.Reply, headers: dict[str, str]) -> web.StreamResponse:
    """Announce the whole body, send a part of it, and close the connection."""
    response = web.StreamResponse(status=reply.status, headers=headers | {"Content-Length": str(len(reply.body))})
    await response.prepare(request)
    await response.write(reply.body[: reply.cut_to])
    if request.transport is not None:
        request.transport.close()
    return response


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    """Return a request that may have a body as large as a signed one may be."""
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=signature.BODY_MAX_BYTES)
