"""
Write docs/emulator-sql.md: what the emulator plays of each engine's SQL, from the tables that the tests compare.

    python -m tools.oracles.page        (`make oracles-page`; a test says when the page is out of date)
"""

from __future__ import annotations

import asyncio
import pathlib
from collections.abc import Mapping

from tools.oracles import lists, playing

from mrs_emulator.sql import statement

_PAGE = pathlib.Path(__file__).parents[2] / "docs" / "emulator-sql.md"
_NAMES = {"spark": "SparkSql, SparkScript", "hive": "HiveSql, HiveScript", "presto": "ExecuteSql"}
_HEAD = """\
# SQL that the emulator plays

Made by `make oracles-page` from the tables in `tests/unit/emulator/expressions/` and `tests/unit/emulator/mistakes/`;
do not edit it.

The engines themselves were asked (`make oracles`): Spark 3.5.3 in local mode, Hive 3.1.3 in one process with Hadoop's
local runner, Presto 333 as its own test server. An expression below has the value that its engine gave, or fails where
the engine failed. A mistake below has the engine's text, with its code and its place. What has no such value or text is
refused: `not played: WHAT; WHAT TO DO`. Functions that an engine does not have are answered in its words, too; those
that it has and the emulator does not play are refused, DuckDB's own among them.

What the recordings leave out: the engines ran on Java 17, Hive with one class of its own replaced (it reads private
fields of Java 8); Presto's tables were those of a connector of ours, which has columns and no rows, so that texts of
the Hive connector itself are not among them (a schema that CREATE TABLE does not find is said from knowledge of it).
Spark's texts stand without the plan that Spark prints behind some of them. Texts that name Java's classes, and errors
of rows that no query of the tables reaches, are not played.

Known to differ: the type of a quotient or average of decimal *columns* is double in Spark and Hive (literals and casts
have the engine's decimal type), rows without ORDER BY may come in another order, and the columns of `*` over a join
with USING stand in the order of the first table, not those of USING first.
"""


def text(found: Mapping[str, Mapping[statement.Dialect, playing.Played]]) -> str:
    """Return the page."""
    parts = [_HEAD]
    for engine, one in found[lists.EXPRESSIONS].items():
        wrong = found[lists.MISTAKES][engine]
        parts.append(
            f"\n## {one.name} ({_NAMES[engine]})\n\n{one.name} {one.version}: {len(one.right)} expressions right, "
            f"{len(one.refused)} refused; {len(wrong.right)} mistakes in its words, {len(wrong.refused)} refused.\n"
        )
        titled = {
            "Played": one.right,
            "Not played": one.refused,
            "Mistakes in the engine's words": wrong.right,
            "Mistakes that are not played": wrong.refused,
        }
        parts += [f"\n{title}:\n\n{''.join(map(_item, rows))}" for title, rows in titled.items() if rows]

    return "".join(parts)


def _item(row: str) -> str:
    fence, pad = ("``", " ") if "`" in row else ("`", "")
    shown = row.replace("\n", " ")
    return f"- {fence}{pad}{shown}{pad}{fence}\n"


def main() -> None:
    """Write the page."""
    _PAGE.write_text(text(asyncio.run(playing.all_tables())), encoding="utf-8")


if __name__ == "__main__":
    main()
