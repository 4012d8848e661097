"""
Which functions are played, by dialect. The tests compare answers of those that the tables of expressions use.

Names are sqlglot's classes, which stand for all spellings of a function (`Coalesce` is also nvl and ifnull), and
plain names for the functions that sqlglot does not know. Everything else is refused. `meaning.py` has more: the
functions that it rewrites.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from mrs_emulator.sql import statement

_EVERYWHERE: Final = frozenset(
    [
        "Abs",
        "And",
        "Array",
        "ArrayFilter",
        "Avg",
        "Case",
        "Cbrt",
        "Chr",
        "Coalesce",
        "Cos",
        "Cosh",
        "Count",
        "CountIf",
        "CumeDist",
        "CurrentDate",
        "CurrentTimestamp",
        "Degrees",
        "DenseRank",
        "Exp",
        "FirstValue",
        "Grouping",
        "If",
        "Lag",
        "LastValue",
        "Lead",
        "Length",
        "Lower",
        "Map",
        "Max",
        "Min",
        "Ntile",
        "Nullif",
        "Or",
        "Paren",
        "PercentRank",
        "Pi",
        "Radians",
        "Rand",
        "Rank",
        "Replace",
        "Reverse",
        "RowNumber",
        "Sin",
        "Sinh",
        "StartsWith",
        "Stddev",
        "StddevPop",
        "StddevSamp",
        "Sum",
        "Tan",
        "Tanh",
        "Transform",
        "Trim",
        "Unnest",
        "Upper",
        "Uuid",
        "Variance",
        "VariancePop",
        "Xor",
        "Atan",
        "Atan2",
        "ArrayMax",
        "ArrayMin",
        "MapKeys",
        "Explode",
        "ExplodeOuter",
        "Posexplode",
        "Columns",
        "AnyValue",
        "Flatten",
        "ArgMax",
        "ArgMin",
        "Exists",
        "Values",
        "LogicalAnd",
        "LogicalOr",
    ]
)
_JAVA: Final = frozenset(
    [
        "Contains",
        "Struct",
        "Cot",
        "EndsWith",
        "First",
        "Last",
        "Levenshtein",
        "MD5",
        "Nvl2",
        "SHA",
        "VarMap",
        "Translate",
        "IsNan",
    ]
)

CLASSES: Final[Mapping[statement.Dialect, frozenset[str]]] = {
    "spark": _EVERYWHERE | _JAVA | frozenset(["ArrayCompact", "ArrayAppend", "Median"]),
    "hive": _EVERYWHERE | _JAVA,
    "presto": (_EVERYWHERE - {"Sinh"}) | frozenset(["Reduce"]),
}
"""Classes of sqlglot that mean to DuckDB what they mean to the dialect."""

NAMES: Final[Mapping[statement.Dialect, frozenset[str]]] = {
    "spark": frozenset({"bin", "map_values"}),
    "hive": frozenset({"bin", "map_values"}),
    "presto": frozenset({"codepoint", "map_values"}),
}
"""Functions that sqlglot passes on by name."""
