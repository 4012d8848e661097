"""
A job as queries print it, and the Java-style texts in it.

Source: API reference, ShowSingleJobExe and ShowJobExeListNew (JobQueryBean); samples of 2021 print numbers as strings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mrs_emulator.jobs import life


def java_list(items: Iterable[str]) -> str:
    """Return the rendering `[a, b, c]`; not JSON, and not reversible when an item contains a comma and a space."""
    return f"[{', '.join(items)}]"


def java_map(items: Mapping[str, str]) -> str:
    """Return the rendering `{k=v, k2=v2}`."""
    return f"{{{', '.join(f'{key}={value}' for key, value in items.items())}}}"


def render(
    job: life.Job, yarn_start_ms: int, now_ms: int, *, numbers_as_strings: bool, page: str = ""
) -> dict[str, Any]:
    """
    Return the JSON members of a job at one moment.

    Args:
        job: the job.
        yarn_start_ms: start of the cluster's YARN, part of its application ids.
        now_ms: the moment, in milliseconds since the epoch.
        numbers_as_strings: print numbers as older versions do.
        page: address of the job's page; empty where the emulator has none.
    """
    seen = life.stage(job, now_ms)
    members: dict[str, Any] = {
        "job_id": job.job_id,
        "user": job.user,
        "job_name": job.name,
        "job_result": seen.result,
        "job_state": seen.state,
        "job_progress": seen.progress,
        "job_type": job.job_type,
        "started_time": seen.started_ms,
        "submitted_time": job.timetable.created_ms,
        "finished_time": seen.finished_ms,
        "elapsed_time": seen.elapsed_ms,
        "queue": job.queue,
        "arguments": job.arguments,
        "properties": job.properties,
    }

    if seen.has_launcher:
        members["launcher_id"] = f"application_{yarn_start_ms}_{2 * job.number + 1:04d}"

    if seen.has_application:
        members["app_id"] = f"application_{yarn_start_ms}_{2 * job.number + 2:04d}"
        if job.job_type == "SparkSubmit":
            members["tracking_url"] = page or f"https://mrs.invalid:9022/mrsmanager/{members['app_id']}"

    return as_strings(members) if numbers_as_strings else members


def as_strings(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members with their numbers printed as strings."""
    return {name: str(value) if isinstance(value, int | float) else value for name, value in members.items()}
