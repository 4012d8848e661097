"""
Names of files for keys of objects, both ways, and no way out of a bucket.

A key's segments are folders and a file of the same names, so that what is put here can be read as obs://bucket/key by
jobs, and the other way round. What no file may be called is escaped with ¤: empty segments, `.` and `..`, backslashes,
control characters, ¤ itself; segments too long for a file name are cut. A key that is a folder as well (a and a/b) has
its bytes in the file ¤ of that folder.
"""

from __future__ import annotations

import re

MARK = "¤"
SELF = MARK
"""Name of the file with the bytes of a key that is a folder as well."""

KEY_MAX_BYTES = 1024
_PIECE_MAX_BYTES = 200
_EMPTY = f"{MARK}e"
_CUT = f"{MARK}+"
_UNSAFE = re.compile(rf"[\x00-\x1f\x7f\\{MARK}]")
_NO_TEXT = re.compile("[\ud800-\udfff]")  # so Python shows a file name that is no UTF-8
_ESCAPED = re.compile(rf"{MARK}([0-9a-f]{{2}})")
_BUCKET = re.compile(r"(?=[a-z0-9.-]{3,63}\Z)(?!.*\.\.|.*\.-|.*-\.)[a-z0-9](?:[a-z0-9.-]*[a-z0-9])\Z")
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")


def may_be_created(bucket: str) -> bool:
    """Return whether a bucket may have this name, by OBS's rules."""
    return _BUCKET.match(bucket) is not None and _ADDRESS.fullmatch(bucket) is None


def is_folder(bucket: str) -> bool:
    """Return whether a bucket of this name can exist: it is a plain name of a folder, that `sql/obs.py` knows, too."""
    return _FOLDER.match(bucket) is not None


def parts(key: str) -> list[str]:
    """Return the names of the folders and the file of a key; each is a plain name, whatever the key is."""
    return [piece for segment in key.split("/") for piece in _pieces(_escaped(segment))]


def key(names: list[str]) -> str | None:
    """Return the key that lies in these folders and this file; None when no key does."""
    if names and names[-1] == SELF:
        names = names[:-1]
    joined = "/".join(names).replace(f"{_CUT}/", "")
    if _NO_TEXT.search(joined):
        return None
    segments = ["" if one == _EMPTY else _ESCAPED.sub(_unescaped, one) for one in joined.split("/")]
    found = "/".join(segments)
    return found if names and parts(found) == names else None


def _escaped(segment: str) -> str:
    if not segment:
        return _EMPTY
    if segment in {".", ".."}:
        return "".join(f"{MARK}{ord(letter):02x}" for letter in segment)
    return _UNSAFE.sub(lambda found: f"{MARK}{ord(found[0]):02x}", segment)


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 16))


def _pieces(name: str) -> list[str]:
    """Cut a name that is too long for a file; no cut is inside of a letter or an escape."""
    if len(name.encode()) <= _PIECE_MAX_BYTES:
        return [name]
    pieces, size = [""], 0
    for letter in re.findall(rf"{MARK}[0-9a-f]{{2}}|.", name, re.DOTALL):
        width = len(letter.encode())
        if size + width > _PIECE_MAX_BYTES:
            pieces[-1] += _CUT
            pieces.append("")
            size = 0
        pieces[-1] += letter
        size += width
    return pieces
