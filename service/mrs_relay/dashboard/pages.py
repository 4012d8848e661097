"""All pages, as values: paths and what answers them, and the page of a problem."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Final

from aiohttp import web

from mrs_relay.api import problems, server, settings
from mrs_relay.common import clock
from mrs_relay.dashboard import (
    audit_page,
    bulk,
    control_page,
    letters,
    login_page,
    overview,
    relay_pages,
    rendering,
    request_list,
    request_page,
    sources,
    static_files,
)
from mrs_relay.read_model import database, figures, projector

_UNAUTHORIZED: Final = 401


def made(
    api: server.Api,
    chosen: settings.ApiSettings,
    opened: database.Database,
    topics: projector.Topics,
    progress: Callable[[], projector.Progress],
    time: clock.Clock,
) -> server.Pages:
    """
    Return all pages.

    Args:
        api: the HTTP API beside them; pages show its answers.
        chosen: its settings.
        opened: the database.
        topics: what is read into it.
        progress: how far the reading is.
        time: the clock.
    """
    files = static_files.StaticFiles()
    renderer = rendering.Renderer(time, files, has_logins=chosen.access.is_set)
    login = login_page.LoginPage(api.authenticator, renderer)

    used = sources.Sources(
        opened=opened,
        asked=api.asked,
        submitted=api.submitted,
        repeated=api.repeated,
        controlled=api.controlled,
        reported=api.reported,
        noted=api.noted,
        lettered=api.lettered,
        replayed=api.replayed,
        figures=figures.Figures(opened, time),
        progress=progress,
        tenants=sorted(topics.tenants.values()),
        time=time,
        renderer=renderer,
        own=api.own,
        read_only=chosen.read_only,
    )

    routes = [web.route(*one) for one in (*_pages(used), *_open(login, files))]
    return server.Pages(routes, functools.partial(_problem_page, renderer, login))


def _pages(used: sources.Sources) -> Sequence[tuple[str, str, problems.Handler]]:
    listed = request_list.RequestList(used)
    one = request_page.RequestPage(used)
    many = bulk.Bulk(used)
    relays = relay_pages.RelayPages(used)
    control = control_page.ControlPage(used)
    lettered = letters.LetterPages(used)

    return (
        ("GET", "/", overview.OverviewPage(used).show),
        ("GET", "/requests", listed.show),
        ("GET", "/live", listed.live),
        ("GET", "/requests/{id}", one.show),
        ("GET", "/requests/{id}/result.csv", one.result),
        ("POST", "/requests/{id}/cancel", one.cancel),
        ("POST", "/requests/{id}/resolve", one.resolve),
        ("POST", "/requests/{id}/retry", one.retry),
        ("GET", "/bulk", many.preview),
        ("POST", "/bulk", many.step),
        ("GET", "/clusters", relays.clusters),
        ("GET", "/tenants", relays.tenants),
        ("GET", "/audit", audit_page.AuditPage(used).show),
        ("GET", "/controls", control.show),
        ("POST", "/controls", control.set),
        ("POST", "/controls/lift", control.lift),
        ("GET", "/dead-letters", lettered.show),
        ("GET", "/dead-letters/replay", lettered.preview),
        ("POST", "/dead-letters/replay", lettered.step),
        ("GET", "/dead-letters/{position}", lettered.one),
        ("GET", "/dead-letters/{position}/message", lettered.message),
        ("POST", "/dead-letters/{position}/replay", lettered.replay),
    )


def _open(login: login_page.LoginPage, files: static_files.StaticFiles) -> Sequence[tuple[str, str, problems.Handler]]:
    """Return what everybody may ask for."""
    return (
        ("GET", "/login", login.show),
        ("POST", "/login", login.log_in),
        ("GET", "/login/start", login.start),
        ("GET", "/login/callback", login.finish),
        ("POST", "/logout", login.log_out),
        ("GET", "/static/{name}", files.serve),
    )


def _problem_page(
    renderer: rendering.Renderer, login: login_page.LoginPage, request: web.Request, problem: problems.ProblemError
) -> web.Response:
    if problem.status == _UNAUTHORIZED:
        return login.refused(request, problem)
    candidates = [{"id": request.match_info.get("id", ""), **one} for one in problem.extra.get("candidates", [])]
    made = renderer.page("problem", path="", status=problem.status, problem=problem, candidates=candidates)
    made.headers.update(problem.headers)
    return made
