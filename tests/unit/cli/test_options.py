"""Texts of options: durations and pairs."""

from __future__ import annotations

import pytest
import typer

from mrs_relay.cli import options


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("0.5s", 0.5),
        ("", None),
        ("10", None),
        ("9" * 400 + "d", None),
        ("36500d", 3_153_600_000),
        ("36501d", None),
        ("x10m", None),
    ],
)
def test_a_duration_is_numbers_with_units(text: str, seconds: float | None) -> None:
    """Anything else is no duration."""
    assert options.seconds(text) == seconds


def test_a_pair_may_hold_more_equals_signs() -> None:
    """Only the first one separates name and value."""
    assert options.pairs(["a=b=c", "d="], option="--label") == {"a": "b=c", "d": ""}


@pytest.mark.parametrize("text", ["a", "=b", ""])
def test_a_text_without_name_or_equals_is_refused(text: str) -> None:
    """The error names the option."""
    with pytest.raises(typer.BadParameter, match="name=value"):
        options.pairs([text], option="--label")
