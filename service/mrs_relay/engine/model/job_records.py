"""
Encode a job as a record of the ledger.

- Format 1 is a JSON object with the fields of `jobs.Job` by name, see `named_records`.
- Format 2 is a MessagePack array with the fields by place. Before the array of a job that has ended stands what memory
  keeps of it, see `cold_jobs`. A job whose record MessagePack cannot express, such as a call with numbers of any size in
  its body, is written in format 1.

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

_named: Final = named_records.NamedRecords(jobs.Job)
_placed: Final = placed_records.PlacedRecords(jobs.Job)


def encode(job: jobs.Job, ledger: int = ledger_format.FORMAT) -> bytes:
    """
    Encode the job as a ledger record's value.

    Args:
        job: to be encoded.
        ledger: the format to write.
    """
    if ledger < ledger_format.PLACED or isinstance(job.work, jobs.Call | jobs.Task):
        return _named.encode(job)
    try:
        value = _placed.encode(job)
        return cold_jobs.head(job) + value if cold_jobs.is_cold(job) else value
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
    Read a ledger record's value, of either format.

    Raises:
        StateUnreadable: it is not a job of a format this version knows.
    """
    try:
        job = _decode(value)
        if job.later or job.after:
            job = _placed.known_after(_named.known_later(job))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise errors.StateUnreadable(
            f"a ledger record cannot be read: {error}; if a later version of the relay has written it, run that version"
        ) from error
    return share(job)


def _decode(value: bytes) -> jobs.Job:
    if value[:1] in (b"{", b""):
        return _named.decode(value)
    return _placed.decode(cold_jobs.without_head(value))


_SHARED: Final = ("source", "key", "cluster", "name", "tenant")


def share(job: jobs.Job) -> jobs.Job:
    """
    Intern the texts that many jobs have in common, which are a quarter of a job's memory; return the same job.

    NB: it changes the job in place, to an equal one: only for a job that was just made and has no other reference. To
    copy each of 100,000 jobs would take longer than to decode it.
    """
    for name in _SHARED:
        if word := getattr(job, name):  # Python shares empty texts anyway
            msgspec.structs.force_setattr(job, name, _first(word))

    seen = job.seen
    if seen is not None:
        msgspec.structs.force_setattr(seen, "job_state", _first(seen.job_state))
        msgspec.structs.force_setattr(seen, "job_result", _first(seen.job_result))
    return job


@functools.lru_cache(maxsize=4096)
def _first(word: str | bytes | None) -> str | bytes | None:
    """Return an equal text that was seen before, so that this one can be freed."""
    return word


def encode_after(job: jobs.Job | None, fact: facts.Fact, ledger: int = ledger_format.FORMAT) -> bytes | None:
    """Encode a job; read it back as a check, unless the fact added only text, which decodes as it was written."""
    if job is None:
        return None
    only_text = isinstance(fact, facts.Admitted | facts.SubmissionAccepted)
    return encode(job, ledger) if only_text else encode_readable(job, ledger)
