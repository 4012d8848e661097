"""The transport against certificates that are not what they should be, and unknown host names."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import functools
import pathlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import trustme
from tests.unit.mrs import support

from mrs_relay import errors
from mrs_relay.mrs import transport

POST = transport.Request("POST", "/v2/p/jobs", {"Host": "h"}, b'{"a":1}')
LONG_S = 5.0


@contextlib.asynccontextmanager
async def _serving(issued: trustme.LeafCert | None) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Yield a server with this certificate, or without TLS; yields its address and what it was sent."""
    context = None
    if issued is not None:
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
        yield f"{'http' if issued is None else 'https'}://localhost:{server.sockets[0].getsockname()[1]}", seen


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


async def test_an_unknown_host_name_sends_nothing() -> None:
    """DNS gone: the host is named, and what to check; the request can safely be sent later."""
    async with _opened("http://mrs.nowhere.invalid") as door:
        with pytest.raises(transport.NotSent, match=r"mrs\.nowhere\.invalid.*check endpoint, network and proxies"):
            await door.send(POST, LONG_S)


async def test_the_authority_of_a_file_is_trusted_and_read_again_when_it_changes(tmp_path: pathlib.Path) -> None:
    """A private authority needs a file alone, and a new one takes its place without a restart."""
    first, second, file = trustme.CA(), trustme.CA(), tmp_path / "ca.pem"
    file.write_bytes(first.cert_pem.bytes())
    group = {"ca_file": file, "keepalive_s": 0}
    async with _serving(second.issue_cert("localhost")) as (url, _), _opened(url, **group) as door:
        with pytest.raises(transport.NotSent, match="CERTIFICATE_VERIFY_FAILED"):
            await door.send(POST, LONG_S)
        file.write_bytes(second.cert_pem.bytes())
        assert (await door.send(POST, LONG_S)).status == 202
        file.write_text("half a certif")
        assert (await door.send(POST, LONG_S)).status == 202


async def test_a_file_of_authorities_that_is_none_is_named(tmp_path: pathlib.Path) -> None:
    """The setting is named before anything is sent."""
    with pytest.raises(errors.SettingsError, match=r"mrs\.ca_file .*nowhere"):
        async with _opened("https://localhost:1", ca_file=tmp_path / "nowhere"):
            pass


@contextlib.asynccontextmanager
async def _proxying(authorization: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Run an HTTP proxy that wants these papers; yields its address and the first line of each request it served."""
    served: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            if b"Proxy-Authorization: " + authorization not in head:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
                writer.close()
                return

            served.append(head.split(b"\r\n")[0])
            verb, target, _ = served[-1].decode().split(" ")
            place = target if verb == "CONNECT" else target.split("/")[2]
            host, _, port = place.partition(":")
            there = await asyncio.open_connection(host, int(port))

            if verb == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                there[1].write(head)

            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, there[1]))
                group.create_task(_pump(there[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", served


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


_PROXY = {"proxy_user": "u", "proxy_password": "pa55"}
_BASIC = b"Basic " + base64.b64encode(b"u:pa55")


async def test_calls_are_tunnelled_through_the_proxy(authority: trustme.CA) -> None:
    """The proxy gets host, port and our credentials; it sees no request."""
    async with (
        _proxying(_BASIC) as (proxy, served),
        _serving(authority.issue_cert("localhost")) as (url, seen),
        _opened(url, proxy=proxy, **_PROXY) as door,
    ):
        for _ in range(2):
            assert (await door.send(POST, LONG_S)).status == 202
    host = url.removeprefix("https://").encode()
    assert served == [b"CONNECT " + host + b" HTTP/1.1"] * 2
    assert b"Proxy-Authorization" not in b"".join(seen)


async def test_without_tls_the_proxy_is_reported_the_whole_address() -> None:
    """An emulator behind a proxy is reached like any http server: the request names where it goes."""
    async with (
        _proxying(_BASIC) as (proxy, served),
        _serving(None) as (url, seen),
        _opened(url, proxy=proxy, **_PROXY) as door,
    ):
        assert (await door.send(POST, LONG_S)).status == 202
    assert served == [f"POST {url}/v2/p/jobs HTTP/1.1".encode()]
    assert len(seen) == 1


async def test_a_proxy_that_refuses_us_is_named_and_nothing_was_sent(authority: trustme.CA) -> None:
    """The message says that it was the proxy; the password is not in it."""
    async with (
        _proxying(b"Basic other") as (proxy, served),
        _serving(authority.issue_cert("localhost")) as (url, seen),
        _opened(url, proxy=proxy, **_PROXY) as door,
    ):
        with pytest.raises(transport.NotSent, match="407") as raised:
            await door.send(POST, LONG_S)
    assert (served, seen) == ([], [])
    assert "pa55" not in str(raised.value)


async def test_a_proxy_that_is_away_is_named() -> None:
    """Nothing was sent, and the address that did not answer is the proxy's."""
    async with _opened("https://localhost:1", proxy="http://127.0.0.1:1") as door:
        with pytest.raises(transport.NotSent, match=r"127\.0\.0\.1:1"):
            await door.send(POST, LONG_S)


@contextlib.asynccontextmanager
async def _opened(url: str, **changes: Any) -> AsyncIterator[transport.AiohttpTransport]:
    async with transport.AiohttpTransport(support.group(endpoint=url, **changes)) as door:
        yield door
