"""
Make the AsyncAPI 3 document: channels, operations and messages, from the same models as the schemas.

The document describes requests twice: as one JSON text (structured mode or plain JSON), and with their attributes in
headers (binary mode). It describes events in binary mode, which is the default.

Source: AsyncAPI specification 3.0.0; Kafka bindings 0.5.0; CloudEvents Kafka protocol binding 1.0.2.
"""

from __future__ import annotations

import json
from typing import Any, Final

import mrs_relay
from mrs_relay.messages import chunks, envelope, events, examples, registry, schema

_JSON: Final = "application/json"
_BINDING: Final = "0.5.0"
_ABOUT: Final = (
    "Send a request, read the events of its job. `id` with `source` is the idempotency key of a request; every event "
    "names it in `request` and in the attribute `subject`. Events of one request come in order and count 1, 2, 3 … in "
    "`sequence`; read them with isolation level read_committed. New fields, event types and codes may come; pass over "
    "what you do not know."
)
_TEXT: Final = {"type": "string"}
_KEY: Final = {
    "type": "string",
    "description": "Best the cluster id. All messages about one request need the same key; its events have it, too.",
}

_Node = dict[str, Any]


def document() -> _Node:
    """Return the whole document, ready to be written as JSON."""
    messages = _messages()

    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "mrs-relay",
            "version": mrs_relay.__version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
            "tags": [{"name": "kafka"}, {"name": "cloudevents"}],
        },
        "defaultContentType": _JSON,
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "The deployment's Kafka.",
                "variables": {"bootstrap": {"default": "localhost:9092"}},
            }
        },
        "channels": _channels(messages),
        "operations": _operations(),
        "components": {"messages": messages, "schemas": _definitions(), "messageTraits": _traits()},
    }


def _channels(messages: _Node) -> _Node:
    def on(prefix: str) -> _Node:
        found = [name for name in messages if name.startswith(prefix)]
        return {name: {"$ref": f"#/components/messages/{name}"} for name in found}

    return {
        "requests": {
            "address": "mrs.requests",
            "title": "Requests",
            "description": "Requests of services. Who may write here may send any request, cancels included.",
            "messages": on("request."),
            "bindings": _topic("mrs.requests"),
        },
        "events": {
            "address": "mrs.events",
            "title": "Events",
            "description": "One event for each change of a request, in order.",
            "messages": on("event."),
            "bindings": _topic("mrs.events"),
        },
        "latest": {
            "address": "mrs.latest",
            "title": "Latest states",
            "description": "Where the setting kafka.topics.latest names it: the last event of each request, compacted, "
            "under the key `<source> <id>`.",
            "messages": on("event."),
            "bindings": _topic("mrs.latest", "compact"),
        },
        "lineage": {
            "address": "mrs.lineage",
            "title": "Lineage",
            "description": "Where the setting kafka.topics.lineage names it: OpenLineage run events, a START and an "
            "end for each attempt of a job or of SQL.",
            "messages": on("lineage"),
            "bindings": _topic("mrs.lineage"),
        },
        "results": {
            "address": "mrs.results",
            "title": "Results",
            "description": "Where the setting kafka.topics.results names it: rows of SQL in chunks, in order, under "
            "the key of the request. The event that names them follows.",
            "messages": on("rows"),
            "bindings": _topic("mrs.results"),
        },
        "deadLetters": {
            "address": "mrs.dead-letters",
            "title": "Dead letters",
            "description": "Messages in which no id can be read, as they came, with the reason in headers.",
            "messages": on("deadLetter"),
            "bindings": _topic("mrs.dead-letters"),
        },
        "controls": {
            "address": "mrs.control",
            "title": "Controls",
            "description": "What to hold back, set aside or pass over: one record for each scope, compacted. Who may "
            "write here may stop all work.",
            "messages": on("control"),
            "bindings": _topic("mrs.control", "compact"),
        },
        "ledger": {
            "address": "mrs.requests.ledger",
            "title": "Ledger (private)",
            "description": "The service's own state, read and written by it alone; the form changes without notice.",
            "messages": on("ledger"),
            "bindings": _topic("mrs.requests.ledger", "compact"),
        },
        "status": {
            "address": "mrs.status",
            "title": "Status of the relays (private)",
            "description": "What relays publish about themselves, for `mrs-relay why`, `status` and `web`; the form "
            "changes without notice.",
            "messages": on("status"),
            "bindings": _topic("mrs.status", "compact"),
        },
    }


def _topic(name: str, cleanup: str = "delete") -> _Node:
    return {"kafka": {"topic": name, "topicConfiguration": {"cleanup.policy": [cleanup]}, "bindingVersion": _BINDING}}


def _operations() -> _Node:
    operations = {
        "takeRequests": ("receive", "requests", "Takes requests and carries them out."),
        "readControls": ("receive", "controls", "Follows the controls."),
        "tellEvents": ("send", "events", "Tells every change of a request."),
        "tellLatest": ("send", "latest", "Keeps the last event of each request, if a setting asks for it."),
        "writeLineage": ("send", "lineage", "Writes what ran and what it read and wrote, if a setting asks for it."),
        "writeResults": ("send", "results", "Writes rows in chunks, for requests that want them so."),
        "keepDeadLetters": ("send", "deadLetters", "Keeps what no event can answer."),
        "keepLedger": ("send", "ledger", "Keeps the service's state."),
        "publishStatus": ("send", "status", "Publishes queues, slots, budgets and the state of partitions."),
    }

    return {
        name: {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}
        for name, (action, channel, summary) in operations.items()
    }


def _messages() -> _Node:
    made: _Node = {}
    for kind, model in sorted(registry.REQUESTS.items()):
        about = " ".join((model.__doc__ or "").split())
        made[f"request.{kind}"] = _request(kind, about)
        made[f"request.{kind}.binary"] = _binary_request(kind, about)
    for kind in registry.EVENTS:
        made[f"event.{kind}"] = _event(kind)

    made["deadLetter"] = {
        "name": "deadLetter",
        "title": "Dead letter",
        "summary": "Key, bytes and headers as they came; headers that say why and from where stand behind them.",
        "contentType": "application/octet-stream",
        "headers": {"$ref": "#/components/schemas/DeadLetterHeaders"},
        "payload": {"description": "The bytes of the message as they came."},
    }
    control = schema.control()
    made["control"] = {
        "name": "control",
        "title": "Control",
        "summary": control["description"],
        "contentType": _JSON,
        "payload": {name: control[name] for name in ("type", "required", "properties")},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"The scope: {schema.SCOPES}."},
                "bindingVersion": _BINDING,
            }
        },
    }
    made["lineageRecord"] = {
        "name": "lineageRecord",
        "title": "OpenLineage run event",
        "contentType": "application/json",
        "payload": {"description": "As https://openlineage.io/spec/2-0-2/OpenLineage.json says."},
    }
    made["rowsChunk"] = _rows_chunk()
    made["rowsArrowChunk"] = _arrow_chunk()
    made["ledgerRecord"] = {
        "name": "ledgerRecord",
        "title": "Record of the ledger (private)",
        "contentType": "application/octet-stream",
        "payload": {"description": "Private."},
    }
    made["statusRecord"] = {
        "name": "statusRecord",
        "title": "Record of a relay's status (private)",
        "contentType": "application/json",
        "payload": {"type": "object", "description": "Private."},
    }
    return made


def _request(kind: str, about: str) -> _Node:
    whole = schema.request(kind)
    properties = {**whole["properties"], "data": {"$ref": f"#/components/schemas/{_name(kind)}"}}
    message: _Node = {
        "name": kind,
        "title": f"{kind} as one JSON text",
        "summary": about,
        "contentType": envelope.STRUCTURED,
        "correlationId": {"location": "$message.payload#/correlationid"},
        "payload": {"type": "object", "required": whole["required"], "properties": properties},
        "bindings": {"kafka": {"key": _KEY, "bindingVersion": _BINDING}},
    }
    if kind in examples.DATA:
        message["examples"] = [{"name": "structured", "payload": examples.message(kind)}]
    return message


def _binary_request(kind: str, about: str) -> _Node:
    attributes = {
        name: {key: text for key, text in node.items() if key != "format"}
        for name, node in schema.attributes(kind).items()
        if name != "datacontenttype"  # in binary mode the header content-type holds it
    }

    headers = {
        "type": "object",
        "required": ["ce_specversion", "ce_id", "ce_type"],
        "properties": {"content-type": {"const": _JSON}, **{f"ce_{name}": node for name, node in attributes.items()}},
    }
    message: _Node = {
        "name": kind,
        "title": f"{kind} in binary mode",
        "summary": about,
        "contentType": _JSON,
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "headers": headers,
        "payload": {"$ref": f"#/components/schemas/{_name(kind)}"},
        "bindings": {"kafka": {"key": _KEY, "bindingVersion": _BINDING}},
    }

    if kind in examples.DATA:
        sent = {name: text for name, text in examples.message(kind).items() if name != "data"}
        as_headers = {"content-type": _JSON, **{f"ce_{name}": text for name, text in sent.items()}}
        message["examples"] = [{"name": "binary", "headers": as_headers, "payload": examples.DATA[kind]}]
    return message


def _event(kind: str) -> _Node:
    promised = _moved(schema.narrowed(kind))
    return {
        "name": kind,
        "title": kind,
        "summary": registry.meaning(kind),
        "traits": [{"$ref": "#/components/messageTraits/event"}],
        "payload": {"allOf": [{"$ref": "#/components/schemas/EventData"}, {"type": "object", **promised}]},
    }


def _traits() -> _Node:
    described = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {**_TEXT, "description": "Deterministic: the same event always has the same id."},
        "ce_source": {**_TEXT, "description": "The setting `event_source` of the deployment."},
        "ce_type": {**_TEXT, "enum": list(registry.EVENTS)},
        "ce_subject": {**_TEXT, "description": "Id of the request."},
        "ce_time": {**_TEXT, "format": "date-time"},
        "ce_sequence": {
            **_TEXT,
            "pattern": r"^\d{10}$",
            "description": "1, 2, 3 … for each request, in ten digits.",
        },
        "ce_correlationid": {**_TEXT, "description": "The request's `correlationid`, or its id."},
        "ce_causationid": {**_TEXT, "description": "Id of the message that brought the event about."},
    }

    optional = {
        "ce_traceparent": {**_TEXT, "description": "W3C trace context of the request."},
        "ce_tracestate": {**_TEXT, "description": "The same."},
        "ce_authid": {**_TEXT, "description": "Who sent the message that brought the event about, as it says."},
        "ce_authtype": {**_TEXT, "description": "The kind of that sender, such as user or api_key."},
        "traceparent": {**_TEXT, "description": "The same, where tracing libraries look for it."},
        "tracestate": {**_TEXT, "description": "The same."},
    }

    headers = {
        "type": "object",
        "required": ["content-type", *described],
        "properties": {"content-type": {"const": _JSON}, **described, **optional},
    }
    return {
        "event": {
            "contentType": _JSON,
            "correlationId": {"location": "$message.header#/ce_correlationid"},
            "headers": headers,
            "bindings": {"kafka": {"key": _KEY, "bindingVersion": _BINDING}},
        }
    }


def _rows_chunk() -> _Node:
    described = {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {**_TEXT, "description": "Of request, attempt and number: the same when it is written again."},
        "ce_source": {**_TEXT, "description": "The setting `event_source` of the deployment."},
        "ce_type": {"const": chunks.TYPE},
        "ce_subject": {**_TEXT, "description": "Id of the request."},
        "ce_requestsource": {**_TEXT, "description": "Its source."},
        "ce_time": {**_TEXT, "format": "date-time"},
        "ce_attempt": {**_TEXT, "description": "Attempt of the request whose result it is."},
        "ce_sequence": {**_TEXT, "pattern": r"^\d{10}$", "description": "1, 2, 3 … within the result."},
        "ce_digest": {**_TEXT, "description": "sha-256: and the hexadecimal digest of the value."},
    }

    headers = {"type": "object", "required": list(described), "properties": described}
    return {
        "name": "rowsChunk",
        "title": "Rows in a chunk",
        "contentType": "text/csv",
        "headers": headers,
        "payload": {
            "type": "string",
            "description": "Consecutive rows as MRS wrote them; a row is never cut, unless it is longer than a chunk.",
        },
        "bindings": {"kafka": {"key": _KEY, "bindingVersion": _BINDING}},
    }


def _arrow_chunk() -> _Node:
    return {
        **_rows_chunk(),
        "name": "rowsArrowChunk",
        "title": "Rows in a chunk, as Arrow",
        "contentType": chunks.CONTENT_TYPES["arrow"],
        "payload": {
            "type": "string",
            "format": "binary",
            "description": "Consecutive rows as an Arrow IPC stream, which can be read alone; all of a result have the "
            "same columns.",
        },
    }


def _definitions() -> _Node:
    made: _Node = {}
    for kind, model in sorted(registry.REQUESTS.items()):
        data, more = schema.body(model, "validation")
        made |= {**more, _name(kind): data}
    data, more = schema.body(events.EventData, "serialization")
    made |= {**more, "EventData": data}

    made["DeadLetterHeaders"] = {
        "type": "object",
        "required": ["mrs_relay_reason", "mrs_relay_message", "mrs_relay_position", "mrs_relay_timestamp_ms"],
        "properties": {
            "mrs_relay_reason": {**_TEXT, "description": "One of the codes of reasons."},
            "mrs_relay_message": {**_TEXT, "description": "The reason for people."},
            "mrs_relay_position": {**_TEXT, "description": "`<topic>-<partition>-<offset>` of the message."},
            "mrs_relay_timestamp_ms": {**_TEXT, "description": "Its timestamp, epoch milliseconds."},
            "mrs_relay_no_value": {**_TEXT, "description": "It had no value (a tombstone)."},
            **{
                f"mrs_relay_cut_{what}": {**_TEXT, "description": f"{text}, where it did not fit into the topic."}
                for what, text in (
                    ("from_bytes", "Bytes that the value had before it was cut"),
                    ("headers", "How many headers it had; they were left out"),
                    ("key_bytes", "Bytes of its key, which was left out"),
                )
            },
            "mrs_relay_replay_of": {**_TEXT, "description": "It was a replay of the message at this position."},
        },
    }
    return {name: _moved(node) for name, node in made.items()}


def _name(kind: str) -> str:
    return registry.REQUESTS[kind].__name__


def _moved(node: _Node) -> _Node:
    """Point the references of a schema to this document's schemas."""
    moved: _Node = json.loads(json.dumps(node).replace("#/$defs/", "#/components/schemas/"))
    return moved
