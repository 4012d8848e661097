"""
Write and read the records of the results topic: pieces of one result, in order. Pure.

A record is a CloudEvent in binary mode whose value is text of the result, or an Arrow IPC stream of rows. Its id is
made of the request, the attempt and the number, so a piece that is written again after a crash is known by it. The last
event of the request, or `mrs.sql.result`, names the number of pieces and one digest of all of their digests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from mrs_relay.common import clock
from mrs_relay.messages import events

TYPE: Final = "mrs.sql.rows"
"""CloudEvents type of a piece."""

HEADERS_BYTES: Final = 8_192
"""Upper bound of a piece's headers and key."""

CONTENT_TYPES: Final = {"csv": "text/csv; charset=UTF-8", "arrow": "application/vnd.apache.arrow.stream"}
"""Format of the pieces -> what their records say of it. Source: IANA's registry of media types."""

_DIGEST: Final = "sha-256:"


class Origin(msgspec.Struct, frozen=True):
    """
    What the pieces of one result have in common.

    Attributes:
        key: Kafka key of the request, so that all of them are in one partition.
        source: of the request.
        id: of the request.
        attempt: whose result it is.
        event_source: CloudEvents source of the deployment.
        format: of the pieces.
    """

    key: bytes
    source: str
    id: str
    attempt: int
    event_source: str
    format: Literal["csv", "arrow"] = "csv"


class Chunk(msgspec.Struct, frozen=True):
    """
    One piece as a reader finds it.

    Attributes:
        source: of the request.
        id: of the request.
        attempt: whose result it is.
        number: 1, 2, 3 … within the result.
        digest: of the value, as it is named in a header.
        value: the bytes of the result.
    """

    source: str
    id: str
    attempt: int
    number: int
    digest: str
    value: bytes

    @property
    def is_whole(self) -> bool:
        """Whether the value has the digest that its header names."""
        return digest(self.value) == self.digest


class Digests:
    """
    The digest of a whole result: that of its pieces' digests, so that no byte is hashed twice.

    Attributes:
        count: pieces so far.
    """

    def __init__(self) -> None:
        self._hashed = hashlib.sha256()
        self.count = 0

    def add(self, digested: str) -> None:
        """Take the digest of the next piece, in the form that its header has."""
        self._hashed.update(digested.encode())
        self.count += 1

    def named(self) -> str:
        """Return the digest so far in the form of headers and events."""
        return _DIGEST + self._hashed.hexdigest()


def digest(value: bytes) -> str:
    """Return the digest of some bytes as headers name it."""
    return _DIGEST + hashlib.sha256(value).hexdigest()


def headers(origin: Origin, number: int, digested: str, time_ms: int) -> tuple[tuple[str, bytes], ...]:
    """Return the headers of one piece; `digested` is the digest of its value."""
    identity = events.identity(origin.source, origin.id)
    return (
        ("content-type", CONTENT_TYPES[origin.format].encode()),
        ("ce_specversion", b"1.0"),
        ("ce_id", f"{identity}-{origin.attempt}-rows-{number}".encode()),
        ("ce_source", origin.event_source.encode()),
        ("ce_type", TYPE.encode()),
        ("ce_subject", origin.id.encode()),
        ("ce_requestsource", origin.source.encode()),
        ("ce_time", clock.rfc3339(time_ms).encode()),
        ("ce_attempt", b"%d" % origin.attempt),
        ("ce_sequence", b"%010d" % number),
        ("ce_digest", digested.encode()),
    )


def read(value: bytes | None, given: Sequence[tuple[str, bytes]] | Iterable[tuple[str, bytes]]) -> Chunk | None:
    """Read a record of the results topic; None: it is no piece of a result."""
    found = dict(given)
    if value is None or found.get("ce_type") != TYPE.encode():
        return None
    try:
        return Chunk(
            source=found["ce_requestsource"].decode(),
            id=found["ce_subject"].decode(),
            attempt=int(found["ce_attempt"]),
            number=int(found["ce_sequence"]),
            digest=found["ce_digest"].decode(),
            value=value,
        )
    except (KeyError, ValueError):
        return None
