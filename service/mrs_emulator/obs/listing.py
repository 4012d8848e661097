"""A page of keys: prefix, delimiter, where it begins, and how many; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

PAGE_MAX = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """
    A page.

    Attributes:
        keys: the keys on it.
        prefixes: what stands for the keys with a delimiter behind the prefix.
        last: the last key or prefix, behind which the next page begins; empty on the last page.
    """

    keys: tuple[str, ...]
    prefixes: tuple[str, ...]
    last: str


def page(found: Iterable[str], prefix: str, delimiter: str, after: str, most: int) -> Page:
    """
    Return the keys behind `after`, in the order of their bytes in UTF-8, at most `most` with the common prefixes.

    Args:
        found: keys that begin with the prefix, in any order.
        prefix: as it says.
        delimiter: keys with this text behind the prefix are folded into one common prefix; empty folds none.
        after: a key or a common prefix; the page begins behind it and all that it stands for.
        most: entries of the page.
    """
    entries: dict[str, bool] = {}
    truncated = False
    for key in sorted(found, key=str.encode):
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        entry = key if end < 0 else key[: end + len(delimiter)]
        if entry in entries or entry.encode() <= after.encode():
            continue
        if len(entries) == most:
            truncated = True
            break
        entries[entry] = end < 0
    keys = tuple(entry for entry, whole in entries.items() if whole)
    prefixes = tuple(entry for entry, whole in entries.items() if not whole)
    return Page(keys, prefixes, next(reversed(entries), "") if truncated else "")
