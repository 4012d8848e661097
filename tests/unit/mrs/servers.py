"""Transports to scripted servers, and the scripts that tests share."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextvars import ContextVar

import pytest
from tests.unit.mrs import support

from mrs_relay.mrs import session_transport, transport

POST = transport.Request("POST", "/v2/p/jobs", {"Host": "h", "X-Sdk-Date": "d"}, b'{"a":1}')
GET = transport.Request("GET", "/v2/p/jobs?a=%20b&c=%2F", {"Host": "h"})
LONG_S = 30.0
SHORT_S = 0.3

TransportKind = type[transport.AiohttpTransport | session_transport.SessionTransport]

transport_kind: ContextVar[TransportKind] = ContextVar("transport_kind")


@pytest.fixture(params=[transport.AiohttpTransport, session_transport.SessionTransport], autouse=True)
def each_kind(request: pytest.FixtureRequest) -> None:
    """Play each test over the quick transport and over the plain one."""
    transport_kind.set(request.param)


@contextlib.asynccontextmanager
async def opened(url: str, **changes: object) -> AsyncIterator[transport.Transport]:
    """Yield a transport to this address."""
    async with transport_kind.get()(support.group(endpoint=url, **changes)) as door:
        yield door


async def ok(wire: support.Wire) -> None:
    """Answer every request of the connection."""
    while True:
        await wire.request()
        await wire.reply(202, b"{}")


async def silence(wire: support.Wire) -> None:
    """Read and never answer."""
    while await wire.reader.read(65536):
        pass


async def kind_of_failure(
    door: transport.Transport, request: transport.Request, timeout_s: float
) -> type[transport.SendError]:
    with pytest.raises(transport.SendError) as caught:
        await door.send(request, timeout_s)
    return type(caught.value)
