r"""
What the offset record of a ledger says of imports, in place of an offset or beside it. Pure.

No topic has a name with a space, so versions that do not know these names take them for other topics: a ledger that is
filled in part has no offset for them, and they refuse it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

_IMPORTING: Final = "importing "
_IMPORTED: Final = "imported "


class Unfinished(NamedTuple):
    """
    An import that has not ended.

    Attributes:
        file_id: of the file.
        next_offset: the ledger's offset before the import; None: it had none.
    """

    file_id: str
    next_offset: int | None


def under_way(file_id: str, next_offset: int | None) -> dict[str, int]:
    """Return what the offset record says while an import fills a ledger that had this offset, or none."""
    return {_IMPORTING + file_id: -1 if next_offset is None else next_offset}


def ended(file_id: str) -> dict[str, int]:
    """Return what the offset record says beside the offset when an import has ended; the next commit drops it."""
    return {_IMPORTED + file_id: 1}


def unfinished(offsets: Mapping[str, int]) -> Unfinished | None:
    """Return the import that has not ended, from the content of a ledger's last offset record."""
    for name, number in offsets.items():
        if name.startswith(_IMPORTING):
            return Unfinished(name.removeprefix(_IMPORTING), None if number < 0 else number)
    return None


def has_ended(offsets: Mapping[str, int], file_id: str) -> bool:
    """Return whether an import of a file was the last commit of a ledger."""
    return _IMPORTED + file_id in offsets
