"""
Make JSON Schemas from the models, one for each type and version.

A request's schema is that of the whole message in structured mode, an event's that of its data: the value of a record
in binary mode, the member `data` in structured mode. `export` writes them, `asyncapi` puts them into one document.
"""

from __future__ import annotations

import functools
import json
from typing import Any, Final

import pydantic

from mrs_relay.messages import controls, envelope, events, registry

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

VERSION: Final = "v1"
"""The version of every type. A change that breaks readers or senders needs a new type with the next version."""

ANY_EVENT: Final = f"events/{VERSION}.json"
"""Path of the schema that events of every type satisfy."""

_REASONED: Final[frozenset[events.State]] = frozenset({"rejected", "retrying", "failed", "cancelled", "unknown"})
"""States whose events always have a reason."""

CONTROL: Final = f"controls/{VERSION}.json"
"""Path of the schema of controls."""

CONTROL_ID: Final = f"urn:mrs-relay:controls:{VERSION}"
SCOPES: Final = "all, tenant/NAME, cluster/ID, label/KEY=VALUE, type/KIND, request/ID or offset/TOPIC/PARTITION/OFFSET"

_ANY_EVENT_ID: Final = f"urn:mrs-relay:events:{VERSION}"

Schema = dict[str, Any]


def request(kind: str) -> Schema:
    """Make the schema of a whole request of type `kind`, in structured mode or as plain JSON."""
    data, definitions = body(registry.REQUESTS[kind], "validation")
    return {
        "$schema": DIALECT,
        "$id": f"urn:mrs-relay:requests:{kind}:{VERSION}",
        "title": kind,
        "description": f"Request {kind}: CloudEvents 1.0, structured; specversion and source may be missing.",
        "type": "object",
        "required": ["id", "type", "data"],
        "properties": {**attributes(kind), "data": data},
        "$defs": definitions,
    }


def event(kind: str) -> Schema:
    """Make the schema of the data of events of type `kind`, complete in itself."""
    data, definitions = body(registry.EVENTS[kind], "serialization")
    promised = narrowed(kind)
    return {
        "$schema": DIALECT,
        **_naming(kind),
        **data,
        "description": _naming(kind)["description"],
        "properties": {**data["properties"], **promised["properties"]},
        "required": sorted({*data["required"], *promised["required"]}, key=list(data["properties"]).index),
        "$defs": definitions,
    }


def any_event() -> Schema:
    """Make the schema that the data of every event satisfies."""
    data, definitions = body(events.EventData, "serialization")
    types = (f"{kind}: {registry.meaning(kind)}" for kind in registry.EVENTS)
    return {
        "$schema": DIALECT,
        "$id": _ANY_EVENT_ID,
        "title": "EventData",
        **data,
        "description": "Value of every event record (CloudEvents binary mode; the attributes are ce_ headers). Types: "
        + "; ".join(types),
        "$defs": definitions,
    }


def event_bundle() -> Schema:
    """
    Make the schema of all events with that of each type in its `$defs`, by the type's name.

    What all types share is written once here; the file of a type refers to it, see `event_reference`.
    """
    shared = any_event()
    types: dict[str, Schema] = {}
    for kind in registry.EVENTS:
        promised = narrowed(kind)
        types[kind] = {"description": _naming(kind)["description"], "$ref": "#", "type": "object", **promised}
    return {**shared, "$defs": {**shared["$defs"], **types}}


def event_reference(kind: str) -> Schema:
    """Make the schema of a type of events as a reference into the bundle."""
    return {"$schema": DIALECT, **_naming(kind), "$ref": f"{_ANY_EVENT_ID}#/$defs/{kind}"}


def resolved(found: Schema, bundle: Schema) -> Schema:
    """
    Return the schema of a type of events complete in itself; one without references to the bundle stays unchanged.

    Args:
        found: as `event_reference` or `event` makes it, also by an earlier version.
        bundle: as `event_bundle` makes it.
    """
    prefix = f"{_ANY_EVENT_ID}#/$defs/"
    reference = found.get("$ref", "")
    if not reference.startswith(prefix):
        return found
    promised = bundle["$defs"][reference.removeprefix(prefix)]
    return {
        **bundle,
        **{name: value for name, value in found.items() if name != "$ref"},
        "properties": {**bundle["properties"], **promised["properties"]},
        "required": [*bundle["required"], *(set(promised["required"]) - set(bundle["required"]))],
    }


def _naming(kind: str) -> Schema:
    return {
        "$id": f"urn:mrs-relay:events:{kind}:{VERSION}",
        "title": kind,
        "description": f"Data of the event {kind}: {registry.meaning(kind).rstrip('.')}.",
    }


def control() -> Schema:
    """Make the schema of the value of a control's record; the key is a scope."""
    data, definitions = body(controls.ControlData, "validation")
    fields = data["properties"]
    moment = {"type": "string", "format": "date-time"}
    for name in ("at", "until"):
        fields = {**fields, name: {**moment, "description": fields[name]["description"]}}

    return {
        "$schema": DIALECT,
        "$id": CONTROL_ID,
        "title": "Control",
        "type": "object",
        "description": f"Value of a record of the control topic. Its key is a scope, as UTF-8 text: {SCOPES}. A "
        "tombstone lifts the control of its scope. Unknown fields are ignored.",
        "required": data["required"],
        "properties": fields,
        "$defs": definitions,
    }


def text(document: object) -> str:
    """Format a document for a file: indented, with a newline at its end."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def compact(value: object) -> str:
    """Format a value on one line."""
    return json.dumps(value, ensure_ascii=False)


def attributes(kind: str) -> dict[str, Schema]:
    """Return the attributes of a request that the relay reads, with their rules."""
    name = {"type": "string", "minLength": 1, "maxLength": envelope.MAX_ID}
    return {
        "specversion": {"const": "1.0", "description": "Of CloudEvents."},
        "id": {**name, "description": "With source the idempotency key. No control characters."},
        "source": {**name, "description": "Who sends it; `/<topic>` if missing. No control characters, no spaces."},
        "type": {"const": kind},
        "time": {"type": "string", "format": "date-time", "description": "When it was made; not used."},
        "datacontenttype": {"type": "string", "description": "application/json"},
        "correlationid": {"type": "string", "description": "Comes back in every event."},
        "traceparent": {"type": "string", "description": "W3C trace context; comes back in every event."},
        "tracestate": {"type": "string", "description": "The same."},
        "authid": {"type": "string", "description": "Who sends it; comes back in every event that it causes."},
        "authtype": {"type": "string", "description": "The kind of the sender, such as user or api_key."},
    }


def narrowed(kind: str) -> Schema:
    """Return the promises about the events of one type beyond those about all events."""
    state = registry.state_of(kind)
    if kind in events.NOTICES:
        promised = {"state": {"const": state}, "repeated": {"const": True}, "result": {"$ref": "#/$defs/Result"}}
        return {"properties": promised, "required": list(promised)}
    reason = ["reason"] if state in _REASONED else []
    properties: dict[str, Schema] = {"state": {"const": state}}
    if reason:
        properties["reason"] = {"$ref": "#/$defs/Reason"}
    return {"properties": properties, "required": ["state", *reason]}


@functools.cache
def body(model: type[pydantic.BaseModel], mode: Any) -> tuple[Schema, dict[str, Schema]]:  # noqa: ANN401 - pydantic's literal
    """Make the schema of a model and those that it refers to by `#/$defs/<name>`; not to be changed."""
    made = model.model_json_schema(ref_template="#/$defs/{model}", mode=mode, by_alias=True)
    definitions = made.pop("$defs", {})
    return _untitled(made), {name: _untitled(each) for name, each in definitions.items()}


def _untitled(node: Schema) -> Schema:
    kept = {name: value for name, value in node.items() if name != "title"}
    for name in ("properties", "patternProperties"):
        if name in kept:
            kept[name] = {field: _untitled(each) for field, each in kept[name].items()}
    for name in ("items", "additionalProperties", "propertyNames"):
        if isinstance(kept.get(name), dict):
            kept[name] = _untitled(kept[name])
    for name in ("anyOf", "allOf", "oneOf", "prefixItems"):
        if name in kept:
            kept[name] = [_untitled(each) for each in kept[name]]
    if "oneOf" in kept:  # pydantic's keyword for discriminated forms, which exclude each other anyway
        kept["anyOf"] = kept.pop("oneOf")
    return kept
