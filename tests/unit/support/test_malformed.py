"""The makers of complete and of malformed messages: what they draw is what the fuzzing tests take it for."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from tests.support import complete, damage, malformed
from tests.unit.engine import samples

from mrs_relay.engine.intake import reader
from mrs_relay.engine.model import facts
from mrs_relay.messages import codec, examples, requests
from mrs_relay.mrs.operations import registry


def _drawn(kind: str, count: int) -> list[dict[str, Any]]:
    return [complete.request(random.Random(seed), kind) for seed in range(count)]  # noqa: S311 - chance, no secret


def _read(kind: str, data: dict[str, Any]) -> Any:
    """Return what the relay makes of a message with these data."""
    value = codec.encode(samples.message(data, kind))
    return reader.read(samples.record(value), frozenset(), 1_000_000)


@pytest.mark.parametrize("kind", sorted(requests.MODELS.keys() - {"mrs.call"}))
def test_complete_requests_are_good_ones(kind: str) -> None:
    """Nothing is wrong with a complete request before it is damaged, whatever its values."""
    for data in _drawn(kind, 40):
        meaning = _read(kind, data)
        assert isinstance(meaning, tuple), meaning
        assert not isinstance(meaning[1], facts.InvalidRequest), meaning[1]


@pytest.mark.parametrize("kind", sorted(requests.MODELS))
def test_complete_requests_have_every_field(kind: str) -> None:
    """Some seed fills each field of the model; those that exclude each other come in different seeds."""
    drawn = _drawn(kind, 100)
    assert set().union(*drawn) == set(requests.MODELS[kind].model_fields)
    if kind == "mrs.job.submit":
        assert set().union(*(one["job"] for one in drawn)) == set(requests.BatchJob.model_fields)


def test_some_call_of_each_operation_is_good() -> None:
    """Every operation's body and query are filled in a way that the relay takes."""
    for name in sorted(registry.OPERATIONS):
        chance = random.Random(1)  # noqa: S311 - chance, no secret
        found = [_read("mrs.call", complete.call(chance, name)) for _ in range(10)]
        assert any(isinstance(meaning[1], facts.Requested) for meaning in found), (name, found[0])


def test_messages_follow_from_the_seed() -> None:
    """The same seed makes the same messages, another one others."""
    assert list(malformed.messages(1, 300)) == list(malformed.messages(1, 300))
    assert list(malformed.messages(1, 300)) != list(malformed.messages(2, 300))


def test_every_kind_of_damage_is_drawn() -> None:
    """Null headers, odd timestamps, deep nesting, lone surrogates, doubled names and moments are among the messages."""
    drawn = list(malformed.messages(1, 4000))
    text = b"\n".join(one.value or b"" for one in drawn)
    assert any(raw is None for one in drawn for _, raw in one.headers)
    assert {one.timestamp_ms for one in drawn} >= set(malformed.TIMESTAMPS_MS)
    for piece in (b"[" * 2000, b'{"a":' * 300, b"\\ud800", b'"twice": 0,"', b"1e400", b"\xef\xbb\xbf", b"1e15,1e15"):
        assert piece in text, piece
    assert all(moment.encode() in text for moment in damage.MOMENTS)


def test_a_message_does_not_depend_on_those_before_it() -> None:
    """What is drawn is copied before it is damaged; the tables stay as they are."""
    whole = copy.deepcopy((examples.DATA, damage._OTHER_TYPES, malformed._VALUES))
    list(malformed.messages(6, 2000))
    assert whole == (examples.DATA, damage._OTHER_TYPES, malformed._VALUES)


def test_complete_requests_hold_secrets() -> None:
    """The checks for leaks have something to find: texts that must not come out are in the requests."""
    assert all(damage.SECRET in str(one) for one in _drawn("mrs.cluster.create", 5))
