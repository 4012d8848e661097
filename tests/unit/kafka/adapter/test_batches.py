"""Fetched batches become batches that the library reads without fail, up to the first one that no reader can read."""

from __future__ import annotations

import re
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record import default_records, memory_records
from aiokafka.structs import TopicPartition
from tests.support import batches as built
from tests.support import raw_records

from mrs_relay.kafka.adapter import batches

_MOST = 1 << 20


def _readable(raw: bytes, *aborted: tuple[int, int], most: int = _MOST, left: int = _MOST) -> batches.Readable:
    return batches.readable(raw, aborted, most, left)


def _parsed(raw: bytes, *aborted: tuple[int, int], records: Any = memory_records.MemoryRecords) -> list[Any]:
    found = fetcher.PartitionRecords(
        TopicPartition("t", 0), records(raw), list(aborted), 0, None, None, check_crcs=False, isolation_level=1
    )
    return list(found)


@pytest.mark.parametrize("codec", sorted(built.CODECS))
def test_batches_of_every_compression_are_read_alike(codec: str) -> None:
    """Offsets, times, keys, values and headers are those that were written; a part at the end is left out."""
    headers: list[built.Headers] = [[("ü", b"1"), ("null", None)], []]
    raw = built.batch(5, [b"a" * 5000, None], codec=codec, headers=headers) + built.batch(9, [b"c" * 900], codec=codec)
    found = _readable(raw + raw[:90])
    records = _parsed(found.raw)
    assert found.bad is None
    assert [(one.offset, one.value) for one in records] == [(5, b"a" * 5000), (6, None), (9, b"c" * 900)]
    assert [one.timestamp for one in records] == [1_700_000_000_000, 1_700_000_000_001, 1_700_000_000_000]
    assert records[0].headers == tuple(headers[0])
    assert (found.unpacked_bytes == 0) is (codec == "none")
    assert batches.compressed(raw) is (codec != "none")


@pytest.mark.parametrize(("codec", "magic"), [("none", 0), ("none", 1), ("gzip", 0), ("gzip", 1), ("lz4", 1)])
def test_old_formats_are_read(codec: str, magic: int) -> None:
    """Topics that are older than Kafka 0.11 may hold them."""
    found = _readable(built.old_batch(3, [b"a" * 500, b"b" * 500], codec=codec, magic=magic))
    assert [one.value for one in _parsed(found.raw)] == [b"a" * 500, b"b" * 500]


def test_batches_of_several_formats_come_one_after_the_other() -> None:
    """The library reads what it is given at once in the format of the first batch."""
    new, old = built.batch(0, [b"a", b"b"], codec="lz4"), built.old_batch(2, [b"c"])
    found = _readable(new + old + new)
    assert [one.offset for one in _parsed(found.raw)] == [0, 1]
    assert _readable(old + new).raw == old
    assert _readable(built.old_batch(1, [b"c"], magic=0) + old).raw == built.old_batch(1, [b"c"], magic=0)


_SOUND = built.batch(3, [b"x" * 100, b"y" * 100], codec="zstd")
_PLAIN = built.batch(3, [b"x", b"y"])
_BAD = {
    "checksum": (built.damaged(_SOUND), "its checksum is wrong"),
    "plain checksum": (built.damaged(_PLAIN), "its checksum is wrong"),
    "codec 5": (built.changed(_SOUND, attributes=5), "codec 5, which is not known"),
    "not what it says": (built.changed(_SOUND, attributes=3), "lz4 cannot unpack it"),
    "cut": (built.changed(_SOUND, body=_SOUND[built.HEAD_BYTES : -9]), "zstd cannot unpack it"),
    "records": (built.changed(_PLAIN, body=_PLAIN[built.HEAD_BYTES : -1]), "its records are damaged"),
    "more than its records": (built.changed(_PLAIN, body=_PLAIN[built.HEAD_BYTES :] + b"z"), "records are damaged"),
    "format": (_PLAIN[:16] + b"\3" + _PLAIN[17:], "its format is 3: expected 0 to 2"),
    "length": (_PLAIN[:8] + b"\0\0\0\1" + _PLAIN[12:], "its length is wrong|its records are damaged"),
    "negative length": (_PLAIN[:8] + b"\xff\xff\xff\xff" + _PLAIN[12:], "its length is wrong|its records are damaged"),
    "bomb": (built.batch(3, [b"\0" * (2 << 20), b""], codec="gzip"), "unpacks to more than 1048576 bytes"),
    "old checksum": (built.damaged(built.old_batch(3, [b"x"])), "its checksum is wrong"),
    "old bomb": (built.old_batch(3, [b"\0" * (2 << 19), b"x" * 9000], codec="gzip"), "more than 1048576 bytes"),
}


@pytest.mark.parametrize("case", sorted(_BAD))
def test_batch_that_cannot_be_read_is_kept_from_the_library(case: str) -> None:
    """What stands before it is read, its offset and the reason are reported, and nothing raises."""
    raw, reason = _BAD[case]
    sound = [b"a" * 500, b"b", b"c"]
    before = built.old_batch(0, sound) if case.startswith("old") else built.batch(0, sound, codec="gzip")
    for found, count in ((_readable(before + raw), 3), (_readable(raw), 0)):
        assert [one.value for one in _parsed(found.raw)] == sound[:count]
        if count and case in {"format", "bomb"}:
            continue  # the next fetch begins with it: another format, or less room than it may have
        assert found.bad is not None
        assert found.bad.first in {3, 4}  # an old compressed batch has the offset of its last record
        assert found.bad.next_offset > found.bad.first
        assert re.search(reason, found.bad.reason)


def test_part_of_a_batch_alone_is_never_passed_over() -> None:
    """The library would take it for one that is too large, and continue behind its first record."""
    found = _readable(_PLAIN[:-1])
    assert (found.raw, found.bad) == (
        b"",
        batches.Bad(3, 5, f"its length is wrong: {len(_PLAIN) - 1} bytes of it came"),
    )


def test_batch_that_fits_the_bound_but_not_what_is_left_waits() -> None:
    """It is fetched again when the others have been handed out; only the bound itself makes a batch unreadable."""
    raw = built.batch(0, [b"\0" * 600_000], codec="gzip") + built.batch(1, [b"\0" * 600_000], codec="lz4")
    found = _readable(raw)
    assert ([one.offset for one in _parsed(found.raw)], found.bad) == ([0], None)
    assert 600_000 < found.unpacked_bytes < 601_000
    assert _readable(raw, left=1000) == batches.Readable(b"")


def test_batches_of_aborted_transactions_need_not_be_readable() -> None:
    """The library passes over them unread, whatever is in them; those of the same producer behind the marker count."""
    bomb = built.batch(1, [b"\0" * (2 << 20)], codec="gzip", producer_id=7)
    raw = built.batch(0, [b"a"]) + bomb + built.marker(2, 7, commit=False) + built.batch(3, [b"b"], producer_id=7)
    raw += built.marker(4, 7, commit=True)
    found = _readable(raw, (7, 1))
    assert found.bad is None
    assert [one.offset for one in _parsed(found.raw, (7, 1))] == [0, 3]
    assert _readable(raw + built.batch(5, [b"\0" * (2 << 20)], codec="gzip", producer_id=7), (7, 1)).bad is not None
    assert _readable(bomb).bad is not None


@pytest.mark.parametrize("strict", [memory_records.MemoryRecords, memory_records._MemoryRecordsPy])
@pytest.mark.parametrize("codec", ["none", "gzip", "zstd"])
def test_odd_header_name_is_read_with_its_neighbours(strict: Any, codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records before, with and behind an odd name come once each, in order, whole, whichever code the library uses."""
    monkeypatch.setattr(memory_records, "MemoryRecords", strict)
    good: built.Headers = [("ü", b"1"), ("null", None)]
    bad: built.Headers = [(raw_records.Name(b"\xff\xfea"), b"\xff"), ("b", b"2")]
    raw = built.batch(0, [b"v0"], headers=[good])
    raw += built.batch(1, [b"v0", b"v1", b"v2", b"v3"], headers=[good, bad, good, bad], codec=codec)
    raw += built.batch(5, [b"v0"], headers=[good])
    found = _parsed(_readable(raw).raw, records=strict)
    assert [record.offset for record in found] == [0, 1, 2, 3, 4, 5]
    assert [record.value for record in found] == [b"v0", b"v0", b"v1", b"v2", b"v3", b"v0"]
    assert [record.timestamp - 1_700_000_000_000 for record in found] == [0, 0, 1, 2, 3, 0]
    assert found[2].headers == found[4].headers == (("\\xff\\xfea", b"\xff"), ("b", b"2"))
    assert found[1].headers == found[3].headers == found[5].headers == tuple(good)
    assert all(type(part) is bytes for record in found for part in (record.key, record.value))


def test_library_alone_stumbles() -> None:
    """When this fails the library reads such names itself, and `names` may go."""
    with pytest.raises(UnicodeDecodeError):
        _parsed(built.batch(0, [b"v"], headers=[[(raw_records.Name(b"\xff"), b"")]]))


def test_builders_of_the_library_are_those_we_know() -> None:
    """`names` writes batches with the one and reads them with the other."""
    assert default_records._DefaultRecordBatchPy.HEADER_STRUCT.format == batches.HEAD.format
