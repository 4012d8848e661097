"""
The page of one job, which its `tracking_url` names: what MRS would say of it now, without arguments and secrets.

It is made of the job's record, so it is there again after a restart or a kill as the job is.
"""

from __future__ import annotations

import datetime as dt
import html

from mrs_emulator.core import wire
from mrs_emulator.jobs import job_json, life

PREFIX = "/emulator/jobs/"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_HIDDEN = frozenset({"arguments", "properties", "tracking_url"})


def path(cluster_id: str, job_id: str) -> str:
    """Return where the page of a job is."""
    return f"{PREFIX}{cluster_id}/{job_id}"


def reply(job: life.Job, yarn_start_ms: int, now_ms: int) -> wire.Reply:
    """Return the page at one moment."""
    seen = job_json.render(job, yarn_start_ms, now_ms, numbers_as_strings=False)
    facts = {name: _text(name, value) for name, value in seen.items() if name not in _HIDDEN}
    if job.error and job.ended(now_ms):
        facts["error"] = job.error
    rows = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(text)}</td></tr>" for name, text in facts.items())
    title = html.escape(f"{job.name}: {seen['job_state']}")
    body = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
        f'<body><h1>{title}</h1><table>{rows}</table><p><a href="/">All jobs</a></p></body></html>\n'
    )
    return wire.Reply(200, body.encode(), _HEADERS, "text/html;charset=UTF-8")


def _text(name: str, value: object) -> str:
    if name.endswith("_time") and name != "elapsed_time" and isinstance(value, int):
        return dt.datetime.fromtimestamp(value / 1000, tz=dt.UTC).isoformat() if value else ""
    return str(value)
