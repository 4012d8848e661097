"""
Log a person in at an OpenID Connect provider: authorization code flow with PKCE.

    begin: browser → provider, with state, nonce and the challenge of a verifier that a cookie keeps
    finish: provider → browser → here, with a code, which is exchanged for an ID token

Source: OpenID Connect Core 1.0, section 3.1; RFC 7636; RFC 9207; RFC 9700, section 2.1.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import aiohttp
import msgspec

from mrs_relay.api.access import oidc, settings
from mrs_relay.common import safe_text

FLOW_S: Final = 600
"""How long a person may take at the provider, in seconds."""

_OK: Final = 200
_REFUSED: Final = range(400, 500)


class Flow(msgspec.Struct, frozen=True):
    """
    A login under way, which only the browser keeps.

    Attributes:
        state: comes back with the code.
        nonce: comes back in the ID token.
        verifier: proves that who exchanges the code has begun the login.
        target: path of the page to show afterwards.
        until_ms: when it is given up, epoch milliseconds.
    """

    state: str
    nonce: str
    verifier: str
    target: str
    until_ms: int


def new_flow(target: str, now_ms: int) -> Flow:
    """Return a new login."""
    return Flow(
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        verifier=secrets.token_urlsafe(48),
        target=target,
        until_ms=now_ms + FLOW_S * 1000,
    )


class CodeFlow:
    """
    Logs people in.

    Args:
        chosen: the settings, with a client.
        provider: where.
        session: for its answers.
    """

    def __init__(self, chosen: settings.OidcSettings, provider: oidc.Provider, session: aiohttp.ClientSession) -> None:
        self._settings = chosen
        self._provider = provider
        self._session = session

    @property
    def is_secure(self) -> bool:
        """Whether browsers come back by TLS."""
        return (self._settings.redirect_uri or "").startswith("https://")

    @property
    def issuer(self) -> str:
        """The provider."""
        return self._provider.issuer

    async def address(self, flow: Flow) -> str:
        """
        Return the address at which the provider asks who the person is.

        Raises:
            ProviderDown: it does not say where.
        """
        challenge = base64.urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._settings.redirect_uri,
            "scope": self._settings.scope,
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = await self._provider.endpoint("authorization_endpoint")
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def owner(self, flow: Flow, given: Mapping[str, str]) -> oidc.Owner:
        """
        Return who has logged in.

        Args:
            flow: the login that the browser has begun.
            given: what the provider sent the browser back with.

        Raises:
            BadToken: the login failed; says why. ProviderDown: it does not answer.
        """
        if not hmac.compare_digest(given.get("state", "").encode(), flow.state.encode()):
            raise oidc.BadToken("the answer belongs to another login; log in again")
        if given.get("iss", self.issuer) != self.issuer:
            raise oidc.BadToken("the answer comes from another provider; log in again")
        if "error" in given:
            raise oidc.BadToken(f"the provider says {safe_text.name(given['error'])!r}; log in again")
        reply = await self._exchange(flow, given.get("code", ""))
        owner = await self._provider.owner_of_id_token(str(reply.get("id_token", "")), flow.nonce)
        return owner if owner.values else await self._with_access(owner, str(reply.get("access_token", "")))

    async def _with_access(self, owner: oidc.Owner, token: str) -> oidc.Owner:
        """Return an owner whose ID token has no value that counts with those of the access token that came along."""
        try:
            found = await self._provider.owner(token)
        except oidc.BadToken:  # it is not for this service, or no JSON Web Token
            return owner
        return found if found.name == owner.name else owner

    async def _exchange(self, flow: Flow, code: str) -> Mapping[str, Any]:
        """Exchange a code for tokens. Raises BadToken: it is not accepted. ProviderDown."""
        endpoint = await self._provider.endpoint("token_endpoint")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._settings.redirect_uri or "",
            "code_verifier": flow.verifier,
        }

        name, secret = self._settings.client_id or "", self._secret()
        if secret is None:
            form["client_id"] = name

        try:
            status, found = await oidc.ask(
                self._session.post(
                    endpoint,
                    data=form,
                    headers={"Accept": "application/json", **({} if secret is None else _basic(name, secret))},
                    timeout=oidc.LIMIT,
                    allow_redirects=False,
                ),
                endpoint,
            )
        except oidc.FAILURES as error:
            raise oidc.ProviderDown(f"{endpoint}: {str(error) or type(error).__name__}") from None

        if status in _REFUSED:
            why = found.get("error") if isinstance(found, Mapping) else None
            raise oidc.BadToken(f"the provider refuses the login ({safe_text.name(why)}); log in again")
        if status != _OK or not isinstance(found, Mapping):
            raise oidc.ProviderDown(f"{endpoint} answers {status}")

        return found

    def _secret(self) -> str | None:
        """Return the secret of this client; None: it has none. Raises ProviderDown: its file cannot be read."""
        file = self._settings.client_secret_file
        if file is None:
            given = self._settings.client_secret
            return None if given is None else given.get_secret_value()
        try:
            return file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise oidc.ProviderDown(f"api.access.oidc.client_secret_file: {file}: {error}") from None


def _basic(name: str, secret: str) -> dict[str, str]:
    """Return the header by which a client says who it is. Source: RFC 6749, section 2.3.1."""
    pair = f"{quote(name, safe='')}:{quote(secret, safe='')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
