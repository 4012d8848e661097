"""Serve an aiohttp application on an address of the settings."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator

import prometheus_client
from aiohttp import web
from prometheus_client import exposition

from mrs_relay import errors


@contextlib.asynccontextmanager
async def listening(
    runner: web.AppRunner, host: str, port: int, *, setting: str, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """
    Serve for the length of the context; yields the port.

    Args:
        runner: of the application, not yet set up.
        host: address to listen on.
        port: 0 takes a free one.
        setting: name of the port's setting, for the error.
        tls: of the server; None: it speaks plain HTTP.

    Raises:
        SettingsError: the server cannot listen on the address.
    """
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls).start()
        except OSError as error:
            raise errors.SettingsError(f"{setting}: cannot listen on {host}:{port}: {error.strerror}") from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def alive(_request: web.Request) -> web.Response:
    """Answer `/health`: that the event loop runs."""
    return web.json_response({"alive": True})


def metrics(request: web.Request, registry: prometheus_client.CollectorRegistry) -> web.Response:
    """Return all metrics of a registry: as OpenMetrics with exemplars if the caller accepts it, else as plain text."""
    encode, content_type = exposition.choose_encoder(request.headers.get("Accept", ""))
    return web.Response(body=encode(registry), headers={"Content-Type": content_type})
