"""
The registry as files: JSON Schemas for `schemas/`.

The files are committed and never edited; `mrs-relay schemas check DIR` compares them with what this module writes.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any, Final

from mrs_relay.messages import events, registry, requests

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def _plain_request(kind: str, model: type[Any]) -> dict[str, Any]:
    data = model.model_json_schema(ref_template="#/$defs/{model}", mode="validation")
    definitions = data.pop("$defs", {})
    return {
        "$schema": _DIALECT,
        "$id": f"urn:mrs-relay:requests:{kind}:v1",
        "title": kind,
        "description": f"Request {kind}: CloudEvents 1.0, structured; specversion and source may be missing.",
        "type": "object",
        "required": ["id", "type", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {
                "type": "string",
                "minLength": 1,
                "maxLength": 256,
                "description": "With source the idempotency key.",
            },
            "source": {
                "type": "string",
                "minLength": 1,
                "maxLength": 256,
                "description": "Who sends it; /<topic> if missing.",
            },
            "type": {"const": kind},
            "time": {"type": "string", "format": "date-time"},
            "datacontenttype": {"type": "string", "description": "application/json"},
            "correlationid": {"type": "string", "description": "Comes back in every event."},
            "traceparent": {"type": "string", "description": "W3C trace context; comes back in every event."},
            "data": data,
        },
        "$defs": definitions,
    }


def _event() -> dict[str, Any]:
    schema = events.EventData.model_json_schema(ref_template="#/$defs/{model}", mode="serialization", by_alias=True)
    types = {name: events.STATES[name.rsplit(".", 1)[1]] for name in registry.EVENTS}  # type: ignore[index]  # built from STATES
    return {
        "$schema": _DIALECT,
        "$id": "urn:mrs-relay:events:v1",
        **schema,
        "description": "Value of every event record (CloudEvents binary mode; the attributes are ce_ headers). Types: "
        + "; ".join(f"{name}: {text}" for name, text in types.items()),
    }


def schemas() -> dict[str, dict[str, Any]]:
    """All schemas by their path below `schemas/`."""
    files = {f"requests/{kind}/v1.json": _plain_request(kind, model) for kind, model in sorted(requests.MODELS.items())}
    files["events/v1.json"] = _event()
    return files


def write(folder: pathlib.Path) -> list[pathlib.Path]:
    """Write every schema below `folder`; returns the paths."""
    paths = []
    for name, schema in schemas().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_text(schema), encoding="utf-8")
        paths.append(path)
    return paths


def differences(folder: pathlib.Path) -> list[str]:
    """One line for each schema file below `folder` that is missing, differs from the models, or is not ours."""
    wanted = {name: _text(schema) for name, schema in schemas().items()}
    found = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(folder.rglob("*.json"))
    }
    lines = [f"{name}: missing" for name in wanted if name not in found]
    lines += [f"{name}: differs from the models" for name in wanted if name in found and found[name] != wanted[name]]
    lines += [f"{name}: not generated from any model" for name in found if name not in wanted]
    return lines


def _text(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
