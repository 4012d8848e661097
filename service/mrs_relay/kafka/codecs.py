"""
Unpack compressed batches of Kafka records up to a bound, and check that all compressions work in this installation.

A batch may unpack to thousands of times its size, so it is unpacked into an area of fixed size: an anonymous mapping,
of which the system allocates only the pages that are written. All functions may run in a thread; the libraries release
the interpreter's lock while they work.

Source: Kafka's message format v2, attributes; KIP-110 (zstd); xerial's snappy-java for its framing.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

NAMES: Final[Mapping[int, str]] = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
"""Names of the compressions by their number in a batch; those of Kafka's setting compression.type."""

WAYS: Final = tuple(name for number, name in NAMES.items() if number)
"""All compressions; `none` is not one."""

_GZIP_WINDOW: Final = 31  # zlib's number for the header of gzip
_PART_BYTES: Final = 1 << 20  # unpacked at once; other threads run between two parts
_MEMBERS: Final = 16  # of a gzip stream; Kafka's clients write one, and each costs a copy of all that follow
_XERIAL: Final = b"\x82SNAPPY\0"
_XERIAL_HEAD_BYTES: Final = 16
_LENGTH: Final = struct.Struct(">i")
_FULL: Final = "failed to write whole buffer"
_PROBE: Final = b"mrs-relay reads what it wrote. " * 64


class Unreadable(Exception):  # noqa: N818 - named for the batch
    """The bytes cannot be unpacked; the message says why."""


class TooLarge(Unreadable):
    """They unpack to more than the bound."""


def unpack(
    codec: int, packed: bytes | memoryview, most_bytes: int, head: Callable[[int], bytes] = lambda _size: b""
) -> bytes:
    """
    Unpack a batch's records.

    Args:
        codec: number of the compression.
        packed: the compressed records.
        most_bytes: bound of the unpacked records; no more bytes are ever written.
        head: returns the bytes to put before the records, given their size; of the same length for every size.

    Raises:
        TooLarge, Unreadable.
    """
    if (way := _WAYS.get(codec)) is None:
        raise Unreadable(f"it is compressed with codec {codec}, which is not known: expected 1 to {max(_WAYS)}")

    front = len(head(0))
    with mmap.mmap(-1, front + max(1, most_bytes)) as area:
        try:
            with memoryview(area) as whole, whole[front : front + most_bytes] as room:
                size = way(packed, room)
        except Unreadable:
            raise
        except Exception as error:
            if _FULL in str(error):
                raise _too_large(most_bytes) from error
            raise Unreadable(f"{NAMES[codec]} cannot unpack it: {error}") from error

        area[:front] = head(size)
        return area[: front + size]


def missing() -> Mapping[str, str]:
    """Try all compressions; returns those that do not work in this installation, with the reason."""
    found = {}
    for codec, pack in _PACKERS.items():
        try:
            whole = unpack(codec, pack(_PROBE), len(_PROBE)) == _PROBE
        except Exception as error:  # noqa: BLE001 - a broken library may raise anything, and that is the reason to report
            found[NAMES[codec]] = str(error)
        else:
            if not whole:
                found[NAMES[codec]] = "it does not give back what was packed"
    return found


def _gunzip(packed: bytes | memoryview, room: memoryview) -> int:
    size = 0
    rest: bytes | memoryview = packed
    for _ in range(_MEMBERS):
        member = zlib.decompressobj(_GZIP_WINDOW)
        while not member.eof:
            part = member.decompress(rest, _PART_BYTES)
            rest = member.unconsumed_tail
            if size + len(part) > len(room):
                raise _too_large(len(room))
            if not part and not rest and not member.eof:
                raise Unreadable("gzip cannot unpack it: it is cut short")
            room[size : size + len(part)] = part
            size += len(part)

        # Another member may follow.
        if not (rest := member.unused_data):
            return size
    raise Unreadable(f"gzip cannot unpack it: it has more than {_MEMBERS} members")


def _unsnap(packed: bytes | memoryview, room: memoryview) -> int:
    library = _library().snappy
    blocks = _xerial_blocks(packed) if bytes(packed[: len(_XERIAL)]) == _XERIAL else [packed]
    size = 0
    for block in blocks:
        if size + library.decompress_raw_len(block) > len(room):
            raise _too_large(len(room))
        size += library.decompress_raw_into(block, room[size:])
    return size


def _xerial_blocks(packed: bytes | memoryview) -> list[bytes | memoryview]:
    blocks = []
    at = _XERIAL_HEAD_BYTES
    while at < len(packed):
        size = _LENGTH.unpack_from(packed, at)[0]
        first, at = at + _LENGTH.size, at + _LENGTH.size + size
        if size < 0 or at > len(packed):
            raise Unreadable("snappy cannot unpack it: it is cut short")
        blocks.append(packed[first:at])
    return blocks


def _unframe(library_name: str) -> Callable[[bytes | memoryview, memoryview], int]:
    return lambda packed, room: int(getattr(_library(), library_name).decompress_into(packed, room))


def _library() -> Any:  # noqa: ANN401 - the library's module
    try:
        import cramjam  # noqa: PLC0415 - a broken installation says so for the batches concerned, and in `missing`
    except ImportError as error:
        raise Unreadable(f"the package cramjam, which unpacks it, does not work here: {error}") from error
    return cramjam


def _too_large(most_bytes: int) -> TooLarge:
    return TooLarge(f"it unpacks to more than {most_bytes} bytes (setting kafka.unpacked_bytes)")


def _gzip(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=_GZIP_WINDOW)
    return packer.compress(content) + packer.flush()


_WAYS: Final[Mapping[int, Callable[[bytes | memoryview, memoryview], int]]] = {
    1: _gunzip,
    2: _unsnap,
    3: _unframe("lz4"),
    4: _unframe("zstd"),
}

_PACKERS: Final[Mapping[int, Callable[[bytes], bytes]]] = {
    1: _gzip,
    2: lambda content: bytes(_library().snappy.compress_raw(content)),
    3: lambda content: bytes(_library().lz4.compress(content)),
    4: lambda content: bytes(_library().zstd.compress(content)),
}
