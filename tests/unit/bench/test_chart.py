"""Pictures of the benchmarks: what is drawn where."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from bench import chart

_SVG = "{http://www.w3.org/2000/svg}"


def _panel(**more: bool) -> chart.Panel:
    return chart.Panel("Memory, MB", "requests", {"a < b": [(10, 1), (1000, 40)], "c": [(10, 2), (100, 4)]}, **more)


@pytest.mark.parametrize("is_log", [False, True])
def test_each_point_is_drawn_within_its_panel_and_larger_values_are_higher_and_further_right(*, is_log: bool) -> None:
    """Both lines share the axes."""
    root = ET.fromstring(chart.draw([_panel(is_log=is_log)], "What grows & how"))  # noqa: S314 - our own
    points = [(float(one.get("cx", "")), float(one.get("cy", ""))) for one in root.iter(f"{_SVG}circle")]
    (first_x, first_y), (last_x, last_y), (other_x, other_y), _ = points
    assert first_x == other_x
    assert first_y > other_y > last_y
    assert last_x > first_x
    width, height = (float(size) for size in root.get("viewBox", "").split()[2:])
    assert all(0 < x < width and 0 < y < height for x, y in points)


def test_titles_axes_and_names_of_lines_are_written() -> None:
    """Also with characters that mean something in XML."""
    root = ET.fromstring(chart.draw([_panel()] * 3, "What grows & how"))  # noqa: S314 - our own
    texts = [one.text for one in root.iter(f"{_SVG}text")]
    assert root.get("aria-label") == "What grows & how"
    assert [texts.count(text) for text in ("Memory, MB", "requests", "a < b", "c")] == [3, 3, 3, 3]
    assert {"0", "10", "40", "1 k"} <= set(texts)


def test_nothing_is_loaded_from_elsewhere() -> None:
    """The picture is shown on a page that loads nothing of other servers."""
    assert re.findall(r"https?://[^\"]+", chart.draw([_panel()], "x")) == ["http://www.w3.org/2000/svg"]
