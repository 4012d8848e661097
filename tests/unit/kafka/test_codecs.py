"""Every compression that Kafka knows is unpacked, up to a bound."""

from __future__ import annotations

import gzip
import sys

import cramjam
import pytest
from aiokafka import codec as library

from mrs_relay.kafka import codecs

_TEXT = b'{"id": "r-1", "type": "mrs.sql.submit"}' * 1000
_PACKED = {
    1: library.gzip_encode(_TEXT),
    2: library.snappy_encode(_TEXT),
    3: library.lz4_encode(_TEXT),
    4: library.zstd_encode(_TEXT),
}


@pytest.mark.parametrize("codec", sorted(_PACKED))
def test_what_the_library_packs_is_unpacked(codec: int) -> None:
    """Bytes and views alike, also where the bound is just met."""
    assert codecs.unpack(codec, _PACKED[codec], len(_TEXT)) == _TEXT
    assert codecs.unpack(codec, memoryview(_PACKED[codec]), 1 << 20) == _TEXT


def test_other_framings_of_the_same_compressions_are_unpacked() -> None:
    """Snappy with and without xerial's blocks, gzip in several members, nothing at all."""
    assert codecs.unpack(2, bytes(cramjam.snappy.compress_raw(_TEXT)), 1 << 20) == _TEXT
    assert codecs.unpack(1, gzip.compress(b"a") + gzip.compress(b"b"), 100) == b"ab"
    assert codecs.unpack(4, _PACKED[4], len(_TEXT), lambda size: b"%08d" % size) == b"%08d" % len(_TEXT) + _TEXT
    assert [codecs.unpack(codec, pack(b""), 1) for codec, pack in codecs._PACKERS.items()] == [b""] * 4


@pytest.mark.parametrize("codec", sorted(_PACKED))
def test_nothing_is_unpacked_beyond_the_bound(codec: int) -> None:
    """One byte more than the bound is too much."""
    with pytest.raises(codecs.TooLarge, match=r"more than 38999 bytes \(setting kafka\.unpacked_bytes\)"):
        codecs.unpack(codec, _PACKED[codec], len(_TEXT) - 1)


def test_gzip_is_bounded_over_all_its_members() -> None:
    """Neither many members nor large ones get past the bound."""
    with pytest.raises(codecs.TooLarge):
        codecs.unpack(1, gzip.compress(b"a" * 60) + gzip.compress(b"b" * 60), 100)
    with pytest.raises(codecs.Unreadable, match="more than 16 members"):
        codecs.unpack(1, gzip.compress(b"") * 17, 100)


@pytest.mark.parametrize("codec", sorted(_PACKED))
@pytest.mark.parametrize("broken", ["cut", "turned", "other", "empty"])
def test_broken_bytes_are_named_with_their_compression(codec: int, broken: str) -> None:
    """Whatever the library raises is one error that says which compression failed."""
    whole = _PACKED[codec]
    packed = {
        "cut": whole[: len(whole) // 2],
        "turned": whole[:20] + bytes(byte ^ 0xFF for byte in whole[20:60]) + whole[60:],
        "other": b"abc" * 20,
        "empty": b"",
    }[broken]
    with pytest.raises(codecs.Unreadable, match=f"^{codecs.NAMES[codec]} cannot unpack it"):
        codecs.unpack(codec, packed, 1 << 20)


def test_unknown_compression_is_named() -> None:
    """Numbers that Kafka may use one day are no reason to guess."""
    with pytest.raises(codecs.Unreadable, match="codec 5, which is not known"):
        codecs.unpack(5, b"x", 100)


def test_all_compressions_work_here() -> None:
    """The package's own dependencies bring them."""
    assert codecs.missing() == {}


def test_missing_library_is_named_for_each_compression_that_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python itself brings gzip."""
    monkeypatch.setitem(sys.modules, "cramjam", None)
    found = codecs.missing()
    assert sorted(found) == ["lz4", "snappy", "zstd"]
    assert all("the package cramjam" in reason for reason in found.values())
    with pytest.raises(codecs.Unreadable, match="the package cramjam"):
        codecs.unpack(4, _PACKED[4], 1 << 20)
