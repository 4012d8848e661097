"""SQL: one statement for Presto, or a Spark or Hive job."""

from __future__ import annotations

from typing import Annotated, Literal

import pydantic

from mrs_relay.common import selects, sql_text
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


def _check_select(statement: str) -> None:
    try:
        selects.split(statement)
    except ValueError as error:
        wanted = "expected one statement that begins with SELECT or WITH; leave result out for any other"
        raise ValueError(f"its rows cannot be delivered: {error}; {wanted}") from None


class Delivery(base.Model):
    """
    How the rows of a SELECT come back; they are read from where they were put.

    A SELECT of spark or hive is submitted as one that writes them to a folder: it must be one statement that begins
    with SELECT or WITH. The relay's operator sets where rows lie (`results.path`), the limits, and what holds for
    requests without it.
    """

    deliver: Annotated[
        Literal["inline", "location", "both", "chunks"],
        pydantic.Field(
            description="In the event; as an address that reads them without keys for a while; or both; or all of them "
            "in chunks on the results topic, whatever the limits of an event. The path in OBS is named in any case."
        ),
    ] = "inline"
    format: Annotated[
        Literal["rows", "csv", "arrow"],
        pydantic.Field(
            description="Of rows in the event: lists of text or objects, or all of them as one text, or as an Arrow "
            "IPC stream in base64. Chunks are CSV, but with arrow each is such a stream."
        ),
    ] = "rows"
    max_rows: Annotated[
        int | None,
        pydantic.Field(ge=0, le=1_000_000, description="Rows in the event at most; lowered to the tenant's limit."),
        base.WHOLE,
    ] = None
    max_bytes: Annotated[
        int | None,
        pydantic.Field(ge=0, le=900_000, description="Bytes of rows in the event at most; lowered likewise."),
        base.WHOLE,
    ] = None


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
    result: Annotated[
        Delivery | None,
        pydantic.Field(description="Bring the rows of a SELECT, or their address. Spark brings 10,000 without it."),
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
        if self.engine != "presto" and self.result is not None:
            _check_select(self.statement)
        return self
