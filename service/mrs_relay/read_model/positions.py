"""
Places in the topics of events as text: an offset for each partition, and which topic of its name is meant.

Every replica of `mrs-relay web` and `mrs-relay events` write and read the same text. Pure.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final

import msgspec

_PART: Final = re.compile(
    r"(?P<topic>[a-zA-Z0-9._-]{1,249})(~(?P<life>[0-9a-f]{0,12}))?:(?P<offsets>(\d{1,18}|-)(\.(\d{1,18}|-))*)"
)
_LONGEST: Final = 60_000


class BadPosition(ValueError):  # noqa: N818 - named for what was given
    """The text is no position."""


class Place(msgspec.Struct, frozen=True):
    """The place in the logs of one topic: an offset for each partition, and which topic of this name it is."""

    life: str
    offsets: dict[int, int]


Position = Mapping[str, Place]
"""The place in each topic, by the topic's name."""


def life(topic_id: str, epoch: int = 0) -> str:
    """Return short text for one life of a topic: another one after it was created again, or has lost records."""
    return hashlib.blake2b(f"{topic_id} {epoch}".encode(), digest_size=6).hexdigest()


def text_of(position: Position) -> str:
    """Write a position as text of one line."""
    return ";".join(
        f"{topic}~{place.life}:" + ".".join(str(place.offsets.get(one, "-")) for one in range(max(place.offsets) + 1))
        for topic, place in sorted(position.items())
        if place.offsets
    )


def read(text: str) -> Position:
    """
    Read a position that `text_of` has written.

    Raises:
        BadPosition: it is none.
    """
    found: dict[str, Place] = {}
    if len(text) > _LONGEST:
        raise BadPosition("the position is too long")
    for part in text.split(";"):
        match = _PART.fullmatch(part)
        if match is None:
            raise BadPosition("expected the id of an event of this stream")
        offsets = enumerate(match["offsets"].split("."))
        found[match["topic"]] = Place(
            match["life"] or "", {one: int(offset) for one, offset in offsets if offset != "-"}
        )
    return found
