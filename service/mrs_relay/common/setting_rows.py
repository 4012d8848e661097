"""Describe the fields of settings groups, for the reference and for errors that name a setting. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import get_args, get_origin

import pydantic

from mrs_relay.common import described


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One setting for the reference: its name, variable, type, default and meaning."""

    name: str
    variable: str
    kind: str
    default: str
    text: str


def rows_of(model: type[pydantic.BaseModel], variable: Callable[[str], str], path: str = "") -> Iterator[Row]:
    """
    Yield the fields of a group and of the groups in it, in order.

    Args:
        model: the group.
        variable: returns the environment's variable of a setting.
        path: stands before the names of its fields.
    """
    texts = described.descriptions(model)
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, pydantic.BaseModel):
            yield from rows_of(inner, variable, f"{path}{name}.")
            continue
        if (named := _model_of_entries(inner)) is not None:
            yield from rows_of(named, variable, f"{path}{name}.<name>.")
            continue

        default = "(required)" if field.is_required() else _default_text(field.get_default(call_default_factory=True))
        kind = getattr(inner, "__name__", None) if isinstance(inner, type) else str(inner).replace("typing.", "")

        yield Row(
            name=path + name,
            variable=variable(path + name),
            kind=kind or "",
            default=default,
            text=" ".join(texts.get(name, "").split()),
        )


def _model_of_entries(annotation: object) -> type[pydantic.BaseModel] | None:
    """Return the model of each entry, if a field is a table of groups with names of their own."""
    entry = get_args(annotation)[1] if get_origin(annotation) is dict else None
    return entry if isinstance(entry, type) and issubclass(entry, pydantic.BaseModel) else None


def _default_text(value: object) -> str:
    if isinstance(value, frozenset):
        return ", ".join(sorted(map(str, value)))
    return "(none)" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
