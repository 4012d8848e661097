"""
Record what Presto answers to the expressions and the mistakes of the emulator's tables.

    python -m tools.oracles.presto CACHE tests/unit/emulator     (needs Maven and a JDK 17; `make oracles` runs it)

A server of Presto 333 runs them, over HTTP as its clients do. Its catalog `hive` is one of ours, whose tables have
columns and no rows, since the connector to Hive needs a metastore. Sessions are UTC.
"""

from __future__ import annotations

import base64
import json
import math
import pathlib
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from tools.oracles import canonical, jvm, lists

_HEADERS = {
    "X-Presto-User": "mrs",
    "X-Presto-Catalog": "hive",
    "X-Presto-Schema": "default",
    "X-Presto-Time-Zone": "UTC",
}


def ask(server: str, statement: str) -> dict[str, Any]:
    """Return the last answer to a statement, with all of its rows in `data`."""
    asked = urllib.request.Request(f"{server}/v1/statement", statement.encode(), _HEADERS)  # noqa: S310 - our own server
    rows: list[Any] = []
    columns = None
    while True:
        with urllib.request.urlopen(asked) as reply:  # noqa: S310 - our own server
            found: dict[str, Any] = json.load(reply)
        rows += found.get("data") or []
        columns = found.get("columns") or columns
        if "nextUri" not in found:
            return {**found, "data": rows, "columns": columns}
        asked = urllib.request.Request(found["nextUri"])  # noqa: S310 - our own server


def value(found: Any, signature: Mapping[str, Any]) -> object:  # noqa: PLR0911 - a table of types
    """Return a value of a reply in the form of `canonical.py`."""
    if found is None:
        return None

    inner = [one["value"] for one in signature.get("arguments", [])]
    match signature["rawType"]:
        case "decimal":
            return {"decimal": found}
        case "double" | "real":
            number = float(found)
            return number if math.isfinite(number) else {"double": str(number)}
        case "timestamp" | "time":
            return canonical.short(found)
        case "varbinary":
            return {"binary": base64.b64decode(found).hex()}
        case "array":
            return [value(one, inner[0]) for one in found]
        case "map":
            return {key: value(one, inner[1]) for key, one in found.items()}
        case "row":
            return [value(one, kind["typeSignature"]) for one, kind in zip(found, inner, strict=True)]
        case _:
            return found


def _expression(server: str, expression: str) -> dict[str, object]:
    found = ask(server, f"SELECT {expression} AS v")
    if "error" in found:
        return {"expression": expression, "error": found["error"]["errorName"], "text": found["error"]["message"]}
    column = found["columns"][0]
    shown = value(found["data"][0][0], column["typeSignature"])
    return {"expression": expression, "type": column["type"], "value": shown}


def _mistake(server: str, statement: str) -> dict[str, object]:
    found = ask(server, statement)
    if "error" not in found:
        return {"statement": statement, "error": None}
    error = found["error"]
    place = error.get("errorLocation") or {}
    return {
        "statement": statement,
        "error": error["message"],
        "name": error["errorName"],
        "code": error["errorCode"],
        "line": place.get("lineNumber"),
        "column": place.get("columnNumber"),
    }


def _functions(server: str) -> dict[str, str]:
    """Return what each function expects, in the words of the error that follows arguments of no use to any."""
    nonsense = ", ".join(["CAST(NULL AS row(nonsense integer))"] * 9)
    found = {}
    for name in sorted({str(row[0]) for row in ask(server, "SHOW FUNCTIONS")["data"]}):
        error = ask(server, f'SELECT "{name}"({nonsense})').get("error") or {}
        found[name] = str(error.get("message", "")).partition("Expected: ")[2]
    return found


def main(cache: pathlib.Path, folder: pathlib.Path, chosen: Sequence[str] = lists.ALL) -> None:
    """Write the chosen lists: `presto.jsonl` beside `presto.txt`, and the functions."""
    cache.mkdir(parents=True, exist_ok=True)
    command = ["-cp", "{classes}:{jars}/*", "PrestoServer"]
    with jvm.Program("java_presto", cache, command, cache / "presto.log") as program:
        line = program.line()
        while not line.startswith("READY "):
            line = program.line()
        server = line.removeprefix("READY ")
        head: dict[str, object] = {"engine": "Presto", "version": "333 (prestosql)"}
        if lists.FUNCTIONS in chosen:
            lists.write_functions("presto", _functions(server))

        if lists.MISTAKES in chosen:
            made, wrong = lists.mistakes(folder, "presto")
            for statement in made:
                assert "error" not in ask(server, statement), statement
            rows: list[dict[str, object]] = [{**head, "made": made}, *(_mistake(server, one) for one in wrong)]
            lists.write(folder / lists.MISTAKES / "presto.jsonl", rows)

        if lists.EXPRESSIONS in chosen:
            rows = [head, *(_expression(server, one) for one in lists.expressions(folder, "presto"))]
            lists.write(folder / lists.EXPRESSIONS / "presto.jsonl", rows)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:] or lists.ALL)
