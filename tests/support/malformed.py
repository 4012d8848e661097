"""
Malformed messages without end, the same for the same seed: hostile values, broken bytes and odd headers in all forms.

Every message begins as a complete request (`complete`) in plain, structured or binary form and is then damaged: its
members (`damage`), its bytes, its headers. A few survive that as good requests; no test counts on either.
"""

from __future__ import annotations

import base64
import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.support import complete, damage

from mrs_relay.messages import requests

LARGE: Final = 1_000_000
_GROWING: Final = b"[" + b",".join([b"1e15"] * 80_000) + b"]"
"""Takes 400 kB here, and 1.4 MB where each number is written as 1000000000000000.0."""

_STARTS_JOBS: Final = (b"ExecuteJob", b"mrs.cluster.flow", b"RunJobFlow", b"add_jobs")

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Message:
    """
    One record to be sent.

    Attributes:
        timestamp_ms: as a producer stamped it; None: when it is sent.
    """

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp_ms: int | None = None


_TEXTS: Final = [
    "",
    "\x00",
    "a\r\nX-Injected: 1",
    "\x1b[2J\x1b]0;owned\x07",
    "\u2028\u202e\ufeff",
    "🙂" * 90,
    "../../../etc/passwd",
    "${jndi:ldap://x}",
    "' or 1=1; drop table t; --",
    "a" * 300,
    "1.0",
    "0.3",
    "mrs.job.submit",
    "mrs..",
    "application/xml",
]
_VALUES: Final[list[Any]] = [
    *_TEXTS,
    None,
    True,
    0,
    -1,
    2**63,
    -(2**70),
    10**400,
    1e308,
    0.1,
    [],
    {},
    [None],
    [[]] * 50,
    {"": {}},
    {str(number): number for number in range(200)},
]
_RAW: Final[list[bytes]] = [
    b"NaN",
    b"-Infinity",
    b"1e400",
    b"9" * 5000,
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b'"\x01"',
    b"[" * 20_000,
    b'{"a":' * 20_000,
    b"[" * 900 + b"]" * 900,
    b"// comment\n1",
    b"'single'",
    b"{,}",
    b'{"a":1,"a":2}',
    b"",
]
_HEADER_NAMES: Final = [
    "ce_id", "CE_ID", "ce_source", "ce_type", "ce_specversion", "ce_datacontenttype", "ce_data", "ce_", "content-type",
    "Content-Type", "traceparent", "ce_traceparent", "tracestate", "ce_correlationid", "mrs_relay_passed",
    "mrs_relay_matched", "mrs_relay_replay_of", "mrs_relay_reason", "", "x" * 300, "\x00", "ü",
]  # fmt: skip
_HEADER_VALUES: Final = [
    b"", b"\xff\xfe", b"\x00", b"1.0", b"0.3", b"2.0", b"a\r\nb: c", b"\x1b[31m", b"x" * 3000, b"\xed\xa0\x80",
    b"application/json", b"application/cloudevents+json", b"application/cloudevents+avro", b"application/xml",
    b"application/cloudevents-batch+json", b"application/json; charset=utf-16", b"text/plain; charset=iso-8859-1",
    b"APPLICATION/CLOUDEVENTS+JSON; charset=\xff", b"99999999999999999999", b"mrs.job.submit", "ид".encode(),
]  # fmt: skip


TIMESTAMPS_MS: Final = (-1, 0, 1, 1_795_420_800_000, 1_795_420_800_000_000, 2**62)
"""The last but one is in microseconds, as some producers have it."""


def messages(seed: int, count: int) -> Iterator[Message]:
    """Yield so many messages; one in 500 has a text of a million characters, another one grows when written again."""
    for number in range(count):
        chance = random.Random(f"{seed} {number}")  # noqa: S311 - chance, no secret
        yield _message(chance, f"bad-{number}", number % 500)


def harmless(seed: int, count: int, most_bytes: int = 500_000) -> Iterator[Message]:
    """Yield those that every producer can send, and that start no job without a token of ours in its name."""
    for one in messages(seed, count):
        if one.value is None or len(one.value) > most_bytes or any("\0" in name for name, _ in one.headers):
            continue
        text = b"\n".join([one.value, *(raw or b"" for _, raw in one.headers)])
        if not any(word in text for word in _STARTS_JOBS):
            yield one


def _message(chance: random.Random, request_id: str, turn: int) -> Message:
    members, raw = _members(chance, request_id), damage.Raw()
    if turn == 499:
        _place(chance, members, "x" * LARGE)

    if turn == 249:
        order = complete.request(chance, "mrs.cluster.create")
        order["body"]["component_configs"] = [{"a": raw.token(_GROWING)}]
        members |= {"type": "mrs.cluster.create", "data": order}

    for _ in range(chance.choice([0, 1, 1, 2]) if turn != 249 else 0):
        damage.spoil(chance, members, raw)
    if chance.random() < 0.1:
        _place(chance, members, copy.deepcopy(chance.choice(_VALUES)))
    value, headers = chance.choice([_plain, _structured, _binary])(members)
    value = raw.spell(value)
    for _ in range(chance.choice([0, 0, 0, 0, 0, 0, 1, 2])):
        value = chance.choice(_SPOILERS)(chance, value)
    if chance.random() < 0.25:
        _spoil_headers(chance, headers)
    key = chance.choice([None, b"", b"k", b"k", b"\xff\x00"]) if chance.random() < 0.96 else b"k" * 1500
    timestamp_ms = chance.choice(TIMESTAMPS_MS) if chance.random() < 0.1 else None

    return Message(key, None if chance.random() < 0.02 else value, tuple(headers), timestamp_ms)


def _members(chance: random.Random, request_id: str) -> dict[str, Any]:
    """Return a complete request of some type, with every attribute that the relay knows."""
    kind = chance.choice(sorted(requests.MODELS))
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    return {
        "specversion": "1.0",
        "id": request_id,
        "source": "/fuzz",
        "type": kind,
        "datacontenttype": "application/json",
        "time": chance.choice(damage.MOMENTS),
        "subject": "s",
        "correlationid": chance.choice(["run-7", 42, "größe"]),
        "traceparent": trace,
        "tracestate": "vendor=1",
        "data": complete.request(chance, kind),
    }


def _plain(members: dict[str, Any]) -> tuple[bytes, Headers]:
    return as_json(members), []


def _structured(members: dict[str, Any]) -> tuple[bytes, Headers]:
    return as_json(members), [("content-type", b"application/cloudevents+json; charset=UTF-8")]


def _binary(members: dict[str, Any]) -> tuple[bytes, Headers]:
    without = ("data", "datacontenttype")
    headers: Headers = [(f"ce_{name}", _text(value)) for name, value in members.items() if name not in without]
    return as_json(members.get("data")), [("content-type", _text(members.get("datacontenttype"))), *headers]


def as_json(value: Any, *, indent: int | None = None) -> bytes:
    """Return JSON text in UTF-8, of anything that Python has a spelling for."""
    return json.dumps(value, ensure_ascii=False, indent=indent).encode(errors="surrogatepass")


def _text(value: Any) -> bytes:
    return value.encode(errors="surrogatepass") if isinstance(value, str) else as_json(value)


def _place(chance: random.Random, members: dict[str, Any], value: Any) -> None:
    """Put a value somewhere: in place of a member, beside the members, or under a new name."""
    place: Any = members
    while True:
        inner = [
            one for one in (place.values() if isinstance(place, dict) else place) if one and type(one) in {dict, list}
        ]
        if not inner or chance.random() < 0.4:
            break
        place = chance.choice(inner)

    if isinstance(place, list):
        place.insert(0, value)
    elif chance.random() < 0.15:
        place[chance.choice([*_TEXTS, "data_base64", "extra"])] = value
    elif chance.random() < 0.15:
        place.pop(chance.choice(list(place)))
    else:
        place[chance.choice(list(place))] = value


def _spoil_headers(chance: random.Random, headers: Headers) -> None:
    for _ in range(chance.choice([1, 1, 2, 5])):
        headers.insert(chance.randint(0, len(headers)), (chance.choice(_HEADER_NAMES), chance.choice(_HEADER_VALUES)))
    if chance.random() < 0.3:
        place = chance.randrange(len(headers))
        headers[place] = (headers[place][0], None)
    if chance.random() < 0.3:
        headers.pop(chance.randrange(len(headers)))
    if chance.random() < 0.3:
        chance.shuffle(headers)


def _flip(chance: random.Random, value: bytes) -> bytes:
    spoilt = bytearray(value)
    for _ in range(chance.choice([1, 1, 4, 30])):
        if spoilt:
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
    return bytes(spoilt)


def _cut(chance: random.Random, value: bytes) -> bytes:
    return value[: chance.randint(0, len(value))]


def _splice(chance: random.Random, value: bytes) -> bytes:
    """Splice in raw bytes that no JSON writer makes, in place of some of the message's own."""
    first = chance.randint(0, len(value))
    return value[:first] + chance.choice(_RAW) + value[first + chance.choice([0, 1, 8]) :]


def _member(chance: random.Random, value: bytes) -> bytes:
    """Return the same, as the value of a member, so that the rest stays JSON."""
    name = chance.choice([b'"id"', b'"data"', b'"source"', b'"cluster"', b'"x"', b'"priority"', b'"arguments"'])
    return value.replace(b"{", b"{" + name + b":" + chance.choice(_RAW) + b",", 1)


def _again(chance: random.Random, value: bytes) -> bytes:
    return value + chance.choice([b"", b" ", b"\n", b","]) + value


def _encoded(chance: random.Random, value: bytes) -> bytes:
    text = value.decode(errors="replace")
    return chance.choice(
        [text.encode("utf-16"), text.encode("utf-32"), b"\xef\xbb\xbf" + value, base64.b64encode(value)]
    )


def _noise(chance: random.Random, value: bytes) -> bytes:
    return chance.randbytes(chance.choice([0, 1, 10, len(value)]))


_SPOILERS: Final[list[Callable[[random.Random, bytes], bytes]]] = [
    _flip, _flip, _cut, _splice, _member, _member, _again, _encoded, _noise,
]  # fmt: skip
