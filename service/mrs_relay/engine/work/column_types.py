"""Find the types that the values of columns share, as rows of JSON show them. Pure."""

from __future__ import annotations

import decimal
from collections.abc import Iterable
from typing import Any, Final, Literal

Kind = Literal["bool", "int", "float", "text"]
"""Of a column: true and false; whole numbers of 64 bits; numbers with no more digits than a double; anything else."""

_SAFE: Final = 2**53
_LONG: Final = 2**63
_BOOL, _INT, _BOTH, _FLOAT, _OTHER = 1, 2, 4, 8, 16
"""What was seen: true or false; whole numbers of 64 bits; such ones that a double holds; doubles; anything else."""


class ColumnTypes:
    """
    Types of the columns of one result; every value of a column must fit its type without a change.

    Whole numbers beyond 64 bits, numbers with more digits than a double holds, lists and objects make a column one of
    text, and so do values of two kinds. A column without a value is text.
    """

    def __init__(self) -> None:
        self._seen: list[int] = []

    def add(self, values: Iterable[Any]) -> None:
        """Take the values of one row; None is of every type."""
        for at, value in enumerate(values):
            if at == len(self._seen):
                self._seen.append(0)
            self._seen[at] |= _seen(value)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The types so far, in the order of the columns."""
        return tuple(map(_kind, self._seen))


def _seen(value: Any) -> int:  # noqa: ANN401 - JSON
    if value is None:
        return 0
    if isinstance(value, bool):
        return _BOOL
    if isinstance(value, int):
        is_double = _is_double(value)
        if -_LONG <= value < _LONG:
            return _BOTH if is_double else _INT
        return _FLOAT if is_double else _OTHER
    return _FLOAT if isinstance(value, float) else _OTHER


def _is_double(value: int) -> bool:
    if -_SAFE <= value <= _SAFE:
        return True
    try:
        return decimal.Decimal(repr(float(value))) == value  # the nearest double is written with these digits
    except OverflowError:
        return False


def _kind(seen: int) -> Kind:
    if seen == _BOOL:
        return "bool"
    if seen and not seen & ~(_INT | _BOTH):
        return "int"
    return "float" if seen & _FLOAT and not seen & ~(_FLOAT | _BOTH) else "text"
