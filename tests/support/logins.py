"""A browser as far as logins need one: it keeps cookies, follows no redirect, and says where forms come from."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy

OURS = {"Sec-Fetch-Site": "same-origin"}
FOREIGN = {"Sec-Fetch-Site": "cross-site", "Origin": "https://attacker.example"}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: CIMultiDictProxy[str]
    text: str

    @property
    def target(self) -> str:
        """Where it leads."""
        return self.headers["Location"]

    @property
    def cookies(self) -> list[str]:
        """The cookies that it sets, with their attributes."""
        return self.headers.getall("Set-Cookie", [])


class Browser:
    """
    A browser.

    Args:
        session: aiohttp's, which keeps cookies.
        url: of the dashboard.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url

    async def ask(self, method: str, path: str, headers: Mapping[str, str] = OURS, **content: Any) -> Answer:
        """Ask for a path of the dashboard, or for an address elsewhere."""
        url = path if path.startswith("http") else self.url + path
        async with self._session.request(method, url, headers=headers, allow_redirects=False, **content) as reply:
            return Answer(reply.status, reply.headers, await reply.text())

    async def log_in(self, token: str, target: str = "/", headers: Mapping[str, str] = OURS) -> Answer:
        """Send the form with a token."""
        return await self.ask("POST", "/login", headers, data={"token": token, "next": target})

    async def at_provider(self, target: str = "/") -> Answer:
        """Log in at the provider, as far as its answer, which leads back."""
        begun = await self.ask("GET", f"/login/start?next={target}")
        assert begun.status == 303, begun.text
        return await self.ask("GET", begun.target)


@contextlib.asynccontextmanager
async def browser(url: str) -> AsyncIterator[Browser]:
    """Open a browser without cookies; loopback addresses may have them."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield Browser(session, url)
