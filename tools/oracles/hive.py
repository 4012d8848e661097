"""
Record what Hive answers to the expressions and the mistakes of the emulator's tables.

    python -m tools.oracles.hive CACHE tests/unit/emulator     (needs Maven and a JDK 17; `make oracles` runs it)

Hive 3.1.3 runs in one process, its jobs by Hadoop's local runner. Moments are UTC.
"""

from __future__ import annotations

import decimal
import json
import math
import pathlib
import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from tools.oracles import canonical, jvm, lists

_BARE_KEY = re.compile(r"([{,])(-?[0-9.]+|true|false):")
_NESTED = re.compile(r"(array|map|struct|uniontype)<")

Ask = Callable[[str], dict[str, Any]]


def value(found: Any, kind: str) -> object:
    """Return a value as HiveServer2 hands it over, in the form of `canonical.py`."""
    if found is None:
        return None
    if _NESTED.match(kind):
        read = (lambda text: {"decimal": text}) if "decimal" in kind and "double" not in kind else float
        return json.loads(_BARE_KEY.sub(r'\1"\2":', found), parse_float=read)
    if kind.startswith("decimal"):
        scale = kind.removesuffix(")").partition(",")[2]
        return {"decimal": f"{decimal.Decimal(found):.{scale}f}"}
    if kind in {"double", "float"}:
        number = float(found)
        return number if math.isfinite(number) else {"double": str(number)}
    if kind == "binary":
        return {"binary": found.encode().hex()}
    return canonical.short(found) if kind.startswith("timestamp") else found


def _expression(ask: Ask, expression: str) -> dict[str, object]:
    found = ask(f"SELECT {expression} AS v")
    if "error" in found:
        return {"expression": expression, "error": found["code"], "text": found["error"]}
    kind = found["types"][0].partition(" ")[2]
    return {"expression": expression, "type": kind, "value": value(found["rows"][0][0], kind)}


def _mistake(ask: Ask, statement: str) -> dict[str, object]:
    found = ask(statement)
    return {"statement": statement} | {key: found.get(key) for key in ("error", "code", "state")}


def main(cache: pathlib.Path, folder: pathlib.Path, chosen: Sequence[str] = lists.ALL) -> None:
    """Write the chosen lists: `hive.jsonl` beside `hive.txt`, and the names of functions."""
    cache.mkdir(parents=True, exist_ok=True)
    head: dict[str, object] = {"engine": "Apache Hive", "version": "3.1.3"}
    with tempfile.TemporaryDirectory() as home:
        options = [f"-Dderby.stream.error.file={home}/derby.log"]
        command = [*options, "-cp", "{classes}", "HiveLauncher", "{classes}", "{jars}", "HiveProgram", home]
        with jvm.Program("java_hive", cache, command, cache / "hive.log") as program:

            def ask(statement: str) -> dict[str, Any]:
                found: dict[str, Any] = json.loads(program.line(json.dumps(statement)))
                return found

            if lists.FUNCTIONS in chosen:
                names = sorted(str(row[0]) for row in ask("SHOW FUNCTIONS")["rows"])
                lists.write_functions("hive", dict.fromkeys(names, ""))
            if lists.MISTAKES in chosen:
                made, wrong = lists.mistakes(folder, "hive")
                for statement in made:
                    assert "error" not in ask(statement), statement
                rows: list[dict[str, object]] = [{**head, "made": made}, *(_mistake(ask, one) for one in wrong)]
                lists.write(folder / lists.MISTAKES / "hive.jsonl", rows)
            if lists.EXPRESSIONS in chosen:
                rows = [head, *(_expression(ask, one) for one in lists.expressions(folder, "hive"))]
                lists.write(folder / lists.EXPRESSIONS / "hive.jsonl", rows)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:] or lists.ALL)
