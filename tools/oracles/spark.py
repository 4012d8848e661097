"""
Record what Apache Spark answers to the expressions of the emulator's table.

    python tools/oracles/spark.py tests/unit/emulator/expressions     (needs pyspark and Java; `make oracles` runs it)

Reads `spark.txt`, an expression a line, and writes `spark.jsonl`: the engine with its version, then for each
expression its type and value, or the class of the error. Sessions are UTC and not ANSI, as on MRS.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys

import canonical
from pyspark.sql import SparkSession
from pyspark.sql.utils import CapturedException

_ERROR_CLASS = re.compile(r"^\[(?P<name>[A-Z0-9_.]+)\]")


def _session() -> SparkSession:
    options = {
        "spark.driver.host": "127.0.0.1",
        "spark.sql.ansi.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        "spark.ui.enabled": "false",
    }
    builder = SparkSession.builder.master("local[1]")
    for name, value in options.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    return session


def _recorded(session: SparkSession, expression: str) -> dict[str, object]:
    try:
        frame = session.sql(f"SELECT {expression} AS v")
        kind = frame.schema[0].dataType.simpleString()
        text = "timestamp" in kind or "interval" in kind  # text: Python would turn moments into local time
        frame = session.sql(f"SELECT CAST(({expression}) AS STRING) AS v") if text else frame
        value = frame.collect()[0][0]
    except CapturedException as error:
        found = _ERROR_CLASS.match(str(error))
        return {"expression": expression, "error": found["name"] if found else type(error).__name__}
    except Exception as error:  # noqa: BLE001 - an error of Java, whatever its class
        return {"expression": expression, "error": type(error).__name__}
    shown = value if text else canonical.value(value)
    return {"expression": expression, "type": kind, "value": shown}


def main(folder: pathlib.Path) -> None:
    """Write `spark.jsonl` beside `spark.txt`."""
    session = _session()
    lines = [line for line in (folder / "spark.txt").read_text(encoding="utf-8").splitlines() if line]
    rows: list[dict[str, object]] = [{"engine": "Apache Spark", "version": session.version}]
    rows += [_recorded(session, line) for line in lines]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / "spark.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
