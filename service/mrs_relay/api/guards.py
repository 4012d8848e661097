"""
Refuse HTTP requests before they reach a handler: foreign hosts and origins, and too many of them.

A page of another site can make a browser send requests here. `Origin` or `Sec-Fetch-Site` shows it, and `Host` shows a
name that was pointed at this address (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection
from typing import Final
from urllib.parse import SplitResult, urlsplit

from aiohttp import typedefs, web

from mrs_relay.api import problems
from mrs_relay.common import addresses

Middleware = typedefs.Middleware

_PROBES: Final = frozenset({"/health", "/ready", "/metrics"})
_BURST_S: Final = 2.0
_PORTS: Final = {"http": 80, "https": 443}


class Bucket:
    """
    Tokens that come evenly and are taken one by one.

    Args:
        rate: tokens a second; twice as many are saved.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._tokens = rate * _BURST_S
        self._at_s = asyncio.get_running_loop().time()

    def take(self) -> float:
        """Take a token; returns the seconds to wait for one if there is none, else 0."""
        now_s = asyncio.get_running_loop().time()
        self._tokens = min(max(1.0, self._rate * _BURST_S), self._tokens + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        if self._tokens < 1:
            return (1 - self._tokens) / self._rate
        self._tokens -= 1
        return 0.0


class OwnAddresses:
    """
    This service's own addresses: the hosts and origins that are ours.

    Args:
        known: addresses by which callers know the service, such as https://mrs.example.
    """

    def __init__(self, known: Collection[str]) -> None:
        named = {_host(urlsplit(one)) for one in known}
        self._secure_hosts = {(name, port) for name, port in named if port == _PORTS["https"]}
        self._secure_hosts |= {(name, _PORTS["http"]) for name, _ in self._secure_hosts}  # a proxy speaks TLS for us
        self._hosts = named | self._secure_hosts
        self._origins = {_origin(one) for one in known}

    def require(self, request: web.Request) -> None:
        """
        Refuse a request to another host, and one that a page of another site has sent.

        Raises:
            ProblemError: host or origin is not ours.
        """
        host = _parsed(f"{request.scheme}://{request.host}")
        if host is None or not (_is_this_machine(host, request) or _host(host) in self._hosts):
            text = f"Host {request.host[:200]!r}: expected a loopback address, or one of api.addresses"
            raise problems.ProblemError(403, "foreign-host", text)

        origin = request.headers.get("Origin")
        if origin is not None and not self._is_ours(origin, request):
            text = f"Origin {origin[:200]!r}: pages of other sites may not call this API"
            raise problems.ProblemError(403, "foreign-origin", text)
        if origin is None and _is_of_other_site(request):
            text = "Sec-Fetch-Site: pages of other sites may not call this API"
            raise problems.ProblemError(403, "foreign-origin", text)

    def require_own_page(self, request: web.Request) -> None:
        """
        Refuse a request unless the browser says that a page of this service sent it.

        Browsers send `Sec-Fetch-Site` with every form, and older ones at least `Origin`, neither of which a page can
        forge. So this holds for forms, and for whatever a browser authenticates by itself.

        Raises:
            ProblemError: another site sent it, or nothing says who.
        """
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        says_ours = origin is not None and self._is_ours(origin, request) if site is None else site == "same-origin"
        if not says_ours:
            text = "this does not come from a page of this service; programs use the paths below /v1, and bearer tokens"
            raise problems.ProblemError(403, "foreign-origin", text)

    def is_secure(self, request: web.Request) -> bool:
        """Return whether the browser is known to speak TLS, with us or with a proxy; its `Origin` says so, too."""
        if request.secure or request.headers.get("Origin", "").startswith("https://"):
            return True
        host = _parsed(f"{request.scheme}://{request.host}")
        return host is not None and _host(host) in self._secure_hosts

    def _is_ours(self, origin: str, request: web.Request) -> bool:
        found = _origin(origin)
        return found is not None and (found == _origin(f"{request.scheme}://{request.host}") or found in self._origins)


def own_addresses(own: OwnAddresses) -> Middleware:
    """Return the middleware that accepts requests to this service's own addresses, and from no other site."""

    @web.middleware
    async def check(request: web.Request, handler: problems.Handler) -> web.StreamResponse:
        own.require(request)
        return await handler(request)

    return check


def rate(bucket: Bucket) -> Middleware:
    """Return the middleware that answers as many requests as the bucket has tokens; probes need none."""

    @web.middleware
    async def check(request: web.Request, handler: problems.Handler) -> web.StreamResponse:
        if request.path not in _PROBES and (wait_s := bucket.take()):
            again = {"Retry-After": str(math.ceil(wait_s))}
            text = (
                "more requests than api.requests_per_s allows; send fewer, or read /v1/events instead of asking again"
            )
            raise problems.ProblemError(429, "too-many-requests", text, headers=again)
        return await handler(request)

    return check


def _is_of_other_site(request: web.Request) -> bool:
    """Return whether a page of another site sent a request; a link that a person follows is none."""
    if request.headers.get("Sec-Fetch-Site", "none") in {"none", "same-origin"}:
        return False
    is_link = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.method in {"GET", "HEAD"}
    return not (is_link and request.headers.get("Sec-Fetch-Dest") == "document")


def _is_this_machine(host: SplitResult, request: web.Request) -> bool:
    """Return whether the host is a loopback name, or the very address that was connected to, which no name is."""
    name = host.hostname or ""
    if addresses.is_loopback(name):
        return True
    found = None if request.transport is None else request.transport.get_extra_info("sockname")
    return isinstance(found, tuple) and found[0] == name


def _host(found: SplitResult) -> tuple[str, int | None]:
    """Return name and port as they are compared: letters small, the port that the scheme implies filled in."""
    return found.hostname or "", found.port or _PORTS.get(found.scheme)


def _origin(text: str) -> tuple[str, str, int | None] | None:
    """Return scheme, name and port of an address; None: it is none, such as the origin "null"."""
    found = _parsed(text)
    return None if found is None else (found.scheme, *_host(found))


def _parsed(text: str) -> SplitResult | None:
    try:
        found = urlsplit(text)
        _ = found.port  # raises on ports that are none
    except ValueError:
        return None
    return found if found.hostname else None
