"""
JSON Web Tokens of an OpenID Connect provider.

The provider's keys are found by discovery and kept. A token that names an unknown key makes them be fetched again, at
most once in `_LEAST_S`, so that strangers cannot make us ask the provider all the time.

Source: OpenID Connect Discovery 1.0, section 4; RFC 7519, section 7.2; RFC 8725, sections 3.1 to 3.9.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import structlog
from joserfc import errors as jose_errors
from joserfc import jwk, jws, jwt

from mrs_relay import errors
from mrs_relay.api.access import callers, settings
from mrs_relay.common import addresses, clock, tasks
from mrs_relay.messages import codec

_ALGORITHMS: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "Ed25519",
    "EdDSA",
)
"""Signatures with a public key only: a token "signed" with the public key as a shared secret is refused."""

_REGISTRY: Final = jws.JWSRegistry(algorithms=_ALGORITHMS, strict_check_header=False)
"""Header parameters of a provider's own are passed over; `crit` is still obeyed. Source: RFC 7515, section 4."""

_LIMIT: Final = aiohttp.ClientTimeout(total=5.0)
_MOST_BYTES: Final = 1_000_000
_FRESH_S: Final = 3_600.0
_LEAST_S: Final = 10.0
_STALE_S: Final = 86_400.0
"""So long the former keys are used while the provider does not answer."""

_LEEWAY_S: Final = 30
_MOST_NAME: Final = 200
_OK: Final = 200

_log = structlog.get_logger(__name__)


class BadToken(errors.RelayError):
    """The token is not accepted; says why, without its content."""


class ProviderDown(errors.RelayError):
    """The provider's keys cannot be fetched, so nothing can be said about the token."""


class _Keys:
    """The provider's public keys."""

    def __init__(self, issuer: str, session: aiohttp.ClientSession, time: clock.Clock) -> None:
        self._issuer = issuer
        self._session = session
        self._time = time
        self._keys: jwk.KeySet | None = None
        self._fetched_s = self._tried_s = float("-inf")
        self._failure = ""
        self._fetching = asyncio.Lock()
        self._background = tasks.TaskSupervisor(self._report)

    async def current(self) -> jwk.KeySet:
        """Return the keys; those older than an hour are fetched again meanwhile. Raises ProviderDown."""
        if self._age_s() >= _STALE_S:
            await self._fetch(self._fetched_s)
        elif self._age_s() >= _FRESH_S and not self._background:
            self._background.start(self._fetch(self._fetched_s), name="keys of the provider")
        if self._keys is None or self._age_s() >= _STALE_S:
            raise ProviderDown(self._failure)
        return self._keys

    async def newer(self) -> jwk.KeySet:
        """Return the keys, fetched again unless they have just been. Raises ProviderDown."""
        await self._fetch(self._fetched_s)
        if self._tried_s > self._fetched_s:
            raise ProviderDown(self._failure)  # it may have new keys
        return await self.current()

    async def close(self) -> None:
        """End the fetching of keys."""
        await self._background.close()

    def _report(self, _task: str, error: BaseException) -> None:
        _log.error("oidc_keys_not_fetched", issuer=self._issuer, exc_info=error)

    def _age_s(self) -> float:
        return self._time.monotonic_s() - self._fetched_s

    async def _fetch(self, known_s: float) -> None:
        async with self._fetching:
            if self._fetched_s != known_s or self._time.monotonic_s() - self._tried_s < _LEAST_S:
                return
            self._tried_s = self._time.monotonic_s()
            try:
                self._keys = await self._read()
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError) as error:
                why = str(error) or type(error).__name__
                self._failure = f"{self._issuer} gives no keys: {why}"
                _log.warning("oidc_keys_not_fetched", issuer=self._issuer, error=why)
            else:
                self._fetched_s = self._time.monotonic_s()
                _log.info("oidc_keys_fetched", issuer=self._issuer, count=len(self._keys.keys))

    async def _read(self) -> jwk.KeySet:
        """
        Ask the provider where its keys are, and for them.

        Raises:
            ClientError, TimeoutError, ValueError, KeyError, TypeError: it does not answer as a provider does.
        """
        found = await self._get(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        if found["issuer"] != self._issuer:
            raise ValueError(f"it calls itself {str(found['issuer'])[:200]!r}: expected api.access.oidc.issuer")
        if not addresses.keeps_secrets(found["jwks_uri"]):
            raise ValueError("its jwks_uri is no https address")
        try:
            return jwk.KeySet.import_key_set(await self._get(found["jwks_uri"]))
        except jose_errors.JoseError as error:
            raise ValueError(f"its keys cannot be read: {error}") from None

    async def _get(self, url: str) -> Any:  # noqa: ANN401 - JSON
        async with self._session.get(url, timeout=_LIMIT, allow_redirects=False) as reply:
            if reply.status != _OK:
                raise ValueError(f"{url} answers {reply.status}")
            raw = await reply.content.read(_MOST_BYTES + 1)
            while len(raw) <= _MOST_BYTES and (more := await reply.content.read(_MOST_BYTES)):
                raw += more
        if len(raw) > _MOST_BYTES:
            raise ValueError(f"{url} answers with more than {_MOST_BYTES} bytes")
        try:
            return codec.decode(raw)
        except errors.BadMessage as error:
            raise ValueError(f"{url}: {error}") from None


class Provider:
    """
    Reads tokens of one provider.

    Args:
        chosen: the settings, with an issuer.
        session: for its keys.
        time: the clock.
    """

    def __init__(self, chosen: settings.OidcSettings, session: aiohttp.ClientSession, time: clock.Clock) -> None:
        self._settings = chosen
        self._keys = _Keys(chosen.issuer or "", session, time)
        self._grants = {value: callers.read_grants(text) for value, text in chosen.grants.items()}
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: time.now_ms() // 1000,
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": chosen.issuer or ""},
            aud={"essential": True, "value": chosen.audience or ""},
            exp={"essential": True},
        )

    async def caller(self, token: str) -> callers.Caller:
        """
        Return the owner of a token.

        Raises:
            BadToken: it is not accepted. ProviderDown: the keys are not there.
        """
        claims = await self._verified(token)
        try:
            self._claims.validate(claims)
        except jose_errors.ExpiredTokenError:
            raise BadToken("the token has expired; get a new one") from None
        except jose_errors.JoseError as error:
            raise BadToken(f"the token is not meant for this service: {error}") from None

        name = claims.get(self._settings.name_claim)
        if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _MOST_NAME:
            text = f"expected text of at most {_MOST_NAME} characters in the claim {self._settings.name_claim}"
            raise BadToken(f"the token has no name: {text}")
        is_client = claims.get("sub") in {claims.get("azp"), claims.get("client_id")} - {None}
        return callers.Caller("service_account" if is_client else "user", name, self._granted(claims))

    async def close(self) -> None:
        """End what still runs."""
        await self._keys.close()

    async def _verified(self, token: str) -> dict[str, Any]:
        try:
            return _decoded(token, await self._keys.current())
        except jose_errors.InvalidKeyIdError:
            pass  # perhaps a new key
        try:
            return _decoded(token, await self._keys.newer())
        except jose_errors.InvalidKeyIdError:
            raise BadToken("the token is signed with a key that its provider does not have") from None

    def _granted(self, claims: Mapping[str, Any]) -> callers.Grants:
        """Return what the values of the claim stand for; of two roles for a tenant the greater."""
        found: Any = claims
        for part in self._settings.claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        granted: dict[str, callers.Role] = {}
        for value in found if isinstance(found, list) else [found]:
            if isinstance(value, str):
                for tenant, role in self._grants_of(value).items():
                    granted[tenant] = max(role, granted.get(tenant, role))
        return granted

    def _grants_of(self, value: str) -> callers.Grants:
        if self._grants:
            return self._grants.get(value, {})
        try:
            return callers.read_grants(value)
        except ValueError:
            return {}  # a group of something else


def _decoded(token: str, keys: jwk.KeySet) -> dict[str, Any]:
    """Check the signature. Raises InvalidKeyIdError: the key is unknown. BadToken: else."""
    try:
        return jwt.decode(token, keys, registry=_REGISTRY).claims
    except jose_errors.InvalidKeyIdError:
        raise
    except (jose_errors.JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadToken(f"the token cannot be read, or its signature is wrong: {type(error).__name__}") from None
