"""What the caller of a request may see and do; handlers ask it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from mrs_relay.api import problems
from mrs_relay.api.access import callers


@dataclass(frozen=True, slots=True)
class Scope:
    """
    The caller, and the role that the route wants.

    Attributes:
        caller: who calls.
        role: the least role of the route.
    """

    caller: callers.Caller
    role: callers.Role

    @property
    def visible(self) -> frozenset[str] | None:
        """Tenants whose requests the caller may see; None: all of them."""
        return self.caller.tenants(callers.Role.VIEWER)

    @property
    def tenants(self) -> frozenset[str] | None:
        """Tenants for which the caller has the role of the route; None: all of them."""
        return self.caller.tenants(self.role)

    def may(self, tenant: str | callers.Some) -> bool:
        """Return whether the caller has the role of the route for a tenant."""
        return self.caller.may(self.role, tenant)

    def require(self, tenant: str) -> None:
        """
        Refuse what the caller may not do for a tenant.

        Raises:
            ProblemError: the caller has a lesser role for it, or none.
        """
        if not self.may(tenant):
            raise forbidden(self.role, tenant)

    def require_named(self, tenant: str | None) -> None:
        """Refuse a filter by a tenant that the caller may not see. Raises ProblemError."""
        if tenant is not None:
            self.require(tenant)


Ask = Callable[[], Awaitable[Scope]]
"""Asks once more who calls; raises ProblemError like the first time."""

_KEY: Final = web.RequestKey("scope", Scope)
_ASK: Final[web.RequestKey[Ask]] = web.RequestKey("ask")


def put(request: web.Request, scope: Scope, ask: Ask) -> None:
    """Note the scope of a request, and how it is asked for again."""
    request[_KEY] = scope
    request[_ASK] = ask


async def has_changed(request: web.Request) -> bool:
    """Return whether the caller of a long request has lost the token that it came with, or has other roles now."""
    try:
        return await request[_ASK]() != request[_KEY]
    except problems.ProblemError:
        return True


async def require_unchanged(request: web.Request) -> None:
    """
    Refuse to answer a call that has waited if its caller may not see the same any longer.

    Raises:
        ProblemError: the caller is no longer known, or has other roles.
    """
    if await request[_ASK]() != request[_KEY]:
        raise problems.ProblemError(403, "forbidden", "your roles have changed while you waited: ask again")


def of(request: web.Request) -> Scope:
    """Return the scope of a request."""
    return request[_KEY]


def forbidden(role: callers.Role, tenant: str) -> problems.ProblemError:
    """Return the problem of a caller whose role does not suffice."""
    whom = "any tenant" if tenant == callers.EVERY else f"tenant {tenant[:200]!r}"
    text = f"this needs the role {role.name.lower()} for {whom}, which you have not; ask the operator of mrs-relay"
    return problems.ProblemError(403, "forbidden", text)
