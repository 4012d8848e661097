"""Bodies of the V2 SQL operations: one Presto statement, its status and its result."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Final, Literal

import pydantic

from mrs_relay.mrs.models import base

Cell = str | int | float | bool | None


class SqlStatus(enum.StrEnum):
    """Values of `status`. There is none for a cancelled statement. Source: ShowSqlResult."""

    QUEUED = "QUEUED"
    WAITING_FOR_RESOURCES = "WAITING_FOR_RESOURCES"
    PLANNING = "PLANNING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    FINISHING = "FINISHING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"


ENDED: Final = frozenset({SqlStatus.FINISHED, SqlStatus.FAILED})
"""Statuses from which a statement does not move any more."""


class SqlExecution(base.Asked):
    """The body of ExecuteSql."""

    sql_type: Literal["presto"] = "presto"
    sql_content: Annotated[str, pydantic.Field(min_length=1)]
    """Exactly one statement, without a semicolon."""
    database: Annotated[str, pydantic.Field(min_length=1)] | None = None
    """MRS takes `default` when it is absent."""
    archive_path: Annotated[str, pydantic.StringConstraints(pattern=r"^obs://[^/]+")] | None = None
    """OBS folder for the rows of a SELECT; no other statement writes there."""

    @pydantic.field_validator("sql_content")
    @classmethod
    def _one_statement(cls, text: str) -> str:
        if ";" in text:
            raise ValueError("must not contain a semicolon: MRS runs exactly one statement")
        return text


def _as_rows(content: Any) -> Any:  # noqa: ANN401 - whatever the reply holds; pydantic judges the outcome
    """Return rows from any of the three documented forms; a flat list, whose width is lost, has one column."""
    if isinstance(content, list):
        return [row if isinstance(row, list) else [row] for row in content]
    return () if content is None else content


class SqlResult(base.Reply):
    """
    Reply of ExecuteSql and ShowSqlResult. A failed statement is a reply with status FAILED, whatever the HTTP status.

    Source: ExecuteSql, ShowSqlResult; pages of 2021 send a failed statement with HTTP 500 and name the id `sql_id`.
    """

    id: Annotated[base.Text, pydantic.Field(validation_alias=pydantic.AliasChoices("id", "sql_id"))] = ""
    """Only SELECT, SHOW and DESC get one; any other statement can be neither read again nor cancelled."""
    status: base.Word
    """One of `SqlStatus`."""
    statement: str | None = None
    message: str | None = None
    """The error of a statement."""
    result_location: base.Trimmed | None = None
    """Where the rows of a SELECT lie as CSV: obs://bucket/<uuid>_<date>/<name>.csv."""
    content: Annotated[tuple[tuple[Cell, ...], ...], pydantic.BeforeValidator(_as_rows)] = ()
    """Rows of statements other than SELECT."""

    @property
    def ended(self) -> bool:
        """Whether the status will not change any more."""
        return self.status in ENDED


class CancelReply(base.Reply):
    """
    Reply of CancelSql, also when the cancelling did not work; read `done`.

    Source: CancelSql: SUCCEED for ended statements too; FAILED with HTTP 400 (2021: 500) only when a running statement
    could not be cancelled.
    """

    status: base.Word
    message: str | None = None

    @property
    def done(self) -> bool:
        """Whether the statement was cancelled or had ended before. When False, read its status and cancel again."""
        return self.status.startswith("SUCCEED")
