"""Delays between retries: exponential, capped, and with jitter so that replicas do not retry in step."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """
    Delays that double from `first_s` up to `most_s` seconds.

    `delay_s(n)` for the n-th failure in a row (from 1) lies between half of the nominal delay and the whole of it.
    """

    first_s: float = 0.5
    most_s: float = 30.0

    def delay_s(self, failures: int) -> float:
        """Return the seconds to wait after `failures` failures in a row (at least 1)."""
        nominal = min(self.most_s, self.first_s * 2.0 ** min(max(failures, 1) - 1, 30))
        return nominal * (0.5 + random.random() / 2)  # noqa: S311 - jitter, not a secret
