"""
The HTTP server: `/health` (the event loop runs), `/ready` (requests are being carried out), `/metrics` (Prometheus).

It only reads: all values come from two callables that the caller passes in.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

import prometheus_client
import structlog
from aiohttp import web

from mrs_relay.common import http_server
from mrs_relay.engine import views
from mrs_relay.web import health, metrics
from mrs_relay.web import settings as web_settings

_log = structlog.get_logger(__name__)


@contextlib.asynccontextmanager
async def serving(
    settings: web_settings.WebSettings,
    status: Callable[[], health.Health],
    snapshot: Callable[[], views.Snapshot],
) -> AsyncIterator[int | None]:
    """
    Serve for the length of the context; yields the port, or None when serving is switched off.

    Raises:
        SettingsError: the server cannot listen on the address.
    """
    if not settings.enabled:
        yield None
        return
    registry = metrics.collect_from(snapshot, lambda: status().ready)
    address = http_server.Address(settings.host, settings.port, "web.port (MRS_RELAY_WEB__PORT)")
    async with answering(address, status, registry) as port:
        yield port


@contextlib.asynccontextmanager
async def answering(
    address: http_server.Address,
    status: Callable[[], health.Health],
    registry: prometheus_client.CollectorRegistry,
) -> AsyncIterator[int]:
    """
    Answer probes and Prometheus for the length of the context, for any role; yields the port.

    Raises:
        SettingsError: the server cannot listen on the address.
    """

    async def ready(request: web.Request) -> web.Response:
        tenant = request.query.get("tenant")
        now = status().of(tenant)
        if now is None:
            return web.json_response({"ready": False, "reasons": [f"there is no tenant {tenant!r}"]}, status=404)
        return web.json_response(now.as_json(), status=200 if now.ready else 503)

    async def measured(request: web.Request) -> web.Response:
        return await http_server.metrics(request, registry)

    application = web.Application()
    application.add_routes(
        [web.get("/health", http_server.alive), web.get("/ready", ready), web.get("/metrics", measured)]
    )
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
    async with http_server.listening(runner, address) as port:
        _log.info("web_started", host=address.host, port=port)
        yield port
