"""
The socket around OBS: bodies are received into files and digested on the way, objects are sent in pieces.

Each request is answered by a thread, since the store blocks; the loop that MRS's jobs run on is never held up.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import os
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import structlog
from aiohttp import web

from mrs_emulator.core import failures, faults
from mrs_emulator.obs import access, chunks, errors, service, troubles, wire

_PIECE_BYTES = 1 << 20
_SHUTDOWN_S = 5.0
_WITH_BODY = frozenset({"PUT", "POST"})
_NO_BODY = wire.Body(Path(os.devnull), 0, hashlib.md5(usedforsecurity=False).digest(), hashlib.sha256().hexdigest())
_NEGOTIATION = {"x-obs-api": "3.0"}

_log = structlog.get_logger(__name__)


class Owner(Protocol):
    """What OBS is a part of: it has the time, and remembers calls."""

    @property
    def objects(self) -> service.Service:
        """OBS without a socket."""

    def now_ms(self) -> int:
        """Return the time, in milliseconds since the epoch."""

    def object_trouble(self, operation: str, place: str) -> faults.Trouble:
        """Return what happens to a call at bucket/key."""

    async def settle_objects(self) -> None:
        """Write what jobs have left in OBS until now."""

    def note_object_call(self, verb: str, operation: str, status: int, took_s: float) -> None:
        """Remember a call."""


class Listener:
    """
    Turns aiohttp's requests into OBS's and replies back.

    Args:
        owner: what OBS is a part of.
        domains: hosts whose sub-domains are buckets.
    """

    def __init__(self, owner: Owner, domains: Sequence[str]) -> None:
        self._owner = owner
        self._service = owner.objects
        self._domains = domains

    async def handle(self, asked: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        request_id = secrets.token_hex(16).upper()
        request, prefix, name = None, "x-amz-", "unknown"
        began_s = asyncio.get_running_loop().time()

        try:
            lowered = {name.lower(): value for name, value in asked.headers.items()}
            request = wire.request(asked.method, asked.raw_path, lowered, self._domains)
            if asked.method == "HEAD" and request.parameter("apiversion") is not None:
                name, reply = "ApiVersion", wire.Reply(200, _NEGOTIATION)
            else:
                now_ms = self._owner.now_ms()
                admitted = self._service.gate.admit(request, now_ms)
                prefix = admitted.prefix
                name = service.operation(request)  # what is not played is refused before its body is received
                trouble = self._owner.object_trouble(name, f"{request.bucket}/{request.key}")
                await asyncio.sleep(trouble.delay_s)
                instead = troubles.instead(trouble, request_id)
                reply = instead or await self._answer(asked, request, admitted, now_ms)
                reply = troubles.after(trouble, reply, request_id)
        except errors.ObsError as error:
            reply = service.refused(error, request, request_id)
        except Exception:  # noqa: BLE001 - the one place where an unforeseen error of OBS is caught
            _log.exception("emulator.obs_request_failed", verb=asked.method, request_id=request_id)
            reply = service.refused(errors.ObsError("InternalError"), request, request_id)

        took_s = asyncio.get_running_loop().time() - began_s
        self._owner.note_object_call(asked.method, name, reply.status, took_s)
        headers = {"Server": "OBS", f"{prefix}request-id": request_id, f"{prefix}id-2": request_id, **reply.headers}
        return await _sent(asked, reply, headers)

    async def _answer(
        self, asked: web.BaseRequest, request: wire.Request, admitted: access.Admitted, now_ms: int
    ) -> wire.Reply:
        await self._owner.settle_objects()
        place = await asyncio.to_thread(self._service.store.incoming)
        try:
            body = _NO_BODY
            if asked.method in _WITH_BODY:
                if asked.headers.get("expect", "").lower() == "100-continue":
                    await asked.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    asked.writer.output_size = 0
                body = await _received(asked, place, admitted)
            return await asyncio.to_thread(self._service.answer, request, admitted, body, now_ms)
        finally:
            await asyncio.to_thread(place.unlink, missing_ok=True)


async def _received(asked: web.BaseRequest, place: Path, admitted: access.Admitted) -> wire.Body:
    """
    Receive a body into a file.

    Raises:
        ObsError: IncompleteBody, XAmzContentSHA256Mismatch, and those of chunks.
    """
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    decoder = chunks.Decoder(admitted.framing) if admitted.framing else None
    file = await asyncio.to_thread(place.open, "wb")

    try:
        with contextlib.closing(file):
            async for piece in asked.content.iter_chunked(_PIECE_BYTES):
                for data in decoder.feed(piece) if decoder else (piece,):
                    md5.update(data)
                    sha256.update(data)
                    size += len(data)
                    await asyncio.to_thread(file.write, data)
    except (web.RequestPayloadError, ConnectionError) as error:
        raise errors.ObsError("IncompleteBody") from error

    if decoder:
        decoder.end()
    if admitted.payload is not None and admitted.payload != sha256.hexdigest():
        raise errors.ObsError("XAmzContentSHA256Mismatch")
    return wire.Body(place, size, md5.digest(), sha256.hexdigest())


async def _sent(asked: web.BaseRequest, reply: wire.Reply, headers: dict[str, str]) -> web.StreamResponse:
    part = reply.body
    if reply.dropped and asked.transport is not None:
        asked.transport.close()

    if isinstance(part, bytes) and not reply.halved:
        if asked.method != "HEAD":
            return web.Response(status=reply.status or 200, headers=headers, body=part)
        return web.Response(status=reply.status or 200, headers=headers)

    if isinstance(part, bytes):
        part = wire.Slice(io.BytesIO(part), 0, len(part))

    with contextlib.closing(part.file):
        response = web.StreamResponse(status=reply.status, headers={**headers, "Content-Length": str(part.length)})
        await response.prepare(asked)
        if asked.method != "HEAD":
            await asyncio.to_thread(part.file.seek, part.start)
            left = part.length // 2 if reply.halved else part.length
            while left and (data := await asyncio.to_thread(part.file.read, min(left, _PIECE_BYTES))):
                await response.write(data)
                left -= len(data)
        if reply.halved and asked.transport is not None:
            asked.transport.close()
        else:
            await response.write_eof()
        return response


@asynccontextmanager
async def listening(listener: Listener, host: str, port: int) -> AsyncIterator[int]:
    """
    Serve OBS while the block runs; yields the port.

    Raises:
        CannotStart: the address is taken.
    """
    runner = web.ServerRunner(web.Server(listener.handle, access_log=None), shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, backlog=1024).start()
        except OSError as error:
            raise failures.CannotStart(f"cannot listen on {host}:{port} for OBS: {error.strerror}") from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
