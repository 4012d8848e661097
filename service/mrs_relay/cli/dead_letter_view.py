"""
Dead letters for people: one entry for each message and all its replays, chosen by position, reason and time.

Pure, but for `collect`, which reads the topic; `dead_letters` holds the commands.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from mrs_relay.client import replaying
from mrs_relay.common import clock
from mrs_relay.kafka import records, topic_io
from mrs_relay.messages import dead_letters

_NO_LIMIT: Final = 1 << 64


@dataclasses.dataclass(frozen=True, slots=True)
class FoundLetter:
    """
    A message that was set aside.

    Attributes:
        letter: its latest dead letter; without its value where that was not requested.
        places: positions of its dead letters, `<topic>-<partition>-<offset>`; several after failed replays.
        time_ms: time when the message was first written, epoch milliseconds.
        value_bytes: length of its value; None for a tombstone.
        has_value: the letter has its value.
    """

    letter: dead_letters.DeadLetter
    places: tuple[str, ...]
    time_ms: int
    value_bytes: int | None
    has_value: bool

    def as_row(self) -> dict[str, Any]:
        """Make the row of the message for programs, without its content."""
        letter = self.letter
        return {
            "position": letter.origin,
            "dead_letter": self.places[-1],
            "time": clock.shown(self.time_ms),
            "reason": letter.code,
            "message": letter.message,
            "key": None if letter.key is None else letter.key.decode(errors="backslashreplace"),
            "value_bytes": self.value_bytes,
            "times": len(self.places),
            "cut": bool(letter.cut),
        }

    def whole(self) -> dict[str, Any]:
        """Make the row of the message for programs, with its content in base64."""
        letter = self.letter
        return {
            **self.as_row(),
            "key_base64": _base64(letter.key),
            "value_base64": _base64(letter.value),
            "headers": [{"name": name, "value_base64": _base64(raw or b"")} for name, raw in letter.headers],
        }


def _base64(raw: bytes | None) -> str | None:
    return None if raw is None else base64.b64encode(raw).decode()


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """
    A filter of messages; an empty part matches all.

    Attributes:
        positions: original positions of messages, or positions of their dead letters.
        reasons: codes.
        since_ms: written at this moment or later, epoch milliseconds.
        until_ms: written before this moment.
    """

    positions: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    since_ms: int = -_NO_LIMIT
    until_ms: int = _NO_LIMIT

    def of(self, found: Iterable[FoundLetter]) -> list[FoundLetter]:
        """Select the matching messages, in the order of their positions."""
        return sorted(filter(self._lets, found), key=lambda one: _order(one.letter.origin))

    def missing(self, chosen: Sequence[FoundLetter]) -> list[str]:
        """Return the requested positions that are not among the chosen messages."""
        there = {place for one in chosen for place in (one.letter.origin, *one.places)}
        return sorted(self.positions - there)

    def may_mean(self, letter: dead_letters.DeadLetter, place: str) -> bool:
        """Return whether the message of this dead letter may match, so that its value must be kept."""
        if self.positions:
            return bool(self.positions & {letter.origin, place})
        return not self.reasons or letter.code in self.reasons

    def _lets(self, one: FoundLetter) -> bool:
        return (
            (not self.positions or bool(self.positions & {one.letter.origin, *one.places}))
            and (not self.reasons or one.letter.code in self.reasons)
            and self.since_ms <= one.time_ms < self.until_ms
        )


def _order(position: str) -> tuple[str, int, int]:
    topic, partition, offset = position.rsplit("-", 2)
    return topic, int(partition), int(offset)


async def collect(kafka: topic_io.TopicClient, topic: str, valued: Choice | None) -> list[FoundLetter]:
    """
    Read all messages of a dead-letter topic; other records are skipped.

    A replay that was set aside again counts as the message that it repeats.

    Args:
        kafka: opens the topic.
        topic: name of the dead-letter topic.
        valued: messages whose values are kept; None: none, which takes little memory however large the topic is.

    Raises:
        StreamDown: Kafka cannot be reached. SettingsError: there is no such topic.
    """
    found: dict[bytes, FoundLetter] = {}
    async for record in topic_io.read_all(kafka, topic):
        try:
            letter = dead_letters.read(record.key, record.value, record.headers)
        except ValueError:
            continue
        place = f"{record.topic}-{record.partition}-{record.offset}"
        kept = valued is not None and valued.may_mean(letter, place)
        found[letter.fingerprint] = _joined(found.get(letter.fingerprint), letter, place, kept=kept)
    return list(found.values())


def _joined(before: FoundLetter | None, letter: dead_letters.DeadLetter, place: str, *, kept: bool) -> FoundLetter:
    """Merge a dead letter into its message. NB: all have the same value, so one kept value serves them all."""
    value_bytes = None if letter.value is None else len(letter.value)
    kept = kept or (before is not None and before.has_value)
    shown = letter if kept else msgspec.structs.replace(letter, value=b"")
    if before is None:
        return FoundLetter(shown, (place,), letter.timestamp_ms, value_bytes, kept)
    return FoundLetter(shown, (*before.places, place), min(before.time_ms, letter.timestamp_ms), value_bytes, kept)


def outgoing(one: FoundLetter, partitions: Mapping[str, int], limits_bytes: Mapping[str, int]) -> records.Outgoing:
    """
    Make the record that replays a message, for its original partition: there its id is looked up.

    Args:
        one: the message.
        partitions: number of partitions of each existing topic.
        limits_bytes: largest record that each topic accepts, where it is known.

    Raises:
        ValueError: it cannot be replayed; names the reason.
    """
    if not one.has_value:
        raise ValueError("its value was not read")
    return replaying.outgoing(one.letter, partitions, limits_bytes)
