"""Which least role each route wants: the one place that says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from mrs_relay.api.access import callers

_VIEWER, _OPERATOR = callers.Role.VIEWER, callers.Role.OPERATOR

OPEN: Final = frozenset({"/health", "/ready", "/login", "/login/start", "/login/callback", "/logout", "/static/{name}"})
"""Paths that answer everybody, and say nothing about requests: probes have no token, and a browser must log in."""

LEAST: Final[Mapping[str, callers.Role]] = {
    "GET /v1/requests": _VIEWER,
    "GET /v1/requests/{id}": _VIEWER,
    "GET /v1/requests/{id}/events": _VIEWER,
    "GET /v1/dead-letters": _VIEWER,
    "GET /v1/dead-letters/{position}": _VIEWER,  # the content: operators, see `letters`
    "POST /v1/dead-letters/replay": _OPERATOR,
    "GET /v1/events": _VIEWER,
    "POST /v1/requests": _OPERATOR,
    "POST /v1/requests/{id}/cancel": _OPERATOR,
    "POST /v1/requests/{id}/resolve": _OPERATOR,
    "POST /v1/requests/{id}/retry": _OPERATOR,
    "POST /v1/requests/validate": _VIEWER,
    "POST /v1/requests/dry-run": _OPERATOR,
    "GET /v1/audit": _VIEWER,
    "GET /v1/requests/{id}/why": _VIEWER,
    "GET /v1/clusters": _VIEWER,  # for all tenants
    "GET /v1/budgets": _VIEWER,  # the same
    "GET /v1/tenants": _VIEWER,
    "GET /v1/queues": _VIEWER,
    "GET /v1/partitions": _VIEWER,
    "GET /v1/controls": _VIEWER,
    "PUT /v1/controls/{scope}": _OPERATOR,
    "DELETE /v1/controls/{scope}": _OPERATOR,
    "GET /v1/openapi.json": _VIEWER,
    "GET /metrics": _VIEWER,
    "GET /": _VIEWER,
    "GET /requests": _VIEWER,
    "GET /live": _VIEWER,
    "GET /requests/{id}": _VIEWER,
    "GET /requests/{id}/result.csv": _VIEWER,
    "POST /requests/{id}/cancel": _OPERATOR,
    "POST /requests/{id}/resolve": _OPERATOR,
    "POST /requests/{id}/retry": _OPERATOR,
    "GET /bulk": _OPERATOR,
    "POST /bulk": _OPERATOR,
    "GET /dead-letters": _VIEWER,
    "GET /dead-letters/{position}": _VIEWER,
    "GET /dead-letters/{position}/message": _OPERATOR,
    "POST /dead-letters/{position}/replay": _OPERATOR,
    "GET /dead-letters/replay": _OPERATOR,
    "POST /dead-letters/replay": _OPERATOR,
    "GET /clusters": _VIEWER,
    "GET /tenants": _VIEWER,
    "GET /controls": _VIEWER,
    "POST /controls": _OPERATOR,
    "POST /controls/lift": _OPERATOR,
    "GET /audit": _VIEWER,
}
"""By method and path. The role counts for the tenant concerned; a path of no tenant wants it for any."""


def require_complete(application: web.Application) -> None:
    """
    Make sure that each route of an application has a least role.

    Raises:
        LookupError: this table lacks some; always a bug.
    """
    paths = [(route.method, route.resource) for route in application.router.routes() if route.method != "HEAD"]
    served = {f"{method} {found.canonical}" for method, found in paths if found and found.canonical not in OPEN}
    if missing := sorted(served - LEAST.keys()):
        raise LookupError(f"routes without a least role in {__name__}: {', '.join(missing)}")


def is_open(request: web.Request) -> bool:
    """Return whether everybody may ask for this."""
    resource = request.match_info.route.resource
    return resource is not None and resource.canonical in OPEN


def of(request: web.Request) -> callers.Role:
    """Return the least role for the route of a request; a route that the table forgot is an administrator's."""
    resource = request.match_info.route.resource
    if resource is None:  # no such path or method: every viewer may learn that
        return _VIEWER
    method = "GET" if request.method == "HEAD" else request.method
    return LEAST.get(f"{method} {resource.canonical}", callers.Role.ADMIN)
