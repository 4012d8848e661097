"""
Who calls, and what the caller may do for which tenant. Pure.

A grant is written `ROLE@TENANT`, such as `operator@etl`; the tenant `*` stands for all of them.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

EVERY: Final = "*"


class Some(enum.Enum):
    """Stands for some tenant, whichever it is, where a role is asked for; no text of a caller equals it."""

    TENANT = enum.auto()


_GRANT: Final = re.compile(r"(viewer|operator|admin)@(\*|[a-z][a-z0-9_-]*)")

Kind = Literal["unauthenticated", "api_key", "user", "service_account"]
"""The kind of a caller, as the CloudEvents extension attribute `authtype` names it."""


class Role(enum.IntEnum):
    """What a caller may do; each role includes those before it."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


Grants = Mapping[str, Role]
"""Roles by tenant; `*` stands for all tenants."""


@dataclass(frozen=True, slots=True)
class Caller:
    """
    Who sent an HTTP request.

    Attributes:
        kind: as `authtype` names it.
        name: unique among callers of this kind; None: callers do not authenticate.
        grants: what the caller may do.
        place: address that the request came from; None: not known.
    """

    kind: Kind
    name: str | None
    grants: Grants
    place: str | None = None

    def may(self, role: Role, tenant: str | Some) -> bool:
        """Return whether the caller has a role for a tenant; `EVERY`: for all, `Some`: for one at least."""
        if isinstance(tenant, Some):
            return max(self.grants.values(), default=0) >= role
        return max(self.grants.get(EVERY, 0), self.grants.get(tenant, 0)) >= role

    def tenants(self, role: Role) -> frozenset[str] | None:
        """Return the tenants for which the caller has a role; None: all of them."""
        if self.grants.get(EVERY, 0) >= role:
            return None
        return frozenset(tenant for tenant, granted in self.grants.items() if granted >= role)

    @property
    def attributes(self) -> dict[str, str]:
        """
        Return the extension attributes of a message of this caller; none where callers do not authenticate.

        Source: CloudEvents, auth context extension.
        """
        return {} if self.name is None else {"authtype": self.kind, "authid": self.name}


LOCAL: Final = Caller("unauthenticated", None, {EVERY: Role.ADMIN})
"""Every program of this machine, as long as no way to authenticate is set."""


def read_grants(text: str) -> Grants:
    """
    Read grants that are separated by commas.

    Raises:
        ValueError: a grant has another form, or a tenant is named twice.
    """
    grants: dict[str, Role] = {}
    for one in text.split(","):
        found = _GRANT.fullmatch(one.strip())
        if found is None:
            raise ValueError(
                f"grant {one.strip()[:80]!r}: expected ROLE@TENANT with viewer, operator or admin, such as operator@etl"
            )
        if found[2] in grants:
            raise ValueError(f"tenant {found[2]!r} has two roles: expected one, the greater")
        grants[found[2]] = Role[found[1].upper()]
    return grants


def write_grants(grants: Grants) -> str:
    """Return grants as text that `read_grants` reads."""
    return ",".join(f"{role.name.lower()}@{tenant}" for tenant, role in grants.items())
