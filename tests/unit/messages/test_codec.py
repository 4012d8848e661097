"""Bytes ↔ JSON: what is refused, and what names a payload."""

from __future__ import annotations

import decimal
import json
import time

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
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf\xef\xbb\xbf{}",
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
    started = time.process_time()
    with pytest.raises(errors.BadMessage) as caught:
        codec.decode(raw)
    assert caught.value.code == "unreadable_json"
    assert time.process_time() - started < 1


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
    """What was read is written and read back as the same value; a reader that is not ours reads what we wrote."""
    read = codec.decode(codec.encode(value))
    assert codec.decode(codec.encode(read)) == read
    assert json.loads(codec.encode(value)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(2**1000), max_value=2**1000) | st.integers())
def test_number_keeps_its_value(number: decimal.Decimal | int) -> None:
    """A number means after reading and writing what it meant before; 17 digits are as many as a double needs."""
    written = codec.encode(codec.decode(str(number).encode()))
    exact = decimal.Decimal(number)
    if len(exact.normalize(decimal.Context(prec=10_000)).as_tuple().digits) > 17 or isinstance(number, int):
        assert decimal.Decimal(written.decode()) == exact
    else:
        assert float(written) == float(exact)


@pytest.mark.parametrize(
    ("spelled", "written"),
    [
        ("3600.0", "3600"),
        ("6E1", "60"),
        ("5.00", "5"),
        ("-0.0", "0"),
        ("0e5", "0"),
        ("1e15", "1000000000000000"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e21"),
        ("1e300", "1e300"),
        ("0.10", "0.1"),
        ("0.10000000000000001", "0.1"),
        ("0.1000000000000000055511151231257827021181583404541015625", "0.1"),
        ("9007199254740993", "9007199254740993"),
        ("9007199254740993.0", "9007199254740993"),
        ("3.14159265358979323846", "3.14159265358979323846"),
        ("5.00000000000000000001", "5.00000000000000000001"),
        ("1e-400", "1E-400"),
    ],
)
def test_number_is_written_in_one_way(spelled: str, written: str) -> None:
    """Whole numbers are written without fraction and exponent, as RFC 8785 has it; no digit is lost that counts."""
    assert codec.encode(codec.decode(spelled.encode())) == written.encode()


@pytest.mark.parametrize("raw", [b"1." + b"1" * 500_000, b"[" + b"1e16," * 100_000 + b"0]", b"9e99999999999999999999"])
def test_numbers_cost_little(raw: bytes) -> None:
    """A message full of long numbers is read, or refused, in a fraction of a second."""
    started = time.process_time()
    try:
        codec.decode(raw)
    except errors.BadMessage as error:
        assert error.code == "unreadable_json"  # noqa: PT017 - either outcome is right
    assert time.process_time() - started < 3


def test_byte_order_mark_is_passed_over() -> None:
    """Some editors and writers put a byte order mark before JSON; RFC 8259 lets a reader pass over it."""
    assert codec.decode(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


@pytest.mark.parametrize("name", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_reported(name: str) -> None:
    """The text says what JSON does not have and what to send instead."""
    with pytest.raises(errors.BadMessage, match=rf"JSON has no {name.removeprefix('-')}: send a number or null"):
        codec.decode(b'{"a": %b}' % name.encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    """No bytes raise anything but BadMessage, and whatever is read can be written."""
    try:
        value = codec.decode(raw)
    except errors.BadMessage:
        return
    codec.encode(value)
