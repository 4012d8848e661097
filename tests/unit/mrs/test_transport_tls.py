"""The transport against certificates that are not what they should be, and names that nobody knows."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import ssl
from collections.abc import AsyncIterator

import aiohttp
import pytest
import trustme
from tests.unit.mrs import support

from mrs_relay.mrs import transport

POST = transport.Request("POST", "/v2/p/jobs", {"Host": "h"}, b'{"a":1}')
LONG_S = 5.0


@contextlib.asynccontextmanager
async def _serving(issued: trustme.LeafCert) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server with this certificate; yields its address and what it was sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(context)
    seen: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            seen.append(await reader.read(65536))
            writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}", seen


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """An authority that this process trusts, beside those of the system; everything else is as by default."""
    made = trustme.CA()
    context = ssl.create_default_context()
    made.configure_trust(context)
    monkeypatch.setattr(aiohttp, "TCPConnector", functools.partial(aiohttp.TCPConnector, ssl=context))
    return made


async def test_a_certificate_of_a_trusted_authority_for_the_right_name_is_taken(authority: trustme.CA) -> None:
    """The other tests of this file fail for the certificate and for nothing else."""
    async with _serving(authority.issue_cert("localhost")) as (url, seen), _opened(url) as door:
        assert (await door.send(POST, LONG_S)).status == 202
    assert seen[0].startswith(b"POST")


@pytest.mark.parametrize("wrong", ["authority", "name", "date"])
async def test_a_wrong_certificate_sends_nothing_and_is_named(authority: trustme.CA, wrong: str) -> None:
    """Signed by a stranger, made for another host, or over: not a byte of the request leaves, the message says why."""
    over = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    issued = {
        "authority": lambda: trustme.CA().issue_cert("localhost"),
        "name": lambda: authority.issue_cert("elsewhere.test"),
        "date": lambda: authority.issue_cert("localhost", not_before=over, not_after=over + dt.timedelta(days=1)),
    }[wrong]()
    says = {"authority": "self-signed|unable to get", "name": "not valid for 'localhost'", "date": "expired"}[wrong]
    async with _serving(issued) as (url, seen), _opened(url) as door:
        with pytest.raises(transport.NotSent, match=says) as raised:
            await door.send(POST, LONG_S)
    assert url in str(raised.value)
    assert b"POST" not in b"".join(seen)


async def test_an_authority_that_only_the_server_knows_is_not_trusted_by_default() -> None:
    """Without a word from us, aiohttp verifies."""
    async with _serving(trustme.CA().issue_cert("localhost")) as (url, seen), _opened(url) as door:
        with pytest.raises(transport.NotSent, match="CERTIFICATE_VERIFY_FAILED"):
            await door.send(POST, LONG_S)
    assert b"POST" not in b"".join(seen)


async def test_a_name_that_nobody_knows_sends_nothing() -> None:
    """DNS gone: the host is named, and what to check; the request can safely be sent later."""
    async with _opened("http://mrs.nowhere.invalid") as door:
        with pytest.raises(transport.NotSent, match=r"mrs\.nowhere\.invalid.*check endpoint, network and proxies"):
            await door.send(POST, LONG_S)


@contextlib.asynccontextmanager
async def _opened(url: str) -> AsyncIterator[transport.AiohttpTransport]:
    async with transport.AiohttpTransport(support.group(endpoint=url)) as door:
        yield door
