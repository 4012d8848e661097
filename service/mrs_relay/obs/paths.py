"""
Read `obs://bucket/key` paths, and compare them with the folder in which they must lie. Pure.

A path that comes from outside, from a request or from MRS, is used only after `below`: no path leads out
of its folder by `..`, by an empty step, or by a character that one program reads otherwise than another.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

MAX_LENGTH: Final = 1_200
"""Characters of a path at most. Source: OBS takes keys of 1,024 bytes."""

_SCHEME: Final = "obs://"
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""Source: OBS, CreateBucket: 3 to 63 characters of small letters, digits, hyphens and dots."""

_NOT_IN_KEYS: Final = re.compile(r"[\x00-\x1f\x7f\\%?#]")
"""Characters of a key that mean something else in a URL or on another system; neither MRS nor the relay writes them."""


class Place(NamedTuple):
    """
    A bucket, and a key in it.

    Attributes:
        bucket: its name.
        key: of an object; of a folder it ends with a slash, or is empty for the whole bucket.
    """

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{_SCHEME}{self.bucket}/{self.key}"


def parse(path: str) -> Place:
    """
    Read the path of an object.

    Raises:
        ValueError: it is no such path, or one that could lead out of its folder.
    """
    place = _parsed(path)
    if not place.key or place.key.endswith("/"):
        raise ValueError("it names no object, expected obs://bucket/folder/object")
    return place


def folder(path: str) -> Place:
    """
    Read the path of a folder; a slash at its end makes no difference.

    Raises:
        ValueError: it is no such path, or one that could lead out of the folder.
    """
    place = _parsed(path.rstrip("/") if path.count("/") > _SCHEME.count("/") else path)
    return Place(place.bucket, f"{place.key}/" if place.key else "")


def below(path: str, above: str) -> Place:
    """
    Return the place of an object, or of a folder with a slash at its end, in a folder.

    Raises:
        ValueError: the path cannot be read, or leads elsewhere.
    """
    place = folder(path) if path.endswith("/") else parse(path)
    if not is_below(place, folder(above)):
        raise ValueError(f"it lies outside of {above}, the only folder that is read")
    return place


def is_below(place: Place, above: Place) -> bool:
    """Return whether an object or a folder lies in a folder, or is that folder."""
    return place.bucket == above.bucket and place.key.startswith(above.key)


def _parsed(path: str) -> Place:
    if not path.startswith(_SCHEME) or len(path) > MAX_LENGTH:
        raise ValueError(f"it is no path of OBS, expected obs://bucket/key of {MAX_LENGTH} characters at most")

    bucket, _, key = path.removeprefix(_SCHEME).partition("/")
    if not _BUCKET.fullmatch(bucket) or ".." in bucket:
        raise ValueError("it names no bucket, expected 3 to 63 small letters, digits, hyphens and dots after obs://")
    if _NOT_IN_KEYS.search(key):
        raise ValueError("its key has a control character or one of \\ % ? #; use a plain path")

    steps = key.removesuffix("/").split("/") if key else []
    if any(step in {"", ".", ".."} for step in steps):
        raise ValueError("its key has an empty step, . or .., which could lead out of its folder")
    return Place(bucket, key)
