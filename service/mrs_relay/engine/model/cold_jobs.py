"""
Tell which jobs leave memory: those that have ended, and to which nothing happens by itself until they expire. Pure.

A rejection and a cancel that waits for its request have bounds and timers of their own. A job with duplicates that are
being stopped, or are still to be looked for, has something to do, and so has one whose rows come late, or lie in
folders that are to be removed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from mrs_relay.engine.model import jobs

_LEAVING: Final = frozenset(state for state, trait in jobs.TRAITS.items() if trait.last) - {
    jobs.State.REJECTED,
    jobs.State.PENDING_CANCEL,
}

_MARK: Final = b'"expires_ms":'
"""Records in format 1 of all jobs that have ended contain this, and nearly no others."""

_HEAD: Final = struct.Struct(">cqqB")
_HEAD_BYTE: Final = 3
_HEAD_MARK: Final = bytes((_HEAD_BYTE,))
"""The first byte of records with a head. An array of MessagePack begins with another one, and so does JSON."""


class _Ended(msgspec.Struct, frozen=True, gc=False):
    """The fields of a ledger record in format 1 that decide; the others are not decoded."""

    state: jobs.State
    expires_ms: int = 0
    intent_ms: int = 0
    twins: tuple[str, ...] = ()
    kind: str = ""
    late_until_ms: int = 0
    rows_until_ms: int = 0
    second_looks: tuple[jobs.SecondLook, ...] = ()


_decoder: Final = msgspec.json.Decoder(_Ended)


def is_cold(job: jobs.Job) -> bool:
    """Return whether memory need not hold a committed job."""
    is_busy = job.duplicates or job.second_looks or job.late_until_ms or job.rows_until_ms
    return job.state in _LEAVING and not is_busy


def head(job: jobs.Job) -> bytes:
    """
    Return what stands before the record of a cold job in format 2: all that `due_ms` needs.

    Raises:
        struct.error: a number, or the name of the kind, is too large for it.
    """
    kind = job.kind.encode()
    return _HEAD.pack(_HEAD_MARK, job.expires_ms, job.intent_ms, len(kind)) + kind


def has_head(value: bytes) -> bool:
    """Return whether a record was written as that of a cold job in format 2."""
    return value[:1] == _HEAD_MARK


def without_head(value: bytes) -> bytes:
    """Return a record in format 2 without the head that it may have."""
    if not has_head(value):
        return value
    return value[_HEAD.size + value[_HEAD.size - 1] :] if len(value) > _HEAD.size else b""


def due_ms(
    values: Iterable[bytes | None], now_ms: int, recent_ms: int, is_known: Callable[[str], bool]
) -> list[int | None]:
    """
    Return when the job of each ledger record expires, epoch milliseconds; None if memory must hold it.

    Args:
        values: of the records; there is no job in a tombstone.
        now_ms: the present, epoch milliseconds.
        recent_ms: a job whose submission was decided less than so many milliseconds ago counts against limits.
        is_known: says whether this version knows a kind of work; a record of another kind must be refused.
    """
    found: list[int | None] = []
    counts_ms = now_ms - recent_ms
    for value in values:
        if not value or value[0] != _HEAD_BYTE or len(value) <= _HEAD.size:
            found.append(_due_of_named(value, counts_ms, is_known) if value and value[:1] == b"{" else None)
            continue

        _, expires_ms, intent_ms, kind_bytes = _HEAD.unpack_from(value)
        is_held = intent_ms > counts_ms
        if kind_bytes and not is_held:
            is_held = not is_known(value[_HEAD.size : _HEAD.size + kind_bytes].decode(errors="replace"))
        found.append(None if is_held else expires_ms)
    return found


def _due_of_named(value: bytes, counts_ms: int, is_known: Callable[[str], bool]) -> int | None:
    if value.rfind(_MARK) < 0:  # several times as fast as `in`: the mark is near the end
        return None
    try:
        ended = _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None  # decoded as a whole, it is refused with the reason
    is_busy = ended.twins or ended.second_looks or ended.late_until_ms or ended.rows_until_ms
    if ended.state not in _LEAVING or is_busy or ended.intent_ms > counts_ms:
        return None
    return ended.expires_ms if is_known(ended.kind) else None
