"""Choose a record's partition as Kafka does by default: murmur2 of the key, the same for clients in any language."""

from __future__ import annotations

import functools
import itertools
import struct

_MASK = 0xFFFF_FFFF
_SEED = 0x9747_B28C
_MIX = 0x5BD1_E995


@functools.lru_cache(maxsize=65_536)
def murmur2(key: bytes) -> int:
    """
    Return Kafka's hash of a key, made positive as Kafka does. It is cached, since all events of a job have one key.

    Source: org.apache.kafka.common.utils.Utils.murmur2 and toPositive, Kafka 4.3.
    """
    whole = len(key) & ~3
    value = _SEED ^ len(key)
    for (word,) in struct.iter_unpack("<I", key[:whole]):
        mixed = word * _MIX & _MASK
        mixed ^= mixed >> 24
        value = (value * _MIX & _MASK) ^ (mixed * _MIX & _MASK)
    if rest := key[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * _MIX & _MASK
    value ^= value >> 13
    value = value * _MIX & _MASK
    return (value ^ value >> 15) & 0x7FFF_FFFF


class Partitioner:
    """Chooses partitions; records without a key go to all partitions in turn."""

    def __init__(self) -> None:
        self._turn = itertools.count()

    def choose(self, key: bytes | None, partitions: int) -> int:
        """Return the number of the partition for a key, given the number of the topic's partitions."""
        return (next(self._turn) if key is None else murmur2(key)) % partitions
