"""
Complete requests: every type with every field of its model filled, drawn from a seed.

A field is filled by what its JSON Schema says of it, so a new field is drawn without a change here. What no schema
tells, such as fields that exclude each other, is in this module's tables. `malformed` damages these requests.
"""

from __future__ import annotations

import copy
import functools
import random
from collections.abc import Mapping
from typing import Any, Final

import pydantic
from tests.support import damage

from mrs_relay.messages import examples, requests
from mrs_relay.mrs import operation
from mrs_relay.mrs.operations import registry

CLUSTER: Final = "0badc0de-7f0e-4a52-9c11-2f6f0d8a7e01"
"""A cluster that does not exist: some requests would delete it."""

Schema = Mapping[str, Any]

_BY_PATTERN: Final = {
    "^[A-Za-z0-9_-]{1,64}$": ("nightly", "n", "a-b_c", "9" * 47),
    "^[A-Za-z0-9-]{1,64}$": ("02131467-64e5-4eeb-b7a8-5d5a5d4ab3b5",),
    "^[A-Za-z0-9_]{1,128}$": ("default", "sales"),
    r"^obs://[^\s/][^\s]{0,999}$": ("obs://b/rows", "obs://b/größe/ид"),
    "^(/|s3a://|obs://)[^;|&><'$]*$": ("s3a://b/in", "/data/x"),
}
_BY_NAME: Final[dict[str, tuple[Any, ...]]] = {
    "cluster": (CLUSTER,),
    "cluster_id": (CLUSTER,),
    "source": ("/billing", "https://größe.example/x"),
    "min_capacity": (1,),
    "max_capacity": (5,),
    "jar_path": ("s3a://b/x.jar",),
    "hive_script_path": ("s3a://b/x.sql",),
    "url": ("obs://b/x",),
    "archive_path": ("obs://b/rows",),
    "file_action": ("import",),
    "instances": (2,),
    "charge_mode": ("postPaid",),
    "action_stage": ("before_scale_out",),
    "task_node_info": (None,),
    "metric_value": ("3.5",),
    "root_volume_size": ("480",),
    "key": tuple(f"key-{number}" for number in range(1_000)),
}
_TIMES: Final = {"start_time": "06:00", "end_time": "22:30"}
_PASSWORD: Final = f"{damage.SECRET}@Example9"
_SECRETS: Final = (f"{damage.SECRET} text", f"{damage.SECRET}größe", f"--key={damage.SECRET}")
_SECRET_NAMES: Final = {"arguments", "properties", "configs", "args", "params", "credentials", "sql"}
_TEXTS: Final = ("text", "größe", "🙂 emoji", "日本語", "a b", "e\u0301", "x" * 40)
_MOMENTS: Final = (
    "2026-11-24T06:00:00Z",
    "2026-11-24T06:00:00.123456+08:00",
    "2026-02-28T23:59:59-12:00",
    "1970-01-01T00:00:00Z",
)
_STATEMENTS: Final = tuple(
    text.format(damage.SECRET)
    for text in ("select '{} a' from t where b = 1", "show tables", "insert into t values ('{}')", "select 1 -- {}; x")
)
_ONLY_V11: Final = ("jar_path", "hive_script_path", "input", "output", "job_log", "file_action")
_V11_FIELDS: Final = {"MapReduce": {"jar_path"}, "HiveScript": {"hive_script_path"}, "DistCp": {"file_action"}}


def request(chance: random.Random, kind: str) -> dict[str, Any]:
    """Return the `data` of a good request of this type, with all fields that go together."""
    if kind == "mrs.call":
        return call(chance)

    data: dict[str, Any] = _filled(chance, requests.MODELS[kind])
    match kind:
        case "mrs.job.submit":
            _fit_job(chance, data)
        case "mrs.sql.submit":
            data["statement"] = chance.choice(_STATEMENTS)
            data[chance.choice(("archive_path", "job_name"))] = None
            data["engine"] = "presto" if data["archive_path"] else chance.choice(("spark", "hive"))
            if data["engine"] != "presto":
                data["result"] = None
        case "mrs.job.delete":
            del data["job_ids"][1 if data["api"] == "v1.1" else 9 :]
        case "mrs.cluster.create" | "mrs.cluster.flow":
            data["body"] = _order(chance, kind)
        case "mrs.cluster.resize":
            data["parameters"] = examples.DATA[kind]["parameters"] | {"instances": chance.randint(1, 9)}

    return _without_nulls(data)


def call(chance: random.Random, name: str | None = None) -> dict[str, Any]:
    """Return the `data` of a call of any operation, with path, query and body filled from the operation's models."""
    wanted: operation.AnyOperation = registry.named(name or chance.choice(sorted(registry.OPERATIONS)))
    data = _filled(chance, requests.Call) | {"operation": wanted.name}
    data["path"] = {field: CLUSTER if field == "cluster_id" else "p-1" for field in wanted.fields}
    data["query"] = _without_nulls(_filled(chance, wanted.query)) if wanted.query else {}
    if wanted.body:
        data["body"] = _filled(chance, wanted.body)
    else:
        del data["body"]
    return data


def _fit_job(chance: random.Random, data: dict[str, Any]) -> None:
    """Leave the fields of one of the two job APIs, and those of one job type of V1.1."""
    job = data["job"]
    if data["api"] == "v2":
        job |= dict.fromkeys(_ONLY_V11)
    else:
        job["job_type"] = chance.choice(sorted(_V11_FIELDS))
        job |= dict.fromkeys({"jar_path", "hive_script_path", "file_action"} - _V11_FIELDS[job["job_type"]])
        job |= {"arguments": [], "properties": {}, "input": "s3a://b/in", "output": "/data/out"}
    data["job"] = _without_nulls(job)
    if chance.random() < 0.5:
        data["cluster"] = {"name": "etl", "tags": {"team": "größe"}}


def _order(chance: random.Random, kind: str) -> dict[str, Any]:
    """Return the body of a cluster order: the example, with every field of the model that may stand beside its own."""
    name = "CreateCluster" if kind == "mrs.cluster.create" else "RunJobFlow"
    model = registry.named(name).body
    assert model is not None
    example: dict[str, Any] = copy.deepcopy(examples.DATA[kind]["body"])
    return _filled(chance, model) | example


def _filled(chance: random.Random, model: type[pydantic.BaseModel]) -> dict[str, Any]:
    schema = _schema(model)
    return _object(chance, schema, schema.get("$defs", {}), "")


@functools.cache
def _schema(model: type[pydantic.BaseModel]) -> Schema:
    schema: Schema = model.model_json_schema()
    return schema


def _value(chance: random.Random, schema: Schema, defs: Schema, name: str) -> Any:  # noqa: PLR0911 - one per kind
    if "$ref" in schema:
        return _value(chance, defs[schema["$ref"].rsplit("/", 1)[1]], defs, name)
    if forms := schema.get("anyOf") or schema.get("oneOf"):
        return _value(chance, chance.choice([form for form in forms if form.get("type") != "null"]), defs, name)
    if "const" in schema:
        return schema["const"]
    if choices := _BY_NAME.get(name) or schema.get("enum"):
        return chance.choice(choices)

    match schema.get("type"):
        case "object":
            return _object(chance, schema, defs, name)
        case "array":
            inner = schema.get("items", {})
            count = max(schema.get("minItems", 0), 1 if "$ref" in inner or "anyOf" in inner else 2)
            return [_value(chance, inner, defs, name) for _ in range(count)]
        case "boolean":
            return chance.random() < 0.5
        case "integer" | "number":
            return _number(chance, schema)
        case _:
            return _text(chance, schema, name)


def _object(chance: random.Random, schema: Schema, defs: Schema, name: str) -> dict[str, Any]:
    if "properties" in schema:
        return {member: _value(chance, inner, defs, member) for member, inner in schema["properties"].items()}
    inner = schema.get("additionalProperties")
    return {member: _value(chance, inner if isinstance(inner, dict) else {}, defs, name) for member in ("größe", "k")}


def _number(chance: random.Random, schema: Schema) -> float:
    least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    most = min(schema.get("maximum", 1_000), schema.get("exclusiveMaximum", 1_001) - 1)
    whole = chance.randint(int(least), max(int(least), int(most)))
    return whole if schema["type"] == "integer" or chance.random() < 0.5 else float(whole)


def _text(chance: random.Random, schema: Schema, name: str) -> str:
    if name.endswith(("password", "secret")):
        return _PASSWORD
    if name in _SECRET_NAMES:
        return chance.choice(_SECRETS)
    if name in _TIMES:
        return _TIMES[name]
    if schema.get("format") == "date-time":
        return chance.choice(_MOMENTS)
    if "pattern" in schema:
        return chance.choice(_BY_PATTERN.get(schema["pattern"], ("x",)))
    return chance.choice(_TEXTS)[: schema.get("maxLength", 40)].ljust(schema.get("minLength", 0), "x")


def _without_nulls(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
