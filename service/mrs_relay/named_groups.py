"""
Settings groups that have names of their own (`tenants.<name>`, `connections.<name>`), read from the environment.

Beside `settings`, which reads all other variables by pydantic-settings: that guesses at the values of such groups, so
that a password of digits would become a number. Here the field's type says whether a value is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

import pydantic

from mrs_relay import errors


def model_of(annotation: object) -> type[pydantic.BaseModel] | None:
    """The model of each entry, if a field is a table of named groups."""
    if get_origin(annotation) is not dict:
        return None
    _, value = get_args(annotation)
    return value if isinstance(value, type) and issubclass(value, pydantic.BaseModel) else None


def read(variables: Mapping[str, str], prefix: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """
    Find the entries of all tables among the variables.

    Args:
        variables: the environment.
        prefix: begins every variable of ours.
        fields: the model's fields; those that are no tables are left alone.

    Raises:
        SettingsError: a group is to be read from a variable that holds no JSON object; names it, never its value.
    """
    found: dict[str, Any] = {}
    for table, field in fields.items():
        model = model_of(field.annotation)
        start = f"{prefix}{table}__".upper()
        for variable, text in variables.items() if model is not None else ():
            if variable.upper().startswith(start):
                path = variable[len(start) :].lower().split("__")
                _put(found.setdefault(table, {}), path, _value(model, variable, path[1:], text))
    return found


def _value(model: type[pydantic.BaseModel] | None, variable: str, path: list[str], text: str) -> Any:  # noqa: ANN401 - JSON
    annotation: Any = model
    for name in path:
        known = annotation.model_fields if _is_group(annotation) else {}
        annotation = known[name].annotation if name in known else None
    if _is_group(annotation) or (any(map(_holds_several, _parts(annotation))) and text[:1] in {"[", "{"}):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise errors.SettingsError(f"{variable}: this is no JSON ({error.msg}); see `mrs-relay settings`") from None
    return text


def _put(node: dict[str, Any], path: list[str], value: Any) -> None:  # noqa: ANN401 - JSON
    for name in path[:-1]:
        inner = node.setdefault(name, {})
        node = inner if isinstance(inner, dict) else {}
    before = node.get(path[-1])
    if isinstance(before, dict) and isinstance(value, dict):
        value = {**value, **before}  # what a variable says of one field is nearer than what one says of the group
    node[path[-1]] = value


def _parts(annotation: Any) -> Iterator[Any]:  # noqa: ANN401 - a type, or a form of typing
    yield annotation
    for part in get_args(annotation):
        yield from _parts(part)


def _holds_several(annotation: Any) -> bool:  # noqa: ANN401 - as above
    return get_origin(annotation) in {dict, list, tuple} or _is_group(annotation)


def _is_group(annotation: Any) -> bool:  # noqa: ANN401 - as above
    return isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)
