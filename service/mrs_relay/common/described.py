"""
Describe the fields of models by the strings below them, when they are asked for.

Pydantic can do it while a class is made (`use_attribute_docstrings`), which parses the source at each start: a fifth of
the time of an import. A relay at work never reads a description, so it is looked up for schemas and references alone.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys

import pydantic
from pydantic import json_schema as schemas
from pydantic_core import core_schema


class Described(pydantic.BaseModel):
    """Parent of models whose fields are described by the strings below them."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: core_schema.CoreSchema, handler: pydantic.GetJsonSchemaHandler
    ) -> schemas.JsonSchemaValue:
        """Add the descriptions to the schema of the model."""
        made = handler(core)
        properties = handler.resolve_ref_schema(made).get("properties", {})
        for name, text in descriptions(cls).items():
            field = cls.model_fields[name]
            aliases = (field.validation_alias, field.serialization_alias, field.alias, name)
            for key in aliases:
                if isinstance(key, str) and key in properties:
                    properties[key].setdefault("description", text)
                    break
        return made


def descriptions(model: type[pydantic.BaseModel]) -> dict[str, str]:
    """Return the description of each field of a model that has one, by the field's name."""
    found: dict[str, str] = {}
    for name, field in model.model_fields.items():
        text = field.description or _inherited(model, name)
        if text:
            found[name] = text
    return found


def _inherited(model: type, name: str) -> str | None:
    """Return the string below the field in the first class that has the field."""
    for parent in model.__mro__:
        if parent.__module__.startswith("pydantic"):
            continue
        fields = _by_class(parent.__module__).get(parent.__qualname__, {})
        if name in fields:
            return fields[name]
    return None


@functools.cache
def _by_class(module: str) -> dict[str, dict[str, str | None]]:
    """Return the annotated names of all classes of a module, with the strings below them."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[module]))
    except (OSError, KeyError, TypeError):  # without sources there are no descriptions, as in pydantic
        return {}
    found: dict[str, dict[str, str | None]] = {}
    _collect(tree, "", found)
    return found


def _collect(node: ast.Module | ast.ClassDef, path: str, found: dict[str, dict[str, str | None]]) -> None:
    for here, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(here, ast.ClassDef):
            _collect(here, f"{path}{here.name}.", found)
        elif path and isinstance(here, ast.AnnAssign) and isinstance(here.target, ast.Name):
            fields = found.setdefault(path.removesuffix("."), {})
            fields[here.target.id] = _text(after)


def _text(node: ast.stmt | None) -> str | None:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return inspect.cleandoc(node.value.value)
    return None
