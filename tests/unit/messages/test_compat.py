"""Which changes of a schema break those who rely on it: pairs of schemas, made up, on both sides."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from mrs_relay.messages import compat, export

_OLD: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 9, "pattern": "^a"},
        "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 5},
        "state": {"enum": ["on", "off"], "type": "string"},
        "note": {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}], "default": None},
        "list": {"type": "array", "items": {"$ref": "#/$defs/Item"}, "minItems": 1},
        "map": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 3},
        "any": {},
        "kind": {"const": "x"},
        "time": {"type": "string", "format": "date-time"},
    },
    "$defs": {"Item": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}},
}
_GONE = object()


def _changed(path: str, value: Any) -> dict[str, Any]:
    """Return the old schema with one node set, or taken away."""
    new = copy.deepcopy(_OLD)
    *way, last = path.split("/")
    node: Any = new
    for step in way:
        node = node[int(step)] if isinstance(node, list) else node[step]
    if value is _GONE:
        del node[last]
    else:
        node[last] = value
    return new


def _breaks(side: str, path: str, value: Any) -> list[str]:
    name = f"{'requests' if side == 'sent' else 'events'}/t/v1.json"
    return compat.breaks({name: _OLD}, {name: _changed(path, value)})


_WORDS = {"type": "string", "enum": ["on", "off", "half"]}
_OPTIONAL = {"type": "string"}


@pytest.mark.parametrize("side", ["sent", "read"])
@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("properties/new", _OPTIONAL),
        ("properties/state", _WORDS),
        ("description", "better words"),
        ("title", "t"),
        ("properties/name/examples", ["a"]),
        ("$defs/Item/properties/more", {"type": "string"}),
    ],
)
def test_an_addition_is_fine_on_both_sides(side: str, path: str, value: Any) -> None:
    """New fields that need not be there, new words and other descriptions break no reader."""
    assert _breaks(side, path, value) == []


@pytest.mark.parametrize("side", ["sent", "read"])
@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("properties/count", _GONE, "count"),
        ("$defs/Item/properties/id", _GONE, "list.[].id"),
        ("properties/state/enum", ["on"], "state"),
        ("properties/kind", {"const": "y"}, "kind"),
        ("properties/name/type", "integer", "name"),
        ("properties/name/pattern", "^b", "name"),
        ("properties/time/format", "date", "time"),
        ("properties/note/anyOf", [{"type": "integer"}, {"type": "null"}], "note"),
        ("properties/count/multipleOf", 2, "count"),
    ],
)
def test_what_is_removed_or_replaced_breaks_both_sides(side: str, path: str, value: Any, place: str) -> None:
    """Fields, words, types and patterns that others use stay; so does a keyword that the check cannot judge."""
    lines = _breaks(side, path, value)
    assert lines
    assert all(f": {place}" in line for line in lines)


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("required", ["name", "count"], "count"),
        ("properties/name/maxLength", 8, "name"),
        ("properties/name/minLength", 2, "name"),
        ("properties/count/minimum", 2, "count"),
        ("properties/count/exclusiveMaximum", 9, "count"),
        ("properties/count/default", 6, "count"),
        ("properties/any", {"type": "string"}, "any"),
        ("properties/any/enum", ["a"], "any"),
        ("properties/note", {"type": "string", "maxLength": 5, "default": None}, "note"),
        ("properties/note/anyOf/0/maxLength", 4, "note"),
        ("properties/map/additionalProperties", {"type": "string", "maxLength": 2}, "map.*"),
        ("properties/map/additionalProperties", False, "map.*"),
        ("properties/map/propertyNames", {"pattern": "a"}, "map.names"),
        ("$defs/Item/required", ["id", "x"], "list.[].x"),
        ("$defs/Item/additionalProperties", False, "list.[].*"),
    ],
)
def test_what_narrows_breaks_senders_only(path: str, value: Any, place: str) -> None:
    """A request that was valid stays valid and means the same; a reader gets no more than was promised."""
    lines = _breaks("sent", path, value)
    assert lines
    assert all(f": {place}" in line for line in lines)
    assert _breaks("read", path, value) == []


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("required", [], "name"),
        ("properties/name/maxLength", 10, "name"),
        ("properties/name/maxLength", _GONE, "name"),
        ("properties/count/minimum", 0, "count"),
        ("properties/count/type", "number", "count"),
        ("properties/name/pattern", _GONE, "name"),
        ("properties/state", {"type": "string"}, "state"),
        ("properties/name", {"anyOf": [_OLD["properties"]["name"], {"type": "null"}]}, "name"),
        ("properties/note/anyOf/0/maxLength", _GONE, "note"),
        ("properties/list/minItems", 0, "list"),
        ("$defs/Item/required", [], "list.[].id"),
    ],
)
def test_what_widens_breaks_readers_only(path: str, value: Any, place: str) -> None:
    """What was promised of an event still holds; a sender may always be allowed more."""
    lines = _breaks("read", path, value)
    assert lines
    assert all(f": {place}" in line for line in lines)
    assert _breaks("sent", path, value) == []


def test_a_type_that_is_gone_breaks_and_a_new_one_does_not() -> None:
    """A version stays as long as it may be in use."""
    assert compat.breaks({"events/a/v1.json": _OLD}, {}) == ["events/a/v1.json: removed"]
    assert compat.breaks({}, {"events/a/v1.json": _OLD}) == []


def test_a_message_as_a_whole_has_a_place_too() -> None:
    """A line always says what it is about."""
    assert _breaks("sent", "type", "array") == ["requests/t/v1.json: the message: object is no longer allowed"]


def test_the_schemas_of_today_keep_their_own_promises() -> None:
    """The check knows every keyword that the models bring about."""
    assert compat.breaks(export.schemas(), export.schemas()) == []
