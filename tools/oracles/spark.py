"""
Record what Apache Spark answers to the expressions and the mistakes of the emulator's table.

    python -m tools.oracles.spark tests/unit/emulator     (needs pyspark and Java; `make oracles` runs it)

Writes `spark.jsonl` beside each `spark.txt` of `lists.py`: the engine with its version, then for each expression its
type and value, or the class of the error; for each mistake the error without the plan that Spark prints behind it.
Sessions are UTC and not ANSI, as on MRS.
"""

from __future__ import annotations

import pathlib
import re
import sys
import tempfile
from collections.abc import Sequence

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession
from pyspark.sql.utils import CapturedException
from tools.oracles import canonical, lists

_PLAN = re.compile(r";\n'?[A-Z]\w+[ \[(\n].*", re.DOTALL)
_ERROR_CLASS = re.compile(r"^\[(?P<name>[A-Z0-9_.]+)\]")


def _session(home: str) -> SparkSession:
    options = {
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={home}",
        "spark.sql.warehouse.dir": f"{home}/warehouse",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.ansi.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        "spark.ui.enabled": "false",
    }

    builder = SparkSession.builder.master("local[1]").enableHiveSupport()
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


def _mistake(session: SparkSession, statement: str) -> dict[str, object]:
    try:
        session.sql(statement).collect()
    except CapturedException as error:
        text = str(error)
        return {
            "statement": statement,
            "error": _PLAN.sub("", text.partition("\n\nJVM stacktrace")[0]),
            "class": error.getErrorClass(),
            "state": error.getSqlState(),
        }
    except Py4JJavaError as error:  # while it ran
        return {"statement": statement, "error": str(error.java_exception.getMessage()), "class": None, "state": None}
    return {"statement": statement, "error": None}


def main(folder: pathlib.Path, chosen: Sequence[str] = lists.ALL) -> None:
    """Write the chosen lists: `spark.jsonl` beside `spark.txt`, and the names of functions."""
    with tempfile.TemporaryDirectory() as home:
        session = _session(home)
        head = {"engine": "Apache Spark", "version": session.version}

        if lists.FUNCTIONS in chosen:
            names = sorted(str(row[0]) for row in session.sql("SHOW FUNCTIONS").collect())
            lists.write_functions("spark", dict.fromkeys(names, ""))

        if lists.MISTAKES in chosen:
            made, wrong = lists.mistakes(folder, "spark")
            for statement in made:
                session.sql(statement)
            rows = [{**head, "made": made}, *(_mistake(session, one) for one in wrong)]
            lists.write(folder / lists.MISTAKES / "spark.jsonl", rows)

        if lists.EXPRESSIONS in chosen:
            rows = [head, *(_recorded(session, one) for one in lists.expressions(folder, "spark"))]
            lists.write(folder / lists.EXPRESSIONS / "spark.jsonl", rows)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), sys.argv[2:] or lists.ALL)
