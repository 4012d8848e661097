"""
The format of a file of ledgers: JSON texts, one a line, packed with gzip; written and read as a stream.

    header           format of the file, its id, when and by whom it was made, `app_id`, the ledgers
      partition      one for each partition of each ledger, with its offset
        value        one for each key, in the order of the keys; bytes are in base64
        unsent       one for each outgoing record that is perhaps not sent
      partition_end  counts, and the digest of the values
    end              count of all values, and the SHA-256 of all lines before

The digest of a partition is the SHA-256 of its keys and values in their order, each behind its length in four bytes.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import sys
import zlib
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, cast

import msgspec

from mrs_relay import errors
from mrs_relay.kafka import ledger_format, records

FORMAT: Final = 1
"""Format of the file that this version writes, and the highest that it reads."""

_LONGEST_LINE: Final = 256 * 1024 * 1024


class FileUnreadable(errors.StateUnreadable):
    """A file is none of ours, is damaged, or was made by a newer version."""


class _Line(msgspec.Struct, frozen=True, tag_field="type"):
    """A line of the file."""


class Ledger(msgspec.Struct, frozen=True):
    """One ledger of a file: the tenant's name, its requests topic, and the number of partitions."""

    tenant: str
    requests: str
    partitions: int


class Header(_Line, frozen=True, tag="header"):
    """
    The first line.

    Attributes:
        format: of the file.
        id: of the file, random.
        made_at: when it was begun, as RFC 3339.
        made_by: program and version.
        app_id: `kafka.app_id` of the deployment, which is part of its jobs' tokens.
        ledgers: what the file has.
    """

    format: int
    id: str
    made_at: str
    made_by: str
    app_id: str
    ledgers: tuple[Ledger, ...]


class Partition(_Line, frozen=True, tag="partition"):
    """
    The beginning of a partition.

    Attributes:
        tenant: name of the ledger's tenant.
        partition: its number.
        next_offset: offset of the first request that the ledger does not have; null: it has never been used.
        topic_id: of the requests topic to which that offset belongs.
        unread: offsets of the requests topic from there to its end, when the partition was written; null: unknown.
        format: the highest ledger format of a value.
        values: their number.
    """

    tenant: str
    partition: int
    next_offset: int | None
    topic_id: str | None
    unread: int | None
    format: int
    values: int


class Value(_Line, frozen=True, tag="value", gc=False):
    """A key of the ledger and its value."""

    key: bytes
    value: bytes


class Unsent(_Line, frozen=True, tag="unsent", gc=False):
    """An outgoing record; see `records.Outgoing`."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: records.Headers
    partition: int | None


class PartitionEnd(_Line, frozen=True, tag="partition_end"):
    """The end of a partition: counts and digest of what stands before."""

    values: int
    unsent: int
    digest: str


class End(_Line, frozen=True, tag="end"):
    """The last line."""

    values: int
    sha256: str


Line = Header | Partition | Value | Unsent | PartitionEnd | End

_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Line)


class Digest:
    """The digest of a partition's values, which come in the order of their keys."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()

    def add(self, key: bytes, value: bytes) -> None:
        """Add the next value."""
        for part in (key, value):
            self._sha.update(len(part).to_bytes(4, "big"))
            self._sha.update(part)

    def text(self) -> str:
        """Return the digest of all values so far."""
        return self._sha.hexdigest()


class Writer:
    """
    Writes one file.

    Args:
        out: takes the packed bytes.
        header: the first line.
    """

    def __init__(self, out: BinaryIO, header: Header) -> None:
        self._packed = gzip.GzipFile(filename="", mode="wb", fileobj=out)
        self._sha = hashlib.sha256()
        self._values = 0
        self._write(header)

    def partition(
        self, head: Partition, values: Iterable[tuple[bytes, bytes]], unsent: Sequence[records.Outgoing]
    ) -> PartitionEnd:
        """Write a partition; returns its last line."""
        self._write(head)
        digest, count = Digest(), 0
        for key, value in values:
            digest.add(key, value)
            count += 1
            self._write(Value(key, value))
        for one in unsent:
            self._write(Unsent(one.topic, one.key, one.value, one.headers, one.partition))
        self._values += count
        end = PartitionEnd(count, len(unsent), digest.text())
        self._write(end)
        return end

    def end(self) -> End:
        """Write the last line and close the packed stream."""
        end = End(self._values, self._sha.hexdigest())
        self._write(end)
        self._packed.close()
        return end

    def _write(self, line: Line) -> None:
        text = _encoder.encode(line) + b"\n"
        self._sha.update(text)
        self._packed.write(text)


@contextlib.contextmanager
def new_file(path: Path | None) -> Iterator[BinaryIO]:
    """
    Open a file that only its owner may read, and which has its name when it is complete; None: standard output.

    Raises:
        SettingsError: there is such a file, or it cannot be written.
    """
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return

    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        if path.exists():
            raise errors.SettingsError(f"{path} exists: expected the name of a new file")
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:  # noqa: PTH123 - its mode
            yield out
            out.flush()
            os.fsync(out.fileno())
        _give_name(part, path)
    except OSError as error:
        raise errors.SettingsError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _give_name(part: Path, path: Path) -> None:
    """Give a complete file its name; a file of that name is not replaced."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # volumes of object stores, and shares of Windows, have no hard links
        if path.exists():
            raise
        part.rename(path)


def read(path: Path) -> Generator[Line]:
    """
    Read a file and check it on the way: a reader that gets the last line has seen the file as it was written.

    Raises:
        FileUnreadable: it is damaged, incomplete, none of ours, or of a newer format.
        SettingsError: there is no such file.
    """
    try:
        with gzip.open(path, "rb") as packed:
            yield from _checked(path, cast("BinaryIO", packed))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileUnreadable(f"{path} is damaged or incomplete: {error}") from error
    except OSError as error:
        raise errors.SettingsError(f"{path} cannot be read: {error.strerror or error}") from error


def header(path: Path) -> Header:
    """Read the first line of a file; raises as `read` does."""
    with contextlib.closing(read(path)) as lines:
        return cast("Header", next(lines))


def partitions(path: Path) -> Iterator[tuple[Partition, Iterator[Value | Unsent]]]:
    """
    Read a file partition by partition; raises as `read` does, and is to be read to its end.

    Yields:
        The first line of a partition, and its content, to be read before the next partition.
    """
    lines = read(path)
    for line in lines:
        if isinstance(line, Partition):
            content = _content(lines)
            yield line, content
            for _ in content:  # what was not read
                pass


def _content(lines: Iterable[Line]) -> Iterator[Value | Unsent]:
    for line in lines:
        if isinstance(line, PartitionEnd):
            return
        yield cast("Value | Unsent", line)


def _checked(path: Path, packed: BinaryIO) -> Iterator[Line]:
    """Yield the lines of a file; each must follow from those before it."""
    sha, check = hashlib.sha256(), _Check(path)
    while text := packed.readline(_LONGEST_LINE):
        before = sha.hexdigest() if check.is_complete else ""
        sha.update(text)
        try:
            line = _decoder.decode(text)
        except msgspec.MsgspecError as error:
            raise check.wrong(f"a line is none of a file of ledgers: {error}") from error
        check.add(line, before)
        yield line
    if not check.has_ended:
        raise check.wrong("its end is missing")


class _Check:
    """
    Checks the order of lines, their counts and digests.

    Attributes:
        is_complete: all partitions have been read.
        has_ended: the last line has been read.
    """

    def __init__(self, path: Path) -> None:
        self.is_complete = False
        self.has_ended = False
        self._path = path
        self._wanted: list[tuple[str, int]] | None = None
        self._open: Partition | None = None
        self._digest = Digest()
        self._values = self._unsent = self._all = 0
        self._last_key: bytes | None = None

    def wrong(self, what: str) -> FileUnreadable:
        """Return the error for a file that is not as it was written."""
        return FileUnreadable(f"{self._path} is damaged or incomplete: {what}")

    def add(self, line: Line, sha256: str) -> None:
        """Check the next line; `sha256` is that of all lines before it, if all partitions have been read."""
        if self.has_ended or (self._wanted is None) != isinstance(line, Header):
            raise self.wrong("lines are not in their order")

        match line:
            case Header():
                self._begin(line)
            case Partition():
                self._begin_partition(line)
            case Value():
                self._add_value(line)
            case Unsent():
                self._unsent += 1
            case PartitionEnd():
                self._end_partition(line)
            case End():
                if not self.is_complete or (line.values, line.sha256) != (self._all, sha256):
                    raise self.wrong("the SHA-256 of its lines is another one than its last line says")
                self.has_ended = True

    def _begin(self, line: Header) -> None:
        if line.format > FORMAT:
            raise FileUnreadable(
                f"{self._path} has format {line.format}, made by {line.made_by}; this version reads format {FORMAT} at "
                "most: use the newer version"
            )
        self._wanted = [(one.tenant, number) for one in line.ledgers for number in range(one.partitions)]
        self.is_complete = not self._wanted

    def _begin_partition(self, line: Partition) -> None:
        if self._open is not None or not self._wanted or self._wanted.pop(0) != (line.tenant, line.partition):
            raise self.wrong("partitions are not in their order")
        self._open, self._digest, self._values, self._unsent, self._last_key = line, Digest(), 0, 0, None

    def _add_value(self, line: Value) -> None:
        if self._open is None or (self._last_key is not None and line.key <= self._last_key):
            raise self.wrong("values are not in their order")
        self._last_key = line.key
        self._digest.add(line.key, line.value)
        self._values += 1

    def _end_partition(self, line: PartitionEnd) -> None:
        found = PartitionEnd(self._values, self._unsent, self._digest.text())
        if self._open is None or line != found or self._open.values != self._values:
            raise self.wrong("a partition has other values than its end says")
        if self._open.format > ledger_format.FORMAT:
            raise FileUnreadable(
                f"{self._path} has values of ledger format {self._open.format}; this version reads format "
                f"{ledger_format.FORMAT} at most: use the newer version"
            )
        self._open, self._all = None, self._all + self._values
        self.is_complete = not self._wanted
