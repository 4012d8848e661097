"""Translate MRS's replies about a job into the engine's `MrsStatus` and facts. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from mrs_relay.common import clock
from mrs_relay.engine import redaction
from mrs_relay.engine.model import facts, jobs
from mrs_relay.engine.work import results
from mrs_relay.messages import events
from mrs_relay.mrs.models import jobs as job_models
from mrs_relay.mrs.models import jobs_v11 as v11_models
from mrs_relay.mrs.models import sql as sql_models

V11_STATES: Final[Mapping[int, str]] = {state.value: state.name for state in v11_models.StateV11}
"""Names of V1.1's `job_state`. Source: ShowJobExes: -1 Terminated, 1 Starting, 2 Running, 3 Completed, 4 Abnormal,
5 Error; ListExecuteJob knows neither 1 nor 5. The SDK's text counts 1 to 6 instead, against all pages."""

V11_RESULTS: Final[Mapping[int, str]] = {status.value: status.name for status in v11_models.FinalStatus}
"""Names of V1.1's `job_final_status`. Source: ShowJobExes: 0 unfinished, 1 ended by execution error, 2 succeeded,
3 cancelled."""

_MAX_WORD: Final = 256
_MAX_URL: Final = 2_048
"""Most characters of a value from MRS that goes into each of the job's events and ledger records."""

_PAGE: Final = re.compile(r"https?://[^\s@/?#\\]+(?:[/?#][^\s\\]*)?")
"""An address that a browser may open: text of a foreign service, which people click on."""

_PER_CENT: Final = re.compile(r"(\d{1,3}(?:\.\d+)?)%")


def of_job(detail: job_models.JobDetail) -> jobs.MrsStatus:
    """Translate a job of a list or a single read."""
    return jobs.MrsStatus(
        job_id=detail.job_id,
        job_state=str(detail.job_state)[:_MAX_WORD],
        job_result=str(detail.job_result)[:_MAX_WORD],
        progress=min(100.0, max(0.0, detail.job_progress or 0.0)),
        app_id=_within_length(_MAX_WORD, detail.app_id),
        tracking_url=_address(detail.tracking_url),
        submitted_ms=_moment_ms(detail.submitted_ms),
        started_ms=_moment_ms(detail.started_ms),
        finished_ms=_moment_ms(detail.finished_ms),
    )


def of_v11_job(detail: v11_models.JobV11) -> jobs.MrsStatus:
    """
    Translate a V1.1 job of a list or a single read, whose times are milliseconds.

    A state without a name keeps its number. Progress is free text in V1.1 ("first progress") and counts only if it is a
    percentage. `job_id` is the job's YARN application in lists and its own id in single reads.
    """
    per_cent = _PER_CENT.fullmatch(detail.progress or "")
    status = detail.job_final_status
    return jobs.MrsStatus(
        job_id=detail.id,
        job_state=V11_STATES.get(detail.job_state, str(detail.job_state)),
        job_result="" if status is None else V11_RESULTS.get(status, str(status)),
        progress=min(100.0, float(per_cent[1])) if per_cent else 0.0,
        app_id=_within_length(_MAX_WORD, detail.job_id) if detail.job_id != detail.id else "",
        submitted_ms=_moment_ms(detail.start_time),
        finished_ms=_moment_ms(detail.end_time),
    )


def _moment_ms(epoch_ms: int | None) -> int:
    """
    Return a time of MRS; 0 if there is none, or if it is no time in milliseconds.

    Lists are read from such times on, so a time in another unit would hide the job.
    """
    return epoch_ms if epoch_ms is not None and clock.is_moment(epoch_ms) else 0


def of_statement(reply: sql_models.SqlResult, inline_bytes: int) -> facts.StatementObserved:
    """Translate an ExecuteSql or ShowSqlResult reply; `inline_bytes` limits the rows that are kept."""
    result = None
    if reply.content or reply.result_location:
        result = results.inline([reply.content] if reply.content else [], inline_bytes)
        result = result.model_copy(update={"location": reply.result_location or None})
    elif reply.status == sql_models.SqlStatus.FINISHED:
        result = events.Result()

    seen = jobs.MrsStatus(reply.id, job_state=reply.status[:_MAX_WORD])
    return facts.StatementObserved(seen, (reply.message or "")[: redaction.MAX_LENGTH + 1], result)


def _address(url: str | None) -> str:
    """Return the address of a page; "" for one that is too long, is of no page, or holds a login."""
    return url if url is not None and len(url) <= _MAX_URL and _PAGE.fullmatch(url) else ""


def _within_length(most: int, text: str | None) -> str:
    """Return an address or id; "" if MRS gives none, or one that is too long: a part of it would be of no use."""
    return text if text is not None and len(text) <= most else ""
