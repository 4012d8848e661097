"""
Dead letters as people look at them: one for each message, however often it was replayed, chosen by place, reason, time.

Pure, but for `collect`, which reads the topic; `dead_letters` holds the commands.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from mrs_relay.common import clock
from mrs_relay.kafka import records, topic_io
from mrs_relay.messages import dead_letters

_NO_LIMIT: Final = 1 << 64


@dataclasses.dataclass(frozen=True, slots=True)
class FoundLetter:
    """
    A message that was set aside.

    Attributes:
        letter: as it was set aside last; without its value where that was not asked for.
        places: where its dead letters stand, `<topic>-<partition>-<offset>`; more than one after replays in vain.
        time_ms: when the message was written first, epoch milliseconds.
        value_bytes: length of its value; None for a tombstone.
        has_value: the letter has its value.
    """

    letter: dead_letters.DeadLetter
    places: tuple[str, ...]
    time_ms: int
    value_bytes: int | None
    has_value: bool

    def as_row(self) -> dict[str, Any]:
        """The message for programs, without its content."""
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
        """The message for programs, with its content in base64."""
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
    Which messages are meant; an empty part lets all pass.

    Attributes:
        positions: where the message stood first, or where a dead letter of it stands.
        reasons: codes.
        since_ms: written at this moment or later, epoch milliseconds.
        until_ms: written before this moment.
    """

    positions: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    since_ms: int = -_NO_LIMIT
    until_ms: int = _NO_LIMIT

    def of(self, found: Iterable[FoundLetter]) -> list[FoundLetter]:
        """The messages that are meant, in the order in which they stood."""
        return sorted(filter(self._lets, found), key=lambda one: _order(one.letter.origin))

    def missing(self, chosen: Sequence[FoundLetter]) -> list[str]:
        """Positions that were asked for and are not among the chosen."""
        there = {place for one in chosen for place in (one.letter.origin, *one.places)}
        return sorted(self.positions - there)

    def may_mean(self, letter: dead_letters.DeadLetter, place: str) -> bool:
        """Whether a message of which this is one dead letter may be meant, so that its value is worth keeping."""
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
    All messages in a topic of dead letters; what is no dead letter is passed over.

    A replay that was set aside again counts as the message that it repeats.

    Args:
        kafka: where to read.
        topic: of the dead letters.
        valued: whose values are wanted; None: nobody's, which takes little memory however large the topic is.

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
    """NB: all dead letters of one message have the same value, so one that was kept serves them all."""
    value_bytes = None if letter.value is None else len(letter.value)
    kept = kept or (before is not None and before.has_value)
    shown = letter if kept else msgspec.structs.replace(letter, value=b"")
    if before is None:
        return FoundLetter(shown, (place,), letter.timestamp_ms, value_bytes, kept)
    return FoundLetter(shown, (*before.places, place), min(before.time_ms, letter.timestamp_ms), value_bytes, kept)


def outgoing(one: FoundLetter, partitions: Mapping[str, int], limits_bytes: Mapping[str, int]) -> records.Outgoing:
    """
    The record that replays a message, for the partition on which it stood: there its id is looked up.

    Args:
        one: the message.
        partitions: of each topic that exists.
        limits_bytes: largest record that each topic takes, where it is known.

    Raises:
        ValueError: it cannot be replayed; says why.
    """
    if not one.has_value:
        raise ValueError("its value was not read")
    letter = one.letter
    key, value, headers = letter.replay()
    count = partitions.get(letter.topic)
    if count is None or letter.partition >= count:
        raise ValueError(f"the topic {letter.topic} is gone, or has fewer partitions than it had")
    size_bytes = records.size_bytes(key, value, headers)
    limit_bytes = limits_bytes.get(letter.topic, _NO_LIMIT)
    if size_bytes > limit_bytes:
        raise ValueError(f"with its new header it takes {size_bytes} bytes, the topic takes {limit_bytes}")
    return records.Outgoing(letter.topic, key, value, headers, letter.partition)
