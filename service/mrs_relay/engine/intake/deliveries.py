"""
Settle how the rows of a request are delivered, within its tenant's limits, or why they cannot be. Pure.

MRS writes the rows of a Presto SELECT into the folder that the submission names. For rows that are to be read that is
the tenant's results folder, or a folder below it: nothing outside of it is ever read.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mrs_relay.engine.intake import policy as policies
from mrs_relay.engine.model import jobs
from mrs_relay.messages import requests
from mrs_relay.obs import paths

_replace = msgspec.structs.replace

_MOST_ROWS: Final = 10_000
_MOST_BYTES: Final = 900_000
_URL_LIFE_S: Final = 3600


def settled(job: jobs.Job, request: requests.Work, policy: policies.Policy) -> tuple[jobs.Job, jobs.Reason | None]:
    """Return the job with its delivery, and the folder for its rows; or the reason why it is rejected."""
    asked = request.result if isinstance(request, requests.SqlSubmit) else None
    if asked is None or not isinstance(job.work, jobs.Presto):
        return job, None

    rules = policy.results
    if rules.path is None:
        text = "this relay reads no rows: results.path is not set; leave `result` out, or ask the relay's operator"
        return job, jobs.Reason("not_allowed", "results_not_read", text, field="data.result")

    if asked.deliver == "chunks" and not policy.has_chunks:
        text = "this relay writes no chunks: kafka.topics.results is not set; choose another `deliver`"
        return job, jobs.Reason("not_allowed", "results_not_read", text, field="data.result.deliver")

    archive = job.work.archive_path
    if archive is not None and not _is_allowed(archive, rules.path):
        text = f"rows are read below {rules.path} alone; name a folder in it, or leave archive_path out"
        return job, jobs.Reason("not_allowed", "path_not_allowed", text, field="data.archive_path")

    delivery = jobs.Delivery(
        folder=rules.path,
        inline=asked.deliver in {"inline", "both"},
        signed_s=_or(rules.url_life_s, _URL_LIFE_S) if asked.deliver in {"location", "both"} else 0,
        format=asked.format,
        max_rows=_least(asked.max_rows, _or(rules.max_rows, _MOST_ROWS)),
        max_bytes=_least(asked.max_bytes, _or(rules.max_bytes, _MOST_BYTES)),
        chunks=asked.deliver == "chunks",
    )
    work = job.work if archive is not None else _replace(job.work, archive_path=rules.path.rstrip("/"))
    return _replace(job, delivery=delivery, work=work), None


def _is_allowed(archive: str, folder: str) -> bool:
    try:
        return paths.is_below(paths.folder(archive), paths.folder(folder))
    except ValueError:
        return False


def _or(setting: int | None, default: int) -> int:
    return default if setting is None else setting


def _least(asked: int | None, most: int) -> int:
    return most if asked is None else min(asked, most)
