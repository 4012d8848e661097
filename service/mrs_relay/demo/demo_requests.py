"""
The messages that the demo sends, and their expected ends.

The 22 TPC-H queries run on Presto, Spark and Hive in turn. Between them are batch jobs of other kinds and some faulty
requests: two that fail, one sent twice, one that is invalid and one that is unreadable.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from mrs_relay.cli import compose

SOURCE: Final = "/mrs-relay/demo"
ANALYTICS: Final = "demo-analytics"
BATCH: Final = "demo-batch"
"""Cluster ids that the demo's MRS has; real ones are UUIDs."""

RESULTS: Final = "obs://demo/answers"
"""The folder that the relay reads rows of SELECTs from."""

LOGS: Final = "obs://demo/logs"
"""The folder in which the emulator leaves the logs of jobs."""

OUT_OF_MEMORY: Final = "nightly-etl"
"""The job that fails, and whose log says why."""

INLINE: Final = {"deliver": "inline"}
"""Asks for rows that MRS leaves in OBS, by the field `result` of a request."""

UNREADABLE: Final = b'{"id": "torn-off", "type": "mrs.sql.sub'
"""A message without a readable request id: only the dead-letter topic can take it."""

_ENGINES: Final = ("presto", "spark", "hive")
_READ_FROM_OBS: Final = frozenset({"presto", "hive"})
_DEFAULTS: Final = compose.Defaults(source=SOURCE)
_SCRIPTS: Final = {
    "scripts/revenue.sql": (
        "CREATE TABLE revenue_by_year AS\n"
        "SELECT year(o_orderdate) AS order_year, count(*) AS orders, sum(o_totalprice) AS revenue\n"
        "FROM orders GROUP BY year(o_orderdate);\n"
        "SELECT * FROM revenue_by_year ORDER BY order_year;\n"
    ),
    "scripts/top_customers.sql": ("SELECT c_name, c_acctbal FROM customer ORDER BY c_acctbal DESC, c_name LIMIT 5;\n"),
}

Outcome = Literal["succeeded", "failed", "rejected"]


@dataclass(frozen=True, slots=True)
class Planned:
    """
    One request of the demo.

    Attributes:
        message: the request message.
        what: for people: engine or job type, and its subject.
        cluster: id of its cluster.
        expected: the state in which it must end.
        times: the number of times it is sent.
    """

    message: compose.Message
    what: str
    cluster: str
    expected: Outcome = "succeeded"
    times: int = 1

    @property
    def key(self) -> tuple[str, str]:
        """(source, id)."""
        return self.message.source, self.message.id


def write_scripts(obs: pathlib.Path) -> None:
    """Write the SQL scripts of the script jobs into the folder that stands for OBS."""
    for name, text in _SCRIPTS.items():
        path = obs / "demo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def plan(query: Callable[[int], str]) -> list[Planned]:
    """
    List all requests in the order in which they are sent.

    Args:
        query: text of TPC-H query n, 1 to 22.
    """
    queries = [_tpch(number, query(number)) for number in range(1, 23)]
    others = [*_batch_jobs(), *_trouble()]
    mixed: list[Planned] = []
    for position, one in enumerate(queries):
        mixed.append(one)
        mixed.extend(others[position : position + 1])
    return [*mixed, *others[len(queries) :]]


def _tpch(number: int, statement: str) -> Planned:
    engine = _ENGINES[(number - 1) % len(_ENGINES)]
    data: dict[str, Any] = {"engine": engine, "statement": statement, "labels": {"tpch": f"q{number}"}}
    if engine in _READ_FROM_OBS:
        data["result"] = INLINE
    if engine != "presto":
        data["job_name"] = f"tpch-q{number:02d}"
    return _planned(f"tpch-q{number:02d}", "mrs.sql.submit", data, what=f"{engine.capitalize()} SQL")


def _batch_jobs() -> list[Planned]:
    return [
        _job("wordcount", "MapReduce", ["wordcount", "obs://demo/books", "obs://demo/words"]),
        _job("pi", "SparkSubmit", ["obs://demo/jars/examples.jar", "100"], {"spark.executor.cores": "2"}),
        _job("features", "SparkPython", ["obs://demo/features.py"]),
        _job("clickstream", "Flink", ["run", "obs://demo/jars/clicks.jar"]),
        _job("backup", "DistCp", ["obs://demo/raw", "obs://demo/backup"]),
        _job("revenue", "HiveScript", ["obs://demo/scripts/revenue.sql"]),
        _job("top-customers", "SparkScript", ["obs://demo/scripts/top_customers.sql"]),
    ]


def _trouble() -> list[Planned]:
    broken = compose.Defaults(source=SOURCE, validate=False)

    return [
        _job(OUT_OF_MEMORY, "SparkSubmit", ["obs://demo/etl.jar"], {"emulator.cause": "memory"}, expected="failed"),
        _planned(
            "no-such-table",
            "mrs.sql.submit",
            {"engine": "presto", "statement": "SELECT * FROM no_such_table", "result": INLINE},
            what="Presto SQL",
            expected="failed",
        ),
        _planned(
            "sent-twice",
            "mrs.sql.submit",
            {"engine": "spark", "statement": "SELECT count(*) AS orders FROM orders", "job_name": "sent-twice"},
            what="Spark SQL, sent twice",
            times=2,
        ),
        _planned(
            "misspelt",
            "mrs.sql.submit",
            {"engine": "spork", "statement": "SELECT 1"},
            what="no such engine",
            expected="rejected",
            defaults=broken,
        ),
    ]


def _job(
    name: str,
    job_type: str,
    arguments: list[str],
    properties: dict[str, str] | None = None,
    *,
    expected: Outcome = "succeeded",
) -> Planned:
    job = {"job_type": job_type, "job_name": name, "arguments": arguments, "properties": properties or {}}
    return _planned(name, "mrs.job.submit", {"job": job}, what=job_type, cluster=BATCH, expected=expected)


def _planned(
    name: str,
    kind: str,
    data: dict[str, Any],
    *,
    what: str,
    cluster: str = ANALYTICS,
    expected: Outcome = "succeeded",
    times: int = 1,
    defaults: compose.Defaults = _DEFAULTS,
) -> Planned:
    members = {"id": name, "type": kind, "data": {"cluster": cluster, **data}}
    return Planned(compose.message(members, defaults), what, cluster, expected, times)
