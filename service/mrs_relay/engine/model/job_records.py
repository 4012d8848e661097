"""
Encode a job as a record of the ledger.

- Format 1 is a JSON object with the fields of `jobs.Job` by name, see `named_records`.
- Format 2 is a MessagePack array with the fields by place. Before the array of a job that has ended stands what memory
  keeps of it, see `cold_jobs`. A job that MessagePack cannot express, such as a call with numbers of any size in its
  body, is written in format 1.

Both are written to Kafka and read by later versions: never rename or move a field; a new one is the last.
"""

from __future__ import annotations

import functools
import struct
from typing import Final

import msgspec

from mrs_relay import errors
from mrs_relay.engine.model import cold_jobs, facts, jobs, named_records, placed_records
from mrs_relay.kafka import ledger_format

_set: Final = msgspec.structs.force_setattr

_named: Final = named_records.NamedRecords(jobs.Job)
_placed: Final = placed_records.PlacedRecords(jobs.Job)

_BY_NAME: Final = (jobs.Call, jobs.Task)
"""Works with JSON of the sender, whose numbers may have any size."""

_ONLY_TEXT: Final = (facts.Admitted, facts.SubmissionAccepted)
"""Facts that add nothing to a job but text and counts, which are read as they were written."""

_PLACES: Final = b"\xdc"
"""The first byte of a MessagePack array of more than fifteen places."""


def encode(job: jobs.Job, ledger: int = ledger_format.FORMAT) -> bytes:
    """
    Encode the job as a ledger record's value.

    Args:
        job: to be encoded.
        ledger: the format to write.
    """
    if ledger < ledger_format.PLACED or isinstance(job.work, _BY_NAME):
        return _named.encode(job)
    try:
        value = _placed.encode(job)
        return cold_jobs.head(job) + value if job.expires_ms and cold_jobs.is_cold(job) else value
    except (OverflowError, struct.error):
        return _named.encode(job)


def encode_readable(job: jobs.Job, ledger: int = ledger_format.FORMAT) -> bytes:
    """
    Encode a job and read it back: a record that no version could read would stop its partition at the next restart.

    Raises:
        ValueError, msgspec.MsgspecError: the job contains a value that JSON, or a number of the ledger, cannot express.
    """
    value = encode(job, ledger)
    _decode(value)
    return value


def decode(value: bytes) -> jobs.Job:
    """
    Read a ledger record's value, of either format, for a job that is to be kept.

    Raises:
        StateUnreadable: it is not a job of a format this version knows.
    """
    return share(read(value))


def read(value: bytes) -> jobs.Job:
    """
    Read a ledger record's value, of either format, for a job that is not kept; see `share`.

    Raises:
        StateUnreadable: it is not a job of a format this version knows.
    """
    try:
        job = _decode(value)
        if job.later or job.after:
            job = _placed.known_after(_named.known_later(job))
        if cold_jobs.has_head(value) and not cold_jobs.is_cold(job):  # an earlier version has written it
            job = msgspec.structs.replace(job, late_until_ms=0, rows_until_ms=0, second_looks=())
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise errors.StateUnreadable(
            f"a ledger record cannot be read: {error}; if a later version of the relay has written it, run that version"
        ) from error
    return job


def _decode(value: bytes) -> jobs.Job:
    if value.startswith(_PLACES):
        return _placed.decode(value)
    return _named.decode(value) if value.startswith(b"{") else _placed.decode(cold_jobs.without_head(value))


def share(job: jobs.Job) -> jobs.Job:
    """
    Intern the texts that many jobs have in common, which are a quarter of a job's memory; return the same job.

    NB: it changes the job in place, to an equal one: only for a job that was just made and has no other reference. To
    copy each of 100,000 jobs would take longer than to decode it.
    """
    _set(job, "source", _first(job.source))
    _set(job, "key", _first(job.key))
    _set(job, "cluster", _first(job.cluster))
    if job.name:
        _set(job, "name", _first(job.name))
    if job.tenant:
        _set(job, "tenant", _first(job.tenant))

    seen = job.seen
    if seen is not None:
        _set(seen, "job_state", _first(seen.job_state))
        _set(seen, "job_result", _first(seen.job_result))
    return job


@functools.lru_cache(maxsize=4096)
def _first(word: str | bytes | None) -> str | bytes | None:
    """Return an equal text that was seen before, so that this one can be freed."""
    return word


def encode_after(job: jobs.Job | None, fact: facts.Fact, ledger: int = ledger_format.FORMAT) -> bytes | None:
    """Encode a job; read it back as a check, unless the fact added only text, which decodes as it was written."""
    if job is None:
        return None
    return encode(job, ledger) if isinstance(fact, _ONLY_TEXT) else encode_readable(job, ledger)
