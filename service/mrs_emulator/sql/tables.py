"""Which tables a folder of files holds: one per Parquet or CSV file, one per folder of such files, nothing deeper."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mrs_emulator.core import failures

_READERS = {".parquet": "read_parquet", ".csv": "read_csv"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Table:
    """
    A table and where its rows are.

    Attributes:
        name: name of the table.
        source: DuckDB table function that reads its files.
        files: the files, as absolute paths without links.
    """

    name: str
    source: str
    files: tuple[Path, ...]


def find(folder: Path) -> list[Table]:
    """
    Return the tables of a folder, by name.

    A file is named without its ending; names that are no SQL names, hidden files and other endings are passed over. A
    folder of files of one kind is one table.

    Raises:
        CannotStart: no such folder, or two files would be the same table.
    """
    if not folder.is_dir():
        raise failures.CannotStart(f"the data folder {folder} does not exist")
    found: dict[str, Table] = {}
    for entry in sorted(folder.iterdir()):
        name = entry.stem if entry.is_file() else entry.name
        files = _files(entry)
        if not files or _NAME.fullmatch(name) is None:
            continue
        if name.lower() in found:
            raise failures.CannotStart(f"the data folder {folder} has two files or folders for the table {name}")
        reader = _READERS[files[0].suffix.lower()]
        real = tuple(file.resolve() for file in files)
        found[name.lower()] = Table(name, f"{reader}([{', '.join(map(literal, real))}])", real)
    return list(found.values())


def _files(entry: Path) -> list[Path]:
    """Return the data files that an entry of the folder stands for."""
    if entry.is_file():
        return [entry] if entry.suffix.lower() in _READERS else []
    if not entry.is_dir() or entry.name.startswith("."):
        return []
    files = sorted(one for one in entry.iterdir() if one.is_file() and one.suffix.lower() in _READERS)
    if len({one.suffix.lower() for one in files}) > 1:
        raise failures.CannotStart(f"the folder {entry} mixes Parquet and CSV files")
    return [one for one in files if not one.name.startswith(".")]


def literal(file: Path) -> str:
    """Return a path as a SQL string."""
    return "'" + str(file).replace("'", "''") + "'"
