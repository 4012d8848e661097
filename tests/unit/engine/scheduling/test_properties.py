"""What holds at the scheduler for every order of events: bounds, no entry lost or let through twice, no turn wasted."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.unit.engine import scheduling_fakes

from mrs_relay.engine.model import jobs
from mrs_relay.engine.scheduling import breaker
from mrs_relay.engine.scheduling import entries as queued
from mrs_relay.engine.scheduling import scheduler as schedulers

_SLOTS = 2
_MOST = 3
_RUNNING = 3
_PER_MINUTE = 4
_PLACES = [("a", jobs.SUBMISSION), ("b", jobs.SUBMISSION), ("c", jobs.SUBMISSION), ("a", jobs.STATEMENT)]


@dataclass(eq=False)
class _Entry:
    """One entry's way: it waits, is let through once, flies, lands and holds its slot until it is given back."""

    request_id: str
    place: queued.Place
    owner: scheduling_fakes.Partition
    flying: bool = True

    @property
    def let_through(self) -> bool:
        return self.request_id in self.owner.admitted


@dataclass(eq=False)
class _World:
    """The scheduler, and beside it a plain account of what must be true of it."""

    quota: scheduling_fakes.Quota
    entries: list[_Entry] = field(default_factory=list)
    known: set[_Entry] = field(default_factory=set)
    held_until_s: dict[queued.Place | None, float] = field(default_factory=dict)
    careful_until_s: dict[queued.Place, float] = field(default_factory=dict)
    counted: int = 0

    def __post_init__(self) -> None:
        self.scheduler = scheduling_fakes.open_scheduler(slots=_SLOTS, intents=_MOST, quota=self.quota)
        limited = scheduling_fakes.account("a", running=_RUNNING)
        paced = scheduling_fakes.account("b", per_minute=_PER_MINUTE)
        self.partitions = [scheduling_fakes.Partition(self.scheduler, one) for one in (limited, paced, limited)]

    @property
    def gone(self) -> list[_Entry]:
        """Entries that were let through and whose job has not ended."""
        return [entry for entry in self.entries if entry.let_through]

    @property
    def waiting(self) -> list[_Entry]:
        return [entry for entry in self.entries if not entry.let_through]

    def breaker_of(self, place: queued.Place) -> breaker.Breaker:
        return self.scheduler._admission.cluster(place).breaker

    def act(self, data: st.DataObject) -> float:
        """Do one thing that may happen; returns how long to wait after it."""
        kind = data.draw(
            st.sampled_from(
                ["enter", "enter", "enter", "land", "land", "fail", "end", "end", "hold", "wait", "leave", "withdraw"]
            )
        )
        match kind:
            case "enter":
                self._enter(data.draw(st.sampled_from(_PLACES)), data)
            case "land" if flying := [entry for entry in self.gone if entry.flying]:
                self.land(data.draw(st.sampled_from(flying)), full=data.draw(st.booleans()))
            case "fail" if flying := [entry for entry in self.gone if entry.flying]:
                self._fail(data.draw(st.sampled_from(flying)), data.draw(st.sampled_from(["refused", "failed"])))
            case "end" if landed := [entry for entry in self.gone if not entry.flying]:
                self.end(data.draw(st.sampled_from(landed)))
            case "hold":
                self._hold(data.draw(st.sampled_from([*_PLACES, None])), data.draw(st.sampled_from([0.5, 3.0, 20.0])))
            case "withdraw" if self.entries:
                self._withdraw(data.draw(st.sampled_from(self.entries)))
            case "leave":
                self._leave(data.draw(st.integers(0, 2)))
            case _:
                return data.draw(st.sampled_from([0.0, 0.3, 1.0, 10.0]))

        return 0.0

    def _enter(self, place: queued.Place, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from(self.partitions))
        self.counted += 1
        entry = _Entry(f"j{self.counted}", place, owner)
        self.entries.append(entry)
        owner.enter(
            entry.request_id, place[0], statement=place[1] == jobs.STATEMENT, priority=data.draw(st.integers(0, 9))
        )

    def land(self, entry: _Entry, *, full: bool) -> None:
        """Report the outcome; on a full cluster the job is queued again and a pause begins."""
        entry.flying = False
        if full:
            self._hold(entry.place, 3.0)
        entry.owner.land(entry.request_id)
        if full:
            self._again(entry)

    def _fail(self, entry: _Entry, how: str) -> None:
        """Report that the cluster takes no calls, or the call failed: the job is queued again, the place paused."""
        entry.flying = False
        pauses, answer = self.scheduler.pauses, breaker.Answer("0056")
        (pauses.refused if how == "refused" else pauses.failed)(entry.place, _now_s(), answer)
        self.held_until_s[entry.place] = self.breaker_of(entry.place).until_s
        entry.owner.land(entry.request_id)
        self._again(entry)

    def _again(self, entry: _Entry) -> None:
        place = entry.place
        entry.owner.release(entry.request_id, place[0], statement=place[1] == jobs.STATEMENT, state=jobs.State.QUEUED)
        self.entries.remove(entry)
        again = _Entry(f"{entry.request_id}x", place, entry.owner)
        self.entries.append(again)
        again.owner.enter(again.request_id, place[0], statement=place[1] == jobs.STATEMENT)

    def _withdraw(self, entry: _Entry) -> None:
        """Cancel a job while it waits, or between its admission and its submission."""
        if entry.let_through and not entry.flying:
            return
        self.entries.remove(entry)
        if entry.let_through:
            self._room(entry.place)
        entry.owner.release(entry.request_id, entry.place[0], statement=entry.place[1] == jobs.STATEMENT)
        entry.owner.withdraw(entry.request_id)

    def end(self, entry: _Entry) -> None:
        """End a job that MRS had."""
        self.entries.remove(entry)
        self._room(entry.place)
        entry.owner.release(entry.request_id, entry.place[0], statement=entry.place[1] == jobs.STATEMENT)

    def _room(self, place: queued.Place) -> None:
        """Make room on a full cluster by a job that ends, which says nothing of one that takes no jobs."""
        if place[1] == jobs.SUBMISSION and self.breaker_of(place).state is breaker.State.FULL:
            self.held_until_s.pop(place, None)

    def _hold(self, place: queued.Place | None, wait_s: float) -> None:
        until_s = _now_s() + wait_s
        if place is not None:
            self.careful_until_s[place] = until_s + breaker.CAREFUL_S
        self.held_until_s[place] = max(until_s, self.held_until_s.get(None, 0.0)) if place is None else until_s
        if place is None:
            self.scheduler.pauses.pause(wait_s)
        else:
            scheduling_fakes.full(self.scheduler, place, wait_s)

    def _leave(self, number: int) -> None:
        owner = self.partitions[number]
        self.scheduler.leave(owner)
        self.entries = [entry for entry in self.entries if entry.owner is not owner]
        self.partitions[number] = scheduling_fakes.Partition(self.scheduler, owner.tenant_quota)

    def check(self) -> None:
        """Compare the scheduler with the account."""
        flying = [entry for entry in self.gone if entry.flying]
        assert scheduling_fakes.in_flight(self.scheduler) == len(flying) <= _MOST
        assert scheduling_fakes.waiting(self.scheduler) == len(self.waiting)
        for place in _PLACES:
            holding = [entry for entry in self.gone if entry.place == place]
            assert place[1] == jobs.STATEMENT or len(holding) <= _SLOTS
        running = [entry for entry in self.gone if entry.owner.tenant_quota is self.partitions[0].tenant_quota]
        assert len(running) <= _RUNNING
        for partition in self.partitions:
            assert len(set(partition.admitted)) == len(partition.admitted)
        for entry in set(self.gone) - self.known:
            assert self._held_until_s(entry.place) <= _now_s(), f"{entry.place} is held"
        self.known = set(self.gone)

    def check_no_turn_is_wasted(self) -> None:
        """Check that no entry waits that could be admitted: each waiting queue has a reason to wait."""
        crowded = sum(entry.flying for entry in self.gone) >= _MOST
        for place, tenant_quota in {(entry.place, entry.owner.tenant_quota) for entry in self.waiting}:
            assert tenant_quota is not None
            limited = tenant_quota.is_full or tenant_quota.wait_s() > 0
            full = place[1] == jobs.SUBMISSION and sum(entry.place == place for entry in self.gone) >= _SLOTS
            held = self._held_until_s(place) > _now_s() - 0.01
            dry = self.quota.wait_s(place[1]) > 0
            trying = any(entry.flying and entry.place == place for entry in self.gone)
            careful = trying and self.careful_until_s.get(place, 0.0) > _now_s() - 0.01
            seen = self.breaker_of(place)
            probing = not seen.is_closed and (trying or any(entry.place[1] == place[1] for entry in self.waiting))
            reasons = (limited, crowded, full, held, dry, careful, probing)
            assert any(reasons), f"{place} waits for nothing at {_now_s()}"

    def _held_until_s(self, place: queued.Place) -> float:
        return max(self.held_until_s.get(place, 0.0), self.held_until_s.get(None, 0.0))

    async def finish(self) -> None:
        """Give everything back, again and again; in the end no entry waits."""
        for _ in range(len(self.entries) + 1):
            for entry in self.gone:
                if entry.flying:
                    self.land(entry, full=False)
                self.end(entry)
                self.check()
            await asyncio.sleep(301)
        assert not self.entries
        assert scheduling_fakes.waiting(self.scheduler) == scheduling_fakes.in_flight(self.scheduler) == 0


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def _live(data: st.DataObject, rate: float, length: int) -> None:
    world = _World(scheduling_fakes.Quota(rate, burst=2))
    for _ in range(length):
        wait_s = world.act(data)
        world.check()
        await asyncio.sleep(wait_s + 0.002)
        world.check()
        world.check_no_turn_is_wasted()
    await world.finish()
    world.scheduler.close()


@settings(max_examples=60)
@given(st.data(), st.sampled_from([0.0, 0.5, 5.0]), st.integers(1, 40))
def test_every_order_of_events_keeps_the_bounds_and_wastes_no_turn(
    data: st.DataObject, rate: float, length: int
) -> None:
    """
    Never more holders than slots, in flight or running than allowed; no entry lost, none let through twice.

    Each waiting entry has a reason to wait, and all are admitted in the end when room is given back.
    """
    scheduling_fakes.run_virtually(_live(data, rate, length))


class _Refused(scheduling_fakes.Partition):
    """A partition whose submissions are refused a moment after they were sent, and wait again."""

    def begin(self, request_id: str, cluster: str) -> None:
        """Ask for a turn for the first time."""
        if self.enter(request_id, cluster):
            self._later(request_id)

    def _admit(self, key: jobs.LedgerKey) -> None:
        super()._admit(key)
        self._later(self.admitted[-1])

    def _later(self, request_id: str) -> None:
        asyncio.get_running_loop().call_later(0.1, self._refuse, request_id, _now_s())

    def _refuse(self, request_id: str, begun_s: float) -> None:
        cluster = request_id[:-1]
        self.scheduler.pauses.refused((cluster, jobs.SUBMISSION), begun_s, breaker.Answer("12000062"))
        self.land(request_id)
        self.begin(request_id, cluster)


async def _flood(dead: int, failures: list[int], tokens: int) -> tuple[int, Counter[str]]:
    """Count the submissions of a healthy cluster, and the probes of each dead one, while all of them wait."""
    scheduler = scheduling_fakes.open_scheduler(slots=0, intents=10_000, quota=scheduling_fakes.Quota(rate=1.0))
    healthy, others = scheduling_fakes.Partition(scheduler), _Refused(scheduler)
    for number in range(dead):
        place = (f"d{number}", jobs.SUBMISSION)
        for _ in range(failures[number % len(failures)]):
            scheduler.pauses.refused(place, _now_s(), breaker.Answer("12000062"))
            await asyncio.sleep(0.01)
        others.begin(f"d{number}0", place[0])
    for number in range(2 * tokens):
        healthy.enter(f"j{number}", "good")
    before = len(healthy.admitted)
    await asyncio.sleep(tokens)
    scheduler.close()
    return len(healthy.admitted) - before, Counter(others.admitted)


@settings(max_examples=6, phases=[Phase.generate])  # an example takes a second: a smaller one is not worth the time
@given(st.integers(1, 30), st.lists(st.integers(1, 8), min_size=1, max_size=4))
def test_clusters_that_take_no_jobs_leave_the_others_their_tokens(dead: int, failures: list[int]) -> None:
    """However many there are: a healthy cluster keeps 95 % of the quota, and each dead one is tried in the end."""
    found: list[tuple[int, Counter[str]]] = []
    tokens = 25 * dead + 400

    async def play() -> None:
        found.append(await _flood(dead, failures, tokens))

    scheduling_fakes.run_virtually(play())
    kept, probes = found[0]
    assert kept >= 0.95 * tokens
    assert len(probes) == dead, f"{probes} in {tokens} turns"


class _Timed(scheduling_fakes.Partition):
    """A partition that notes when each of its clusters had a turn."""

    def __init__(self, number: int, scheduler: schedulers.SubmissionScheduler) -> None:
        super().__init__(scheduler, scheduling_fakes.account(f"t{number}"))
        self.clusters: dict[str, str] = {}
        self.turns: dict[str, list[float]] = {}

    def ask(self, request_id: str, cluster: str) -> None:
        """Ask for a turn for a job."""
        self.clusters[request_id] = cluster
        self.turns.setdefault(cluster, [_now_s()])
        if self.enter(request_id, cluster):
            self.turns[cluster].append(_now_s())

    def _admit(self, key: jobs.LedgerKey) -> None:
        super()._admit(key)
        self.turns[self.clusters[self.admitted[-1]]].append(_now_s())


async def _take_turns(asked: list[tuple[int, str]]) -> None:
    scheduler = scheduling_fakes.open_scheduler(slots=0, intents=1000, quota=scheduling_fakes.Quota(rate=1.0))
    partitions = [_Timed(number, scheduler) for number in range(3)]
    for number, (tenant, cluster) in enumerate(asked):
        partitions[tenant].ask(f"j{number}", cluster)
    await asyncio.sleep(len(asked) * 1.01 + 1)
    assert scheduling_fakes.waiting(scheduler) == 0
    tenants = len({tenant for tenant, _ in asked})
    for partition in partitions:
        most_s = tenants * len(partition.turns) * 1.01 + 1.0
        for turns in partition.turns.values():
            assert max(after - before for before, after in itertools.pairwise(turns)) <= most_s
    scheduler.close()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abcde")), min_size=1, max_size=40))
def test_every_queue_has_its_turn_within_a_bounded_number_of_turns(asked: list[tuple[int, str]]) -> None:
    """As many as there are tenants, for each queue that its tenant has, whatever else waits."""
    scheduling_fakes.run_virtually(_take_turns(asked))
