"""Names that others chose are shown only if they are names."""

from __future__ import annotations

import pytest

from mrs_relay.common import safe_text


@pytest.mark.parametrize("word", ["cluster", "job_name", "x-1", "a.b", 7, "0", "[key]", "_x", "x" * 64])
def test_names_and_positions_are_shown(word: object) -> None:
    """A misspelt field must be found."""
    assert safe_text.name(word) == str(word)


@pytest.mark.parametrize("word", ["", "a b", "\x00", "a\n", "ü", "'; drop", "x" * 65, "-1", "²", "1a"])
def test_anything_else_is_not_shown(word: str) -> None:
    """It could be data, or control characters."""
    assert safe_text.name(word) == "(name not shown)"
