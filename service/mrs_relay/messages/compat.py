"""
Check whether a schema change is compatible: additions are; removing or narrowing a promise is not.

Senders of requests rely on validity: a valid request stays valid and means the same. Readers of events rely on
promises: every promise about an event still holds. So one change may be compatible on one side and break the other: a
tighter bound breaks senders, a looser one breaks readers. New types, optional fields and new words in a list are
additions on both sides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final, Literal

Side = Literal["sent", "read"]
"""The side that relies on a schema: senders of messages to the relay, or readers of its messages."""

_NOTES: Final = frozenset({"$schema", "$id", "$defs", "title", "description", "examples", "$comment", "deprecated"})
_UPPER: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
_LOWER: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
_SHAPES: Final = frozenset({"type", "enum", "const", "anyOf", "$ref"})
_KNOWN: Final = frozenset(
    {
        *(_NOTES | _UPPER | _LOWER | _SHAPES),
        *("properties", "required", "additionalProperties", "propertyNames", "items", "pattern", "format", "default"),
    }
)
_ANY: Final[dict[str, Any]] = {}
_NEVER_MISSED: Final = frozenset({"null", "any"})
"""Kinds that no reader can miss: null means an absent value, and a reader of any value reads each kind."""

_Node = Mapping[str, Any]


def breaks(old: Mapping[str, _Node], new: Mapping[str, _Node]) -> list[str]:
    """
    List the promises of the `old` schemas that the `new` ones break, one line each.

    Args:
        old: the promised schemas by path, those of requests below `requests/`.
        new: the schemas to be promised from now on, likewise.
    """
    lines = [f"{path}: removed" for path in old if path not in new]
    for path in sorted(old.keys() & new.keys()):
        side: Side = "sent" if path.startswith("requests/") else "read"
        walk = _Walk(side, old[path].get("$defs", {}), new[path].get("$defs", {}))
        lines += [f"{path}: {place or 'the message'}: {what}" for place, what in walk.node("", old[path], new[path])]
    return lines


@dataclass(frozen=True, slots=True)
class _Walk:
    """One pair of schemas with their definitions; every method yields (place, what breaks)."""

    side: Side
    old: Mapping[str, _Node]
    new: Mapping[str, _Node]

    def node(self, place: str, old: _Node, new: _Node) -> Iterator[tuple[str, str]]:
        """Compare the two schemas of one node."""
        was, now = _resolved(old, self.old), _resolved(new, self.new)
        if strange := sorted((was.keys() | now.keys()) - _KNOWN):
            yield place, f"{', '.join(strange)}: not known to this check; teach it the meaning of these keywords first"
            return

        before, after = _branches(was, self.old), _branches(now, self.new)
        yield from self._kinds(place, before.keys(), after.keys())
        if "anyOf" in was or "anyOf" in now:
            for kind in sorted(before.keys() & after.keys()):
                yield from self.node(place, _bare(before[kind]), _bare(after[kind]))
        else:
            yield from self._words(place, was, now)
            yield from self._bounds(place, was, now)
            yield from self._fields(place, was, now)
            yield from self._rest(place, was, now)

        if self.side == "sent" and "default" in was and was["default"] != now.get("default"):
            yield place, f"the default changed from {was['default']!r} to {now.get('default')!r}"

    def _kinds(self, place: str, before: AbstractSet[str], after: AbstractSet[str]) -> Iterator[tuple[str, str]]:
        for kind in sorted(before - after):
            if not _takes(after, kind) and (self.side == "sent" or kind not in _NEVER_MISSED):
                yield place, f"{_said(kind)} is no longer allowed"
        if self.side == "read":
            for kind in sorted(after - before):
                if not _takes(before, kind):
                    yield place, f"{_said(kind)} is new where readers expect {' or '.join(map(_said, sorted(before)))}"

    def _words(self, place: str, was: _Node, now: _Node) -> Iterator[tuple[str, str]]:
        before, after = _listed(was), _listed(now)
        if before is None and after is not None and self.side == "sent":
            yield place, f"only {', '.join(map(repr, after))} are allowed now"
        if before is None:
            return
        if after is None:
            if self.side == "read":
                yield place, "may be anything now"
            return
        for word in before:
            if word not in after:
                yield place, f"{word!r} is gone"

    def _bounds(self, place: str, was: _Node, now: _Node) -> Iterator[tuple[str, str]]:
        for name in sorted((_UPPER | _LOWER) & (was.keys() | now.keys())):
            low, before, after = name in _LOWER, was.get(name), now.get(name)
            tighter = after is not None and (before is None or (after > before if low else after < before))
            looser = before is not None and (after is None or (after < before if low else after > before))
            if (tighter and self.side == "sent") or (looser and self.side == "read"):
                yield place, f"{name} changed from {before} to {after}"
        for name in ("pattern", "format"):
            before, after = was.get(name), now.get(name)
            added = before is None and after is not None
            if before != after and not (added and self.side == "read") and not (after is None and self.side == "sent"):
                yield place, f"{name} changed from {before} to {after}"

    def _fields(self, place: str, was: _Node, now: _Node) -> Iterator[tuple[str, str]]:
        before, after = was.get("properties", _ANY), now.get("properties", _ANY)
        needed, needs = set(was.get("required", ())), set(now.get("required", ()))
        for name in sorted(before.keys() - after.keys()):
            yield _inside(place, name), "removed"
        for name in sorted(before.keys() & after.keys()):
            yield from self.node(_inside(place, name), before[name], after[name])
        if self.side == "sent":
            for name in sorted(needs - needed):
                yield _inside(place, name), "is required now"
        else:
            for name in sorted((needed - needs) & after.keys()):
                yield _inside(place, name), "is no longer promised to be there"

    def _rest(self, place: str, was: _Node, now: _Node) -> Iterator[tuple[str, str]]:
        for name, inside in (("additionalProperties", "*"), ("items", "[]"), ("propertyNames", "names")):
            before, after = was.get(name, True), now.get(name, True)
            if isinstance(before, Mapping) and isinstance(after, Mapping):
                yield from self.node(_inside(place, inside), before, after)
            elif (self.side == "sent" and _closes(before, after)) or (self.side == "read" and _closes(after, before)):
                yield _inside(place, inside), "follows other rules now"


def _closes(wide: Any, narrow: Any) -> bool:  # noqa: ANN401 - a schema or a boolean
    """Return whether `narrow` refuses a value that `wide` accepts; False accepts no value, True every value."""
    return wide is not False and wide != narrow and narrow not in (True, _ANY)


def _resolved(node: _Node, definitions: Mapping[str, _Node]) -> _Node:
    if "$ref" not in node:
        return node
    target = definitions[str(node["$ref"]).removeprefix("#/$defs/")]
    return {**_resolved(target, definitions), **{name: value for name, value in node.items() if name != "$ref"}}


def _branches(node: _Node, definitions: Mapping[str, _Node]) -> dict[str, _Node]:
    """Split a schema by JSON type; a branch that names no type counts as `any`."""
    if "anyOf" in node:
        found: dict[str, _Node] = {}
        for branch in node["anyOf"]:
            for kind, inner in _branches(_resolved(branch, definitions), definitions).items():
                found[f"{kind} {len(found)}" if kind in found else kind] = inner
        return found
    if "type" in node:
        kinds = node["type"] if isinstance(node["type"], list) else [node["type"]]
        return dict.fromkeys(map(str, kinds), node)
    words = _listed(node)
    return {_json_type(word): node for word in words} if words else {"any": node}


def _listed(node: _Node) -> list[Any] | None:
    if "const" in node:
        return [node["const"]]
    return list(node["enum"]) if "enum" in node else None


def _json_type(value: Any) -> str:  # noqa: ANN401 - JSON
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case str():
            return "string"
        case _:
            return "number"


def _takes(kinds: AbstractSet[str], kind: str) -> bool:
    return kind in kinds or "any" in kinds or (kind == "integer" and "number" in kinds)


def _bare(node: _Node) -> _Node:
    return {name: value for name, value in node.items() if name != "default"}


def _said(kind: str) -> str:
    return "any value" if kind == "any" else kind


def _inside(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name
