"""Sizes of records and the choice of partitions."""

from __future__ import annotations

import collections
import contextlib

import hypothesis
import pytest
from aiokafka import partitioner as kafka_partitioner
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import strategies as st

from mrs_relay.kafka import partitioning, records

_HEADERS = st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=50)), max_size=4)


@hypothesis.given(st.none() | st.binary(max_size=300), st.none() | st.binary(max_size=3000), _HEADERS)
def test_size_is_an_upper_bound_of_the_real_batch(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
) -> None:
    """A record that passes the check fits into a batch of its own of that many bytes."""
    builder = DefaultRecordBatchBuilder(2, 0, 1, -1, -1, 0, 1)
    builder.append(0, 1_795_000_000_000, key, value, headers)
    assert len(builder.build()) <= records.size_bytes(key, value, headers)


@hypothesis.given(st.lists(st.tuples(st.binary(max_size=300), _HEADERS), max_size=150), st.integers(100, 2000))
def test_a_record_that_does_not_fit_is_found_among_many(
    parts: list[tuple[bytes, list[tuple[str, bytes]]]], limit_bytes: int
) -> None:
    """Records that are counted together pass exactly if each of them passes by itself."""
    written = [records.Outgoing("t", b"k", value, tuple(headers)) for value, headers in parts]
    fit = all(records.size_bytes(one.key, one.value, one.headers) <= limit_bytes for one in written)

    with contextlib.nullcontext() if fit else pytest.raises(records.TooLarge):
        records.require_all_fit(written, limit_bytes)


def test_size_bound_is_close() -> None:
    """The bound costs little: a record of 1 MB is overestimated by less than 100 bytes."""
    assert records.size_bytes(b"k" * 40, b"v" * 1_000_000) < 1_000_040 + 100


@hypothesis.given(st.binary(max_size=100))
def test_hash_equals_that_of_kafka(key: bytes) -> None:
    """Any key goes where every other client of Kafka would put it."""
    assert partitioning.murmur2(key) == kafka_partitioner.murmur2(key) & 0x7FFF_FFFF


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_hash_equals_the_examples_of_kafka(key: bytes, expected: int) -> None:
    """The values of Kafka's own UtilsTest, made positive."""
    assert partitioning.murmur2(key) == expected & 0x7FFF_FFFF


def test_records_without_key_are_spread() -> None:
    """In turn, so that no partition has more than its share."""
    chooser = partitioning.Partitioner()
    assert collections.Counter(chooser.choose(None, 4) for _ in range(40)) == dict.fromkeys(range(4), 10)


def test_too_large_names_topic_and_sizes() -> None:
    """The error tells what a person needs to know."""
    error = records.TooLarge("ev", 200, 100)
    assert ("ev" in str(error), "200" in str(error), "100" in str(error)) == (True, True, True)


@hypothesis.given(st.lists(st.integers(0, 50)), st.integers(1, 5), st.integers(1, 60))
def test_slices_hold_all_records_in_order_and_are_bounded(sizes: list[int], most: int, most_bytes: int) -> None:
    """Only a record that is larger by itself exceeds the bytes of a part."""
    incoming = [records.Record("t", 0, at, 0, None, b"x" * size) for at, size in enumerate(sizes)]
    parts = list(records.slices(incoming, most, most_bytes))
    assert [record for part in parts for record in part] == incoming
    for part in parts:
        assert 1 <= len(part) <= most
        assert len(part) == 1 or sum(len(record.value or b"") for record in part) <= most_bytes
