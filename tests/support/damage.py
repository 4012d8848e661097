"""
Damage to a message, drawn from a seed: to its members before it is written as JSON, and to the JSON text itself.

What no JSON writer makes is put into the members as a token, which `spell` replaces in the text by its raw spelling:
nesting thousands deep, exponents, lone surrogates.
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

SECRET: Final = "hunter2"  # noqa: S105 - not a real secret
"""Begins each value of a complete request that must not come out again."""

MOMENTS: Final = (
    "2016-12-31T23:59:60Z", "23:59:60Z", "2026-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59.999999-14:00", "10000-01-01T00:00:00Z", "2026-11-24", "2026-11-24T06:00:00",
    "2026-11-24t06:00:00z", "2026-11-24 06:00:00Z", "2026-11-24T24:00:00Z", "2026-11-24T06:00:00+24:00",
    "2026-11-24T06:00:00.1234567890Z", "+002026-11-24T06:00:00Z", "-2026-11-24T06:00:00Z", "2026-W48-2T06:00:00Z",
    "20261124T060000Z", "2026-11-24T06:00:00\u221208:00", "٢٠٢٦-11-24T06:00:00Z", "now", "1795420800",
    "1795420800000000",
)  # fmt: skip
_NUMBERS: Final = (
    b"1e15", b"1E+2", b"6E1", b"5.0", b"-0", b"-0.0", b"1e400", b"-1e400", b"1e-400", b"9" * 5000, b"0." + b"3" * 5000,
    b"1e99999999", b"123456789012345678901234567890", b"9007199254740993", b"01", b"+1", b".5", b"0x10", b"NaN",
    b"-Infinity",
)  # fmt: skip
_STRINGS: Final = (
    b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d"', b'"\\u0000"', b'"\\u0001\\u001b[2J"', b'"\xff\xfe"',
    b'"\xed\xa0\x80"', b'"\xc0\xaf"', b'"\xf4\x90\x80\x80"', b'"\xe2\x82"', b'"\x01"', b'"\xef\xbb\xbfx"',
    b'"\\u200d\\u00a0\\u3000"', b'"\\uFEFFx"', b'"\\x41"', b'"\\u12"', b'"\xe2\x80\xae"',
)  # fmt: skip
_DEPTHS: Final = (1, 2, 30, 90, 200, 300, 500, 900, 1100, 2000)
_NAMES: Final = (
    "", "\x00", "id", "data", "type", "ID", "Data", "cluster ", "größe", "__proto__", "x" * 300, "a\r\nb", "\u202e",
    "$ref", "properties", "arguments", "statement", "body", "path",
)  # fmt: skip
_OTHER_TYPES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    2.5,
    "",
    "text",
    [],
    {},
    [[]],
    {"a": 1},
    [None],
    1e300,
)

_FREE: Final = frozenset({"component_configs", "configs", "params", "credentials", "labels", "properties"})
_TOKEN: Final = re.compile(rb'"@@(\d+)@@"')
Place = tuple[dict[str, Any] | list[Any], Any]
"""A container and the key of one of its values."""


class Raw:
    """The raw spellings of one message, by token."""

    def __init__(self) -> None:
        self._spellings: list[bytes] = []

    def token(self, spelling: bytes) -> str:
        """Return the text that stands for a spelling until `spell`."""
        self._spellings.append(spelling)
        return f"@@{len(self._spellings) - 1}@@"

    def spell(self, text: bytes) -> bytes:
        """Put the spellings into JSON text; one whose token went into a header stays a token."""
        return _TOKEN.sub(lambda found: self._spellings[int(found[1])], text)


def _places(container: dict[str, Any] | list[Any]) -> Iterator[Place]:
    """Yield every value of a message, at any depth, by its container."""
    inner = container.items() if isinstance(container, dict) else enumerate(container)
    for key, value in list(inner):
        yield container, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _free_places(members: dict[str, Any]) -> Iterator[Place]:
    """Yield those whose values may be of any type."""
    for container, key in list(_places(members)):
        if key in _FREE and isinstance(container[key], dict | list):
            yield from _places(container[key])


def spoil(chance: random.Random, members: dict[str, Any], raw: Raw) -> None:
    """Damage one value, its name or its place among its siblings."""
    free = list(_free_places(members)) if chance.random() < 0.4 else []
    if found := free or list(_places(members)):
        chance.choice(_WAYS)(chance, chance.choice(found), raw)


def _delete(_chance: random.Random, place: Place, _raw: Raw) -> None:
    del place[0][place[1]]


def _rename(chance: random.Random, place: Place, _raw: Raw) -> None:
    container, key = place
    if isinstance(container, dict):
        container[chance.choice(_NAMES)] = container.pop(key)
    else:
        container.insert(0, container[key])


def _retype(chance: random.Random, place: Place, _raw: Raw) -> None:
    place[0][place[1]] = copy.deepcopy(chance.choice(_OTHER_TYPES))


def _respell(chance: random.Random, place: Place, raw: Raw) -> None:
    """Spell a value in another way, as another JSON writer would."""
    value = place[0][place[1]]
    if isinstance(value, bool) or not isinstance(value, int | float):
        _misspell(chance, place, raw)
    else:
        _spell_number(chance, place, raw)


def respell(chance: random.Random, members: dict[str, Any], raw: Raw) -> None:
    """Spell some numbers of a message in another way, each with the value that it had."""
    for container, key in list(_places(members)):
        value = container[key]
        if isinstance(value, int | float) and not isinstance(value, bool) and chance.random() < 0.7:
            _spell_number(chance, (container, key), raw)


def _spell_number(chance: random.Random, place: Place, raw: Raw) -> None:
    value = place[0][place[1]]
    text = repr(value)
    spellings = [text] if "e" in text else [text, f"{text}e0", f"{text}E+0"]
    if float(value).is_integer():
        spellings += [f"{int(value)}", f"{int(value)}.0", f"{int(value)}.000", f"{int(value) * 10}e-1"]
    place[0][place[1]] = raw.token(chance.choice(spellings).encode())


def _misspell(chance: random.Random, place: Place, raw: Raw) -> None:
    place[0][place[1]] = raw.token(chance.choice(chance.choice((_NUMBERS, _STRINGS))))


def _deepen(chance: random.Random, place: Place, raw: Raw) -> None:
    """Nest a value, or put a deep one beside it."""
    container, key = place
    depth = chance.choice(_DEPTHS)
    begin, end = chance.choice(((b"[", b"]"), (b'{"a":', b"}"), (b'[{"":', b"}]")))
    deep = raw.token(begin * depth + b"1" + end * depth)
    if isinstance(container, dict) and chance.random() < 0.3:
        container[chance.choice(_NAMES)] = deep
    else:
        container[key] = deep


def _set_moment(chance: random.Random, place: Place, _raw: Raw) -> None:
    place[0][place[1]] = chance.choice(MOMENTS)


def _widen(chance: random.Random, place: Place, raw: Raw) -> None:
    """Put many values in place of one."""
    count = chance.choice((20, 300, 3_000))
    pieces = chance.choice((b"1e15", b"null", b'""', b"[]", b'{"a":1}'))
    place[0][place[1]] = raw.token(b"[" + b",".join([pieces] * count) + b"]")


def _double(chance: random.Random, place: Place, raw: Raw) -> None:
    """Put the same name twice into one object, once with another value."""
    container, key = place
    if isinstance(container, dict) and isinstance(key, str) and key.isascii() and key.isprintable():
        other = chance.choice((b"1", b"null", b'"x"', b"{}", b'"bad-twice"'))
        container["twice"] = raw.token(b'0,"%s":%s' % (key.encode().replace(b'"', b""), other))


Way = Callable[[random.Random, Place, Raw], None]
_WAYS: Final[tuple[Way, ...]] = (
    _delete, _delete, _rename, _rename, _retype, _retype, _respell, _misspell, _deepen, _deepen, _set_moment, _widen,
    _double,
)  # fmt: skip
