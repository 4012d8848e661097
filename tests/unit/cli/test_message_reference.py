"""The generated page names all that the models have."""

from __future__ import annotations

import re

import pytest

from mrs_relay.cli import message_reference
from mrs_relay.messages import events, reasons, registry

_PAGE = message_reference.markdown()


@pytest.mark.parametrize("kind", sorted(registry.REQUESTS))
def test_every_field_of_a_request_has_a_row(kind: str) -> None:
    """Fields inside fields, too, and an example behind them."""
    section = _PAGE[_PAGE.index(f"### {kind}\n") :].partition("\n### ")[0].partition("\n## ")[0]
    for name in registry.REQUESTS[kind].model_fields:
        assert f"| `data.{name}` |" in section
    assert f'"type": "{kind}"' in section


def test_fields_inside_fields_have_rows() -> None:
    """With limits, defaults and what must be there."""
    assert "| `data.job.arguments` | list of string |" in _PAGE
    assert re.search(r"\| `data\.retry\.attempts` \| integer \| yes \|  \| ≥ 2, ≤ 20 \| \w", _PAGE)
    assert re.search(r"\| `data\.priority` \| integer \|  \| `5` \| ≥ 0, ≤ 9 \|", _PAGE)
    assert "| `result.statements[].row_count` |" in _PAGE


def test_every_state_class_and_code_is_reported() -> None:
    """The closed lists, each with its meaning."""
    for name, meaning in (*events.STATES.items(), *reasons.CLASSES.items(), *reasons.CODES.items()):
        assert re.search(rf"^\| `{re.escape(name)}` \|(.*\|)? {re.escape(meaning)} \|$", _PAGE, re.MULTILINE), name


def test_every_row_has_as_many_cells_as_its_head() -> None:
    """A text with a bar in it would break its table."""
    width = 0
    for line in _PAGE.splitlines():
        cells = len(re.split(r"(?<!\\)\|", line))
        if line.startswith("| --- |"):
            width = cells
        elif line.startswith("|") and width and not line.startswith(("| field", "| type", "| state", "| c", "| what")):
            assert cells == width, line
