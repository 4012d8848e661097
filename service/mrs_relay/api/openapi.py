"""Make the OpenAPI 3.1 document from the routes and their models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import pydantic
from pydantic import json_schema

import mrs_relay
from mrs_relay.api import models, problems, routes

_SCHEMAS: Final = "#/components/schemas/{model}"
_ID: Final[dict[str, Any]] = {"name": "id", "in": "path", "required": True, "description": "Id of the request."}
_POSITION: Final[dict[str, Any]] = {
    "name": "position",
    "in": "path",
    "required": True,
    "description": "Where the message stood: TOPIC-PARTITION-OFFSET.",
    "schema": {"pattern": r"^[a-zA-Z0-9._-]{1,249}-[0-9]{1,9}-[0-9]{1,18}$"},
}
_SCOPE: Final[dict[str, Any]] = {
    "name": "scope",
    "in": "path",
    "required": True,
    "description": "all, tenant%2FNAME, cluster%2FID, label%2FKEY%3DVALUE, type%2FKIND, request%2FID or "
    "offset%2FTOPIC%2FPARTITION%2FOFFSET.",
    "schema": {
        "maxLength": 600,
        "pattern": r"^(all|(tenant|cluster|request)/[!-~]+|label/[!-<>-~]+=[!-~]*|type/(job|sql|cluster|call)"
        r"|offset/[a-zA-Z0-9._-]{1,249}/[0-9]{1,9}/[0-9]{1,18})$",
    },
}
_DESCRIPTION: Final = (
    "Requests of mrs-relay and their events, as the topics of Kafka report them. What is sent becomes a message on "
    "Kafka. Errors are application/problem+json (RFC 9457). Answers have an ETag. Pass over members that you do not "
    "know."
)


_BEARER: Final = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token of the file of tokens, or a JSON Web Token of the OpenID Connect provider.",
}
_CERTIFICATE: Final = {"type": "mutualTLS", "description": "A client certificate."}
_SESSION: Final = {
    "type": "apiKey",
    "in": "cookie",
    "name": "__Host-mrs-relay-session",
    "description": "The session of a browser; without TLS the name has no prefix. It writes only from our own pages.",
}


def document(all_routes: Sequence[routes.Route], *, is_open: bool = True) -> dict[str, Any]:
    """
    Return the document as JSON values.

    Args:
        all_routes: what is served.
        is_open: whether callers need not authenticate.
    """
    answers: list[type[pydantic.BaseModel]] = [*(route.answer for route in all_routes), models.Problem]
    bodies = [route.body for route in all_routes if route.body is not None]
    modes: list[tuple[type[pydantic.BaseModel], Literal["validation", "serialization"]]] = [
        *((one, "serialization") for one in answers),
        *((one, "validation") for one in bodies),
    ]
    _, shared = json_schema.models_json_schema(modes, ref_template=_SCHEMAS)

    paths: dict[str, dict[str, Any]] = {}
    for route in all_routes:
        paths.setdefault(route.path, {})[route.verb] = _operation(route)
    components: dict[str, Any] = {"schemas": shared["$defs"]}
    if not is_open:
        components["securitySchemes"] = {"token": _BEARER, "certificate": _CERTIFICATE, "session": _SESSION}
    return {
        "openapi": "3.1.0",
        "info": {"title": "mrs-relay", "version": mrs_relay.__version__, "description": _DESCRIPTION},
        "paths": paths,
        "components": components,
        **({} if is_open else {"security": [{"token": []}, {"certificate": []}, {"session": []}]}),
    }


def _operation(route: routes.Route) -> dict[str, Any]:
    named = [one for one in (_ID, _POSITION, _SCOPE) if f"{{{one['name']}}}" in route.path]
    parameters: list[dict[str, Any]] = [
        {**one, "schema": {"type": "string", "minLength": 1, **one.get("schema", {})}} for one in named
    ]
    parameters += [] if route.query is None else _query(route.query)
    parameters += [
        {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
        for name, text in route.headers.items()
    ]
    answer = {routes.JSON: {"schema": _reference(route.answer)}}
    others = {kind: {"schema": {"type": "string", "description": text}} for kind, text in route.others.items()}
    done: dict[str, Any] = {"200": {"description": route.summary, "content": {**answer, **others}}}

    if route.body is None:
        done["304"] = {"description": "Nothing has changed since the answer with the ETag of If-None-Match."}
    elif route.sends:
        location = {"Location": {"description": "Path of the request.", "schema": {"type": "string"}}}
        done["202"] = {"description": "Kafka has the message.", "content": answer, "headers": location}

    body = (
        {}
        if route.body is None
        else {"requestBody": {"required": True, "content": {routes.JSON: {"schema": _reference(route.body)}}}}
    )

    return {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": parameters,
        **body,
        "responses": {**done, **dict(_problems(route))},
    }


def _reference(model: type[pydantic.BaseModel]) -> dict[str, str]:
    return {"$ref": _SCHEMAS.format(model=model.__name__)}


def _query(model: type[pydantic.BaseModel]) -> list[dict[str, Any]]:
    """Return the parameters that a query model takes; none of its fields refers to another model."""
    schema = model.model_json_schema(mode="validation")
    required = schema.get("required", [])
    found = []
    for name, one in schema["properties"].items():
        described = {"description": one["description"]} if "description" in one else {}
        found.append(
            {"name": name, "in": "query", "required": name in required, **described, "schema": _without_null(one)}
        )
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a value that stands in a query: it is there, so it is not null."""
    left = [one for one in schema.get("anyOf", []) if one.get("type") != "null"]
    default = {} if schema.get("default") is None else {"default": schema["default"]}
    if not left:
        return {
            name: value for name, value in schema.items() if name not in {"title", "description", "default"}
        } | default
    return {**(left[0] if len(left) == 1 else {"anyOf": left}), **default}


def _problems(route: routes.Route) -> Iterator[tuple[str, dict[str, Any]]]:
    content = {problems.CONTENT_TYPE: {"schema": _reference(models.Problem)}}
    for status, text in sorted(route.problems.items()):
        yield str(status), {"description": text, "content": content}
