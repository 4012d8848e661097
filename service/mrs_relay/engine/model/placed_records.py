"""
Write and read jobs by the places of their fields: a MessagePack array, as in format 2 of the ledger. Pure.

A record of a later version may have more places. Their content is kept in `jobs.Job.after`, as it was read, behind the
number of the first of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import msgspec

from mrs_relay.engine.model import jobs

J = TypeVar("J", bound=jobs.Job)

_encoder: Final = msgspec.msgpack.Encoder()
_parts: Final = msgspec.msgpack.Decoder(list[msgspec.Raw])
_number: Final = msgspec.msgpack.Decoder(int)


class PlacedRecords(Generic[J]):
    """
    Writes and reads jobs of one type.

    Args:
        job: the type; a test plays a later version by one with more fields.

    Attributes:
        encode: encodes a job, or raises OverflowError: a number has more than 64 bits.
    """

    def __init__(self, job: type[J]) -> None:
        self.encode: Callable[[J], bytes] = _encoder.encode
        self._decoder = msgspec.msgpack.Decoder(job)
        self._places = len(job.__struct_fields__)
        self._blank = _parts.decode(_encoder.encode(job("", "", "job", "", jobs.State.QUEUED)))

    def decode(self, value: bytes) -> J:
        """
        Read a record.

        Raises:
            MsgspecError, UnicodeDecodeError: it is not a job that this version knows.
        """
        try:
            return self._decoder.decode(value)
        except msgspec.ValidationError:
            parts = _parts.decode(value)
            if len(parts) <= self._places:
                raise
        return self._with_rest(parts)

    def known_after(self, job: J) -> J:
        """Return a job with those fields at their places that an earlier version has kept for this one."""
        if not job.after:
            return job
        first, *kept = _parts.decode(job.after)
        first_place = _number.decode(first)
        if first_place > self._places:
            return job
        read = self._with_rest(self._blank[:first_place] + kept)
        news = {name: getattr(read, name) for name in job.__struct_fields__[first_place:]}
        return msgspec.structs.replace(job, after=read.after, **news)

    def _with_rest(self, parts: list[msgspec.Raw]) -> J:
        """Read a record that has more places than this version knows."""
        job = self._decoder.decode(_encoder.encode(parts[: self._places]))
        rest = parts[self._places :]
        if not rest:
            return job
        if job.after:  # of a version between that one and this one
            rest += _parts.decode(job.after)[1:]
        return msgspec.structs.replace(job, after=_encoder.encode([self._places, *rest]))
