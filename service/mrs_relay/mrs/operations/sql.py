"""
The V2 SQL operations: Presto statements.

Source: v2 reference (ExecuteSql, ShowSqlResult, CancelSql); limits: "Selecting an API Type".
"""

from __future__ import annotations

from typing import Final

from mrs_relay.mrs import operation
from mrs_relay.mrs.models import sql

_STATEMENTS: Final = "/v2/{project_id}/clusters/{cluster_id}/sql-execution"
_STATEMENT: Final = _STATEMENTS + "/{sql_id}"

EXECUTE_SQL: Final[operation.Operation[sql.SqlExecution, sql.SqlResult]] = operation.Operation(
    name="ExecuteSql",
    verb="POST",
    path=_STATEMENTS,
    safety=operation.Safety.NON_REPEATABLE_WRITE,
    per_minute=60,
    body=sql.SqlExecution,
    reply=sql.SqlResult,
    failed_reply=True,
    source="mrs_02_0092, ExecuteSql",
)
"""Run one Presto statement. Statements cannot be listed: a lost reply to anything but a read stays unknown."""

SHOW_SQL_RESULT: Final[operation.Operation[None, sql.SqlResult]] = operation.Operation(
    name="ShowSqlResult",
    verb="GET",
    path=_STATEMENT,
    safety=operation.Safety.READ,
    per_minute=1000,
    reply=sql.SqlResult,
    failed_reply=True,
    source="mrs_02_0093, ShowSqlResult.html",
)
"""Read status and result of one statement."""

CANCEL_SQL: Final[operation.Operation[None, sql.CancelReply]] = operation.Operation(
    name="CancelSql",
    verb="POST",
    path=_STATEMENT + "/cancel",
    safety=operation.Safety.REPEATABLE_WRITE,
    per_minute=60,
    reply=sql.CancelReply,
    failed_reply=True,
    source="mrs_02_0094, CancelSql.html",
)
"""Cancel one statement; also succeeds for one that has ended. Which status it shows afterwards is not documented."""
