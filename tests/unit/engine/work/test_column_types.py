"""The types that the values of columns share."""

from __future__ import annotations

import decimal
from typing import Any

import pytest

from mrs_relay.engine.work import column_types


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([True, None, False], "bool"),
        ([1, -(2**63), 2**63 - 1], "int"),
        ([1, 0.5, None], "float"),
        ([10**20, 0.5], "float"),
        ([21657486431813590, 0.5], "float"),
        ([10**20], "float"),
        ([None, None], "text"),
        ([True, 1], "text"),
        ([2**53 + 1, 0.5], "text"),
        ([2**63 + 1], "text"),
        ([10**400, 0.5], "text"),
        ([decimal.Decimal("1.00000000000000000001"), 1], "text"),
        ([1, "1"], "text"),
        ([[1]], "text"),
        ([{"a": 1}, None], "text"),
    ],
)
def test_every_value_fits_the_type_of_its_column(values: list[Any], kind: str) -> None:
    """A number that the type would change makes it text, and so do values of two kinds."""
    for ordered in (values, values[::-1]):
        types = column_types.ColumnTypes()
        for value in ordered:
            types.add(["x", value])
        assert types.kinds == ("text", kind)
    assert column_types.ColumnTypes().kinds == ()
