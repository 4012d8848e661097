"""An OpenID Connect provider of the tests' own: discovery, keys that change, tokens of any claims, logins by code."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from aiohttp import web
from joserfc import jwk, jwt
from tests.support import web_role

AUDIENCE = "mrs-relay"
CLIENT = "mrs-relay dashboard"


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
        claims: further claims of the ID tokens that it makes.
        access: claims of the access tokens that come with them; None: they are no JSON Web Tokens.
        codes: what was asked for, by the codes that are not used yet.
        exchanges: the requests to exchange a code, with their headers.
        secret: of its client, which says so by HTTP basic authentication; None: the client is public.
        quotes: whether its refusals quote what they refuse.
    """

    def __init__(self) -> None:
        self.url = self.issuer = ""
        self.key = _key("first")
        self.published = [self.key]
        self.asked = 0
        self.is_away = False
        self.claims: dict[str, Any] = {}
        self.access: dict[str, Any] | None = None
        self.codes: dict[str, dict[str, str]] = {}
        self.exchanges: list[tuple[dict[str, str], dict[str, str]]] = []
        self.secret: str | None = None
        self.quotes = False

    def rotate(self, name: str = "second") -> None:
        """Sign with another key, which takes the place of the former."""
        self.key = _key(name)
        self.published = [self.key]

    def token(self, key: Any = None, algorithm: str = "ES256", **claims: Any) -> str:
        """Return a token of ann for this service, for an hour; `claims` replace its own, None leaves one out."""
        now_s = web_role.NOW_MS // 1000
        whole = {"iss": self.issuer, "aud": AUDIENCE, "sub": "ann", "iat": now_s, "exp": now_s + 3600, **claims}
        used = self.key if key is None else key
        header = {"alg": algorithm, "kid": self.key.kid}
        return jwt.encode(
            header, {name: claim for name, claim in whole.items() if claim is not None}, used, algorithms=[algorithm]
        )

    async def configuration(self, _request: web.Request) -> web.Response:
        """Return where the keys are."""
        if self.is_away:
            raise web.HTTPServiceUnavailable
        names = {"jwks_uri": "keys", "authorization_endpoint": "authorize", "token_endpoint": "token"}
        endpoints = {name: f"{self.url}/{path}" for name, path in names.items()}
        return web.json_response({"issuer": self.issuer, **endpoints})

    async def authorize(self, request: web.Request) -> web.Response:
        """Log ann in at once, and send the browser back with a code."""
        asked = dict(request.query)
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT)
        assert asked["code_challenge_method"] == "S256"
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        query = urlencode({"code": code, "state": asked["state"], "iss": self.issuer})
        return web.Response(status=302, headers={"Location": f"{asked['redirect_uri']}?{query}"})

    async def exchange(self, request: web.Request) -> web.Response:
        """Exchange a code for an ID token, once, for who has the verifier, and the secret if there is one."""
        if self.is_away:
            raise web.HTTPServiceUnavailable

        form = {name: str(value) for name, value in (await request.post()).items()}
        self.exchanges.append((form, dict(request.headers)))
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        is_right = asked is not None and (asked["code_challenge"], asked["redirect_uri"]) == (
            challenge,
            form["redirect_uri"],
        )
        if asked is None or not is_right or not self._is_client(request, form):
            why = f"invalid {dict(request.headers)} {form}" if self.quotes else "invalid_grant"
            return web.json_response({"error": why}, status=400)

        claims = {"nonce": asked["nonce"], "aud": CLIENT, **self.claims}
        access = "opaque" if self.access is None else self.token(**self.access)
        return web.json_response({"token_type": "Bearer", "access_token": access, "id_token": self.token(**claims)})

    def _is_client(self, request: web.Request, form: Mapping[str, str]) -> bool:
        if self.secret is None:
            return form.get("client_id") == CLIENT
        return request.headers["Authorization"] == aiohttp.encode_basic_auth(
            quote(CLIENT, safe=""), quote(self.secret, safe="")
        )

    async def keys(self, _request: web.Request) -> web.Response:
        """Return the keys."""
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
        [
            web.get("/.well-known/openid-configuration", provider.configuration),
            web.get("/keys", provider.keys),
            web.get("/authorize", provider.authorize),
            web.post("/token", provider.exchange),
        ]
    )

    runner = web.AppRunner(application)
    await runner.setup()

    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        provider.url = provider.issuer = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield provider
    finally:
        await runner.cleanup()
