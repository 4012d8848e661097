"""
Make the page docs/reference.md from the models: every type, field, limit and reason.

Neighbours: `messages.schema` makes the schemas behind the tables, `cli.reference` writes and checks the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mrs_relay.messages import envelope, events, examples, reasons, registry, requests, schema

_HEAD: Final = """\
# Reference of the messages

Made by `make operations` from the models in `service/mrs_relay/messages/`; do not edit it.

A request is a CloudEvent in JSON (structured mode), a JSON value with its attributes in `ce_` headers (binary mode), or
plain JSON with the same members. Every event is a CloudEvent in binary mode, or in structured mode where the setting
`event_mode` says so. The JSON Schemas of all of them are in `schemas/`; `mrs-relay schemas validate FILE` checks a
message.
"""
_FIELD_COLUMNS: Final = ("field", "type", "must be there", "default", "limits", "meaning")
_LIMITS: Final[dict[str, str]] = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "≥ {} characters",
    "maxLength": "≤ {} characters",
    "minItems": "≥ {} items",
    "maxItems": "≤ {} items",
    "minProperties": "≥ {} names",
    "maxProperties": "≤ {} names",
    "pattern": "`{}`",
    "format": "{}",
}
_MANY: Final = 12
_MOST_DEPTH: Final = 6

_Node = Mapping[str, Any]


def markdown() -> str:
    """Make the page."""
    lines = [_HEAD, "## Requests", ""]
    lines += _table(("type", "what it asks for"), _kinds())
    lines += ["### What every request has", ""]
    lines += _table(_FIELD_COLUMNS, _attributes())
    for kind in sorted(registry.REQUESTS):
        lines += _request(kind)
    lines += ["## Events", "", *_events()]
    lines += ["## Reasons", "", *_reasons()]
    lines += ["## Limits", "", *_limits()]
    return "\n".join(lines)


def _kinds() -> Iterator[tuple[str, ...]]:
    for kind, model in sorted(registry.REQUESTS.items()):
        yield f"[`{kind}`](#{_anchor(kind)})", _description(model).partition("\n")[0]


def _request(kind: str) -> list[str]:
    whole = schema.request(kind)
    lines = [f"### {kind}", "", _description(registry.REQUESTS[kind]), ""]
    lines += _table(_FIELD_COLUMNS, _fields(whole["properties"]["data"], whole["$defs"], "data"))
    if kind in examples.DATA:
        lines += ["```json", schema.text(examples.message(kind)).rstrip(), "```", ""]
    return lines


def _attributes() -> Iterator[tuple[str, ...]]:
    attributes = {**schema.attributes(""), "type": {"type": "string", "description": "One of the types above."}}
    for name, node in attributes.items():
        yield _row(name, node, {}, needed=name in {"id", "type"})


def _events() -> Iterator[str]:
    yield "The type of an event is `mrs.<job|sql|cluster|call>.<state>`. New types, fields and codes may come:"
    yield "pass over what you do not know."
    yield ""
    states = (
        (
            f"`{state}`",
            ", ".join(subject for subject, states_of in events.SUBJECTS.items() if state in states_of),
            meaning,
        )
        for state, meaning in events.STATES.items()
    )

    yield from _table(("state", "subjects", "meaning"), states)
    yield "One type reports no new state; its `repeated` is true:"
    yield ""
    notices = ((f"`{kind}`", f"`{state}`", meaning) for kind, (state, meaning) in events.NOTICES.items())
    yield from _table(("type", "state", "meaning"), notices)
    yield "The fields of every event's data; where something went wrong there always is a `reason`:"
    yield ""
    data, definitions = schema.body(events.EventData, "serialization")
    yield from _table(_FIELD_COLUMNS, _fields(data, definitions, ""))


def _reasons() -> Iterator[str]:
    yield "Branch on `class`, which is a closed list:"
    yield ""
    yield from _table(("class", "meaning"), ((f"`{name}`", text) for name, text in reasons.CLASSES.items()))
    yield "`code` is MRS's own (`0176`, `APIGW.0301`, or `http_<status>`) where the reason comes from MRS, else one of:"
    yield ""
    yield from _table(("code", "meaning"), ((f"`{name}`", text) for name, text in reasons.CODES.items()))


def _limits() -> list[str]:
    rows = [
        ("`id`, `source`", f"{envelope.MAX_ID} characters each"),
        ("`job.arguments` of `mrs.job.submit`, all together", f"{requests.MAX_ARGUMENTS:,} characters"),
        ("`job.properties` of `mrs.job.submit`, names and values together", f"{requests.MAX_PROPERTIES:,} characters"),
        ("`reason.message`", f"{reasons.MAX_MESSAGE:,} characters; more are cut off"),
    ]
    return _table(("what", "limit"), rows)


def _fields(node: _Node, definitions: _Node, place: str, depth: int = 0) -> Iterator[tuple[str, ...]]:
    """Yield one row for each field, followed by the rows of its inner fields."""
    needed = set(node.get("required", ()))
    for name, each in node.get("properties", {}).items():
        path = f"{place}.{name}" if place else name
        yield _row(path, each, definitions, needed=name in needed)
        inner, suffix = _inside(each, definitions)
        if inner is not None and depth < _MOST_DEPTH:
            yield from _fields(inner, definitions, path + suffix, depth + 1)


def _inside(node: _Node, definitions: _Node) -> tuple[_Node | None, str]:
    for branch in _branches(node, definitions):
        if "properties" in branch:
            return branch, ""
        if isinstance(branch.get("items"), dict):
            inner, suffix = _inside(branch["items"], definitions)
            return inner, f"[]{suffix}"
    return None, ""


def _branches(node: _Node, definitions: _Node) -> list[_Node]:
    if "$ref" in node:
        return _branches(definitions[node["$ref"].removeprefix("#/$defs/")], definitions)
    if "anyOf" in node:
        return [each for branch in node["anyOf"] for each in _branches(branch, definitions)]
    return [node]


def _row(path: str, node: _Node, definitions: _Node, *, needed: bool) -> tuple[str, ...]:
    branches = [branch for branch in _branches(node, definitions) if branch.get("type") != "null"]
    kinds = list(dict.fromkeys(_kind(branch, definitions) for branch in branches))
    default = node.get("default")
    about = node.get("description") or next(
        (str(each["description"]) for each in branches if "description" in each), ""
    )
    return (
        f"`{path}`",
        " or ".join(kinds),
        "yes" if needed else "",
        "" if default in (None, "", {}, []) else f"`{schema.compact(default)}`",
        ", ".join(limit for branch in branches for limit in _bounds(branch)),
        about.partition("\n")[0],
    )


def _kind(node: _Node, definitions: _Node) -> str:
    if "const" in node:
        return f"`{node['const']}`"
    if "enum" in node:
        words = [f"`{word}`" for word in node["enum"]]
        more = f", … ({len(words)} in all, see the schema)" if len(words) > _MANY else ""
        return ", ".join(words[:_MANY]) + more
    if node.get("type") == "array" and isinstance(node.get("items"), dict) and node["items"]:
        kinds = dict.fromkeys(_kind(branch, definitions) for branch in _branches(node["items"], definitions))
        return f"list of {' or '.join(kinds)}"
    values = node.get("additionalProperties")
    if node.get("type") == "object" and isinstance(values, dict) and values:
        kinds = dict.fromkeys(_kind(branch, definitions) for branch in _branches(values, definitions))
        return f"object of {' or '.join(kinds)}"
    return str(node.get("type", "any JSON"))


def _bounds(node: _Node) -> Iterator[str]:
    for name, words in _LIMITS.items():
        if name in node:
            yield words.format(node[name])


def _table(columns: tuple[str, ...], rows: Any) -> list[str]:  # noqa: ANN401 - any iterable of rows
    cells = (" | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) for row in rows)
    return [f"| {' | '.join(columns)} |", "|" + " --- |" * len(columns), *(f"| {line} |" for line in cells), ""]


def _description(model: type[Any]) -> str:
    return "\n".join(line.strip() for line in (model.__doc__ or "").strip().splitlines())


def _anchor(kind: str) -> str:
    return kind.replace(".", "")
