r"""
The lists that engines are asked, and what they answered: texts of a line each, and JSON lines beside them.

`expressions/ENGINE.txt` has an expression a line. `mistakes/ENGINE.txt` has statements that make tables, an empty line,
and statements that are wrong; `\n` in them is a line break.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterable, Mapping

EXPRESSIONS = "expressions"
MISTAKES = "mistakes"
FUNCTIONS = "functions"
ALL = (FUNCTIONS, MISTAKES, EXPRESSIONS)
FOLDER = pathlib.Path(__file__).parents[2] / "tests" / "unit" / "emulator"
_FUNCTIONS = pathlib.Path(__file__).parents[2] / "service" / "mrs_emulator" / "sql" / "functions"


def expressions(folder: pathlib.Path, engine: str) -> list[str]:
    """Return the expressions of an engine."""
    lines = (folder / EXPRESSIONS / f"{engine}.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line]


def mistakes(folder: pathlib.Path, engine: str) -> tuple[list[str], list[str]]:
    """Return the statements that make the tables, and the wrong ones."""
    text = (folder / MISTAKES / f"{engine}.txt").read_text(encoding="utf-8")
    made, wrong = (part.splitlines() for part in text.split("\n\n"))
    return list(made), [one.replace("\\n", "\n") for one in wrong]


def write(path: pathlib.Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def write_functions(engine: str, found: Mapping[str, str]) -> None:
    """Write the names of an engine's functions, and what each expects where the engine says it."""
    text = json.dumps(found, ensure_ascii=False, indent=0, sort_keys=True)
    (_FUNCTIONS / f"{engine}.json").write_text(text + "\n", encoding="utf-8")
