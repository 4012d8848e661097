"""The index of cold records: a multimap in buckets of arrays, and the times at which its keys are due."""

from __future__ import annotations

import random
import tracemalloc
from collections import defaultdict

import pytest

from mrs_relay.kafka import cold_index

_UNIT_MS = 1000


def _index() -> cold_index.ColdIndex:
    return cold_index.ColdIndex(_UNIT_MS)


Model = dict[int, set[tuple[int, bool]]]


def _check(index: cold_index.ColdIndex, model: Model) -> None:
    """Check that every entry of the model is there, the newest first, and nothing else."""
    assert len(index) == sum(map(len, model.values()))
    for fingerprint, entries in model.items():
        assert index.entries(fingerprint) == sorted(entries, reverse=True)
        assert (fingerprint in index) == bool(entries)


@pytest.mark.parametrize(("fingerprints", "count"), [(1 << 64, 20_000), (3000, 20_000), (3, 300), (1, 100)])
def test_entries_are_found_whatever_their_fingerprints(
    fingerprints: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Insertions and removals in any order, through divided and joined arrays, also where all keys collide."""
    monkeypatch.setattr(cold_index, "_MOST", 16)
    monkeypatch.setattr(cold_index, "_FEW", 4)
    drawn, index = random.Random(fingerprints), _index()  # noqa: S311 - a test's draws
    model: Model = defaultdict(set)
    for offset in range(count):
        fingerprint = drawn.randrange(fingerprints) - (1 << 63)
        is_replacement = drawn.random() < 0.2
        if is_replacement:
            index.put_replacement(fingerprint, offset)
        else:
            index.put(fingerprint, offset, 0)
        model[fingerprint].add((offset, is_replacement))
    _check(index, model)

    all_entries = [(fingerprint, entry) for fingerprint, entries in model.items() for entry in sorted(entries)]
    for fingerprint, entry in drawn.sample(all_entries, count * 19 // 20):
        index.drop(fingerprint, cold_index.Entry(*entry))
        model[fingerprint].discard(entry)
    _check(index, model)
    assert 5 not in index


@pytest.mark.parametrize("expected", [0, 4000, 1 << 40])
def test_entries_that_are_put_together_are_found(expected: int) -> None:
    """Whatever number of them was expected; they are due as if they had been put one by one."""
    drawn, index, other = random.Random(expected), _index(), _index()  # noqa: S311 - a test's draws
    model: Model = defaultdict(set)
    for first in range(0, 3000, 300):
        fingerprints = [drawn.randrange(1 << 64) - (1 << 63) for _ in range(299)] + [5]
        offsets, due_ms = range(first, first + 300), [drawn.randrange(20_000) for _ in range(300)]
        index.put_all(fingerprints, offsets, due_ms)
        index.expect(expected)
        for fingerprint, offset, moment_ms in zip(fingerprints, offsets, due_ms, strict=True):
            model[fingerprint].add((offset, False))
            other.put(fingerprint, offset, moment_ms)
    _check(index, model)
    for now_ms in range(0, 21_000, 1000):
        assert sorted(index.take_due(now_ms, 9999)) == sorted(other.take_due(now_ms, 9999))


def test_expected_entries_take_little_memory_until_they_come() -> None:
    """A guess may be wrong by any factor."""
    index = _index()
    index.put_all(range(1000), range(1000), [1] * 1000)
    index.expect(1 << 40)
    assert len(index._fingerprints) < 100


def test_dropping_what_is_not_there_changes_nothing() -> None:
    """A record may be read twice at the same time, and its entry is dropped once."""
    index = _index()
    index.put(7, 3, 0)
    index.drop(7, cold_index.Entry(4, is_replacement=False))
    index.drop(7, cold_index.Entry(3, is_replacement=True))
    index.drop(8, cold_index.Entry(3, is_replacement=False))
    assert index.entries(7) == [(3, False)]


def test_a_key_takes_few_bytes_and_gives_them_back() -> None:
    """A key takes less than half of 64 bytes; what has been forgotten takes nothing."""
    count = 50_000
    drawn = random.Random(1)  # noqa: S311 - a test's draws
    fingerprints = [drawn.randrange(1 << 64) - (1 << 63) for _ in range(count)]
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    index = _index()
    for number, fingerprint in enumerate(fingerprints):
        index.put(fingerprint, 5_000_000_000 + number, number)
    full = tracemalloc.get_traced_memory()[0] - before
    for number, fingerprint in enumerate(fingerprints[: count - 1000]):
        index.drop(fingerprint, cold_index.Entry(5_000_000_000 + number, is_replacement=False))
    index.take_due(1 << 62, count)
    left = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()

    assert full / count < 32
    assert left < full / 20


def test_keys_are_due_in_time_each_once() -> None:
    """Not before their time, at most one unit after it; what was dropped meanwhile is due no more."""
    index = _index()
    for fingerprint, due_ms in ((1, 10_000), (2, 10_001), (3, 12_000), (1, 10_500)):
        index.put(fingerprint, fingerprint, due_ms)
    assert index.next_due_ms == 10_000
    assert index.take_due(9_999, 10) == []
    assert index.take_due(10_000, 10) == [1]
    index.drop(2, cold_index.Entry(2, is_replacement=False))
    assert index.take_due(11_000, 10) == [1]
    assert index.next_due_ms == 12_000
    assert index.take_due(99_000, 10) == [3]
    assert index.take_due(1 << 62, 10) == []


def test_no_more_are_due_at_once_than_are_asked_for() -> None:
    """The others remain due."""
    index = _index()
    for fingerprint in range(10):
        index.put(fingerprint, fingerprint, 1)
    taken = [index.take_due(5_000, 4) for _ in range(4)]
    assert [len(one) for one in taken] == [4, 4, 2, 0]
    assert sorted(one for some in taken for one in some) == list(range(10))
