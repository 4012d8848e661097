"""Bytes ↔ JSON: what is refused, and what names a payload."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.messages import samples

from mrs_relay import errors
from mrs_relay.messages import codec


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b"{",
        b"{}x",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b"[1e400]",
        b'"\xc3\x28"',
        b'{"\xff": 1}',
        b'"\\ud800"',
        b'"\\udc00"',
        b'"\\ud800\\u0041"',
        b'"\x01"',
        b"9" * 5000,
        "{}".encode("utf-16"),
    ],
)
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    """Whatever RFC 8259 does not allow, or no other reader could take, is `unreadable_json`."""
    with pytest.raises(errors.BadMessage) as caught:
        codec.decode(raw)
    assert caught.value.code == "unreadable_json"


@pytest.mark.parametrize("raw", [b"[" * 500_000, b'{"a":' * 200_000, b"[" * 100_000 + b"]" * 100_000])
def test_nesting_bomb_is_refused_quickly(raw: bytes) -> None:
    """Nesting deeper than any message needs is refused before it costs memory or time."""
    started = time.perf_counter()
    with pytest.raises(errors.BadMessage) as caught:
        codec.decode(raw)
    assert caught.value.code == "unreadable_json"
    assert time.perf_counter() - started < 1


def test_duplicate_member_takes_the_last_value() -> None:
    """RFC 8259 leaves duplicate names open; here the last one counts, as with most readers."""
    assert codec.decode(b'{"a": 1, "b": 2, "a": 3}') == {"a": 3, "b": 2}


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**70), 10**200])
def test_huge_integer_stays_exact(number: int) -> None:
    """An integer larger than 64 bits comes out as it went in."""
    assert codec.decode(str(number).encode()) == number
    assert codec.encode(number) == str(number).encode()


@given(samples.json_values)
def test_value_survives_writing_and_reading(value: object) -> None:
    """What is written is read back as the same value, also by a reader that is not ours."""
    assert codec.decode(codec.encode(value)) == value
    assert json.loads(codec.encode(value)) == value


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """No bytes raise anything but BadMessage, and whatever is read can be written."""
    try:
        value = codec.decode(raw)
    except errors.BadMessage:
        return
    codec.encode(value)


@given(st.dictionaries(st.text(), samples.json_values, min_size=2), st.randoms(use_true_random=False))
def test_digest_ignores_order_and_white_space(data: dict[str, Any], chance: random.Random) -> None:
    """The same members in another order and spacing are the same payload."""
    names = list(data)
    chance.shuffle(names)
    other = codec.decode(json.dumps({name: data[name] for name in names}, indent=3).encode())
    assert codec.digest("mrs.job.submit", other) == codec.digest("mrs.job.submit", data)


def test_digest_ignores_order_at_every_depth() -> None:
    """Order is ignored in inner objects, too."""
    one = codec.decode(b'{"job": {"a": {"x": 1, "y": 2}, "b": [{"p": 1, "q": 2}]}}')
    two = codec.decode(b'{"job": {"b": [{"q": 2, "p": 1}], "a": {"y": 2, "x": 1}}}')
    assert codec.digest("t", one) == codec.digest("t", two)


@pytest.mark.parametrize(
    "other",
    [
        {"a": ["x", "y"], "n": 2},
        {"a": ["y", "x"], "n": 1},
        {"a": ["x"], "n": 1},
        {"a": ["x", "y"]},
        {"a": ["x", "y"], "n": 1, "m": None},
        {"a": ["x", "y"], "n": 1.0},
        {"a": ["x", "y"], "n": "1"},
        {"a": ["xy"], "n": 1},
        {"a": ["x", "y "], "n": 1},
        {"A": ["x", "y"], "n": 1},
        [{"a": ["x", "y"], "n": 1}],
        None,
    ],
)
def test_digest_tells_different_payloads_apart(other: object) -> None:
    """Any other value, order in a list, or set of members is another payload."""
    assert codec.digest("t", {"a": ["x", "y"], "n": 1}) != codec.digest("t", other)


@given(samples.json_values, samples.json_values)
def test_digests_are_equal_only_for_equal_values(one: object, two: object) -> None:
    """Two values have the same digest exactly if they are written as the same JSON but for the order of members."""
    same = json.dumps(one, sort_keys=True) == json.dumps(two, sort_keys=True)
    assert (codec.digest("t", one) == codec.digest("t", two)) is same


def test_digest_tells_types_apart() -> None:
    """The same data under another type is another payload; type and data cannot run into each other."""
    assert codec.digest("mrs.job.submit", {}) != codec.digest("mrs.sql.submit", {})
    assert codec.digest("a\n1", 2) != codec.digest("a", 12)


def test_digest_is_pinned() -> None:
    """Digests stand in ledgers: a new version must name old payloads as the old one did."""
    assert codec.digest("mrs.job.submit", {"b": [1, None], "a": "ü"}) == "8d5d71071ed8a6f538739d066f0d0bf9"
