"""Define what events say of a job's result: rows, where they are, or why there are none. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic


class Model(pydantic.BaseModel):
    """Base of the models of events, as their readers take them."""

    model_config = pydantic.ConfigDict(frozen=True, populate_by_name=True, serialize_by_alias=True)


class Column(Model):
    """A column of rows that are lists."""

    name: str
    type: Annotated[
        str | None, pydantic.Field(description="In the engine's words; absent where it is not known, as for presto.")
    ] = None


class StatementResult(Model):
    """The rows of one statement, in the order of the statements."""

    rows: Annotated[list[Any], pydantic.Field(description="Objects (spark), or lists (hive, presto: of text).")]
    row_count: Annotated[int, pydantic.Field(ge=0, description="Rows that MRS returned, also those cut off here.")]
    columns: Annotated[
        list[Column], pydantic.Field(description="In the order of the statement, as far as they are known.")
    ] = pydantic.Field(default_factory=list)
    csv: Annotated[
        str | None,
        pydantic.Field(description="The rows as CSV, names of columns first, where the request asks so."),
    ] = None
    arrow: Annotated[
        str | None,
        pydantic.Field(description="The rows as an Arrow IPC stream, in base64, where the request asks so."),
    ] = None


class ChunkedRows(Model):
    """
    Rows that are on the results topic, in chunks: one CSV text, of Presto as MRS wrote it, cut behind rows, or Arrow.

    Each record has the request's key, its id in `ce_subject` and `ce_requestsource`, `ce_attempt`, its number in
    `ce_sequence`, and the digest of its value in `ce_digest`. One with another number than the next is a repetition.
    """

    topic: str
    partition: Annotated[int | None, pydantic.Field(ge=0, description="Where they are, as far as Kafka said it.")] = (
        None
    )
    first_offset: Annotated[int | None, pydantic.Field(ge=0, description="Of the first one.")] = None
    end_offset: Annotated[
        int | None, pydantic.Field(ge=0, description="Behind the last one; others may lie in between.")
    ] = None
    count: Annotated[int, pydantic.Field(ge=0, description="Of the chunks.")]
    row_count: Annotated[int, pydantic.Field(ge=0, description="Of the rows, without that of the columns' names.")]
    size_bytes: Annotated[int, pydantic.Field(ge=0, description="Of all values together.")]
    digest: Annotated[str, pydantic.Field(description="sha-256: and hexadecimal digits, of all `ce_digest` in order.")]
    header: Annotated[bool, pydantic.Field(description="The first row holds the names of the columns.")] = False
    format: Annotated[
        Literal["csv", "arrow"],
        pydantic.Field(description="Of the values; `arrow`: each is an Arrow IPC stream, all with the same columns."),
    ] = "csv"


class Result(Model):
    """The result of the job, as far as MRS gives it out."""

    statements: list[StatementResult] = pydantic.Field(default_factory=list)
    truncated: Annotated[bool, pydantic.Field(description="Rows were left out because of the inline cap.")] = False
    location: Annotated[
        str | None,
        pydantic.Field(description="Path of what was written: rows of SQL, or the output of a V1.1 job."),
    ] = None
    url: Annotated[
        str | None,
        pydantic.Field(description="Reads what lies at `location` without keys, for everyone who has it, for a while."),
    ] = None
    urls: Annotated[
        list[str],
        pydantic.Field(description="Likewise, in order, for the objects of a folder where it has more than one."),
    ] = pydantic.Field(default_factory=list)
    url_expires_at: Annotated[
        str | None, pydantic.Field(description="Until when `url`, or `urls`, work at most (RFC 3339).")
    ] = None
    log_location: Annotated[
        str | None, pydantic.Field(description="Path of a V1.1 job's log, where it was given one.")
    ] = None
    unavailable: Annotated[str | None, pydantic.Field(description="Why there are no rows although it succeeded.")] = (
        None
    )
    chunks: Annotated[
        ChunkedRows | None, pydantic.Field(description="Where the rows are, if the request wants them in chunks.")
    ] = None
    late_until: Annotated[
        str | None,
        pydantic.Field(
            description="Until when the rows may still come (RFC 3339). The event mrs.sql.result brings them, or says "
            "that they have not come."
        ),
    ] = None
    reply: Annotated[
        dict[str, Any] | None,
        pydantic.Field(
            description="MRS's reply to a call, in the API's own names; arguments, SQL text and secrets are left out."
        ),
    ] = None
