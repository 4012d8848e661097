"""
Settle how the rows of a request are delivered, within its tenant's limits, or why they cannot be. Pure.

MRS writes the rows of a Presto SELECT into the folder that the submission names. For rows that are to be read that is
the tenant's results folder, or a folder below it: nothing outside of it is ever read. A SELECT of Hive or Spark is made
one that writes to a folder of its own there.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.model import jobs
from mrs_relay.engine.work import row_folders
from mrs_relay.messages import requests
from mrs_relay.obs import paths

_replace = msgspec.structs.replace

_MOST_ROWS: Final = 10_000
_MOST_BYTES: Final = 900_000
_URL_LIFE_S: Final = 3600


def settled(job: jobs.Job, request: requests.Work, policy: policies.Policy) -> tuple[jobs.Job, jobs.Reason | None]:
    """Return the job with its delivery, and the folder for its rows; or the reason why it is rejected."""
    asked = request.result if isinstance(request, requests.SqlSubmit) else None
    if asked is None or not isinstance(job.work, jobs.Presto | jobs.Batch):
        return job, None

    if (why := _not_given(asked, policy)) is not None:
        return job, why

    rules = policy.results
    assert rules.path is not None  # noqa: S101 - see `_not_given`
    archive = job.work.archive_path if isinstance(job.work, jobs.Presto) else None
    if archive is not None and not _is_allowed(archive, rules.path):
        text = f"rows are read below {rules.path} alone; name a folder in it, or leave archive_path out"
        return job, jobs.Reason("not_allowed", "path_not_allowed", text, field="data.archive_path")

    delivery = jobs.Delivery(
        folder=rules.path,
        inline=asked.deliver in {"inline", "both"},
        signed_s=_or(rules.url_life_s, _URL_LIFE_S) if asked.deliver in {"location", "both"} else 0,
        format="rows" if asked.format == "arrow" else asked.format,
        max_rows=_least(asked.max_rows, _or(rules.max_rows, _MOST_ROWS)),
        max_bytes=_least(asked.max_bytes, _or(rules.max_bytes, _MOST_BYTES)),
        chunks=asked.deliver == "chunks",
    )
    work, job = job.work, _replace(job, delivery=delivery, arrow=asked.format == "arrow")
    if isinstance(work, jobs.Batch):
        return _written(job)
    if archive is None:
        work = _replace(work, archive_path=rules.path.rstrip("/"))
    return _replace(job, work=work), None


def _not_given(asked: requests.Delivery, policy: policies.Policy) -> jobs.Reason | None:
    """Return the reason why rows do not come as they are asked for; None: they do."""
    if policy.results.path is None:
        text = "this relay reads no rows: results.path is not set; leave `result` out, or ask the relay's operator"
        return jobs.Reason("not_allowed", "results_not_read", text, field="data.result")

    if asked.deliver == "chunks" and not policy.has_chunks:
        text = "this relay writes no chunks: kafka.topics.results is not set; choose another `deliver`"
        return jobs.Reason("not_allowed", "results_not_read", text, field="data.result.deliver")

    if asked.format != "arrow" or (policy.has_arrow and policy.results.arrow is not False):
        return None
    why = "mrs-relay[arrow] is not installed"
    if policy.results.arrow is False:
        why = f"tenants.{policy.tenant}.results.arrow" if policy.tenant else "results.arrow"
    text = f"this relay brings no rows as Arrow ({why}); choose another `format`, or ask the relay's operator"
    return jobs.Reason("not_allowed", "format_not_allowed", text, field="data.result.format")


def _written(job: jobs.Job) -> tuple[jobs.Job, jobs.Reason | None]:
    """Return a job of Hive or Spark with the statement that writes its rows, which may have become too long."""
    written = row_folders.written(job)
    assert isinstance(written.work, jobs.Batch)  # noqa: S101 - it was one
    if (length := len(written.work.arguments[-1])) <= requests.MAX_ARGUMENTS:
        return written, None
    text = f"the statement has {length} characters with the folder for its rows; MRS takes {requests.MAX_ARGUMENTS}"
    return job, jobs.Reason("invalid", "bad_value", text, field="data.statement")


def _is_allowed(archive: str, folder: str) -> bool:
    try:
        return paths.is_below(paths.folder(archive), paths.folder(folder))
    except ValueError:
        return False


def _or(setting: int | None, default: int) -> int:
    return default if setting is None else setting


def _least(asked: int | None, most: int) -> int:
    return most if asked is None else min(asked, most)
