"""The page on which browsers log in, and who is logged in sees as whom, and logs out."""

from __future__ import annotations

from aiohttp import web

from mrs_relay.api import problems
from mrs_relay.api.access import authentication, callers, logins
from mrs_relay.dashboard import forms, links, rendering


class LoginPage:
    """
    The handlers of the page.

    Args:
        authenticator: tells who calls.
        renderer: makes the page.
    """

    def __init__(self, authenticator: authentication.Authenticator, renderer: rendering.Renderer) -> None:
        self._authenticator = authenticator
        self._logins = authenticator.logins
        self._renderer = renderer

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Answer with the page; the reason why somebody is not logged in is no failure here."""
        problem: problems.ProblemError | None = None
        caller: callers.Caller | None = None
        try:
            caller = await self._authenticator.caller(request)
        except problems.ProblemError as error:
            problem = error if self._logins.is_claimed(request) else None
        target = logins.local(links.given(request).get("next"))
        return self._page(problem, target, caller=caller, leaves=self._logins.is_claimed(request))

    async def log_in(self, request: web.Request) -> web.StreamResponse:
        """Take the form with a token, and go to the page that was wanted; or show the form with what is wrong."""
        given = await forms.fields(request, self._authenticator.own)
        target = logins.local(given.get("next"))
        try:
            return self._logins.with_token(request, given.get("token", "").strip(), target)
        except problems.ProblemError as problem:
            return self._page(problem, target)

    async def start(self, request: web.Request) -> web.StreamResponse:
        """Send the browser to the provider."""
        return await self._logins.begin(logins.local(links.given(request).get("next")))

    async def finish(self, request: web.Request) -> web.StreamResponse:
        """Take the browser back from the provider, and go to the page that was wanted; or show what is wrong."""
        try:
            return await self._logins.finish(request)
        except problems.ProblemError as problem:
            return self._page(problem, "/")

    async def log_out(self, request: web.Request) -> web.StreamResponse:
        """Take the form that logs out."""
        self._authenticator.own.require_own_page(request)
        return self._logins.end(request)

    def refused(self, request: web.Request, problem: problems.ProblemError) -> web.Response:
        """Return the page for somebody who must log in to see another one, which comes afterwards."""
        return self._page(problem, logins.local(request.path_qs) if request.method == "GET" else "/")

    def _page(
        self,
        problem: problems.ProblemError | None,
        target: str,
        *,
        caller: callers.Caller | None = None,
        leaves: bool = False,
    ) -> web.Response:
        made = self._renderer.page(
            "login",
            path="/login",
            status=problem.status if problem is not None and caller is None else 200,
            problem=problem,
            target=target,
            caller=caller,
            grants=None if caller is None else callers.write_grants(caller.grants),
            leaves=leaves,
            is_needed=self._authenticator.is_set,
            takes_tokens=self._logins.takes_tokens,
            takes_people=self._logins.takes_people,
        )

        made.headers.update({} if problem is None else problem.headers)
        return made
