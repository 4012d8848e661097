"""
The notes that replicas write beside the group's offsets to share a budget: a demand, and by the coordinator its grants.

A note holds 4096 bytes at most, Kafka's default for offset metadata. Durations are relative, so no clock is shared.
Where the topics of many tenants do not fit, they have short names: `shorten` makes them, `lengthen` reads them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec

MOST_BYTES: Final = 4000
"""Longest note to write."""

OTHERS: Final = "*"
"""Name of all operations that are not listed; its calls are parts per thousand of each limit."""


NO_DEMAND: Final = -1

_SHORT: Final = "#"
"""Begins each short name; no topic of Kafka has it in its name."""


class Demand(msgspec.Struct, frozen=True, rename={"member": "m", "number": "n", "owned": "o"}):
    """
    One replica's report to the coordinator.

    Attributes:
        member: random name of the replica.
        number: counts its demands.
        owned: input topic, or its short name → generation of its group, and the partitions that the replica owns in
            it.
        applied: coordinator and round of the grant in force; "" and 0 without one.
        held: calls that the grant in force allows, by operation.
        used: calls of the last `limits.WINDOW_S` seconds, by operation, in buckets, the latest first.
        needed: operations with more waiting calls.
        held_s: seconds for which a 429 stops the connection.
        static: the replica has no grants and spends its static share, now or soon.
    """

    member: str
    number: int
    owned: dict[str, tuple[int, list[int]]] = {}
    applied: tuple[str, int] = ("", 0)
    held: dict[str, int] = {}
    used: dict[str, list[int]] = {}
    needed: list[str] = []
    held_s: float = 0.0
    static: bool = False


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """
    The coordinator's grant to one replica.

    Attributes:
        answers: number of the answered demand; the grant ends some seconds after that demand was sent. With
            `NO_DEMAND` nothing is granted, and only `claims` count.
        calls: in any window of `limits.WINDOW_S` seconds, by operation as in `Grants.operations`, then of all others.
        pace: calls in as many seconds at an even pace, by operation.
        claims: most calls that the replica may have made in a window, by operation; empty where they are `calls`.
    """

    answers: int
    calls: list[int]
    pace: list[int]
    claims: list[int] = []


class Grants(msgspec.Struct, frozen=True, rename={"coordinator": "c", "round": "r", "operations": "o", "members": "m"}):
    """
    The coordinator's grants to all replicas at once.

    Attributes:
        coordinator: its name.
        round: counts its grants.
        operations: the listed operations, granted one by one.
        members: replica → its grant; also of replicas that left lately, so that a successor knows their possible calls.
        held_s: seconds for which a 429 stops all replicas.
    """

    coordinator: str
    round: int
    operations: list[str] = []
    members: dict[str, Grant] = {}
    held_s: float = 0.0


class Note(msgspec.Struct, frozen=True, omit_defaults=True):
    """The text beside an offset."""

    demand: Demand | None = None
    grants: Grants | None = None


_DECODER: Final = msgspec.json.Decoder(Note)
_ENCODER: Final = msgspec.json.Encoder()


def encode(note: Note) -> str:
    """Write a note as text."""
    return _ENCODER.encode(note).decode()


def decode(text: str) -> Note:
    """Read a note; one that this version cannot read counts as empty."""
    try:
        return _DECODER.decode(text)
    except msgspec.MsgspecError:
        return Note()


def shorten(note: Note) -> Note:
    """Return the same note with short names of topics."""
    if note.demand is None:
        return note
    owned = {_short(topic): found for topic, found in note.demand.owned.items()}
    return msgspec.structs.replace(note, demand=msgspec.structs.replace(note.demand, owned=owned))


def lengthen(demand: Demand, topics: Iterable[str]) -> Demand:
    """Return the same demand with the names of these topics in full."""
    if not any(name.startswith(_SHORT) for name in demand.owned):
        return demand
    full = {_short(topic): topic for topic in topics}
    owned = {full.get(name, name): found for name, found in demand.owned.items()}
    return msgspec.structs.replace(demand, owned=owned)


def _short(topic: str) -> str:
    digest = hashlib.blake2s(topic.encode(), digest_size=6).digest()
    return _SHORT + base64.urlsafe_b64encode(digest).decode()
