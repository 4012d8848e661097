"""Write times, durations and numbers for people."""

from __future__ import annotations

import msgspec

from mrs_relay.common import clock

_SECOND_MS = 1_000
_MINUTE_S = 60
_HOUR_S = 3_600
_DAY_S = 86_400
_TENTHS_S = 10


def moment(epoch_ms: int) -> str:
    """Write milliseconds since the epoch as date and time of day in UTC."""
    return clock.shown(epoch_ms)[:19].replace("T", " ")


def duration(milliseconds: int) -> str:
    """Write a duration in its two largest units."""
    if milliseconds < _SECOND_MS:
        return f"{max(0, milliseconds)} ms"
    seconds = milliseconds // _SECOND_MS
    if seconds < _TENTHS_S:
        return f"{milliseconds / _SECOND_MS:.1f} s"
    if seconds < _MINUTE_S:
        return f"{seconds} s"
    if seconds < _HOUR_S:
        return f"{seconds // _MINUTE_S} min {seconds % _MINUTE_S} s"
    if seconds < _DAY_S:
        return f"{seconds // _HOUR_S} h {seconds % _HOUR_S // _MINUTE_S} min"
    return f"{seconds // _DAY_S} d {seconds % _DAY_S // _HOUR_S} h"


def number(value: int) -> str:
    """Write a number with its thousands apart."""
    return f"{value:,}"


def json_text(value: object) -> str:
    """Write JSON for reading."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
