"""Find out who calls, and refuse those who may not."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import typedefs, web

from mrs_relay.api import guards, problems
from mrs_relay.api.access import (
    callers,
    certificates,
    code_flow,
    least_roles,
    logins,
    oidc,
    scopes,
    sessions,
    settings,
    tokens,
)
from mrs_relay.common import clock

_SCHEME = "bearer"
_DOTS_OF_JWT = 2


class Authenticator:
    """
    Tells the caller of an HTTP request.

    Args:
        chosen: the settings.
        ways: by what browsers log in; its tokens and provider count for all callers.
        own: addresses of this service.
        time: the clock.

    Attributes:
        own: addresses of this service.
        logins: logs browsers in and out.
        is_set: whether callers must authenticate.

    Raises:
        SettingsError: the file of keys cannot be read.
    """

    def __init__(
        self, chosen: settings.AccessSettings, ways: logins.Ways, own: guards.OwnAddresses, time: clock.Clock
    ) -> None:
        self.is_set = chosen.is_set
        self.own = own
        self.logins = logins.Logins(ways, sessions.seal(chosen.session_key_file), chosen.session_s, own, time)
        self._tokens = ways.tokens
        self._provider = ways.provider
        self._owners = certificates.Owners(chosen.certificates)
        self._time = time

    async def caller(self, request: web.Request) -> callers.Caller:
        """
        Return who calls.

        Raises:
            ProblemError: the caller is not known, or a page of another site makes the caller's browser write.
        """
        if not self.is_set:
            return callers.LOCAL
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == _SCHEME:
            return await self._of_token(token.strip())
        owner = self.logins.caller(request) or self._owners.caller(request)
        if owner is not None:
            return owner
        if self.logins.is_claimed(request):
            raise self._unauthorized("the session has ended, or its token was taken back; log in again", invalid=True)
        raise self._unauthorized("authentication is needed: see docs/access.md")

    async def knows(self, request: web.Request) -> bool:
        """Return whether the caller is one that we know, or anybody may call."""
        try:
            await self.caller(request)
        except problems.ProblemError:
            return False
        return True

    async def _of_token(self, token: str) -> callers.Caller:
        found = None if self._tokens is None else self._tokens.find(tokens.digest(token))
        if found is not None:
            if found.has_ended(self._time.now_ms()):
                raise self._unauthorized("the token has expired; get a new one", invalid=True)
            return found.caller
        if self._provider is None or token.count(".") != _DOTS_OF_JWT:
            raise self._unauthorized("the token is not known; it may have been taken back", invalid=True)
        try:
            return await self._provider.caller(token)
        except oidc.BadToken as error:
            raise self._unauthorized(str(error), invalid=True) from None
        except oidc.ProviderDown:
            raise problems.unavailable("the OpenID Connect provider does not answer; try again") from None

    def _unauthorized(self, detail: str, *, invalid: bool = False) -> problems.ProblemError:
        takes_tokens = self._tokens is not None or self._provider is not None
        challenge = f'{"Bearer" if takes_tokens else "Certificate"} realm="mrs-relay"'
        if invalid:
            challenge += ', error="invalid_token"'
        return problems.ProblemError(401, "unauthorized", detail, headers={"WWW-Authenticate": challenge})


@contextlib.asynccontextmanager
async def opened(
    chosen: settings.AccessSettings, own: guards.OwnAddresses, time: clock.Clock
) -> AsyncIterator[Authenticator]:
    """
    Yield what tells callers, for the length of the context.

    Args:
        chosen: the settings.
        own: addresses of this service.
        time: the clock.

    Raises:
        SettingsError: a file of the settings cannot be read.
    """
    known = None if chosen.tokens_file is None else tokens.TokenFile(chosen.tokens_file)
    if chosen.oidc.issuer is None:
        yield Authenticator(chosen, logins.Ways(known, None, None), own, time)
        return
    async with aiohttp.ClientSession() as session:
        provider = oidc.Provider(chosen.oidc, session, time)
        flow = None if chosen.oidc.client_id is None else code_flow.CodeFlow(chosen.oidc, provider, session)
        try:
            yield Authenticator(chosen, logins.Ways(known, flow, provider), own, time)
        finally:
            await provider.close()


def middleware(authenticator: Authenticator) -> typedefs.Middleware:
    """Return the middleware that lets those pass who have the least role of the route for some tenant."""

    @web.middleware
    async def check(request: web.Request, handler: problems.Handler) -> web.StreamResponse:
        if least_roles.is_open(request):
            return await handler(request)
        place = request.remote

        async def ask() -> scopes.Scope:
            caller = dataclasses.replace(await authenticator.caller(request), place=place)
            return scopes.Scope(caller, least_roles.of(request))

        scope = await ask()
        if scope.caller.tenants(scope.role) == frozenset():
            raise scopes.forbidden(scope.role, callers.EVERY)
        scopes.put(request, scope, ask)
        return await handler(request)

    return check
