"""
Write docs/emulator-sql.md: what the emulator plays of each engine's SQL, from the tables that the tests compare.

    python -m tools.oracles.page        (`make oracles-page`; a test says when the page is out of date)
"""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Mapping

from tools.oracles import playing

from mrs_emulator.sql import statement

_PAGE = pathlib.Path(__file__).parents[2] / "docs" / "emulator-sql.md"
_NAMES = {"spark": "SparkSql, SparkScript", "hive": "HiveSql, HiveScript", "presto": "ExecuteSql"}
_HEAD = """\
# SQL that the emulator plays

Made by `make oracles-page` from the tables in `tests/unit/emulator/expressions/`; do not edit it.

A Spark expression below has the value that Spark 3.5.3 gave. Values of Hive and Presto were written by hand from
knowledge of their documentation: no engine was run. What has no such value is refused: `not played: WHAT; WHAT TO DO`.
Functions that are neither below nor in `mrs_emulator/sql/played.py` or the rewrites beside it are refused, DuckDB's own
among them. Known to differ: the type of a quotient or average of
decimal *columns* is double (literals and casts have the engine's decimal type), and rows without ORDER BY may come in
another order.
"""


def text(found: Mapping[statement.Dialect, playing.Played]) -> str:
    """The page."""
    parts = [_HEAD]
    for engine, one in found.items():
        parts.append(
            f"\n## {one.name} ({_NAMES[engine]})\n\nValues: {one.name}, {one.version}. "
            f"{len(one.right)} expressions right, {len(one.refused)} refused.\n\nPlayed:\n\n"
            + "".join(f"- `{expression}`\n" for expression in one.right)
            + (
                "\nNot played:\n\n" + "".join(f"- `{expression}`\n" for expression in one.refused)
                if one.refused
                else ""
            )
        )
    return "".join(parts)


def main() -> None:
    """Write the page."""
    found = {engine: asyncio.run(playing.play(engine)) for engine in playing.ENGINES}
    _PAGE.write_text(text(found), encoding="utf-8")


if __name__ == "__main__":
    main()
