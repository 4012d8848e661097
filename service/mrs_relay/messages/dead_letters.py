"""
Dead letters: messages that no event can answer, kept as they came, with the reason.

A dead letter has the original key, value and headers. Behind the original headers stand ours, which begin with
`mrs_relay_`; the first of them is the reason, so the two are told apart even if a sender uses such names itself.

A replay sends key, value and headers once more to the partition on which they stood, so the idempotency key and the
place where it is looked up stay the same; one more header says of which message it is a replay.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

import msgspec

Headers = tuple[tuple[str, bytes], ...]

REPLAY_OF: Final = "mrs_relay_replay_of"
"""Header of a replayed message: position of the original, `<topic>-<partition>-<offset>`."""

_REASON: Final = "mrs_relay_reason"
_MESSAGE: Final = "mrs_relay_message"
_POSITION: Final = "mrs_relay_position"
_TIMESTAMP: Final = "mrs_relay_timestamp_ms"
_NO_VALUE: Final = "mrs_relay_no_value"
_CUT: Final = "mrs_relay_cut_"

WHOLE_BATCH: Final[Headers] = ((f"{_CUT}batch", b"1"),)
"""Says that the letter stands for a batch of messages that could not be read, and has none of them."""

_PLACE: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}-\d{1,9}-\d{1,18}")


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """
    A message that no event can answer, as it came in, with the reason and where it stood.

    Attributes:
        key: the original key.
        value: the original bytes, or None for a tombstone.
        headers: the original headers.
        code: one of `reasons.CODES`.
        message: the reason for people.
        topic: where it was read.
        partition: the same.
        offset: the same.
        timestamp_ms: the original record's timestamp.
        cut: headers that say what was cut off because it did not fit into the topic; empty: nothing was.
    """

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    code: str
    message: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    cut: Headers = ()

    @property
    def position(self) -> str:
        """Where the message stood: `<topic>-<partition>-<offset>`."""
        return f"{self.topic}-{self.partition}-{self.offset}"

    @property
    def origin(self) -> str:
        """Position of the first message of which this one is a replay; its own if it is none."""
        for name, raw in reversed(self.headers):
            if name == REPLAY_OF:
                told = (raw or b"").decode(errors="replace")
                return told if _PLACE.fullmatch(told) else self.position
        return self.position

    @property
    def fingerprint(self) -> bytes:
        """The same for a message and its replays, and for nothing else: SHA-256 of origin, key, value and headers."""
        parts = [self.origin.encode(), self.key, self.value]
        for name, raw in self.headers:
            if name != REPLAY_OF:
                parts += [name.encode(errors="surrogateescape"), raw or b""]
        return hashlib.sha256(msgspec.json.encode(parts)).digest()

    def write(self) -> tuple[bytes | None, bytes, Headers]:
        """Key, value and headers of the record; the reason goes into `mrs_relay_` headers behind the original ones."""
        told = (
            (_REASON, self.code.encode()),
            (_MESSAGE, self.message.encode()),
            (_POSITION, self.position.encode()),
            (_TIMESTAMP, str(self.timestamp_ms).encode()),
            *(((_NO_VALUE, b"1"),) if self.value is None else ()),
        )
        original = tuple((name, raw or b"") for name, raw in self.headers)
        return self.key, self.value or b"", (*original, *told, *self.cut)

    def replay(self) -> tuple[bytes | None, bytes | None, Headers]:
        """
        Key, value and headers to send the message with once more.

        Raises:
            ValueError: a part of it was cut off, so it cannot be sent as it was.
        """
        if self.cut:
            raise ValueError("a part of the message was cut off when it was set aside: send it again from its source")
        kept = tuple((name, raw or b"") for name, raw in self.headers if name != REPLAY_OF)
        return self.key, self.value, (*kept, (REPLAY_OF, self.origin.encode()))


def read(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> DeadLetter:
    """
    Read a dead letter's record.

    Raises:
        ValueError: the record is no dead letter of this service.
    """
    found = list(headers)
    ours = next((number for number in range(len(found) - 1, -1, -1) if found[number][0] == _REASON), None)
    if ours is None:
        raise ValueError(f"not a dead letter: it has no header {_REASON}")
    told = {name: raw.decode() for name, raw in found[ours:]}
    position = told.get(_POSITION, "")
    if not _PLACE.fullmatch(position):
        raise ValueError(f"not a dead letter: its header {_POSITION} names no position")
    topic, partition, offset = position.rsplit("-", 2)
    return DeadLetter(
        key=key,
        value=None if _NO_VALUE in told else value or b"",
        headers=tuple(found[:ours]),
        code=told[_REASON],
        message=told.get(_MESSAGE, ""),
        topic=topic,
        partition=int(partition),
        offset=int(offset),
        timestamp_ms=int(told.get(_TIMESTAMP, "0")),
        cut=tuple(header for header in found[ours:] if header[0].startswith(_CUT)),
    )
