"""Log browsers in, with a bearer token or at the OpenID Connect provider, and out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web

from mrs_relay.api import guards, problems
from mrs_relay.api.access import callers, code_flow, failures, oidc, sessions, tokens
from mrs_relay.common import clock

_FLOW: Final = "login"
_LOCAL: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*")
"""A path of this service, in ASCII without backslash: browsers read others, such as /\\host, as addresses."""

_MOST_TARGET: Final = 1_500
_NOT_BEGUN: Final = "this login was not begun here, or took too long; log in again"

_log = structlog.get_logger(__name__)


def local(target: str | None) -> str:
    """Return where to go after a login: a path of this service, "/" in place of any other text."""
    is_ours = target is not None and len(target) <= _MOST_TARGET and _LOCAL.fullmatch(target)
    return target if target is not None and is_ours else "/"


@dataclass(frozen=True, slots=True)
class Ways:
    """
    By what browsers may log in.

    Attributes:
        tokens: the bearer tokens; None: there are none.
        flow: asks the provider; None: it is not asked.
        provider: says what its users may do; None: there is none.
    """

    tokens: tokens.TokenFile | None
    flow: code_flow.CodeFlow | None
    provider: oidc.Provider | None


class Logins:
    """
    Logs browsers in and out, and says who has logged in.

    Args:
        ways: by what.
        sealed: encrypts cookies.
        life_s: how long a session lasts, in seconds.
        own: addresses of this service.
        time: the clock.
    """

    def __init__(
        self, ways: Ways, sealed: sessions.Seal, life_s: int, own: guards.OwnAddresses, time: clock.Clock
    ) -> None:
        self._ways = ways
        self._seal = sealed
        self._sessions = sessions.Sessions(sealed, life_s, own, time)
        self._flow_cookie = sessions.Cookie("mrs-relay-login", code_flow.FLOW_S)
        self._own = own
        self._time = time
        self._failures = failures.Failures(time)

    @property
    def takes_tokens(self) -> bool:
        """Whether a bearer token logs in."""
        return self._ways.tokens is not None

    @property
    def takes_people(self) -> bool:
        """Whether people log in at the provider."""
        return self._ways.flow is not None

    def is_claimed(self, request: web.Request) -> bool:
        """Return whether the browser sends a session, good or not."""
        return self._sessions.is_claimed(request)

    def caller(self, request: web.Request) -> callers.Caller | None:
        """
        Return who has logged in, with what the settings and the file of tokens allow now; None: the session is over.

        Raises:
            ProblemError: a page of another site makes the browser write.
        """
        content = self._sessions.content(request)
        found = None if content is None else self._caller_of(content)
        if found is not None and request.method not in {"GET", "HEAD"}:
            self._own.require_own_page(request)
        return found

    def _caller_of(self, content: sessions.Content) -> callers.Caller | None:
        ways = self._ways
        if isinstance(content, sessions.OfToken):
            found = None if ways.tokens is None else ways.tokens.find(content.digest)
            return None if found is None or found.has_ended(self._time.now_ms()) else found.caller
        if ways.flow is None or ways.provider is None or content.issuer != ways.provider.issuer:
            return None
        return ways.provider.caller_of(oidc.Owner(content.kind, content.name, content.values))

    def with_token(self, request: web.Request, token: str, target: str) -> web.Response:
        """
        Log in the browser of who has this token; returns the way to the target.

        Raises:
            ProblemError: the token is not known, or too many logins have failed.
        """
        self._failures.require_few(request.remote)
        content = sessions.OfToken(tokens.digest(token))
        found = self._caller_of(content)
        if found is None:
            raise self._failed(request, "the token is not known, or no longer; it may have been taken back")
        return self._begun(found, content, target, secure=self._own.is_secure(request))

    async def begin(self, target: str) -> web.Response:
        """
        Return the way to the provider, which asks who the person is.

        Raises:
            ProblemError: there is none, or it does not answer.
        """
        asking = self._asking()
        flow = code_flow.new_flow(target, self._time.now_ms())
        try:
            response = _see_other(await asking.address(flow))
        except oidc.ProviderDown as error:
            raise _provider_down(error) from None
        self._flow_cookie.put(response, self._seal.close(_FLOW, flow), secure=asking.is_secure)
        return response

    async def finish(self, request: web.Request) -> web.Response:
        """
        Log in whom the provider sends back; returns the way to the target.

        Raises:
            ProblemError: the login failed, or the provider does not answer.
        """
        asking = self._asking()
        self._failures.require_few(request.remote)
        sealed = self._flow_cookie.read(request, self._own)
        if sealed is None:  # nothing was tried: others at its address need not wait for it
            raise problems.ProblemError(401, "unauthorized", _NOT_BEGUN)
        flow = self._seal.open(_FLOW, sealed, code_flow.Flow)
        if flow is None or flow.until_ms <= self._time.now_ms():
            raise self._failed(request, _NOT_BEGUN)

        try:
            owner = await asking.owner(flow, request.query)
        except oidc.BadToken as error:
            raise self._failed(request, str(error)) from None
        except oidc.ProviderDown as error:
            raise _provider_down(error) from None
        content = sessions.OfPerson(asking.issuer, owner.kind, owner.name, owner.values)
        found = self._caller_of(content)
        if found is None or not found.grants:
            raise self._failed(request, "the provider knows you, and you have no role here: see api.access.oidc.grants")

        response = self._begun(found, content, flow.target, secure=asking.is_secure)
        self._flow_cookie.drop(response, secure=asking.is_secure)
        return response

    def end(self, request: web.Request) -> web.Response:
        """Log out; returns the way to the page of logins."""
        response = _see_other("/login")
        self._sessions.end(request, response)
        return response

    def _asking(self) -> code_flow.CodeFlow:
        if self._ways.flow is None:
            raise problems.ProblemError(404, "no-such-path", "people do not log in at a provider here")
        return self._ways.flow

    def _begun(self, found: callers.Caller, content: sessions.Content, target: str, *, secure: bool) -> web.Response:
        response = _see_other(local(target))
        try:
            self._sessions.begin(response, content, secure=secure)
        except ValueError as error:
            raise problems.ProblemError(403, "forbidden", f"{error}: too many values count for you") from None
        _log.info("browser_logged_in", name=found.name, kind=found.kind)
        return response

    def _failed(self, request: web.Request, text: str) -> problems.ProblemError:
        self._failures.note(request.remote)
        _log.warning("login_failed", remote=request.remote, reason=text)
        return problems.ProblemError(401, "unauthorized", text)


def _see_other(address: str) -> web.Response:
    return web.Response(status=303, headers={"Location": address, "Cache-Control": "no-store"})


def _provider_down(error: oidc.ProviderDown) -> problems.ProblemError:
    _log.warning("oidc_provider_down", error=str(error))
    return problems.unavailable("the OpenID Connect provider does not answer; try again")
