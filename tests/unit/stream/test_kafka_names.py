"""Header names that are not UTF-8 keep nobody from reading; the library alone stumbles over them."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from aiokafka import errors as kafka_errors
from aiokafka.consumer import fetcher
from aiokafka.record import default_records, memory_records
from aiokafka.structs import TopicPartition
from tests.support import odd

from mrs_relay.stream import client, settings
from mrs_relay.stream.kafka import names

_STRICT: list[Any] = [names._Strict, memory_records._MemoryRecordsPy]
_GZIP = 1


def _batch(first: int, *headers: list[tuple[str, bytes | None]], compression: int = 0) -> bytes:
    builder = default_records._DefaultRecordBatchBuilderPy(2, compression, 0, -1, -1, -1, 100_000)
    for number, one in enumerate(headers):
        builder.append(number, 7, b"k%d" % number, b"v%d" % number, one)
    raw = builder.build()
    raw[:8] = first.to_bytes(8, "big")
    return bytes(raw)


def _read(raw: bytes, records: Any = names.Records) -> list[Any]:
    found = fetcher.PartitionRecords(
        TopicPartition("t", 0), records(raw), [], 0, None, None, check_crcs=True, isolation_level=1
    )
    return list(found)


@pytest.mark.parametrize("strict", _STRICT)
@pytest.mark.parametrize("compression", [0, _GZIP])
def test_odd_header_name_is_read_with_its_neighbours(
    strict: Any, compression: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records before, with and behind an odd name come once each, in order, whole, whichever code the library uses."""
    monkeypatch.setattr(names, "_Strict", strict)
    good: list[tuple[str, bytes | None]] = [("ü", b"1"), ("null", None)]
    bad: list[tuple[str, bytes | None]] = [(odd.Name(b"\xff\xfea"), b"\xff"), ("b", b"2")]
    raw = _batch(0, good) + _batch(1, good, bad, good, bad, compression=compression) + _batch(5, good)
    found = _read(raw)
    assert [record.offset for record in found] == [0, 1, 2, 3, 4, 5]
    assert [record.value for record in found] == [b"v0", b"v0", b"v1", b"v2", b"v3", b"v0"]
    assert found[2].headers == found[4].headers == (("\\xff\\xfea", b"\xff"), ("b", b"2"))
    assert found[1].headers == found[3].headers == found[5].headers == tuple(good)
    assert all(type(part) is bytes for record in found for part in (record.key, record.value))


def test_library_alone_stumbles() -> None:
    """When this fails the library reads such names itself, and `names` may go."""
    with pytest.raises(UnicodeDecodeError):
        _read(_batch(0, [(odd.Name(b"\xff"), b"")]), names._Strict)


def test_broken_batch_is_still_refused() -> None:
    """Only names are tolerated: a batch whose checksum is wrong raises as before."""
    raw = bytearray(_batch(0, [("a", b"1")]))
    raw[-1] ^= 1
    with pytest.raises(kafka_errors.CorruptRecordException):
        _read(bytes(raw))


def test_fetcher_uses_what_we_replace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library makes its records by this name; whoever opens the door to Kafka has ours there."""
    monkeypatch.setattr(fetcher, "MemoryRecords", None)
    client.KafkaBroker(settings.KafkaSettings())
    assert fetcher.MemoryRecords is names.Records
    assert "MemoryRecords(part_data[-1])" in inspect.getsource(fetcher)
