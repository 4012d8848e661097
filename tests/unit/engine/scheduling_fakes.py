"""Owners, entries and a quota for the tests of the scheduler, and a loop whose hours pass at once."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from typing import Any, Final

from tests.support import clocks
from tests.unit.engine import samples

from mrs_relay.common import clock
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.model import jobs
from mrs_relay.engine.scheduling import breaker, entries, quota
from mrs_relay.engine.scheduling import scheduler as schedulers

AGING_S: Final = 120.0
"""Seconds of waiting that are worth one step of priority."""


class Quota:
    """
    A bucket of tokens for each operation; counts what is spent.

    Args:
        rate: tokens a second; 0 means no limit.
        burst: most tokens at a time.
    """

    def __init__(self, rate: float = 0.0, burst: int = 1) -> None:
        self._rate = rate
        self._burst = burst
        self._full_s: defaultdict[str, float] = defaultdict(float)
        self.spent: Counter[str] = Counter()

    def wait_s(self, operation: str) -> float:
        """Tell how long until there is a token."""
        if not self._rate:
            return 0.0
        missing = (self._full_s[operation] - _now_s()) * self._rate
        return max(0.0, missing - self._burst + 1) / self._rate

    def spend(self, operation: str) -> float:
        """Take a token, or tell how long until there is one."""
        wait_s = self.wait_s(operation)
        if wait_s <= 1e-9:
            self.spent[operation] += 1
            if self._rate:
                self._full_s[operation] = max(self._full_s[operation], _now_s()) + 1 / self._rate
            return 0.0
        return wait_s


def waiting(scheduler: schedulers.SubmissionScheduler) -> int:
    """Count the entries that wait."""
    return sum(scheduler.waiting_by_cause().values())


def in_flight(scheduler: schedulers.SubmissionScheduler) -> int:
    """Count the admitted submissions whose outcome is not known yet."""
    return len(scheduler._admission._in_flight)


class Partition:
    """An owner of entries, slots and places in flight, as a partition's performer is one."""

    def __init__(
        self, scheduler: schedulers.SubmissionScheduler, tenant_quota: quota.TenantQuota | None = None
    ) -> None:
        self.scheduler = scheduler
        self.tenant_quota = tenant_quota
        self.admitted: list[str] = []
        self.rejected: list[str] = []
        if tenant_quota is not None:
            scheduler.join(self, tenant_quota)

    def enter(self, request_id: str, cluster: str = "a", **changes: Any) -> bool:
        """Ask for a turn, as for a job that has been queued; notes a turn at once like one that comes later."""
        if self.scheduler.enter(entry(job(request_id, cluster, **changes), self, self._admit, self._reject)):
            self.admitted.append(request_id)
            return True
        return False

    def enter_at_once(self, request_id: str, cluster: str = "a") -> bool:
        """Ask for a turn right now or not at all."""
        return self.scheduler.enter_at_once(entry(job(request_id, cluster), self, self._admit))

    def land(self, request_id: str) -> None:
        """Say that the outcome of a submission is known."""
        self.scheduler.completed(job(request_id).ledger_key, self)

    def withdraw(self, request_id: str) -> None:
        """Say that a job wants no turn any more."""
        self.scheduler.withdraw(job(request_id).ledger_key, self)

    def release(
        self, request_id: str, cluster: str = "a", *, state: jobs.State = jobs.State.SUCCEEDED, **changes: Any
    ) -> None:
        """Say that a job holds no slot any more."""
        self.scheduler.release(*keyed(job(request_id, cluster, state=state, **changes)), self)

    def _admit(self, key: jobs.LedgerKey) -> None:
        self.admitted.append(key.decode().rpartition(" ")[2])

    def _reject(self, key: jobs.LedgerKey) -> None:
        self.rejected.append(key.decode().rpartition(" ")[2])


def entry(
    one: jobs.Job,
    owner: object,
    admit: Callable[[jobs.LedgerKey], None] = print,
    reject: Callable[[jobs.LedgerKey], None] = print,
    aging_s: float = AGING_S,
) -> entries.QueueEntry:
    """Make the queue entry of a job."""
    return entries.queue_entry(one.ledger_key, one, owner, admit, reject, aging_s)


def full(scheduler: schedulers.SubmissionScheduler, place: entries.Place, wait_s: float) -> None:
    """Say that a cluster is full, with a wait of this length."""
    scheduler.pauses._full_wait_s = wait_s
    scheduler.pauses.full(place, breaker.Answer("0177"))


def account(tenant: str, **limits: int) -> quota.TenantQuota:
    """Make a tenant's account, all of whose partitions are ours."""
    chosen = policies.Policy(tenant, limits=policies.Limits(**limits))
    return quota.TenantQuota(chosen, quota.Share(1, 1), clock.LoopClock())


def job(request_id: str, cluster: str = "a", **changes: Any) -> jobs.Job:
    """Make a queued job; the digits in its id are its order of arrival."""
    order = int("".join(filter(str.isdigit, request_id)) or 0)
    return samples.request(**{"id": request_id, "cluster": cluster, "order": order, "arrived_ms": order, **changes})


def keyed(one: jobs.Job) -> tuple[jobs.LedgerKey, jobs.Job]:
    """Return a job after its key, as a partition keeps it."""
    return one.ledger_key, one


def open_scheduler(
    *, slots: int = 10, intents: int = 64, quota: Quota | None = None, **changes: Any
) -> schedulers.SubmissionScheduler:
    """Make a scheduler."""
    settings = engine_settings.EngineSettings(slots_per_cluster=slots, max_intents=intents, **changes)
    return schedulers.SubmissionScheduler(settings, clock.LoopClock(), (quota or Quota()).spend)


def run_virtually(work: Coroutine[Any, Any, None]) -> None:
    """Run in a loop of its own whose clock starts at 0 and jumps to the next timer."""
    with asyncio.Runner(loop_factory=clocks.virtual_loop) as runner:
        runner.run(work)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
