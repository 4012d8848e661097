"""Draw line charts as one SVG picture: small panels with logarithmic or linear axes, for light and for dark pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from xml.sax import saxutils

_WIDTH, _HEIGHT = 400, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 20, 34, 40
_COLUMNS: Final = 2
_GAPS: Final = 4
"""Ticks of a linear axis, 0 left out."""

_STYLE: Final = """\
text { font: 12px system-ui, sans-serif; fill: #57606a }
.title { font-weight: 600; font-size: 13px; fill: #24292f }
.grid { stroke: #808080; stroke-opacity: 0.25 }
.line { fill: none; stroke-width: 2 }
.c0 { stroke: #2f6fd6; fill: #2f6fd6 } .c1 { stroke: #d9730d; fill: #d9730d } .c2 { stroke: #2a9d55; fill: #2a9d55 }
path.line { fill: none }
text.c0, text.c1, text.c2 { stroke: none }
@media (prefers-color-scheme: dark) { text { fill: #9da7b3 } .title { fill: #e6edf3 } }
"""

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Panel:
    """
    One chart.

    Attributes:
        title: what is shown, with its unit.
        across: what the horizontal axis counts; it is logarithmic.
        lines: name -> points, x above 0; "" for a single line.
        is_log: the vertical axis is logarithmic, too, and its values are above 0; else it begins at 0.
    """

    title: str
    across: str
    lines: dict[str, Points] = field(default_factory=dict)
    is_log: bool = False


def draw(panels: Sequence[Panel], label: str) -> str:
    """Return the picture of all panels, two in a row; `label` describes it to those who cannot see it."""
    rows = math.ceil(len(panels) / _COLUMNS)
    size = f'viewBox="0 0 {_COLUMNS * _WIDTH} {rows * _HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label={saxutils.quoteattr(label)}>',
        f"<style>\n{_STYLE}</style>",
    ]
    for number, panel in enumerate(panels):
        row, column = divmod(number, _COLUMNS)
        parts.append(f'<g transform="translate({column * _WIDTH}, {row * _HEIGHT})">')
        parts += _drawn(panel)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _drawn(panel: Panel) -> list[str]:
    points = [point for line in panel.lines.values() for point in line]
    across = _Axis([x for x, _ in points], _LEFT, _WIDTH - _RIGHT, is_log=True)
    up = _Axis([y for _, y in points], _HEIGHT - _BOTTOM, _TOP, is_log=panel.is_log)
    parts = [_text(_LEFT, 18, panel.title, "title", "start")]

    for tick in up.ticks:
        y = up.place(tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(_text(_LEFT - 6, y + 4, _short(tick), "", "end"))
    parts += [_text(across.place(tick), _HEIGHT - _BOTTOM + 16, _short(tick), "", "middle") for tick in across.ticks]
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, panel.across, "", "middle"))

    for number, (name, line) in enumerate(panel.lines.items()):
        places = [(across.place(x), up.place(y)) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<path class="line c{number}" d="M{path}"/>')
        parts += [f'<circle class="c{number}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places]
        if name:
            parts.append(_text(_WIDTH - _RIGHT, _TOP + 14 * number + 2, name, f"c{number}", "end"))
    return parts


class _Axis:
    """Places of values along an axis, and its ticks."""

    def __init__(self, values: Sequence[float], begin: float, end: float, *, is_log: bool) -> None:
        self._begin, self._end, self._is_log = begin, end, is_log
        if is_log:
            first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
            self.ticks = [10.0**power for power in range(first, max(last, first + 1) + 1)]
        else:
            step = _round_up(max(values) / _GAPS)
            self.ticks = [step * number for number in range(math.ceil(max(values) / step) + 1)]

    def place(self, value: float) -> float:
        first, last = self.ticks[0], self.ticks[-1]
        if self._is_log:
            part = math.log10(value / first) / math.log10(last / first)
        else:
            part = (value - first) / (last - first)
        return self._begin + part * (self._end - self._begin)


def _round_up(step: float) -> float:
    """Return the next larger one of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return next(times * power for times in (1, 2, 5, 10) if times * power >= step)


def _short(value: float) -> str:
    for unit, name in ((1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>{saxutils.escape(text)}</text>'
