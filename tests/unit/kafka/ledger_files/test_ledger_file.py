"""A file of ledgers: what was written is read back, and nothing that was damaged is."""

from __future__ import annotations

import errno
import gzip
import json
import os
import random
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from mrs_relay import errors
from mrs_relay.kafka import records
from mrs_relay.kafka.ledger_files import ledger_file

_EVENT = records.Outgoing("mrs.events", b"k", b"\xffv", (("h", b"\x00"),), 3)
_VALUES = {b"/s %d" % number: bytes([0xDC, number]) * 40 for number in range(5)}


def _header(ledgers: Sequence[ledger_file.Ledger] | None = None) -> ledger_file.Header:
    found = [ledger_file.Ledger("", "mrs.requests", 2)] if ledgers is None else ledgers
    return ledger_file.Header(1, "f1", "2026-11-30T00:00:00Z", "mrs-relay test", "prod", tuple(found))


def _head(number: int, values: int, tenant: str = "", form: int = 2) -> ledger_file.Partition:
    return ledger_file.Partition(tenant, number, 7, "topic", 0, form, values)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of one ledger with two partitions, the second one empty."""
    made = tmp_path / "relay.ledgers"
    with ledger_file.new_file(made) as out:
        writer = ledger_file.Writer(out, _header())
        writer.partition(_head(0, len(_VALUES)), sorted(_VALUES.items()), [_EVENT])
        writer.partition(_head(1, 0), [], [])
        writer.end()
    return made


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def _store(path: Path, lines: Sequence[object]) -> None:
    path.write_bytes(gzip.compress(b"".join(json.dumps(line).encode() + b"\n" for line in lines)))


def test_what_was_written_is_read_back(path: Path) -> None:
    """Offsets, keys, values of any bytes, and records that are to be sent."""
    found = [(head, list(content)) for head, content in ledger_file.partitions(path)]
    assert [head for head, _ in found] == [_head(0, 5), _head(1, 0)]
    values = {one.key: one.value for one in found[0][1] if isinstance(one, ledger_file.Value)}
    assert values == _VALUES
    assert found[0][1][-1] == ledger_file.Unsent("mrs.events", b"k", b"\xffv", (("h", b"\x00"),), 3)
    assert ledger_file.header(path) == _header()


def test_content_that_is_not_read_is_checked_all_the_same(path: Path) -> None:
    """A reader that passes over partitions still learns that the file is whole."""
    assert [head.partition for head, _ in ledger_file.partitions(path)] == [0, 1]
    lines = _lines(path)
    lines[2]["value"] = lines[3]["value"]
    _store(path, lines)
    with pytest.raises(ledger_file.FileUnreadable):
        list(ledger_file.partitions(path))


def test_it_is_the_owners_alone(path: Path) -> None:
    """It has SQL and arguments."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_there_is_not_replaced(path: Path) -> None:
    """The last export may be the only one."""
    before = path.read_bytes()
    with pytest.raises(errors.SettingsError, match="expected the name of a new file"), ledger_file.new_file(path):
        pass
    assert path.read_bytes() == before


def test_an_export_that_fails_leaves_no_file(tmp_path: Path) -> None:
    """Neither one with the name, nor the rest of one."""

    def fail() -> Iterator[tuple[bytes, bytes]]:
        yield b"a", b"1"
        raise errors.StreamDown("Kafka is away")

    with pytest.raises(errors.StreamDown), ledger_file.new_file(tmp_path / "relay.ledgers") as out:
        ledger_file.Writer(out, _header()).partition(_head(0, 1), fail(), [])
    assert list(tmp_path.iterdir()) == []


def _changes(lines: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each single change to the lines of a file that could come from damage or from an editor."""
    for number, line in enumerate(lines):
        yield f"without {number}", lines[:number] + lines[number + 1 :]
        yield f"{number} twice", [*lines[: number + 1], *lines[number:]]
        if number:
            yield f"{number} earlier", [*lines[: number - 1], line, lines[number - 1], *lines[number + 1 :]]
        for name, content in line.items():
            if isinstance(content, int) and name != "format":
                yield f"{number} {name}", [*lines[:number], {**line, name: content + 1}, *lines[number + 1 :]]
            elif isinstance(content, str) and name != "type":
                yield f"{number} {name}", [*lines[:number], {**line, name: content + "AAAA"}, *lines[number + 1 :]]
    yield "more", [*lines, lines[2]]
    yield "nothing", []


def test_every_change_of_a_line_is_noticed(path: Path) -> None:
    """A line that is lost, doubled, moved or changed makes the file unreadable."""
    passed = []
    for name, lines in list(_changes(_lines(path))):
        _store(path, lines)
        try:
            list(ledger_file.read(path))
        except ledger_file.FileUnreadable:
            continue
        passed.append(name)
    assert passed == []


def test_damage_to_the_packed_bytes_is_noticed(path: Path) -> None:
    """A bit that flips, and a file that ends early."""
    whole, draws = path.read_bytes(), random.Random(17)  # noqa: S311 - no secret
    for _ in range(60):
        at = draws.randrange(10, len(whole))  # the first ten bytes say how it is packed, and when
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << draws.randrange(8)]) + whole[at + 1 :])
        with pytest.raises(ledger_file.FileUnreadable):
            list(ledger_file.read(path))
        path.write_bytes(whole[:at])
        with pytest.raises(ledger_file.FileUnreadable):
            list(ledger_file.read(path))


def test_newer_formats_are_refused_and_say_by_which_version(path: Path) -> None:
    """Of the file, and of the ledger's values."""
    lines = _lines(path)
    _store(path, [{**lines[0], "format": 2}, *lines[1:]])
    with pytest.raises(
        ledger_file.FileUnreadable, match="format 2, made by mrs-relay test; this version reads format 1"
    ):
        list(ledger_file.read(path))

    with path.open("wb") as out:
        writer = ledger_file.Writer(out, _header([ledger_file.Ledger("", "mrs.requests", 1)]))
        writer.partition(_head(0, 0, form=99), [], [])
        writer.end()
    with pytest.raises(ledger_file.FileUnreadable, match="ledger format 99"):
        list(ledger_file.read(path))


def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    """Not packed, or packed with something else in it."""
    other = tmp_path / "other"
    for content in (b"id,name\n", gzip.compress(b"id,name\n"), b""):
        other.write_bytes(content)
        with pytest.raises(ledger_file.FileUnreadable):
            list(ledger_file.read(other))
    with pytest.raises(errors.SettingsError, match="cannot be read"):
        list(ledger_file.read(tmp_path / "missing"))


def test_file_gets_its_name_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the volume of an object store; a file that has come meanwhile is not replaced there either."""

    def link(_part: Path, _path: Path) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", link)
    with ledger_file.new_file(tmp_path / "a") as out:
        out.write(b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"
    with pytest.raises(errors.SettingsError, match="b cannot be written"), ledger_file.new_file(tmp_path / "b") as out:
        (tmp_path / "b").write_bytes(b"another")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a", "b"]
    assert (tmp_path / "b").read_bytes() == b"another"
