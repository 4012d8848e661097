"""Lay out the life of a request as bars over time, a lane for each attempt; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mrs_relay.common import clock
from mrs_relay.messages import events

WIDTH: Final = 960
_LEFT: Final = 84
_RIGHT: Final = 30
_LANE: Final = 34
_TOP: Final = 8
_AXIS: Final = 24
_TICKS: Final = 5
_LEAST_WIDTH: Final = 4.0
_LETTER_WIDTH: Final = 7.5
_MOST_BARS: Final = 200


@dataclass(frozen=True, slots=True)
class Bar:
    """The time that a request was in one state; `fits` says whether its name can be written on it."""

    state: str
    x: float
    y: int
    width: float
    start_ms: int
    lasted_ms: int
    fits: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the axis: its place, and the time since the beginning."""

    x: float
    after_ms: int


@dataclass(frozen=True, slots=True)
class Timeline:
    """
    The picture.

    Attributes:
        bars: in the order of time.
        lanes: number of each attempt with the place of its lane.
        ticks: of the axis.
        height: of the whole.
        lasted_ms: from the first event to the last one, or until now.
        left_out: number of the earliest bars, which are not drawn.
    """

    bars: Sequence[Bar]
    lanes: Mapping[int, int]
    ticks: Sequence[Tick]
    height: int
    lasted_ms: int
    left_out: int


@dataclass(frozen=True, slots=True)
class _Stay:
    state: str
    attempt: int
    start_ms: int


def draw(found: Sequence[Mapping[str, Any]], now_ms: int) -> Timeline | None:
    """
    Lay out the events of a request, CloudEvents in order; None: there is nothing to draw.

    Args:
        found: the events.
        now_ms: where the last state ends if it is not final.
    """
    all_stays = _stays(found)
    if not all_stays:
        return None
    stays = all_stays[-_MOST_BARS:]
    last = stays[-1]
    start_ms = stays[0].start_ms
    end_ms = last.start_ms if last.state in events.LAST else max(now_ms, last.start_ms)
    scale = (WIDTH - _LEFT - _RIGHT) / max(1, end_ms - start_ms)

    attempts = sorted({stay.attempt for stay in stays})
    lanes = {attempt: _TOP + place * _LANE for place, attempt in enumerate(attempts)}
    ends = [*(stay.start_ms for stay in stays[1:]), end_ms]
    bars = [_bar(stay, until_ms, lanes, start_ms, scale) for stay, until_ms in zip(stays, ends, strict=True)]
    step_ms = (end_ms - start_ms) / _TICKS
    ticks = [Tick(round(_LEFT + place * step_ms * scale, 1), round(place * step_ms)) for place in range(_TICKS + 1)]
    return Timeline(
        bars=bars,
        lanes=lanes,
        ticks=ticks if end_ms > start_ms else ticks[:1],
        height=_TOP + len(lanes) * _LANE + _AXIS,
        lasted_ms=end_ms - start_ms,
        left_out=len(all_stays) - len(stays),
    )


def _bar(stay: _Stay, until_ms: int, lanes: Mapping[int, int], start_ms: int, scale: float) -> Bar:
    lasted_ms = max(0, until_ms - stay.start_ms)
    width = max(_LEAST_WIDTH, lasted_ms * scale)
    x = min(_LEFT + max(0, stay.start_ms - start_ms) * scale, WIDTH - _RIGHT)
    fits = width > len(stay.state) * _LETTER_WIDTH
    return Bar(stay.state, round(x, 1), lanes[stay.attempt], round(width, 1), stay.start_ms, lasted_ms, fits)


def _stays(found: Sequence[Mapping[str, Any]]) -> list[_Stay]:
    """Return how long the request was in which state; what only repeats a state, or its progress, begins no new one."""
    stays: list[_Stay] = []
    for event in found:
        data = event.get("data") or {}
        try:
            start_ms = clock.epoch_ms(event["time"])
            state, attempt = str(data["state"]), max(1, int(data.get("attempt", 1)))
        except (KeyError, ValueError, TypeError):  # an event of a foreign program
            continue
        if data.get("repeated"):
            continue
        if data.get("sequence") == 1:
            stays = []  # the id was sent again after it had been forgotten
        state = "running" if state == "progress" else state
        if not stays or (stays[-1].state, stays[-1].attempt) != (state, attempt):
            stays.append(_Stay(state, attempt, start_ms))

    return stays
