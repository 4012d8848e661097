"""What holds at the scheduler for every order of events: bounds, no entry lost or let through twice, no turn wasted."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.engine import gates

from mrs_relay.engine import jobs
from mrs_relay.engine.scheduling import breaker, entries

_SLOTS = 2
_MOST = 3
_RUNNING = 3
_PER_MINUTE = 4
_PLACES = [("a", jobs.SUBMISSION), ("b", jobs.SUBMISSION), ("c", jobs.SUBMISSION), ("a", jobs.STATEMENT)]


@dataclass(eq=False)
class _Entry:
    """One entry's way: it waits, is let through once, flies, lands and holds its slot until it is given back."""

    request_id: str
    place: entries.Place
    owner: gates.Partition
    flying: bool = True

    @property
    def let_through(self) -> bool:
        return self.request_id in self.owner.admitted


@dataclass(eq=False)
class _World:
    """The scheduler, and beside it a plain account of what must be true of it."""

    quota: gates.Quota
    entries: list[_Entry] = field(default_factory=list)
    known: set[_Entry] = field(default_factory=set)
    held_until_s: dict[entries.Place | None, float] = field(default_factory=dict)
    careful_until_s: dict[entries.Place, float] = field(default_factory=dict)
    counted: int = 0

    def __post_init__(self) -> None:
        self.doors = gates.open_gate(slots=_SLOTS, intents=_MOST, quota=self.quota)
        limited = gates.account("a", running=_RUNNING)
        paced = gates.account("b", per_minute=_PER_MINUTE)
        self.partitions = [gates.Partition(self.doors, one) for one in (limited, paced, limited)]

    @property
    def gone(self) -> list[_Entry]:
        """Entries that were let through and whose job has not ended."""
        return [entry for entry in self.entries if entry.let_through]

    @property
    def waiting(self) -> list[_Entry]:
        return [entry for entry in self.entries if not entry.let_through]

    def act(self, data: st.DataObject) -> float:
        """Do one thing that may happen; returns how long to wait after it."""
        kind = data.draw(
            st.sampled_from(
                ["enter", "enter", "enter", "land", "land", "end", "end", "hold", "wait", "leave", "withdraw"]
            )
        )
        match kind:
            case "enter":
                self._enter(data.draw(st.sampled_from(_PLACES)), data)
            case "land" if flying := [entry for entry in self.gone if entry.flying]:
                self.land(data.draw(st.sampled_from(flying)), full=data.draw(st.booleans()))
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

    def _enter(self, place: entries.Place, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from(self.partitions))
        self.counted += 1
        entry = _Entry(f"j{self.counted}", place, owner)
        self.entries.append(entry)
        owner.enter(
            entry.request_id, place[0], statement=place[1] == jobs.STATEMENT, priority=data.draw(st.integers(0, 9))
        )

    def land(self, entry: _Entry, *, full: bool) -> None:
        """The outcome is known; on a full cluster the job goes back into the line and a hold begins."""
        entry.flying = False
        if full:
            self._hold(entry.place, 3.0)
        entry.owner.land(entry.request_id)
        if not full:
            return
        place = entry.place
        entry.owner.release(entry.request_id, place[0], statement=place[1] == jobs.STATEMENT, state=jobs.State.QUEUED)
        self.entries.remove(entry)
        again = _Entry(f"{entry.request_id}x", place, entry.owner)
        self.entries.append(again)
        again.owner.enter(again.request_id, place[0], statement=place[1] == jobs.STATEMENT)

    def _withdraw(self, entry: _Entry) -> None:
        """A job is cancelled while it waits, or between its turn and its submission."""
        if entry.let_through and not entry.flying:
            return
        self.entries.remove(entry)
        if entry.let_through and entry.place[1] == jobs.SUBMISSION:
            self.held_until_s.pop(entry.place, None)
        entry.owner.release(entry.request_id, entry.place[0], statement=entry.place[1] == jobs.STATEMENT)
        entry.owner.withdraw(entry.request_id)

    def end(self, entry: _Entry) -> None:
        """A job that MRS had has ended."""
        self.entries.remove(entry)
        if entry.place[1] == jobs.SUBMISSION:
            self.held_until_s.pop(entry.place, None)
        entry.owner.release(entry.request_id, entry.place[0], statement=entry.place[1] == jobs.STATEMENT)

    def _hold(self, place: entries.Place | None, wait_s: float) -> None:
        until_s = _now_s() + wait_s
        if place is not None:
            self.careful_until_s[place] = until_s + breaker.CAREFUL_S
        self.held_until_s[place] = max(until_s, self.held_until_s.get(None, 0.0)) if place is None else until_s
        if place is None:
            self.doors.feedback.pause(wait_s)
        else:
            self.doors.feedback.full(place, wait_s=wait_s)

    def _leave(self, number: int) -> None:
        owner = self.partitions[number]
        self.doors.leave(owner)
        self.entries = [entry for entry in self.entries if entry.owner is not owner]
        self.partitions[number] = gates.Partition(self.doors, owner.account)

    def check(self) -> None:
        """Compare the scheduler with the account."""
        flying = [entry for entry in self.gone if entry.flying]
        assert self.doors.in_flight == len(flying) <= _MOST
        assert self.doors.waiting == len(self.waiting)
        for place in _PLACES:
            holding = [entry for entry in self.gone if entry.place == place]
            assert place[1] == jobs.STATEMENT or len(holding) <= _SLOTS
        running = [entry for entry in self.gone if entry.owner.account is self.partitions[0].account]
        assert len(running) <= _RUNNING
        for partition in self.partitions:
            assert len(set(partition.admitted)) == len(partition.admitted)
        for entry in set(self.gone) - self.known:
            assert self._held_until_s(entry.place) <= _now_s(), f"{entry.place} is held"
        self.known = set(self.gone)

    def check_no_turn_is_wasted(self) -> None:
        """Nobody waits who could go: for each line that waits there is something that it waits for."""
        crowded = sum(entry.flying for entry in self.gone) >= _MOST
        for place, account in {(entry.place, entry.owner.account) for entry in self.waiting}:
            assert account is not None
            limited = account.is_full or account.wait_s() > 0
            full = place[1] == jobs.SUBMISSION and sum(entry.place == place for entry in self.gone) >= _SLOTS
            held = self._held_until_s(place) > _now_s() - 0.01
            dry = self.quota.wait_s(place[1]) > 0
            trying = any(entry.flying and entry.place == place for entry in self.gone)
            careful = trying and self.careful_until_s.get(place, 0.0) > _now_s() - 0.01
            assert limited or crowded or full or held or dry or careful, f"{place} waits for nothing at {_now_s()}"

    def _held_until_s(self, place: entries.Place) -> float:
        return max(self.held_until_s.get(place, 0.0), self.held_until_s.get(None, 0.0))

    async def finish(self) -> None:
        """Give everything back, again and again; in the end nobody waits."""
        for _ in range(len(self.entries) + 1):
            for entry in self.gone:
                if entry.flying:
                    self.land(entry, full=False)
                self.end(entry)
                self.check()
            await asyncio.sleep(61)
        assert not self.entries
        assert self.doors.waiting == self.doors.in_flight == 0


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def _live(data: st.DataObject, rate: float, length: int) -> None:
    world = _World(gates.Quota(rate, burst=2))
    for _ in range(length):
        wait_s = world.act(data)
        world.check()
        await asyncio.sleep(wait_s + 0.002)
        world.check()
        world.check_no_turn_is_wasted()
    await world.finish()
    world.doors.close()


@settings(max_examples=60)
@given(st.data(), st.sampled_from([0.0, 0.5, 5.0]), st.integers(1, 40))
def test_every_order_of_events_keeps_the_bounds_and_wastes_no_turn(
    data: st.DataObject, rate: float, length: int
) -> None:
    """
    Never more holders than slots, in flight or running than allowed; no entry lost, none let through twice.

    Whoever waits, waits for something, and everybody is let through in the end when room is given back.
    """
    gates.run_virtually(_live(data, rate, length))
