r"""
The record format of a ledger partition, and its replay. Pure: `ledger.py` does the reading and writing.

Keys that begin with a zero byte belong to the ledger itself, all others are state.

    \0claim       {"nonce", "format"}: names the owner of the partition; written before any other record
    \0offsets     {input topic: next offset}, the last record of every commit, never a tombstone; header `f` is the
                  format, `o` the number of outbox records that belong to the commit, `e` where the log ended before it,
                  `b` where it began, if its owner was set to accept that records were deleted, `i` Kafka's id of the
                  input topic to which the offset belongs, if it is known, `l` the offset at which the records of all
                  values begin that memory holds, see `live_tail`; without it that is the beginning of the log.
                  While an import fills the ledger the names in the value are no topics, see `import_marks`
    \0outbox.<n>  records that the commit sends after the ledger was written; only without transactions; the next commit
                  deletes those that it does not overwrite

Without transactions every record after a claim carries that claim's offset in header `t`, the fencing token.

Three rules make a replay safe. A record whose token is older than the newest claim comes from an owner that was already
replaced: it is ignored. Records that no `\0offsets` follows are the rest of an unfinished commit: they are ignored,
too. Compaction knows neither rule, so the owner that notices such a record writes the right value of its key again. And
a commit that is stored before the end that its writer knew was written to another log than the writer assumed.

The format of claims and commits is the highest that the owner writes or that any value in the log has: a version that
does not read it refuses the log. So a ledger has its lower format again when no such value and no such mark is left.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from mrs_relay import errors
from mrs_relay.kafka import cold_records, import_marks, records

NAMED = 1
"""The first format: a value is a JSON object, so it begins with a brace."""

PLACED = 2
"""Values may be of any other form, too; what they mean is the handler's affair."""

FORMAT = PLACED
"""The highest format that this version reads."""

CLAIM = b"\0claim"
OFFSETS = b"\0offsets"
_OUTBOX = b"\0outbox."

_TOKEN_HEADER = "t"  # noqa: S105 - the fencing token, no secret
_FORMAT_HEADER = "f"
_OUTBOX_HEADER = "o"
_END_HEADER = "e"
_BEGINNING_HEADER = "b"
_TOPIC_HEADER = "i"
_LIVE_HEADER = "l"
_OUTBOX_RECORD_BYTES = 128 * 1024
OUTBOX_OVERHEAD_BYTES = 256  # a record's growth in the outbox: its topic's name and the encoding

_offsets_decoder = msgspec.json.Decoder(dict[str, int])
_outbox_decoder = msgspec.msgpack.Decoder(list[records.Outgoing])


class NewerFormat(errors.StateUnreadable):
    """A newer version of the software has written the ledger: a replica of that version can continue."""


class Claim(msgspec.Struct, frozen=True):
    """
    The value of a claim record.

    Attributes:
        nonce: `<owner>.<unique>`: the whole identifies this claim, the first part all claims of its owner.
        format: the highest of the records that this owner writes or has found.
    """

    nonce: str
    format: int = NAMED


_claim_decoder = msgspec.json.Decoder(Claim)


def claim(nonce: str, mark: int = FORMAT) -> tuple[bytes, bytes]:
    """Return key and value of a claim record; `mark` is the format."""
    return CLAIM, msgspec.json.encode(Claim(nonce, mark))


def offsets(
    topic: str, next_offset: int, *, outbox: int, end: int, beginning: int = 0, topic_id: str | None = None
) -> tuple[bytes, bytes, records.Headers]:
    """
    Return key, value and headers of the record that ends a commit.

    Args:
        topic: the input topic.
        next_offset: of the input topic.
        outbox: number of outbox records in the commit.
        end: offset behind the last record that the writer knew before this commit.
        beginning: of the log, if it is not 0 and that loss was accepted.
        topic_id: Kafka's id of the input topic, if it is known.
    """
    numbers = {_OUTBOX_HEADER: outbox, _END_HEADER: end}
    if beginning:
        numbers[_BEGINNING_HEADER] = beginning
    headers = tuple((name, str(number).encode()) for name, number in numbers.items())
    if topic_id is not None:
        headers += ((_TOPIC_HEADER, topic_id.encode()),)
    return OFFSETS, msgspec.json.encode({topic: next_offset}), headers


def format_header(mark: int) -> records.Headers:
    """Return the header of the end of a commit that says the format."""
    return ((_FORMAT_HEADER, str(mark).encode()),)


def topic_id(record: records.Stored) -> str | None:
    """Return the id of the input topic from the record that ends a commit; None if it has none."""
    return next((content.decode() for name, content in record.headers if name == _TOPIC_HEADER), None)


def live_header(live_from: int) -> records.Headers:
    """Return the header of the end of a commit that notes where the values begin that memory holds; none for 0."""
    return ((_LIVE_HEADER, str(live_from).encode()),) if live_from else ()


def live_from(record: records.Stored) -> int:
    """Return the offset at which the values begin that memory holds, from the record that ends a commit; 0: unknown."""
    return _header(record.headers, _LIVE_HEADER) or 0


def token(claim_offset: int) -> records.Headers:
    """Return the headers that mark a record as written under a claim."""
    return ((_TOKEN_HEADER, str(claim_offset).encode()),)


def written_under(record: records.Stored) -> int | None:
    """Return the offset of the claim under which a record was written; None: it was written in a transaction."""
    return _header(record.headers, _TOKEN_HEADER)


def require_known_format(position: records.Position, record: records.Stored) -> None:
    """Raise NewerFormat, or StateUnreadable, for a claim or the end of a commit that this version does not read."""
    try:
        if record.key == CLAIM:
            require_format(position, _claim_decoder.decode(record.value or b"{}").format)
        elif record.key == OFFSETS:
            require_format(position, _header(record.headers, _FORMAT_HEADER) or NAMED)
    except (msgspec.MsgspecError, ValueError) as error:
        raise unreadable(position, record, error) from error


def outbox(outgoing: Sequence[records.Outgoing]) -> list[tuple[bytes, bytes]]:
    """Return keys and values of the outbox records: the outgoing records that a commit still has to send."""
    return [
        (_outbox_key(number), msgspec.msgpack.encode(part))
        for number, part in enumerate(records.in_parts(outgoing, _OUTBOX_RECORD_BYTES))
    ]


def outbox_keys(first: int, end: int) -> list[bytes]:
    """Return the keys of the outbox records from number `first` to before `end`."""
    return [_outbox_key(number) for number in range(first, end)]


def _outbox_key(number: int) -> bytes:
    return _OUTBOX + str(number).encode()


def require_format(position: records.Position, found: int) -> None:
    """Raise NewerFormat for a format that only a newer version reads."""
    if found > FORMAT:
        raise NewerFormat(
            f"the ledger of {position} was written in format {found}, this version reads format {FORMAT} at "
            "most and leaves it alone: run the newer version again"
        )


def unreadable(position: records.Position, record: records.Stored, error: Exception) -> errors.StateUnreadable:
    """Return the error for a record that is not one of a ledger."""
    return errors.StateUnreadable(
        f"the ledger of {position} contains an unreadable record at offset {record.offset}: {error}"
    )


class Values(Protocol):
    """Keeps the values of a replay; a dictionary does."""

    def __setitem__(self, key: bytes, value: bytes, /) -> None:
        """Keep a value."""

    def pop(self, key: bytes, default: None, /) -> object:
        """Note that a key has no value any more."""


class Replay:
    """
    Replays a ledger partition to the claim of the reader, from its beginning or from where the values in memory begin.

    Args:
        position: the input partition whose offset is restored.
        nonce: of the reader's claim.
        previous_claim: offset of the reader's last claim, if any; foreign claims after it are counted.
        cold: gets the values that need not be held in memory; None: all are held.
        live_from: offset of the first record to replay, if that is not the ledger's first one: its writer had read
            everything before it, so tokens of earlier claims are old.
        values: gets the values instead of `state`.

    Attributes:
        state: ledger key -> value so far, without those in `cold`.
        claim_offset: offset of the reader's claim, None until it is found.
        foreign_claims: number of claims of others after `previous_claim`.
        stale_keys: keys of ignored records, whose right value must be written again.
        rest: of these, keys of records before the claim that no commit has ended; before that: `tentative`.
        topic_id: of the input topic to which the offset belongs; None if the last commit has none.
        values_format: the highest format of a value that is still in the log, overwritten or not.
        offsets: content of the last offset record.
    """

    def __init__(
        self,
        position: records.Position,
        nonce: str,
        previous_claim: int | None = None,
        cold: cold_records.ColdRecords | None = None,
        live_from: int = 0,
        values: Values | None = None,
    ) -> None:
        self.state: dict[bytes, bytes] = {}
        self._values: Values = self.state if values is None else values
        self.claim_offset: int | None = None
        self.foreign_claims = 0
        self.stale_keys: set[bytes] = set()
        self.rest: set[bytes] = set()
        self.topic_id: str | None = None
        self.values_format = NAMED
        self.offsets: Mapping[str, int] = {}
        self._position = position
        self._nonce = nonce
        self._previous_claim = previous_claim
        self._cold = cold
        self._newest_claim = live_from or -1
        self.tentative: list[cold_records.Written] = []
        self._tentative_outbox: list[cold_records.Written] = []
        self._outbox: dict[bytes, bytes] = {}
        self._outbox_count = 0
        self._holds_state = False
        self._is_another = False
        self._known_beginning = 0

    @property
    def done(self) -> bool:
        """Whether the claim of the reader has been found."""
        return self.claim_offset is not None

    @property
    def next_offset(self) -> int | None:
        """
        Offset of the first input record that is not in the state; None if nothing was ever committed.

        Raises:
            StateUnreadable: there is state without an offset, although the very first commit writes an offset alone.
        """
        next_offset = self.offsets.get(self._position.topic)
        if (unfinished := import_marks.unfinished(self.offsets)) is not None:
            raise errors.StateUnreadable(
                f"the ledger of {self._position} is incomplete: an import of file {unfinished.file_id} has not ended; "
                "stop the relays and run `mrs-relay ledger import` with that file again"
            )
        if next_offset is None and self._holds_state:
            raise errors.StateUnreadable(
                f"the ledger of {self._position} holds state but no offset of the topic {self._position.topic}: "
                "was it written for another topic, or cut?"
            )
        return next_offset

    @property
    def unsent(self) -> list[records.Outgoing]:
        """The outgoing records of the last commit, perhaps not sent, in order."""
        keys = outbox_keys(0, self._outbox_count)
        return [record for key in keys if key in self._outbox for record in _outbox_decoder.decode(self._outbox[key])]

    @property
    def outbox_end(self) -> int:
        """The number behind the last outbox record still in the log: sent, unsent or ignored."""
        left = [key for key in {*self._outbox, *self.stale_keys} if key.startswith(_OUTBOX)]
        return 1 + max((int(key.removeprefix(_OUTBOX)) for key in left), default=-1)

    def loss(self, beginning: int) -> str | None:
        """
        Return the loss of a log that begins at `beginning`, for people, or None.

        Compaction never moves a log's beginning. Deletion by age, by size or by hand does, and deletes live state.
        """
        if beginning > self._known_beginning:
            return (
                f"the ledger of {self._position} begins at offset {beginning}: records were deleted, jobs may be "
                "forgotten; see that its topic has cleanup.policy=compact"
            )
        if self._is_another:
            return (
                f"the ledger of {self._position} is shorter than it was: its topic was deleted and created again "
                "while it was being written, jobs are forgotten"
            )
        return None

    def add(self, read: Sequence[records.Stored]) -> None:
        """
        Replay the next records, in order; records after the reader's claim are ignored.

        Raises:
            NewerFormat: a newer version of the software has written the ledger.
            StateUnreadable: a record is not one of a ledger.
        """
        for record in read:
            key, value = record.key, record.value
            if not record.headers and key is not None and key[:1] != b"\0":  # a value of a transaction, as most are
                self._holds_state = True
                self.tentative.append((key, value, record.offset))
                if self.values_format < PLACED and value is not None and value[:1] != b"{":
                    self.values_format = PLACED
                continue
            try:
                self._add(record)
            except (msgspec.MsgspecError, ValueError) as error:
                raise unreadable(self._position, record, error) from error
            if self.done:
                return

    def _add(self, record: records.Stored) -> None:
        key = record.key
        if key is None:
            return
        if key[:1] != b"\0":
            self._holds_state = True
            if self.values_format < PLACED and record.value is not None and record.value[:1] != b"{":
                self.values_format = PLACED
            if record.headers and self._outdated(record):
                self.stale_keys.add(key)
            else:
                self.tentative.append((key, record.value, record.offset))
        elif record.headers and self._outdated(record):
            self.stale_keys.add(key)
        elif key == CLAIM:
            self._claimed(record)
        elif key == OFFSETS:
            self._committed(record)
        elif key.startswith(_OUTBOX):
            self._tentative_outbox.append((key, record.value, record.offset))

    def _outdated(self, record: records.Stored) -> bool:
        written_under = _header(record.headers, _TOKEN_HEADER)
        return written_under is not None and written_under < self._newest_claim

    def _claimed(self, record: records.Stored) -> None:
        claimed = _claim_decoder.decode(record.value or b"{}")
        require_format(self._position, claimed.format)
        self._newest_claim = record.offset
        if claimed.nonce == self._nonce:
            self.claim_offset = record.offset
            self.rest = {key for key, _, _ in [*self.tentative, *self._tentative_outbox]}
            self.stale_keys |= self.rest
            self.tentative.clear()
            self._tentative_outbox.clear()
        elif self._previous_claim is not None and record.offset > self._previous_claim:
            self.foreign_claims += self._is_foreign(claimed.nonce)

    def _is_foreign(self, nonce: str) -> bool:
        """Return whether another owner wrote a claim; earlier versions wrote nonces without an owner."""
        return nonce.partition(".")[0] != self._nonce.partition(".")[0]

    def _committed(self, record: records.Stored) -> None:
        require_format(self._position, _header(record.headers, _FORMAT_HEADER) or NAMED)
        self._is_another = (_header(record.headers, _END_HEADER) or 0) > record.offset
        self._known_beginning = _header(record.headers, _BEGINNING_HEADER) or 0
        values, read = self._values, self.tentative
        are_cold = itertools.repeat(False, len(read)) if self._cold is None else self._cold.replayed(read)
        for (key, value, _), is_cold in zip(read, are_cold, strict=True):
            if value is None or is_cold:
                values.pop(key, None)
            else:
                values[key] = value
        for key, value, _ in self._tentative_outbox:
            if value is None:
                self._outbox.pop(key, None)
            else:
                self._outbox[key] = value
        self.tentative.clear()
        self._tentative_outbox.clear()
        self._outbox_count = _header(record.headers, _OUTBOX_HEADER) or 0
        self.topic_id = topic_id(record)
        self.offsets = _offsets_decoder.decode(record.value or b"{}")


def _header(headers: Sequence[tuple[str, bytes]], name: str) -> int | None:
    for found, content in headers:
        if found == name:
            return int(content)
    return None
