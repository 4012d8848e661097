"""Two readings of time, and how a moment is written."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrs_relay.kit import clock


@pytest.mark.looptime
async def test_loop_clock_moves_with_the_loop() -> None:
    """Wall time of a simulation starts where it is told to and follows the loop's time to the millisecond."""
    await asyncio.sleep(100)
    simulated = clock.LoopClock(1_000_000)
    assert simulated.now_ms() == 1_000_000
    before_s = simulated.monotonic_s()
    await asyncio.sleep(3600.25)
    assert simulated.now_ms() == 1_000_000 + 3_600_250
    assert simulated.monotonic_s() - before_s == pytest.approx(3600.25)
    assert simulated.boottime_s() == simulated.monotonic_s()


async def test_system_clock_is_the_machines() -> None:
    """Wall time is the system's, the monotonic side the event loop's, and neither goes back."""
    system = clock.SystemClock()
    assert abs(system.now_ms() - time.time() * 1000) < 2000
    assert system.monotonic_s() == pytest.approx(asyncio.get_running_loop().time(), abs=1)
    readings = [system.boottime_s() for _ in range(100)]
    assert readings == sorted(readings)


def test_boottime_needs_no_boottime_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """On systems without CLOCK_BOOTTIME the monotonic clock serves."""
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    assert clock.SystemClock().boottime_s() == pytest.approx(time.monotonic(), abs=1)


@pytest.mark.parametrize(
    ("epoch_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (7, "1970-01-01T00:00:00.007Z"),
        (1_795_420_800_999, "2026-11-23T08:00:00.999Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
    ],
)
def test_moment_is_written_as_rfc3339(epoch_ms: int, text: str) -> None:
    """UTC, with exactly three digits of milliseconds."""
    assert clock.rfc3339(epoch_ms) == text


@given(st.integers(0, 253_402_300_799_999))
def test_every_millisecond_has_its_own_text(epoch_ms: int) -> None:
    """No millisecond of eight thousand years is lost or rounded away."""
    text = clock.rfc3339(epoch_ms)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text)
    since = dt.datetime.fromisoformat(text) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert since // dt.timedelta(milliseconds=1) == epoch_ms
