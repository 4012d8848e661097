"""Health and readiness, as values and as JSON for probes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Health:
    """
    The health of the process.

    Attributes:
        ready: it owns partitions, or waits for them in a group whose brokers answer.
        reasons: for people: why the process, or a tenant of it, is not ready.
        details: numbers and names for operators; no secrets.
        tenants: each tenant by its name; empty where there are none.
    """

    ready: bool
    reasons: tuple[str, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)
    tenants: Mapping[str, Health] = field(default_factory=dict)

    def of(self, tenant: str | None) -> Health | None:
        """Return the health of one tenant, or of the process; None: there is no such tenant."""
        return self if tenant is None else self.tenants.get(tenant)

    def as_json(self) -> dict[str, object]:
        """Return the body of the readiness answer."""
        tenants = {name: one.as_json() for name, one in self.tenants.items()}
        found = {"ready": self.ready, "reasons": list(self.reasons), **self.details}
        return {**found, "tenants": tenants} if tenants else found
