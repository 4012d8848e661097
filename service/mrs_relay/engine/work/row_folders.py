r"""
Let a SELECT of Hive or Spark write its rows to a folder of its own, and say which objects there are its rows. Pure.

The statement of a delivery is made when its request is read, so the ledger holds what is sent, word for word. A further
attempt gets a folder of its own in the same text. A folder's name ends in the form of its rows: `json` and `hive` are a
JSON object a line, with the names of the columns, or with _col0, _col1 and so on, as Hive calls them in a directory.

Source: Spark, "INSERT OVERWRITE DIRECTORY", with `USING json`; Hive's LanguageManual DML, "Writing data into the
filesystem from queries", with Hive's own JsonSerDe, whose properties the statement cannot set. Both write NULL as null
and a line break as \n (seen with Hive 3.1.3); Spark before version 3.0 leaves NULL out. Spark names its objects part-…,
Hive 000000_0 and so on; names that begin with _ or . are no rows, such as _SUCCESS.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from mrs_relay.common import selects
from mrs_relay.engine.model import job_names, jobs
from mrs_relay.obs import paths, transport

_replace = msgspec.structs.replace

_JSON: Final = "json"

_FORMS: Final = {
    "SparkSql": (_JSON, "using json options (ignoreNullFields 'false', compression 'none')"),
    "HiveSql": ("hive", "row format serde 'org.apache.hadoop.hive.serde2.JsonSerDe' stored as textfile"),
}
"""Job type -> the form of its rows, and how its engine is to write them so."""

_WRITTEN: Final = re.compile(
    r"(?:part-[\w.=-]+|\d{6}_\d+(?:_copy_\d+)?(?:\.[\w.]+)?|_SUCCESS|_committed_\d+|_started_\d+)"
    r"|(?:HIVE_UNION_SUBDIR_\d+|-?\d+)/(?:\d{6}_\d+(?:_copy_\d+)?(?:\.[\w.]+)?)?"
    r"|(?:_temporary|\.spark-staging[\w-]*|\.hive-staging[\w-]*|_tmp[\w.-]*)(?:/.*)?"
)
"""
What engines and their committers call objects of a folder that they write, below it; nothing else is removed. One with
a slash at its end stands for a folder.
"""


def is_written(job: jobs.Job) -> bool:
    """Return whether a job's rows are delivered through folders of its own."""
    return job.delivery is not None and isinstance(job.work, jobs.Batch) and job.work.job_type in _FORMS


def written(job: jobs.Job) -> jobs.Job:
    """
    Return the job with the statement that its first attempt sends, and the folder for its rows.

    Raises:
        ValueError: its statement is no plain SELECT; says why.
    """
    work = job.work
    assert isinstance(work, jobs.Batch)  # noqa: S101 - see `is_written`
    used, semicolon, statement = work.arguments[-1].partition(";") if job.skip else ("", "", work.arguments[-1])
    before, select = selects.split(statement)
    form, words = _FORMS[work.job_type]
    place = _folder(job, 1, form)
    text = f"{used}{semicolon}{before}insert overwrite directory '{place}' {words} {select}"
    return _replace(job, work=_replace(work, arguments=(text,)), location=place)


def of_attempt(job: jobs.Job) -> jobs.Job:
    """Return the job with the folder of its present attempt in its statement."""
    work, before = job.work, job.location
    if not is_written(job) or before is None or not isinstance(work, jobs.Batch):
        return job
    place = _folder(job, job.attempt, _FORMS[work.job_type][0])
    # NB: the first occurrence is ours: only the name of a database stands before it, or tables that are named first.
    head, found, tail = work.arguments[-1].partition(f"directory '{before}'")
    if not found or place == before:
        return job
    return _replace(job, work=_replace(work, arguments=(f"{head}directory '{place}'{tail}",)), location=place)


def has_names(place: paths.Place) -> bool:
    """Return whether the names in the objects of a folder are those of the columns."""
    return place.key.endswith(f".{_JSON}/")


def as_asked(text: str, job_type: str) -> str:
    """Return the statement that a job sends without what `written` has put into it; any other one is unchanged."""
    _, words = _FORMS[job_type]
    return re.sub(rf"insert overwrite directory '[^']*' {re.escape(words)} ", "", text, count=1)


def folders(job: jobs.Job) -> Iterator[paths.Place]:
    """Yield the folders that the attempts of a job may have written, in each form: a job that has ended has no work."""
    for attempt in range(1, job.attempt + 1):
        for form, _ in _FORMS.values():
            yield paths.folder(_folder(job, attempt, form))


def _folder(job: jobs.Job, attempt: int, form: str) -> str:
    """Return the path of the folder of an attempt: its token and its number, below the tenant's results."""
    assert job.delivery is not None  # noqa: S101 - the callers have seen it
    token = job_names.submission_token(job.ledger_key, attempt, job.tenant)
    return f"{job.delivery.folder}{token}-{attempt}.{form}/"


def rows_in(place: paths.Place, found: Iterable[transport.Listed]) -> list[transport.Listed]:
    """
    Return the objects of a folder that are rows, in the order of their names, which is that of the rows.

    An empty object with others below it stands for a folder, see `transport.Listed`.
    """
    listed = list(found)
    folders = {one.key.rpartition("/")[0] for one in listed}
    shown = (one for one in listed if not _is_hidden(one.key.removeprefix(place.key)))
    rows = (one for one in shown if not one.key.endswith("/") and (one.size or one.key not in folders))
    return sorted(rows, key=lambda one: one.key)


def written_to(place: paths.Place, found: Iterable[transport.Listed]) -> list[str]:
    """
    Return the keys of what engines have written to a folder, as removal needs them: content before its folders.

    The empty object that stands for the folder itself is the last one, if nothing of another name is left below it.
    """
    own, is_alone, has_object = set[str](), True, False
    for one in found:
        if one == transport.Listed(place.key, 0, one.tag):
            has_object = True
            continue
        names = (one.key,) if one.size or one.key.endswith("/") else (one.key, f"{one.key}/")
        ours = [name for name in names if is_own(place, name)]
        own.update(ours)
        is_alone = is_alone and bool(ours)
    ordered = sorted(own, key=lambda key: (key.endswith("/"), -key.count("/"), key))
    return [*ordered, place.key] if has_object and is_alone else ordered


def is_own(place: paths.Place, key: str) -> bool:
    """Return whether an engine calls an object so that it writes to this folder."""
    return key.startswith(place.key) and _WRITTEN.fullmatch(key.removeprefix(place.key)) is not None


def _is_hidden(below: str) -> bool:
    return any(step.startswith(("_", ".")) for step in below.split("/"))
