"""
Read the texts below the fields of a model from its source, for those who show them.

pydantic does so for each model that is made (`use_attribute_docstrings`), which is a sixth of the time of a start; only
the reference, `mrs-relay settings` and `mrs-relay call` show them.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pydantic
from pydantic import json_schema
from pydantic_core import core_schema


@functools.cache
def of(model: type[pydantic.BaseModel]) -> Mapping[str, str]:
    """Return the text below each field of a model by the field's name; "" where there is none."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if issubclass(one, pydantic.BaseModel) and not one.__module__.startswith("pydantic"):
            found |= _of_module(one.__module__).get(one.__qualname__, {})
    return found


class WithTexts(json_schema.GenerateJsonSchema):
    """Makes JSON Schema in which the texts below the fields of models are descriptions."""

    def model_schema(self, schema: core_schema.ModelSchema) -> json_schema.JsonSchemaValue:
        """Make the schema of a model."""
        made = super().model_schema(schema)
        model: type[pydantic.BaseModel] = schema["cls"]
        texts, shown = of(model), made.get("properties", {})
        for name, field in model.model_fields.items():
            member = shown.get(field.validation_alias or name)
            if member is not None and texts.get(name):
                member.setdefault("description", texts[name])
        return made


@functools.cache
def _of_module(name: str) -> Mapping[str, Mapping[str, str]]:
    """Return the texts of all classes of a module by their names."""
    return dict(_of_classes(ast.parse(inspect.getsource(sys.modules[name])), ""))


def _of_classes(node: ast.Module | ast.ClassDef, path: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    for one in node.body:
        if isinstance(one, ast.ClassDef):
            yield path + one.name, dict(_of_fields(one))
            yield from _of_classes(one, f"{path}{one.name}.")


def _of_fields(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for one, after in itertools.zip_longest(node.body, node.body[1:]):
        if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
            yield one.target.id, _text(after)


def _text(node: ast.stmt | None) -> str:
    value: Any = node.value.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else None
    return inspect.cleandoc(value) if isinstance(value, str) else ""
