"""
Refuse HTTP requests before they reach a handler: foreign hosts and origins, and too many of them.

A page of another site can make a browser send requests here. Its `Origin` shows it, and `Host` shows a name that was
pointed at this address (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import math
from typing import Final
from urllib.parse import urlsplit

from aiohttp import typedefs, web

from mrs_relay.api import problems
from mrs_relay.common import addresses

Middleware = typedefs.Middleware

_PROBES: Final = frozenset({"/health", "/ready", "/metrics"})
_BURST_S: Final = 2.0


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


def local_only() -> Middleware:
    """Return the middleware that accepts requests to this machine's own names, and from no other site."""

    @web.middleware
    async def check(request: web.Request, handler: problems.Handler) -> web.StreamResponse:
        if not _is_local(request.host):
            text = f"Host {request.host[:200]!r}: expected localhost or a loopback address"
            raise problems.ProblemError(403, "foreign-host", text)
        origin = request.headers.get("Origin")
        if origin is not None and origin != f"{request.scheme}://{request.host}":
            text = f"Origin {origin[:200]!r}: pages of other sites may not call this API"
            raise problems.ProblemError(403, "foreign-origin", text)
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


def _is_local(host: str) -> bool:
    try:
        return addresses.is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False
