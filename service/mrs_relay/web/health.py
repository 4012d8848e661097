"""Alive and ready, as values and as JSON for probes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Health:
    """
    How the process is.

    Attributes:
        ready: it owns partitions, or waits for them in a group whose brokers answer.
        reasons: why it is not ready, for people.
        details: numbers and names for whoever looks; no secrets.
    """

    ready: bool
    reasons: tuple[str, ...] = ()
    details: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """The body of the readiness answer."""
        return {"ready": self.ready, "reasons": list(self.reasons), **self.details}
