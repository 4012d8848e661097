"""
Name what a job reads and writes as OpenLineage datasets. Pure.

Tables are `<database>.<table>` in the metastore's namespace, for all engines alike, so that what Spark writes is what
Presto reads. Files are their folder in the bucket's namespace.

Source: OpenLineage, naming of datasets (Hive, S3, HDFS).
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from mrs_relay.engine.lineage import statements
from mrs_relay.engine.model import jobs
from mrs_relay.engine.work import row_folders

_DIALECTS: Final = {"SparkSql": "spark", "HiveSql": "hive"}
"""Job types whose last argument is SQL."""

_HIVE: Final = "hive"
_BUCKETS: Final = {"s3a": "obs", "s3n": "obs", "s3": "obs"}
"""Schemes of OBS under its other names."""

Dataset = dict[str, Any]
Origins = dict[str, list[Dataset]]
"""Written column -> the columns that it is made of."""


class Query(NamedTuple):
    """The SQL of a job, and the database that it begins in."""

    text: str
    dialect: str
    database: str = "default"


def query_of(work: jobs.Work | None) -> Query | None:
    """Return the SQL of a job; None: it runs none."""
    match work:
        case jobs.Presto():
            return Query(work.statement, "presto", work.database)
        case jobs.Batch() if work.job_type in _DIALECTS and work.arguments:
            return Query(row_folders.as_asked(work.arguments[-1], work.job_type), _DIALECTS[work.job_type])
        case _:
            return None


def _paths(work: jobs.Work | None) -> tuple[list[str], list[str]]:
    """Return the folders that a job's own fields and arguments name, those that it reads first."""
    match work:
        case jobs.Presto(archive_path=str(path)):
            return [], [path]
        case jobs.Batch(job_type="DistCp", arguments=arguments) if arguments:
            *sources, target = [one for one in arguments if not one.startswith("-")] or [""]
            return _whole(sources), _whole([target])
        case jobs.Batch():
            return _whole([work.properties.get("input", "")]), _whole([work.properties.get("output", "")])
        case _:
            return [], []


def _whole(paths: Iterable[str]) -> list[str]:
    return [one for one in paths if "://" in one or one.startswith("/")]


class Namer:
    """
    Name tables and files of one cluster.

    Args:
        cluster: its id.
        tables: namespace of its tables; None: one of its own.
    """

    def __init__(self, cluster: str, tables: str | None) -> None:
        self._cluster = cluster
        self._tables = tables or f"hive://{cluster}"

    def inputs(self, work: jobs.Work | None, found: statements.Found) -> list[Dataset]:
        """Name what a job reads."""
        return [*map(self.path, _paths(work)[0]), *map(self.table, found.inputs)]

    def outputs(self, work: jobs.Work | None, found: statements.Found) -> Iterator[tuple[Dataset, Origins]]:
        """Name what a job writes, with the columns that each written column is made of."""
        for path in _paths(work)[1]:
            yield self.path(path), {}
        for table, columns in found.outputs:
            yield (
                self.table(table),
                {name: [{**self.table(one), "field": field} for one, field in origin] for name, origin in columns},
            )

    def table(self, table: statements.Table) -> Dataset:
        """Name a table, or the files that SQL names instead of one."""
        if table.is_path:
            return self.path(table.name)
        if table.catalog and table.catalog != _HIVE:
            return _dataset(f"presto://{self._cluster}", f"{table.catalog}.{table.database}.{table.name}")
        return _dataset(self._tables, f"{table.database or 'default'}.{table.name}")

    def path(self, path: str) -> Dataset:
        """Name a folder or file."""
        scheme, _, rest = path.rpartition("://")
        authority, _, name = rest.partition("/")
        if not scheme:
            scheme, authority, name = "hdfs", self._cluster, path
        scheme = _BUCKETS.get(scheme, scheme)
        shown = posixpath.normpath(name).strip("/") or "/"
        return _dataset(f"{scheme}://{authority}", f"/{shown}" if scheme == "hdfs" and shown != "/" else shown)


def _dataset(namespace: str, name: str) -> Dataset:
    return {"namespace": namespace, "name": name}
