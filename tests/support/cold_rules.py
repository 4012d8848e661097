"""Rules for which values of a ledger are cold, by what one value says."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mrs_relay.kafka import cold_records


def rule(
    due_ms: Callable[[bytes], int | None], unit_ms: int = 1000, fingerprint: Callable[[bytes], int] = hash
) -> cold_records.ColdRule:
    """Return a rule that looks at each value by itself."""

    def all_due_ms(values: Sequence[bytes | None]) -> list[int | None]:
        return [None if value is None else due_ms(value) for value in values]

    return cold_records.ColdRule(all_due_ms, unit_ms, fingerprint)
