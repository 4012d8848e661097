"""How many tokens of a quota go to clusters that took no calls before, while others that do wait for a token."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

PART: Final = 25
"""One token in this many: 4 %, so that clusters that take calls keep 96 % of the quota."""

_MOST: Final = 2.0


class ProbeBudget:
    """Count, for each operation, the probes that may go before those who wait for a token."""

    def __init__(self) -> None:
        self._left: defaultdict[str, float] = defaultdict(lambda: 1.0)

    def has(self, operation: str) -> bool:
        """Whether a probe may go first."""
        return self._left[operation] >= 1.0

    def spend(self, operation: str, *, probe: bool) -> None:
        """Note that a token was spent: a probe takes from the budget, any other call adds to it."""
        left = self._left[operation] + (-1.0 if probe else 1.0 / PART)
        self._left[operation] = min(_MOST, max(0.0, left))
