"""
Adapt the engine to SQL statements for Presto, which have no name and no slot, and which MRS does not list.

A statement whose reply was lost cannot be found on MRS, so a statement that only reads is repeated and any other ends
as unknown. Operations: ExecuteSql, ShowSqlResult, CancelSql.
"""

from __future__ import annotations

import re
from typing import Final

from mrs_relay import errors
from mrs_relay.common import sql_text
from mrs_relay.engine import redaction
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.model import facts, jobs
from mrs_relay.engine.work import adapter, codes, observations
from mrs_relay.messages import requests
from mrs_relay.mrs import client as clients
from mrs_relay.mrs.operations import sql as operations

_READS: Final = re.compile(r"[\s(]*(select|show|desc|describe|values|with|explain)\b", re.IGNORECASE)
_EFFECTS: Final[dict[str, re.Pattern[str]]] = {
    "explain": re.compile(r"\banalyze\b", re.IGNORECASE),
    "with": re.compile(r"\b(insert|into|update|delete|merge|create|drop|alter|call|execute)\b", re.IGNORECASE),
}
"""A statement with this beginning is no read if it contains one of these words: EXPLAIN ANALYZE runs the statement."""


class Statement(adapter.WorkAdapter):
    """Statements of Presto."""

    name = "statement"
    traits = adapter.Traits(
        status_has_rows=True,
        lost_effect="the statement may have run",
        lost_advice="; a reply that takes longer than mrs.call_timeout_s is lost",
    )

    def takes(self, request: requests.Work) -> bool:
        """Return whether the request is SQL for Presto."""
        return isinstance(request, requests.SqlSubmit) and request.engine == "presto"

    def draft(self, request: requests.Work, result_job_types: frozenset[str]) -> adapter.Draft:  # noqa: ARG002 - the reply holds its rows
        """Take the single statement, and record whether it only reads."""
        assert isinstance(request, requests.SqlSubmit)  # noqa: S101 - see `takes`
        statement = sql_text.single(request.statement)
        work = jobs.Presto(statement, request.database, request.archive_path, is_repeatable(statement))
        return adapter.Draft(work, adapter.named_cluster(request), statement=True)

    def subject(self, request: requests.Work) -> adapter.PolicySubject:
        """Return the cluster, and Presto as the job type."""
        return adapter.PolicySubject(adapter.named_clusters(request), (policies.PRESTO,))

    def connect(self, client: clients.Client, settings: engine_settings.EngineSettings) -> adapter.WorkCalls:
        """Return the calls of the SQL endpoint."""
        return Calls(client, settings)

    def operation(self, job: jobs.Job) -> str:  # noqa: ARG002 - it is the same for all statements
        """Return the operation that submits a statement."""
        return jobs.STATEMENT

    def is_repeatable(self, job: jobs.Job) -> bool:
        """Return whether it only reads. NB: a statement whose reply was lost may still keep the cluster busy."""
        return isinstance(job.work, jobs.Presto) and job.work.repeatable

    def asked(self, job: jobs.Job) -> redaction.Asked | None:
        """Hide the SQL."""
        work = job.work
        return (
            redaction.Asked(adapter.texts([work.statement]), [work.statement])
            if isinstance(work, jobs.Presto)
            else None
        )


def is_repeatable(statement: str) -> bool:
    """Return whether a Presto statement only reads, so that running it twice does no harm."""
    code = sql_text.code(statement)
    begins = _READS.match(code)
    effects = _EFFECTS.get(begins[1].lower()) if begins else None
    return begins is not None and (effects is None or effects.search(code) is None)


class Calls(adapter.WorkCalls):
    """
    The calls of the SQL endpoint.

    Args:
        client: the MRS client.
        settings: the largest size of rows that is kept.
    """

    listing = operations.SHOW_SQL_RESULT

    def __init__(self, client: clients.Client, settings: engine_settings.EngineSettings) -> None:
        self._client = client
        self._inline_bytes = settings.inline_result_bytes

    async def submit(self, job: jobs.Job) -> facts.Fact:
        """Submit the statement by ExecuteSql, whose reply may contain its rows already."""
        work = adapter.unsent(job, jobs.Presto)
        # NB: the client builds the model, so that a statement which it does not accept is a refusal.
        body = {"sql_content": work.statement, "database": work.database, "archive_path": work.archive_path}
        reply = await self._client.call(operations.EXECUTE_SQL, path={"cluster_id": job.cluster}, body=body)
        return observations.of_statement(reply, self._inline_bytes)

    async def show(self, cluster: str, job_id: str) -> adapter.Sight | adapter.NoSuchJob:
        """Read the statement by ShowSqlResult; its refusal of an unknown statement is not documented."""
        path = {"cluster_id": cluster, "sql_id": job_id}
        try:
            reply = await self._client.call(operations.SHOW_SQL_RESULT, path=path)
        except errors.MrsRefused as error:
            if error.code == codes.NO_SUCH_CLUSTER or not codes.is_about_what_was_asked(error):
                raise
            return adapter.NoSuchJob(str(error))
        return observations.of_statement(reply, self._inline_bytes)

    async def stop(self, cluster: str, job_id: str) -> None:
        """Stop the statement by CancelSql."""
        path = {"cluster_id": cluster, "sql_id": job_id}
        await self._client.call(operations.CANCEL_SQL, path=path, spend_budget=True)
