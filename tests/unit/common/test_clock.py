"""Two readings of time, and how a moment is written."""

from __future__ import annotations

import asyncio
import datetime as dt
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mrs_relay.common import clock


@pytest.mark.looptime
async def test_loop_clock_moves_with_the_loop() -> None:
    """Wall time of a simulation starts where it is asked to and follows the loop's time to the millisecond."""
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


@pytest.mark.parametrize(
    ("expected", "shown"),
    [
        (1_795_420_800_000, "2026-11-23T08:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "253402300800000 (not a time in milliseconds)"),
        (1_795_420_800_000_000, "1795420800000000 (not a time in milliseconds)"),
        (2**63 - 1, "9223372036854775807 (not a time in milliseconds)"),
        (10**40, f"{10**40} (not a time in milliseconds)"),
        (0, "0 (not a time in milliseconds)"),
        (-1, "-1 (not a time in milliseconds)"),
        (-(2**63), "-9223372036854775808 (not a time in milliseconds)"),
    ],
)
def test_what_others_call_a_time_is_shown_as_what_it_is(expected: int, shown: str) -> None:
    """Kafka and MRS pass on any number as a time; none of them stops what only shows it."""
    assert clock.shown(expected) == shown
    assert clock.is_moment(expected) is (shown[-1] == "Z")


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_every_moment_has_the_same_shape(epoch_ms: int) -> None:
    """Four digits of the year, three of the second's fraction, in the year 1 as in 9999."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", clock.rfc3339(epoch_ms))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ("2016-12-31t18:59:60.5-05:00", "2016-12-31T19:00:00.5-05:00"),
        ("2016-12-31T23:58:60Z", "2016-12-31T23:58:60Z"),
        ("9999-12-31T23:59:60Z", "9999-12-31T23:59:60Z"),
        ("0001-01-01T00:59:60+01:00", "0001-01-01T00:59:60+01:00"),
        ("2016-02-30T23:59:60Z", "2016-02-30T23:59:60Z"),
        ("2016-12-31T23:59:59Z", "2016-12-31T23:59:59Z"),
        ("nothing", "nothing"),
    ],
)
def test_leap_second_is_the_second_after(text: str, read: str) -> None:
    """Datetimes know no second 60; what is none by RFC 3339 is left for them to refuse."""
    assert clock.without_leap_second(text) == read
