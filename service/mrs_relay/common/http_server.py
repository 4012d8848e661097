"""Serve an aiohttp application on an address of the settings."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple

import prometheus_client
from aiohttp import web
from prometheus_client import core, exposition
from prometheus_client import registry as collectors

from mrs_relay import errors


class Address(NamedTuple):
    """
    An address of the settings.

    Attributes:
        host: address to listen on.
        port: 0 takes a free one.
        setting: name of the port's setting, for errors.
    """

    host: str
    port: int
    setting: str


@contextlib.asynccontextmanager
async def listening(runner: web.AppRunner, address: Address, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """
    Serve for the length of the context; yields the port.

    Args:
        runner: of the application, not yet set up.
        address: to listen on.
        tls: of the server; None: it speaks plain HTTP.

    Raises:
        SettingsError: the server cannot listen on the address.
    """
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, address.host, address.port, ssl_context=tls).start()
        except OSError as error:
            where = f"{address.host}:{address.port}"
            raise errors.SettingsError(f"{address.setting}: cannot listen on {where}: {error.strerror}") from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def alive(_request: web.Request) -> web.Response:
    """Answer `/health`: that the event loop runs."""
    return web.json_response({"alive": True})


async def metrics(request: web.Request, registry: prometheus_client.CollectorRegistry) -> web.Response:
    """
    Return all metrics of a registry: as OpenMetrics with exemplars if the caller accepts it, else as plain text.

    They are written one by one, between which the event loop does its other work: hundreds of tenants have many.
    """
    encode, content_type = exposition.choose_encoder(request.headers.get("Accept", ""))
    end = encode(_Families(()))
    parts = []
    for family in registry.collect():
        parts.append(encode(_Families((family,))).removesuffix(end))
        await asyncio.sleep(0)
    return web.Response(body=b"".join((*parts, end)), headers={"Content-Type": content_type})


def registry_of(collector: collectors.Collector) -> prometheus_client.CollectorRegistry:
    """Make a registry of a role's own metrics and of those of the process."""
    own = prometheus_client.CollectorRegistry()
    own.register(collector)
    prometheus_client.ProcessCollector(registry=own)
    return own


class _Families(collectors.Collector):
    """Some metrics as a registry has them."""

    def __init__(self, families: Sequence[core.Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[core.Metric]:
        """Return them."""
        return self._families
