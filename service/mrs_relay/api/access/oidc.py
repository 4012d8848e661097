"""
JSON Web Tokens of an OpenID Connect provider: access tokens that callers send, and ID tokens of logins.

The provider's keys are found by discovery and kept. A token that names an unknown key makes them be fetched again, at
most once in `_LEAST_S`, so that strangers cannot make us ask the provider all the time.

Source: OpenID Connect Discovery 1.0, section 4; RFC 7519, section 7.2; RFC 8725, sections 3.1 to 3.9.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
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

LIMIT: Final = aiohttp.ClientTimeout(total=5.0)
_MOST_BYTES: Final = 1_000_000
_FRESH_S: Final = 3_600.0
_LEAST_S: Final = 10.0
_STALE_S: Final = 86_400.0
"""So long the former keys are used while the provider does not answer."""

_LEEWAY_S: Final = 30
_MOST_NAME: Final = 200
_OK: Final = 200

FAILURES: Final = (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError)
"""What is raised when a provider does not answer as one does."""

_log = structlog.get_logger(__name__)


class BadToken(errors.RelayError):
    """The token is not accepted; says why, without its content."""


class ProviderDown(errors.RelayError):
    """The provider's keys cannot be fetched, so nothing can be said about the token."""


@dataclass(frozen=True, slots=True)
class Owner:
    """
    The owner of a token: kind and name as of callers, and the values of the claim that count for something.

    Attributes:
        kind: as `authtype` names it.
        name: of the owner.
        values: of the claim.
    """

    kind: callers.Kind
    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Metadata:
    """What discovery finds: the provider's description, and its public keys."""

    description: Mapping[str, Any]
    keys: jwk.KeySet


class _Discovery:
    """What the provider says of itself."""

    def __init__(self, issuer: str, session: aiohttp.ClientSession, time: clock.Clock) -> None:
        self._issuer = issuer
        self._session = session
        self._time = time
        self._found: _Metadata | None = None
        self._fetched_s = self._tried_s = float("-inf")
        self._failure = ""
        self._fetching = asyncio.Lock()
        self._background = tasks.TaskSupervisor(self._report)

    async def current(self) -> _Metadata:
        """Return it; what is older than an hour is fetched again meanwhile. Raises ProviderDown."""
        if self._age_s() >= _STALE_S:
            await self._fetch(self._fetched_s)
        elif self._age_s() >= _FRESH_S and not self._background:
            self._background.start(self._fetch(self._fetched_s), name="keys of the provider")
        if self._found is None or self._age_s() >= _STALE_S:
            raise ProviderDown(self._failure)
        return self._found

    async def newer(self) -> _Metadata:
        """Return it, fetched again unless it has just been. Raises ProviderDown."""
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
                self._found = await self._read()
            except FAILURES as error:
                why = str(error) or type(error).__name__
                self._failure = f"{self._issuer} gives no keys: {why}"
                _log.warning("oidc_keys_not_fetched", issuer=self._issuer, error=why)
            else:
                self._fetched_s = self._time.monotonic_s()
                _log.info("oidc_keys_fetched", issuer=self._issuer, count=len(self._found.keys.keys))

    async def _read(self) -> _Metadata:
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
        keys = await self._get(found["jwks_uri"])
        try:
            return _Metadata(found, jwk.KeySet.import_key_set(keys))
        except jose_errors.JoseError as error:
            raise ValueError(f"its keys cannot be read: {error}") from None

    async def _get(self, url: str) -> Any:  # noqa: ANN401 - JSON
        status, found = await ask(self._session.get(url, timeout=LIMIT, allow_redirects=False), url)
        if status != _OK:
            raise ValueError(f"{url} answers {status}")
        return found


async def ask(asking: AbstractAsyncContextManager[aiohttp.ClientResponse], url: str) -> tuple[int, Any]:
    """
    Return status and JSON of a provider's answer.

    Args:
        asking: the request.
        url: its address, for the errors.

    Raises:
        ClientError, TimeoutError, ValueError: there is none, or it is no JSON, or too large.
    """
    async with asking as reply:
        raw = await reply.content.read(_MOST_BYTES + 1)
        while len(raw) <= _MOST_BYTES and (more := await reply.content.read(_MOST_BYTES)):
            raw += more
    if len(raw) > _MOST_BYTES:
        raise ValueError(f"{url} answers with more than {_MOST_BYTES} bytes")
    try:
        return reply.status, codec.decode(raw)
    except errors.BadMessage as error:
        raise ValueError(f"{url} answers {reply.status}: {error}") from None


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
        self._discovery = _Discovery(self.issuer, session, time)
        self._grants = {value: callers.read_grants(text) for value, text in chosen.grants.items()}
        self._time = time

    @property
    def issuer(self) -> str:
        """Address of the provider."""
        return self._settings.issuer or ""

    async def caller(self, token: str) -> callers.Caller:
        """
        Return the owner of an access token as a caller.

        Raises:
            BadToken: it is not accepted. ProviderDown: the keys are not there.
        """
        return self.caller_of(await self.owner(token))

    async def owner(self, token: str) -> Owner:
        """Return the owner of an access token. Raises BadToken and ProviderDown as `caller`."""
        claims = await self._verified(token)
        self._require_meant(claims, self._settings.audience)
        return self._owner(claims)

    async def owner_of_id_token(self, token: str, nonce: str) -> Owner:
        """
        Return who has logged in.

        Args:
            token: the ID token that the provider gave for a code.
            nonce: of the login.

        Raises:
            BadToken: it is not accepted. ProviderDown: the keys are not there.
        """
        claims = await self._verified(token)
        self._require_meant(claims, self._settings.client_id)
        if not hmac.compare_digest(str(claims.get("nonce")).encode(errors="replace"), nonce.encode()):
            raise BadToken("the token belongs to another login")
        audience = claims.get("aud")
        is_ours_alone = not isinstance(audience, list) or len(audience) == 1
        if claims.get("azp", self._settings.client_id if is_ours_alone else None) != self._settings.client_id:
            raise BadToken("the token was made for another client")
        return self._owner(claims)

    def caller_of(self, owner: Owner) -> callers.Caller:
        """Return a caller with what the values of the claim stand for now; of two roles for a tenant the greater."""
        granted: dict[str, callers.Role] = {}
        for value in owner.values:
            for tenant, role in self._grants_of(value).items():
                granted[tenant] = max(role, granted.get(tenant, role))
        return callers.Caller(owner.kind, owner.name, granted)

    async def endpoint(self, name: str) -> str:
        """Return an address of the provider by its name in the description. Raises ProviderDown."""
        found = (await self._discovery.current()).description.get(name)
        if not isinstance(found, str) or not addresses.keeps_secrets(found):
            raise ProviderDown(f"{self.issuer} names no {name} with https")
        return found

    def _require_meant(self, claims: dict[str, Any], audience: str | None) -> None:
        """Refuse claims of another issuer, for another audience, or of another time. Raises BadToken."""
        registry = jwt.JWTClaimsRegistry(
            now=lambda: self._time.now_ms() // 1000,
            leeway=_LEEWAY_S,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": audience or ""},
            exp={"essential": True},
        )
        try:
            registry.validate(claims)
        except jose_errors.ExpiredTokenError:
            raise BadToken("the token has expired; get a new one") from None
        except jose_errors.JoseError as error:
            raise BadToken(f"the token is not meant for this service: {error}") from None

    def _owner(self, claims: Mapping[str, Any]) -> Owner:
        """Return whose claims these are. Raises BadToken: they do not say."""
        name = claims.get(self._settings.name_claim)
        if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _MOST_NAME:
            text = f"expected text of at most {_MOST_NAME} characters in the claim {self._settings.name_claim}"
            raise BadToken(f"the token has no name: {text}")
        is_client = claims.get("sub") in {claims.get("azp"), claims.get("client_id")} - {None}
        return Owner("service_account" if is_client else "user", name, self._values(claims))

    def _values(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the values of the claim that stand for something."""
        found: Any = claims
        for part in self._settings.claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        all_values = found if isinstance(found, list) else [found]
        return tuple(value for value in all_values if isinstance(value, str) and self._grants_of(value))

    async def close(self) -> None:
        """End what still runs."""
        await self._discovery.close()

    async def _verified(self, token: str) -> dict[str, Any]:
        try:
            return _decoded(token, (await self._discovery.current()).keys)
        except jose_errors.InvalidKeyIdError:
            pass  # perhaps a new key
        try:
            return _decoded(token, (await self._discovery.newer()).keys)
        except jose_errors.InvalidKeyIdError:
            raise BadToken("the token is signed with a key that its provider does not have") from None

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
