"""
Write the registry as files: JSON Schemas and the AsyncAPI document for `schemas/`.

The files are committed and never edited; `mrs-relay schemas check DIR` compares them with what this module writes.
`compat` checks whether a change is compatible. `schemas/examples/` holds recorded messages, which this module ignores.
"""

from __future__ import annotations

import json
import pathlib
from typing import Any, Final

from mrs_relay import errors
from mrs_relay.messages import asyncapi, compat, lineage, registry, schema

ASYNCAPI: Final = "asyncapi.json"
"""Path of the AsyncAPI document below `schemas/`."""

_EXAMPLES: Final = "examples/"


def schemas() -> dict[str, schema.Schema]:
    """Make all JSON Schemas by path below `schemas/`, each complete in itself: for registries and comparisons."""
    version = schema.VERSION
    files = {f"requests/{kind}/{version}.json": schema.request(kind) for kind in sorted(registry.REQUESTS)}
    files |= {f"events/{kind}/{version}.json": schema.event(kind) for kind in registry.EVENTS}
    files[schema.ANY_EVENT] = schema.any_event()
    files[schema.CONTROL] = schema.control()
    return files


def documents() -> dict[str, dict[str, Any]]:
    """
    Make all files by their path below `schemas/`: the schemas and the AsyncAPI document.

    The file of a type of events refers to `events/v1.json`, in which all that types share is written once.
    """
    shared = {f"events/{kind}/{schema.VERSION}.json": schema.event_reference(kind) for kind in registry.EVENTS}
    ours = {lineage.FILE: lineage.attempt_schema()}
    return {**schemas(), **shared, **ours, schema.ANY_EVENT: schema.event_bundle(), ASYNCAPI: asyncapi.document()}


def write(folder: pathlib.Path) -> list[pathlib.Path]:
    """Write every document below `folder`; returns the paths."""
    paths = []
    for name, document in documents().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(schema.text(document), encoding="utf-8")
        paths.append(path)
    return paths


def differences(folder: pathlib.Path) -> list[str]:
    """List the files below `folder` that are missing, differ from the models, or are unknown, one line each."""
    wanted = {name: schema.text(document) for name, document in documents().items()}
    found = {
        name: path.read_text(encoding="utf-8", errors="replace")
        for path in sorted(folder.rglob("*.json"))
        if not (name := path.relative_to(folder).as_posix()).startswith(_EXAMPLES)
    }
    lines = [f"{name}: missing" for name in wanted if name not in found]
    lines += [f"{name}: differs from the models" for name in wanted if name in found and found[name] != wanted[name]]
    lines += [f"{name}: not generated from any model" for name in found if name not in wanted]
    return lines


def breaks(baseline: pathlib.Path) -> list[str]:
    """
    List the promises of the schemas in `baseline` that those of the models break, one line each.

    Args:
        baseline: a folder as `write` makes it, or one file as `baseline_text` makes it.

    Raises:
        SettingsError: a file there is not a JSON object.
    """
    return compat.breaks(_read(baseline), schemas())


def baseline_text() -> str:
    """Encode all schemas as one JSON object by path: the promise of a release, for later comparisons."""
    lines = (f"{json.dumps(name)}: {json.dumps(each, ensure_ascii=False)}" for name, each in sorted(schemas().items()))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _read(baseline: pathlib.Path) -> dict[str, schema.Schema]:
    if not baseline.is_dir():
        return _object(baseline)
    paths = sorted(
        path for folder in ("requests", "events", "controls") for path in baseline.glob(f"{folder}/**/*.json")
    )
    found = {path.relative_to(baseline).as_posix(): _object(path) for path in paths}
    bundle = found.get(schema.ANY_EVENT)
    return found if bundle is None else {name: schema.resolved(each, bundle) for name, each in found.items()}


def _object(path: pathlib.Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise errors.SettingsError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise errors.SettingsError(f"{path} holds no JSON object")
    return found
