"""SQL: one statement for Presto, or a Spark or Hive job."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from mrs_relay.common import sql_text
from mrs_relay.messages.requests import base, jobs


def _check_single(statement: str) -> None:
    single = sql_text.single(statement)
    words_left = sql_text.code(single)
    if not words_left.strip():
        raise ValueError("no SQL in it")
    if ";" in words_left:
        raise ValueError("presto takes exactly one statement, without a semicolon; send one request for each")
    if ";" in single:
        raise ValueError("presto takes no semicolon, not even in quotes; write chr(59) instead")


class SqlSubmit(base.Submission):
    """
    Run SQL on a cluster.

    `presto` uses the SQL endpoint: exactly one statement. `spark` and `hive` run as a SparkSql or HiveSql job
    and may hold several statements. Answered by `mrs.sql.*` events.
    """

    engine: Literal["presto", "spark", "hive"]
    statement: Annotated[
        str, pydantic.Field(min_length=1, max_length=jobs.MAX_ARGUMENTS - 200, description="The SQL text.")
    ]
    database: Annotated[str, pydantic.Field(pattern=r"^[A-Za-z0-9_]{1,128}$")] = "default"
    archive_path: Annotated[
        str | None,
        pydantic.Field(
            pattern=r"^obs://[^\s/][^\s]{0,999}$",
            description="OBS folder for the rows of a Presto SELECT; presto only.",
        ),
    ] = None
    job_name: Annotated[base.JobName, pydantic.Field(description="Name of the job on MRS; spark and hive only.")] = (
        "sql"
    )

    @pydantic.field_validator("statement")
    @classmethod
    def _not_blank(cls, statement: str) -> str:
        if not statement.strip(" \t\r\n;"):
            raise ValueError("no SQL in it")
        return statement

    @pydantic.model_validator(mode="after")
    def _fits_its_engine(self) -> SqlSubmit:
        if self.engine == "presto":
            _check_single(self.statement)
        if self.engine != "presto" and self.archive_path is not None:
            raise ValueError("archive_path is for presto only")
        return self
