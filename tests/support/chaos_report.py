"""What a run of the kill loop has shown: the tables of troubles, counts and delays, and what the relays' logs say."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support import chaos_delays, chaos_sites, history

LIVED = {
    "partition_owned": "partitions restored",
    "partition_failed": "leases lost in the middle",
    "producer_replaced": "producers replaced",
    "submission_in_doubt": "replies lost",
    "duplicate_jobs_found": "several jobs with one token",
    "partition_unreadable": "partitions unreadable",
    "handler_failed": "handlers failed",
}
"""What relays log -> what it means, for the table."""

MUST_BE_0 = frozenset({"several jobs with one token", "partitions unreadable", "handlers failed"})


@dataclass(frozen=True, slots=True)
class Found:
    """
    What a run has shown.

    Attributes:
        faults: what broke the promise, a line each.
        numbers: the table.
        delays: site -> how long its requests waited from acknowledged to accepted, and the longest stall in seconds.
        by_trouble: kind of trouble of Kafka or the network -> the delays of requests that waited meanwhile, on the
            site whose relays were left alone.
    """

    faults: Sequence[str]
    numbers: Mapping[str, float]
    delays: Mapping[str, tuple[chaos_delays.Summary, float]]
    by_trouble: Mapping[str, chaos_delays.Summary]

    @property
    def table(self) -> str:
        """All numbers and delays."""
        numbers = [f"{name:<66} {value:>8}" for name, value in self.numbers.items()]
        heading = f"{'seconds from acknowledged to accepted':<52} {'requests':>8} {'p50':>7} {'p99':>7} {'max':>7}"
        sites = [
            f"{_delays(chaos_sites.PLANS[name].heading, summary)} {stall_s:>7.1f}"
            for name, (summary, stall_s) in self.delays.items()
        ]
        by_trouble = [_delays(f"  while {kind}", summary) for kind, summary in self.by_trouble.items()]
        return "\n".join([*numbers, "", f"{heading} {'stall':>7}", *sites, *by_trouble])

    @property
    def summary(self) -> str:
        """One line for people."""
        of = self.numbers
        return (
            f"{of['troubles in all']} troubles in {of['minutes']} min under {of['requests']} requests: "
            f"{of['lost']} lost, {of['doubled']} jobs doubled, {of['gaps']} gaps, {of['repeats']} repeated sequence "
            f"numbers, {of['relays that ended by themselves']} relays ended by themselves, {of['faults']} faults in all"
        )

    @property
    def as_json(self) -> str:
        """Everything, for programs."""
        delays = {name: {**asdict(summary), "stall_s": stall} for name, (summary, stall) in self.delays.items()}
        by_trouble = {kind: asdict(summary) for kind, summary in self.by_trouble.items()}
        return json.dumps(
            {"numbers": self.numbers, "delays": delays, "by_trouble": by_trouble, "faults": list(self.faults)}
        )


def _delays(what: str, found: chaos_delays.Summary) -> str:
    return f"{what:<52} {found.count:>8} {found.p50_s:>7.2f} {found.p99_s:>7.2f} {found.max_s:>7.2f}"


def lived(folder: Path) -> Counter[str]:
    """Return what the relays lived through, by their own logs."""
    seen: Counter[str] = Counter()
    for log in folder.glob("relay-*.log"):
        for line in log.read_text(errors="replace").splitlines():
            found = re.search(r'"event": "(\w+)"', line)
            if found and found.group(1) in LIVED:
                seen[LIVED[found.group(1)]] += 1
    return seen


def counts(sent: Sequence[str], events: Sequence[history.Seen], created: Sequence[str]) -> dict[str, int]:
    """Return the numbers of the table that must be 0."""
    numbers: dict[str, list[int]] = {request_id: [] for request_id in sent}
    for seen in events:
        numbers.setdefault(seen.request_id, []).append(seen.sequence)
    ended = {seen.request_id for seen in events if seen.state in history.LAST}
    return {
        "lost": sum(request_id not in ended for request_id in sent),
        "doubled": sum(times - 1 for times in Counter(created).values()),
        "gaps": sum(max(found, default=0) - len(set(found)) for found in numbers.values()),
        "repeats": sum(len(found) - len(set(found)) for found in numbers.values()),
    }
