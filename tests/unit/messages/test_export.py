"""The schemas say what the models do."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # ships no types
import pytest
import referencing
from tests.unit.messages import samples

from mrs_relay import errors
from mrs_relay.messages import events, export, lineage, reasons, registry, requests, schema

_JOB = "requests/mrs.job.submit/v1.json"
_SQL = "requests/mrs.sql.submit/v1.json"
_SCHEMAS = export.schemas()


def _faults(name: str, value: object) -> list[str]:
    checker = jsonschema.Draft202012Validator(_SCHEMAS[name])
    return [fault.message for fault in checker.iter_errors(value)]


@pytest.mark.parametrize("name", sorted(_SCHEMAS))
def test_schema_is_a_valid_schema(name: str) -> None:
    """Every file is a JSON Schema of the dialect it names, with an id of its own and working references."""
    schema = _SCHEMAS[name]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    references = [node["$ref"] for node in _nodes(schema) if "$ref" in node]
    assert {reference.removeprefix("#/$defs/") for reference in references} == set(schema["$defs"])


def test_every_type_has_a_schema() -> None:
    """One file for each type of request and event, one for all events and one for controls, each with its own id."""
    wanted = {f"requests/{kind}/v1.json" for kind in registry.REQUESTS} | {"events/v1.json"}
    wanted |= {f"events/{kind}/v1.json" for kind in registry.EVENTS} | {"controls/v1.json"}
    assert set(_SCHEMAS) == wanted
    assert len({schema["$id"] for schema in _SCHEMAS.values()}) == len(wanted)


@pytest.mark.parametrize("name", sorted(_SCHEMAS))
def test_every_field_is_described_or_named_for_what_it_is(name: str) -> None:
    """A reader finds a description at every field that a sender fills in."""
    if name.startswith("requests/"):
        data = _SCHEMAS[name]["properties"]["data"]
        bare = [
            field for field, node in data["properties"].items() if not node.keys() & {"description", "$ref", "enum"}
        ]
        assert set(bare) <= {"database"}


@pytest.mark.parametrize("model", ["RetryPolicy", "Target"])
def test_every_field_inside_a_field_is_described(model: str) -> None:
    """The same one level down, for what deadlines, cancels and retries brought."""
    found = [schema["$defs"][model] for schema in _SCHEMAS.values() if model in schema["$defs"]]
    assert found
    for part in found:
        assert all("description" in node for node in part["properties"].values())


def _nodes(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _nodes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nodes(inner)


@pytest.mark.parametrize("name", sorted(_SCHEMAS))
def test_every_example_is_valid(name: str) -> None:
    """An example in a schema follows the rule beside it."""
    for node in _nodes(_SCHEMAS[name]):
        for example in node.get("examples", []):
            jsonschema.Draft202012Validator({**node, "$defs": _SCHEMAS[name]["$defs"]}).validate(example)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (_JOB, samples.message()),
        (_JOB, {"id": "1", "type": "mrs.job.submit", "data": samples.job_data()}),
        (_JOB, samples.message(samples.job_data(priority=0, labels={"a": "b"}, not_before="2026-11-24T06:00:00Z"))),
        (_JOB, samples.message(correlationid="x", somethingelse="y", time="2026-11-24T06:00:00Z")),
        (_JOB, samples.message(samples.job_data(not_before=None))),
        (_SQL, samples.message(samples.sql_data(), "mrs.sql.submit")),
        (_SQL, samples.message(samples.sql_data(archive_path="obs://b/x", database="d"), "mrs.sql.submit")),
        (_SQL, samples.message(samples.sql_data(engine="hive", job_name="n"), "mrs.sql.submit")),
    ],
)
def test_valid_request_passes_schema_and_model(name: str, value: dict[str, Any]) -> None:
    """What the model takes, the schema takes."""
    registry.REQUESTS[value["type"]].model_validate(value["data"])
    assert _faults(name, value) == []


@pytest.mark.parametrize(
    "change",
    [
        {"cluster": ...},
        {"cluster": 7},
        {"cluster": "a b"},
        {"cluster": "a" * 65},
        {"job": ...},
        {"job": {}},
        {"job": {"job_type": "Cobol"}},
        {"job": {"job_type": "Flink", "job_name": "a b"}},
        {"job": {"job_type": "Flink", "arguments": [1]}},
        {"job": {"job_type": "Flink", "properties": {"a": 1}}},
        {"job": {"job_type": "Flink", "jar": "x"}},
        {"priority": 10},
        {"priority": "5"},
        {"labels": {"a": "b" * 256}},
        {"labels": {str(n): "" for n in range(17)}},
        {"not_before": 1_795_420_800},
        {"unknown": 1},
    ],
)
def test_invalid_job_fails_schema_and_model(change: dict[str, Any]) -> None:
    """What the model refuses field by field, the schema refuses."""
    data = samples.job_data(**change)
    with pytest.raises(ValueError, match="JobSubmit"):
        requests.JobSubmit.model_validate(data)
    assert _faults(_JOB, samples.message(data))


@pytest.mark.parametrize(
    "change",
    [
        {"engine": "Presto"},
        {"statement": ""},
        {"statement": "s" * 149_801},
        {"database": "a b"},
        {"archive_path": "s3://b"},
        {"archive_path": "obs:///x"},
        {"job_name": ""},
        {"unknown": 1},
    ],
)
def test_invalid_statement_fails_schema_and_model(change: dict[str, Any]) -> None:
    """The same for SQL."""
    data = samples.sql_data(**change)
    with pytest.raises(ValueError, match="SqlSubmit"):
        requests.SqlSubmit.model_validate(data)
    assert _faults(_SQL, samples.message(data, "mrs.sql.submit"))


@pytest.mark.parametrize(
    "change",
    [
        {"id": ...},
        {"id": 7},
        {"id": ""},
        {"id": "x" * 257},
        {"type": "mrs.sql.submit"},
        {"specversion": "0.3"},
        {"source": ""},
    ],
)
def test_invalid_envelope_fails_the_schema(change: dict[str, Any]) -> None:
    """The attributes that matter here are part of a request's schema."""
    assert _faults(_JOB, samples.message(**change))


def _event(**changes: Any) -> dict[str, Any]:
    request = events.RequestRef(id="order-1", source="/billing")
    data = events.EventData(**{"request": request, "state": "accepted", "sequence": 1, "attempt": 0, **changes})
    event = events.Event(subject="job", key=b"k", time_ms=1, data=events.body(data), event_id="e", correlation_id="c")
    value: dict[str, Any] = json.loads(events.write(event, "/mrs-relay")[1])
    return value


@pytest.mark.parametrize(
    "event",
    [
        _event(),
        _event(state="rejected", reason=reasons.Reason(kind="invalid", code="bad_id", message="m", field="id")),
        _event(mrs=events.MrsView(job_id="j", progress=0.0), labels={"a": "b"}, cluster="c", repeated=True),
        _event(result=events.Result(statements=[events.StatementResult(rows=[{"a": 1}, ["b"]], row_count=2)])),
        _event(result=events.Result()),
    ],
)
def test_written_event_passes_its_schema(event: dict[str, Any]) -> None:
    """What is written is what the schema promises."""
    assert _faults("events/v1.json", event) == []


@pytest.mark.parametrize(
    "change",
    [
        {"state": "done"},
        {"sequence": 0},
        {"sequence": "1"},
        {"attempt": -1},
        {"request": {"id": "a"}},
        {"reason": {"class": "bad luck", "code": "x", "message": "m"}},
        {"reason": {"kind": "invalid", "code": "x", "message": "m"}},
        {"mrs": {"progress": 101}},
        {"result": {"statements": [{"rows": []}]}},
    ],
)
def test_other_event_fails_its_schema(change: dict[str, Any]) -> None:
    """A schema that takes anything would promise nothing."""
    assert _faults("events/v1.json", {**_event(), **change})


def test_folder_as_written_has_no_differences(tmp_path: pathlib.Path) -> None:
    """Written and compared at once, nothing differs; writing twice changes no byte."""
    paths = export.write(tmp_path)
    assert {path.relative_to(tmp_path).as_posix() for path in paths} == {*_SCHEMAS, "asyncapi.json", lineage.FILE}
    before = [path.read_bytes() for path in paths]
    assert export.differences(tmp_path) == []
    export.write(tmp_path)
    assert [path.read_bytes() for path in paths] == before
    assert all(text.endswith(b"}\n") for text in before)


def test_missing_changed_and_foreign_files_are_named(tmp_path: pathlib.Path) -> None:
    """One line for each file that is missing, was changed or belongs to no model; other files are ignored."""
    export.write(tmp_path)
    (tmp_path / _JOB).unlink()
    (tmp_path / _SQL).write_text("{}")
    (tmp_path / "requests" / "old.json").write_bytes(b"\xff")
    (tmp_path / "README.md").write_text("hello")
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "recorded.json").write_text("{}")
    assert sorted(export.differences(tmp_path)) == [
        f"{_JOB}: missing",
        f"{_SQL}: differs from the models",
        "requests/old.json: not generated from any model",
    ]


def test_empty_folder_misses_everything(tmp_path: pathlib.Path) -> None:
    """A folder that is not there is one without files."""
    assert export.differences(tmp_path / "none") == [f"{name}: missing" for name in export.documents()]


@pytest.mark.parametrize("state", ["rejected", "retrying", "failed", "cancelled", "unknown"])
def test_a_bad_end_without_a_reason_fails_its_schema(state: str) -> None:
    """Subscribers may rely on a reason wherever something went wrong."""
    reason = reasons.Reason(kind="invalid", code="bad_id", message="m")
    name = f"events/mrs.job.{state}/v1.json"
    assert _faults(name, _event(state=state, reason=reason)) == []
    assert _faults(name, _event(state=state)) != []


def test_an_event_of_another_state_fails_the_schema_of_a_type() -> None:
    """A type's schema is about its own state."""
    assert _faults("events/mrs.sql.accepted/v1.json", _event()) == []
    assert _faults("events/mrs.sql.running/v1.json", _event()) != []


def test_a_kept_baseline_is_read_from_a_file_or_a_folder(tmp_path: pathlib.Path) -> None:
    """Both name the same promises; what the models no longer keep is named with its path."""
    export.write(tmp_path / "schemas")
    kept = tmp_path / "0.1.json"
    kept.write_text(export.baseline_text())
    assert export.breaks(kept) == export.breaks(tmp_path / "schemas") == []
    old = json.loads(kept.read_text())
    del old[_SQL]["properties"]["data"]["properties"]["database"]
    old[_SQL]["properties"]["data"]["properties"]["engine"]["enum"].append("impala")
    old["requests/mrs.old/v1.json"] = {}
    kept.write_text(json.dumps(old))
    assert export.breaks(kept) == [
        "requests/mrs.old/v1.json: removed",
        f"{_SQL}: data.engine: 'impala' is gone",
    ]


@pytest.mark.parametrize("text", ["[]", "no json", None])
def test_a_baseline_that_cannot_be_read_is_named(tmp_path: pathlib.Path, text: str | None) -> None:
    """A check against nothing would always pass."""
    kept = tmp_path / "0.1.json"
    if text is not None:
        kept.write_text(text)
    with pytest.raises(errors.SettingsError, match=r"0\.1\.json"):
        export.breaks(kept)


_FILES = export.documents()
_BUNDLE = _FILES[schema.ANY_EVENT]
_KNOWN: referencing.Registry[Any] = referencing.Registry().with_resource(
    _BUNDLE["$id"], referencing.Resource.from_contents(_BUNDLE)
)


def _shared_faults(kind: str, value: object) -> list[str]:
    """Return what the file of a type says, with the schema of all events at hand."""
    checker = jsonschema.Draft202012Validator(_FILES[f"events/{kind}/v1.json"], registry=_KNOWN)
    return [fault.message for fault in checker.iter_errors(value)]


@pytest.mark.parametrize("kind", registry.EVENTS)
def test_the_file_of_a_type_says_what_its_complete_schema_says(kind: str) -> None:
    """The reference into the schema of all events loses nothing: state, reason, and what all events share."""
    name = f"events/{kind}/v1.json"
    state = registry.state_of(kind)
    reason = reasons.Reason(kind="invalid", code="bad_id", message="m")
    other = "running" if state != "running" else "accepted"
    notice = {"repeated": True, "result": events.Result(location="obs://b/k")} if kind in events.NOTICES else {}
    values = [_event(state=state, reason=reason, **notice), _event(state=state), _event(state=other, reason=reason)]
    values += [{**values[0], "sequence": 0}, {**values[0], "mrs": {"progress": 101}}, {}]
    for value in values:
        assert bool(_shared_faults(kind, value)) == bool(_faults(name, value))
    assert not _shared_faults(kind, values[0])


def test_one_file_is_enough_to_check_events_of_every_type() -> None:
    """The schema of all events holds that of each type in its `$defs`; it refers to nothing outside."""
    assert {node["$ref"].partition("#")[0] for node in _nodes(_BUNDLE) if "$ref" in node} == {""}
    failed = {"$ref": f"{_BUNDLE['$id']}#/$defs/mrs.job.failed"}
    reason = reasons.Reason(kind="refused", code="0176", message="m")
    checker = jsonschema.Draft202012Validator(failed, registry=_KNOWN)
    assert not list(checker.iter_errors(_event(state="failed", reason=reason)))
    assert list(checker.iter_errors(_event(state="failed")))


def test_a_definition_is_written_once() -> None:
    """The files of the types are references, so a new field changes one of them."""
    files = {name: each for name, each in _FILES.items() if name.startswith("events/mrs.")}
    assert all("$defs" not in each and "properties" not in each for each in files.values())


@pytest.mark.parametrize("shared", [True, False], ids=["references", "complete"])
def test_files_of_this_and_of_earlier_versions_are_compared(tmp_path: pathlib.Path, *, shared: bool) -> None:
    """What a type alone promises is found broken, whether its file refers to the bundle or is complete in itself."""
    export.write(tmp_path)
    name = "events/mrs.job.running/v1.json"
    if shared:
        bundle = json.loads((tmp_path / schema.ANY_EVENT).read_text())
        bundle["$defs"]["mrs.job.running"]["required"].append("cluster")
        (tmp_path / schema.ANY_EVENT).write_text(json.dumps(bundle))
    else:
        complete = schema.event("mrs.job.running")
        (tmp_path / name).write_text(json.dumps({**complete, "required": [*complete["required"], "cluster"]}))
    assert export.breaks(tmp_path) == [f"{name}: cluster: is no longer promised to be there"]
