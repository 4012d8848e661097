"""The kill loop's own parts: what is ordered happens once, at its passing, and every kind of trouble has its turn."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.support import (
    chaos_delays,
    chaos_fleet,
    chaos_lanes,
    chaos_relay,
    chaos_report,
    chaos_troubles,
    child,
    service,
)


@pytest.fixture
def signals() -> Iterator[Counter[int]]:
    """Counts SIGUSR1, which stands for the signal that ends a relay."""
    seen: Counter[int] = Counter()
    before = signal.signal(signal.SIGUSR1, lambda number, _frame: seen.update([number]))
    yield seen
    signal.signal(signal.SIGUSR1, before)


def test_what_was_ordered_happens_at_the_third_passing_of_its_point_and_once(
    tmp_path: Path, signals: Counter[int]
) -> None:
    """Other points do not count, the order is gone afterwards, and a mark says that it was carried out."""
    place = tmp_path / "relay-1"
    countdown = chaos_relay.Countdown(str(place))
    countdown.pass_("after the commit")
    chaos_fleet.write_order(place.with_suffix(".x"), "after the commit", 3, signal.SIGUSR1)
    for point in ("after the commit", "before the POST", "after the commit"):
        countdown.pass_(point)
    assert signals.total() == 0
    for _ in range(5):
        countdown.pass_("after the commit")
    assert signals == {signal.SIGUSR1: 1}
    assert place.with_suffix(".reached").read_text() == "after the commit"


def test_an_order_that_was_taken_back_is_not_carried_out_later(tmp_path: Path, signals: Counter[int]) -> None:
    """Nor do its passings count for the next one."""
    place = tmp_path / "relay-1"
    countdown = chaos_relay.Countdown(str(place))
    for _ in range(2):
        chaos_fleet.write_order(place.with_suffix(".x"), "before the POST", 2, signal.SIGUSR1)
        countdown.pass_("before the POST")
        place.with_suffix(".order").unlink()
        countdown.pass_("before the POST")
    assert signals.total() == 0


def _drawn(count: int) -> Sequence[str]:
    kinds = {name: (_nothing, weight) for weight, name in enumerate("abcdef", start=1)}
    return chaos_troubles.plan(kinds, count, random.Random(5))  # noqa: S311 - a seed, no secret


async def _nothing() -> bool:
    return True


def test_a_long_run_meets_each_kind_and_a_seed_draws_the_same_again() -> None:
    """Every kind comes once before any comes twice; the order follows from the seed."""
    drawn = _drawn(100)
    assert sorted(drawn[:6]) == list("abcdef")
    assert len(drawn) == 100
    assert drawn == _drawn(100)
    assert len(_drawn(3)) == 3


def test_what_relays_log_is_counted(tmp_path: Path) -> None:
    """Events of all relays by their meaning; other lines do not matter."""
    (tmp_path / "relay-1.log").write_text('{"event": "partition_owned"}\nplain\n{"event": "relay_started"}\n')
    (tmp_path / "relay-2.log").write_text('{"partition": 3, "event": "partition_owned", "level": "info"}\n')
    assert chaos_report.lived(tmp_path) == {"partitions restored": 2}


def _tail(tmp_path: Path, accepted: dict[str, float], times_s: list[float]) -> chaos_delays.Tail:
    here = service.Deployment("", "unit", "", tmp_path)
    return chaos_delays.Tail(here, accepted=accepted, times_s=times_s)


def test_delays_run_from_the_acknowledgement_to_the_event(tmp_path: Path) -> None:
    """Requests without an event have no delay; an event that was read before the acknowledgement took no time."""
    sent = {f"r-{number}": 10.0 for number in range(100)}
    read = {f"r-{number}": 10.0 + number / 10 for number in range(1, 99)}
    waits = chaos_delays.waits({**sent, "early": 20.0}, _tail(tmp_path, {**read, "early": 19.0}, []))
    assert waits.all() == chaos_delays.Summary(99, 4.9, 9.8, 9.8)


def test_delays_by_trouble_are_those_of_requests_that_waited_meanwhile(tmp_path: Path) -> None:
    """Those that came before and were accepted before do not count, nor do those that came afterwards."""
    sent = {"before": 0.0, "into": 9.0, "within": 12.0, "after": 21.0}
    read = {"before": 1.0, "into": 15.0, "within": 13.0, "after": 22.0}
    waits = chaos_delays.waits(sent, _tail(tmp_path, read, []))
    trouble = chaos_delays.Interval("broker SIGKILL", 10.0, 20.0)
    assert waits.during([trouble]) == chaos_delays.Summary(2, 6.0, 6.0, 6.0)
    assert waits.during([]) == chaos_delays.Summary(0, 0.0, 0.0, 0.0)


def test_longest_stall_counts_only_while_work_waits(tmp_path: Path) -> None:
    """An hour without requests is no stall; events of other requests end one."""
    sent, read = {"a": 3600.0, "b": 3610.0}, {"a": 3609.0, "b": 3612.0}
    waits = chaos_delays.waits(sent, _tail(tmp_path, read, [10.0, 3604.0, 3609.0, 3612.0]))
    assert waits.longest_stall_s() == 5.0


async def test_no_lane_runs_far_ahead_of_the_slowest() -> None:
    """Troubles of every sort meet each other until the end, and each is counted when it has bitten."""
    gate = asyncio.Event()

    async def slow() -> bool:
        await gate.wait()
        return True

    quick = chaos_lanes.Lane("quick ones", {"quick": (_nothing, 1)}, ["quick"] * 10, suffix=", by default")
    lanes = [quick, chaos_lanes.Lane("slow ones", {"slow": (slow, 1)}, ["slow"])]
    schedule = chaos_lanes.Schedule(lanes, random.Random(1), pause_s=(0.0, 0.0), look_s=0.0)  # noqa: S311
    running = asyncio.create_task(schedule.run())
    for _ in range(100):
        await asyncio.sleep(0)
    held_at = quick.ended
    gate.set()
    await running
    assert held_at == 2  # a tenth ahead, and one more to get there
    assert schedule.done == {"quick, by default": 10, "slow": 1}
    assert {interval.kind for interval in schedule.intervals} == {"quick", "slow"}


async def test_relay_that_no_trouble_ended_is_a_fault_with_its_reason(tmp_path: Path) -> None:
    """Also while a trouble has it: only a signal that troubles send counts as theirs."""
    log = tmp_path / "relay.log"
    log.write_text('{"event": "fine", "level": "info"}\n{"event": "kafka_lost", "error": "silent", "level": "error"}\n')
    group = chaos_fleet.Group("unit", 0, {}, ["nowhere"])
    fleet = chaos_fleet.Fleet(group, tmp_path, random.Random(1), Counter())  # noqa: S311
    ends = {"killed": "import os; os.kill(os.getpid(), 9)", "by itself": "raise SystemExit(3)"}
    for name, script in ends.items():
        process = child.Child([sys.executable, "-c", script], log=log)
        process.wait(20)
        relay = chaos_fleet.Relay(process, tmp_path / name, taken=True)
        fleet.relays.append(relay)
        await fleet.give(relay)
    assert fleet.faults == ["by itself ended by itself with 3: event=kafka_lost error=silent"]
    assert fleet.count["relays that ended by themselves"] == 1


async def test_order_that_is_carried_out_late_is_no_fault(tmp_path: Path) -> None:
    """A relay may pass the point in the moment in which its trouble gives it back; without an order it is a fault."""
    group = chaos_fleet.Group("unit", 0, {}, ["nowhere"])
    fleet = chaos_fleet.Fleet(group, tmp_path, random.Random(1), Counter())  # noqa: S311
    script = "import os, sys; sys.stdin.read(); os.kill(os.getpid(), 9)"
    for name in ("ordered", "left alone"):
        process = child.Child([sys.executable, "-c", script], log=tmp_path / f"{name}.log")
        relay = chaos_fleet.Relay(process, tmp_path / name, taken=True)
        if name == "ordered":
            relay.order("before the POST", 1, signal.SIGKILL)
        fleet.relays.append(relay)
        relay.forget()
        relay.taken = False
        process.wait(20)
    await fleet.replace_dead()
    assert [fault.split(" ended")[0] for fault in fleet.faults] == ["left alone"]
