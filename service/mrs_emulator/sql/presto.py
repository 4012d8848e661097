"""
The SQL operations of V2: one Presto statement, its state, its end.

SELECT gets an id, runs in the background and leaves its rows as CSV in OBS. SHOW and DESC get an id and are answered
with their rows at once. Everything else gets no id: it has run, or failed, before the reply.

Source: API reference, pages mrs_02_0092 to mrs_02_0094 (2021 to 2025). Not documented and chosen here: a SELECT without
archive_path writes to the setting's folder; a cancelled statement shows FAILED; an unknown id is MRS.0011.
"""

from __future__ import annotations

import asyncio
import csv
import datetime as dt
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mrs_emulator.core import failures, ids, refusals, routes, settings, state, tasks, wire
from mrs_emulator.sql import first_words, obs, sql, values

_OK = 200
_IN_BACKGROUND = frozenset({"SELECT", "WITH", "VALUES", "TABLE"})
_AT_ONCE_WITH_ID = frozenset({"SHOW", "DESC", "DESCRIBE"})
_BASE = "/v2/{project_id}/clusters/{cluster_id}/sql-execution"


@dataclass(slots=True)
class _Execution:
    """A statement as remembered: its end once it has one, its ticket before."""

    execution_id: str
    statement: str
    database: str
    ticket: sql.Ticket
    location: str | None = None
    end: dict[str, Any] | None = None

    def members(self) -> dict[str, Any]:
        """Return the SqlResult of this moment."""
        start = {"id": self.execution_id, "statement": self.statement}
        return start | (self.end or {"status": "RUNNING" if self.ticket.started else "QUEUED"})


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An ExecuteSql body, checked."""

    statement: str
    database: str
    archive_path: str | None


class Presto:
    """
    Handlers of the SQL operations.

    Args:
        world: the clusters.
        making: source of ids.
        warehouse: runs the SQL.
        task_supervisor: owns the tasks that wait for statements.
        folder: OBS, where rows go.
        chosen: how SQL runs.
    """

    def __init__(
        self,
        world: state.World,
        making: ids.Ids,
        warehouse: sql.Warehouse,
        task_supervisor: tasks.TaskSupervisor,
        folder: obs.Obs,
        chosen: settings.Sql,
    ) -> None:
        self._world = world
        self._ids = making
        self._warehouse = warehouse
        self._task_supervisor = task_supervisor
        self._folder = folder
        self._settings = chosen
        self._executions: dict[tuple[str, str], _Execution] = {}

    def operations(self) -> Iterable[routes.Route]:
        """Return the operations and their documented calls per minute."""
        return (
            routes.Route("ExecuteSql", "POST", _BASE, self.execute, 60),
            routes.Route("ShowSqlResult", "GET", f"{_BASE}/{{sql_id}}", self.show, 1000),
            routes.Route("CancelSql", "POST", f"{_BASE}/{{sql_id}}/cancel", self.cancel, 60),
        )

    async def execute(self, call: routes.Call) -> wire.Reply:
        """Answer ExecuteSql: run one statement."""
        cluster = self._world.cluster(call.path["cluster_id"])
        wanted = _read(call.body(), self._folder)
        _check_cluster(cluster, call.now_ms)
        word = first_words.first_word(wanted.statement)
        known = word in _IN_BACKGROUND | _AT_ONCE_WITH_ID or not self._settings.ddl_without_id
        execution_id = self._ids.statement_id(call.now_ms) if known else ""
        location = self._location(wanted, execution_id, call.now_ms) if word in _IN_BACKGROUND else None
        execution, ending = self._submit(cluster, wanted, execution_id, location)
        effect_id = execution.execution_id
        cluster_id = cluster.record.cluster_id
        self._world.note(state.Effect("statement", effect_id, "", cluster_id, call.now_ms, wanted.statement))
        if execution_id:
            self._remember(cluster_id, execution)
        task = self._task_supervisor.start(self._finish(execution, ending), name=f"presto-{effect_id or 'statement'}")

        if location is None:
            await asyncio.wait({task}, timeout=self._settings.reply_limit_s)
            if not execution_id and execution.end is None:  # no client could ask for its end
                execution.ticket.cancel()
                execution.end = {"status": "FAILED", "message": "Query exceeded the time limit"}

        return wire.as_json(_OK, execution.members())

    async def show(self, call: routes.Call) -> wire.Reply:
        """Answer ShowSqlResult: state and result of a statement that has an id."""
        cluster_id = self._world.cluster(call.path["cluster_id"]).record.cluster_id
        execution = self._executions.get((cluster_id, call.path["sql_id"]))
        if execution is None:
            raise refusals.sql_impossible(f"The SQL execution does not exist (ID: {call.path['sql_id']}).")
        return wire.as_json(_OK, execution.members())

    async def cancel(self, call: routes.Call) -> wire.Reply:
        """Answer CancelSql: stop a statement; one that has ended counts as cancelled, too."""
        cluster_id = self._world.cluster(call.path["cluster_id"]).record.cluster_id
        execution = self._executions.get((cluster_id, call.path["sql_id"]))
        if execution is None:
            raise refusals.cancel_failed()
        if execution.end is None:
            execution.ticket.cancel()
            execution.end = {"status": "FAILED", "message": "Query was canceled"}
        return wire.as_json(_OK, {"status": "SUCCEED"})

    def recent(self, most: int) -> list[dict[str, Any]]:
        """Return the newest statements that have an id, newest first, each with its cluster."""
        newest = itertools.islice(reversed(self._executions.items()), most)
        return [{"cluster": cluster_id, **one.members()} for (cluster_id, _), one in newest]

    def _submit(
        self, cluster: state.ClusterState, wanted: _Wanted, execution_id: str, location: str | None
    ) -> tuple[_Execution, asyncio.Future[sql.Outcome]]:
        def write(columns: Sequence[str], batches: Iterator[list[sql.Row]]) -> None:
            self._write_csv(str(location), columns, batches)

        work = sql.Work(lambda: wanted.statement, "presto", wanted.database, write if location else None)
        try:
            ticket, ending = self._warehouse.submit(work)
        except failures.SqlQueueFull as error:
            cluster_id = cluster.record.cluster_id
            text = f"Failed to submit the SQL request to Executor (cluster ID: {cluster_id})."
            raise refusals.sql_impossible(text) from error
        except failures.SqlMissing as error:
            raise refusals.sql_impossible(str(error)) from error
        return _Execution(execution_id, wanted.statement, wanted.database, ticket, location), ending

    async def _finish(self, execution: _Execution, ending: asyncio.Future[sql.Outcome]) -> None:
        """Wait for a statement and write down its end, unless it has been cancelled."""
        try:
            outcome = await ending
        except asyncio.CancelledError:
            execution.ticket.cancel()
            raise
        if execution.end is not None:
            return
        if outcome.error is not None:
            execution.end = {"status": "FAILED", "message": outcome.error}
        elif execution.location is not None:
            execution.end = {"status": "FINISHED", "result_location": execution.location, "content": []}
        else:
            rows = [[values.text(value) for value in row] for answer in outcome.answers for row in answer.rows]
            execution.end = {"status": "FINISHED", "content": rows}

    def _location(self, wanted: _Wanted, execution_id: str, now_ms: int) -> str:
        day = dt.datetime.fromtimestamp(now_ms / 1000, tz=dt.UTC)
        folder = (wanted.archive_path or self._settings.archive_path).rstrip("/")
        return f"{folder}/{self._ids.uuid()}_{day:%Y%m%d}/{execution_id}.csv"

    def _write_csv(self, location: str, columns: Sequence[str], batches: Iterator[list[sql.Row]]) -> None:
        """Write the rows of a SELECT; runs on the warehouse's thread."""
        with self._folder.new_file(location).open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if self._settings.csv_header:
                writer.writerow(columns)
            for batch in batches:
                writer.writerows([values.text(value) for value in row] for row in batch)

    def _remember(self, cluster_id: str, execution: _Execution) -> None:
        self._executions[cluster_id, execution.execution_id] = execution
        surplus = len(self._executions) - self._settings.results_kept
        if surplus > 0:
            ended = [key for key, one in self._executions.items() if one.end is not None]
            for key in ended[:surplus]:
                del self._executions[key]


def _read(body: dict[str, Any], folder: obs.Obs) -> _Wanted:
    """Read the ExecuteSql body; raises 12000002, or MRS.0011 for several statements."""
    if body.get("sql_type") != "presto":
        raise refusals.invalid("sql_type must be presto")

    statement = body.get("sql_content")
    if not isinstance(statement, str) or not statement.strip():
        raise refusals.invalid("sql_content must be a statement")
    if ";" in statement:
        raise refusals.sql_impossible("sql_content must be one statement without a semicolon.")

    database = body.get("database") or "default"
    if not isinstance(database, str):
        raise refusals.invalid("database must be a string")

    archive_path = body.get("archive_path") or None
    if archive_path is not None:
        try:
            folder.path(archive_path if isinstance(archive_path, str) else "")
        except failures.BadObsPath as error:
            raise refusals.invalid("archive_path must be an OBS directory (obs://bucket/path)") from error

    return _Wanted(statement, database, archive_path)


def _check_cluster(cluster: state.ClusterState, now_ms: int) -> None:
    where = f"(cluster ID: {cluster.record.cluster_id})"
    if not cluster.takes_jobs(now_ms):
        raise refusals.sql_impossible(f"The cluster is in the {cluster.state(now_ms)} state {where}.")
    if not cluster.has("Presto"):
        raise refusals.sql_impossible(f"Presto is not installed in the cluster {where}.")
