"""
Dead letters: messages that no event can answer, kept as they came, with the reason.

A dead letter has the original key, value and headers. Our own headers follow the original ones and begin with
`mrs_relay_`; the first of them is the reason, so a reader can separate them even if a sender uses such names itself.

A replay sends key, value and headers again to the original partition, so the idempotency key and the partition that
looks it up stay the same; one more header names the replayed message.
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
"""Headers of a letter that stands for an unreadable batch of messages, and holds none of them."""

_PLACE: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}-\d{1,9}-\d{1,18}")


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """
    A message that no event can answer, unchanged, with the reason and its position.

    Attributes:
        key: the original key.
        value: the original bytes, or None for a tombstone.
        headers: the original headers.
        code: one of `reasons.CODES`.
        message: the reason for people.
        topic: topic from which it was read.
        partition: partition from which it was read.
        offset: its offset there.
        timestamp_ms: the original record's timestamp.
        cut: headers that describe what was cut off because it did not fit into the topic; empty: nothing was.
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
        """The position of the message: `<topic>-<partition>-<offset>`."""
        return f"{self.topic}-{self.partition}-{self.offset}"

    @property
    def origin(self) -> str:
        """The position of the first message of which this one is a replay; its own if it is no replay."""
        for name, raw in reversed(self.headers):
            if name == REPLAY_OF:
                origin = (raw or b"").decode(errors="replace")
                return origin if _PLACE.fullmatch(origin) else self.position
        return self.position

    @property
    def fingerprint(self) -> bytes:
        """Return SHA-256 of origin, key, value and headers: equal for a message and its replays, and for no other."""
        parts = [self.origin.encode(), self.key, self.value]
        for name, raw in self.headers:
            if name != REPLAY_OF:
                parts += [name.encode(errors="surrogateescape"), raw or b""]
        return hashlib.sha256(msgspec.json.encode(parts)).digest()

    def write(self) -> tuple[bytes | None, bytes, Headers]:
        """Make key, value and headers of the record; `mrs_relay_` headers with the reason follow the original ones."""
        reason = (
            (_REASON, self.code.encode()),
            (_MESSAGE, self.message.encode()),
            (_POSITION, self.position.encode()),
            (_TIMESTAMP, str(self.timestamp_ms).encode()),
            *(((_NO_VALUE, b"1"),) if self.value is None else ()),
        )
        original = tuple((name, raw or b"") for name, raw in self.headers)
        return self.key, self.value or b"", (*original, *reason, *self.cut)

    def replay(self) -> tuple[bytes | None, bytes | None, Headers]:
        """
        Make key, value and headers of the replay.

        Raises:
            ValueError: a part of it was cut off, so the original cannot be sent.
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
    # Our headers begin at the last one that is named like the reason.
    found = list(headers)
    ours = next((number for number in range(len(found) - 1, -1, -1) if found[number][0] == _REASON), None)
    if ours is None:
        raise ValueError(f"not a dead letter: it has no header {_REASON}")

    texts = {name: raw.decode() for name, raw in found[ours:]}
    position = texts.get(_POSITION, "")
    if not _PLACE.fullmatch(position):
        raise ValueError(f"not a dead letter: its header {_POSITION} names no position")

    topic, partition, offset = position.rsplit("-", 2)
    return DeadLetter(
        key=key,
        value=None if _NO_VALUE in texts else value or b"",
        headers=tuple(found[:ours]),
        code=texts[_REASON],
        message=texts.get(_MESSAGE, ""),
        topic=topic,
        partition=int(partition),
        offset=int(offset),
        timestamp_ms=int(texts.get(_TIMESTAMP, "0")),
        cut=tuple(header for header in found[ours:] if header[0].startswith(_CUT)),
    )
