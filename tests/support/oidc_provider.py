"""An OpenID Connect provider of the tests' own: discovery, keys that change, tokens of any claims."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web
from joserfc import jwk, jwt
from tests.support import web_role

AUDIENCE = "mrs-relay"


class Provider:
    """
    The provider.

    Attributes:
        url: its address, which is the issuer.
        issuer: how it calls itself.
        key: the key that signs.
        published: the keys that it shows.
        asked: how often its keys were read.
        is_away: it answers 503.
    """

    def __init__(self) -> None:
        self.url = self.issuer = ""
        self.key = _key("first")
        self.published = [self.key]
        self.asked = 0
        self.is_away = False

    def rotate(self, name: str = "second") -> None:
        """Sign with another key, which takes the place of the former."""
        self.key = _key(name)
        self.published = [self.key]

    def token(self, key: Any = None, algorithm: str = "ES256", **claims: Any) -> str:
        """A token of ann for this service that ends in an hour; `claims` replace its own, None leaves one out."""
        now_s = web_role.NOW_MS // 1000
        whole = {"iss": self.issuer, "aud": AUDIENCE, "sub": "ann", "iat": now_s, "exp": now_s + 3600, **claims}
        used = self.key if key is None else key
        header = {"alg": algorithm, "kid": self.key.kid}
        return jwt.encode(
            header, {name: claim for name, claim in whole.items() if claim is not None}, used, algorithms=[algorithm]
        )

    async def configuration(self, _request: web.Request) -> web.Response:
        """Where the keys are."""
        if self.is_away:
            raise web.HTTPServiceUnavailable
        return web.json_response({"issuer": self.issuer, "jwks_uri": f"{self.url}/keys"})

    async def keys(self, _request: web.Request) -> web.Response:
        """The keys."""
        self.asked += 1
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.published]})


def _key(name: str) -> jwk.ECKey:
    return jwk.ECKey.generate_key("P-256", {"kid": name, "use": "sig"})


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Provider]:
    """Serve on a free port."""
    provider = Provider()
    application = web.Application()
    application.add_routes(
        [web.get("/.well-known/openid-configuration", provider.configuration), web.get("/keys", provider.keys)]
    )
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        provider.url = provider.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield provider
    finally:
        await runner.cleanup()
