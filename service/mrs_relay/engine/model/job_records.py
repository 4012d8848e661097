"""
Encode a job as a record of the ledger: JSON with the fields of `jobs.Job`; fields with their default are left out.

Fields and tags are written to Kafka and read by later versions: never rename one.
"""

from __future__ import annotations

import functools
from typing import Final

import msgspec

from mrs_relay import errors
from mrs_relay.engine.model import facts, jobs, later_fields
from mrs_relay.messages import codec

_encoder = msgspec.json.Encoder(decimal_format="number")
_decoder = msgspec.json.Decoder(jobs.Job, float_hook=codec.number)  # a call's body keeps its numbers' values


_KNOWN: Final = frozenset(jobs.Job.__struct_encode_fields__) - {"~later"}


def encode(job: jobs.Job) -> bytes:
    """Encode the job as a ledger record's value."""
    if not job.later:
        return _encoder.encode(job)
    return later_fields.join(_encoder.encode(msgspec.structs.replace(job, later=b"")), job.later)


def encode_readable(job: jobs.Job) -> bytes:
    """
    Encode a job and read it back: a record that no version could read would stop its partition at the next restart.

    Raises:
        ValueError, msgspec.MsgspecError: the job contains a value that JSON, or a number of the ledger, cannot express.
    """
    value = encode(job)
    _decode(value)
    return value


def decode(value: bytes) -> jobs.Job:
    """
    Read a ledger record's value.

    Raises:
        StateUnreadable: it is not a job of a format this version knows.
    """
    try:
        job = _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise errors.StateUnreadable(
            f"a ledger record cannot be read: {error}; if a later version of the relay has written it, run that version"
        ) from error
    return share(job)


def _decode(value: bytes) -> jobs.Job:
    try:
        return _decoder.decode(value)
    except msgspec.ValidationError:
        known, later = later_fields.split(value, _KNOWN)
        if not later:
            raise
    return msgspec.structs.replace(_decoder.decode(known), later=later)


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


def encode_after(job: jobs.Job | None, fact: facts.Fact) -> bytes | None:
    """Encode a job; read it back as a check, unless the fact added only text, which decodes as it was written."""
    if job is None:
        return None
    only_text = isinstance(fact, facts.Admitted | facts.SubmissionAccepted)
    return encode(job) if only_text else encode_readable(job)
