"""
Describe the operations for people: the rows of a reference and the fields of each body.

All of it is read from the values and models, so that the reference always agrees with them.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from mrs_relay.mrs import operation
from mrs_relay.mrs.models import base
from mrs_relay.mrs.operations import (
    binaries,
    clusters,
    executions,
    jobs,
    jobs_v11,
    policies,
    registry,
    sources,
    sql,
    tags,
)

GROUPS: Final = {
    "V2 jobs": jobs,
    "V2 SQL": sql,
    "Clusters": clusters,
    "Scaling": policies,
    "Tags": tags,
    "Data sources": sources,
    "Job binaries": binaries,
    "V1.1 jobs": jobs_v11,
    "V1.1 executions": executions,
}
"""The modules of the operations, by title."""

_LIMITS: Final = {
    "minimum": "≥ {}",
    "maximum": "≤ {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "pattern": "{}",
    "const": "always {}",
}
_NOT_EMPTY: Final = _LIMITS["minLength"].format(1)
_DEEPEST: Final = 5


@dataclass(frozen=True, slots=True)
class Field:
    """
    One field of a body or query.

    Attributes:
        name: dotted name, as the API spells it; `[]` stands for each item of a list.
        kind: its type, or its possible values.
        required: whether it must be given.
        limits: the checks before it is sent.
        text: its description.
    """

    name: str
    kind: str
    required: bool
    limits: str
    text: str


def summary(wanted: operation.AnyOperation) -> str:
    """Return the operation's description: the text below its value."""
    return next(
        (texts[wanted.name] for texts in map(_summaries, GROUPS.values()) if wanted.name in texts), "(no description)"
    )


def group(wanted: operation.AnyOperation) -> str:
    """Return the group of an operation."""
    return next(name for name, module in GROUPS.items() if wanted.name in _summaries(module))


def operations() -> Iterator[tuple[str, list[operation.AnyOperation]]]:
    """Yield all operations by group."""
    for name in GROUPS:
        yield name, [each for each in registry.OPERATIONS.values() if group(each) == name]


@functools.cache
def _summaries(module: Any) -> Mapping[str, str]:  # noqa: ANN401 - modules have no type that functools can hash
    """Return the text below each operation's value, by the operation's name."""
    found: dict[str, str] = {}
    body = ast.parse(inspect.getsource(module)).body
    for node, after in itertools.pairwise(body):
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        value = getattr(module, node.target.id, None)
        text = after.value if isinstance(after, ast.Expr) else None
        if isinstance(value, operation.Operation) and isinstance(text, ast.Constant):
            found[value.name] = " ".join(str(text.value).split())
    return found


def fields(model: type[base.Asked] | None) -> list[Field]:
    """Return all fields of a body or query, nested fields below their parents; none for no model."""
    if model is None:
        return []
    schema = model.model_json_schema()
    return list(_walk(schema, schema.get("$defs", {}), "", 0))


def _walk(schema: Mapping[str, Any], known: Mapping[str, Any], path: str, depth: int) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, raw in schema.get("properties", {}).items():
        one, many = _resolved(raw, known)
        text = " ".join(str(raw.get("description", "")).split())
        yield Field(path + name, _kind(one, many=many), name in required, _limits(raw, one), text)
        if "properties" in one and depth < _DEEPEST:
            yield from _walk(one, known, f"{path}{name}{'[]' if many else ''}.", depth + 1)


def _resolved(raw: Mapping[str, Any], known: Mapping[str, Any]) -> tuple[Mapping[str, Any], bool]:
    """Return the schema without null, references and lists, and whether it was a list."""
    one, many = dict(raw), False
    while True:
        if (choices := one.pop("anyOf", None)) is not None:
            one |= next(each for each in choices if each.get("type") != "null")
        elif (place := one.pop("$ref", None)) is not None:
            one |= known[place.rpartition("/")[2]]
        elif one.get("type") == "array" and "items" in one:
            one, many = dict(one["items"]), True
        else:
            return one, many


def _kind(one: Mapping[str, Any], *, many: bool) -> str:
    values = one.get("enum")
    kind = " | ".join(map(str, values)) if values else str(one.get("type", "anything"))
    if one.get("format") == "password":
        kind = "secret text"
    kind = {"string": "text", "integer": "whole number", "boolean": "true | false"}.get(kind, kind)
    return f"list of {kind}" if many else kind


def _limits(raw: Mapping[str, Any], one: Mapping[str, Any]) -> str:
    outer = next((each for each in raw.get("anyOf", ()) if each.get("type") != "null"), raw)
    merged = {**one, **outer, **raw}
    rules = (text.format(merged[name]) for name, text in _LIMITS.items() if name in merged)
    return ", ".join("not empty" if text == _NOT_EMPTY else text for text in rules)
