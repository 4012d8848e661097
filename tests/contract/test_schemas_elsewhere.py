"""The contract in other people's tools: ajv over schemas and examples, the AsyncAPI CLI over the document."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support import examples, nodejs

from mrs_relay.messages import checking, codec, registry

_SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
_AJV = nodejs.TOOLS / "ajv.mjs"
_ASYNCAPI = nodejs.MODULES / "@asyncapi" / "cli" / "bin" / "run_bin"

Document = dict[str, Any]


@pytest.fixture(scope="module")
def played() -> dict[str, Document]:
    """The events of all scenes, reported once more."""
    return examples.play()


def _changed(tmp_path: Path, name: str, change: Callable[[Document], object]) -> Path:
    """Return a copy of schemas/ with one file changed."""
    folder = tmp_path / "schemas"
    shutil.copytree(_SCHEMAS, folder)
    document = json.loads((folder / name).read_text())
    change(document)
    (folder / name).write_text(json.dumps(document))
    return folder


def test_ajv_accepts_every_schema_and_every_example() -> None:
    """In its strict mode, which takes no unknown keyword or format."""
    code, output = nodejs.run(str(_AJV), str(_SCHEMAS))
    assert code == 0, output
    types = len(registry.REQUESTS) + len(registry.EVENTS)
    wanted = f"{types + 1} schemas, {len(registry.REQUESTS) + 2 * len(registry.EVENTS)} examples, 0 faults"
    assert wanted in output


def test_ajv_finds_a_wrong_example(tmp_path: Path) -> None:
    """The check can fail: file, field and schema are named."""
    name = "examples/events/mrs.job.failed.json"
    folder = _changed(tmp_path, name, lambda event: event["data"].pop("reason"))
    code, output = nodejs.run(str(_AJV), str(folder))
    assert code == 1
    assert f"{name}: data must have required property 'reason'" in output


def test_ajv_finds_a_wrong_schema(tmp_path: Path) -> None:
    """The same for what is no schema."""
    name = "requests/mrs.call/v1.json"
    folder = _changed(tmp_path, name, lambda schema: schema.update(type="objekt"))
    code, output = nodejs.run(str(_AJV), str(folder))
    assert code == 1
    assert f"{name}: schema is invalid" in output


def _validate(document: Path) -> tuple[int, str]:
    return nodejs.run(str(_ASYNCAPI), "validate", str(document), "--fail-severity=warn", timeout_s=240)


def test_the_asyncapi_cli_accepts_the_document() -> None:
    """No error and no warning."""
    code, output = _validate(_SCHEMAS / "asyncapi.json")
    assert code == 0, output
    assert "is valid" in output


def test_the_asyncapi_cli_finds_a_wrong_document(tmp_path: Path) -> None:
    """The check can fail; examples it does not look into: they are those that ajv validates."""

    def without_a_schema(document: Document) -> None:
        del document["components"]["schemas"]["EventData"]

    code, text = _validate(_changed(tmp_path, "asyncapi.json", without_a_schema) / "asyncapi.json")
    assert code != 0
    assert "EventData" in text


def test_every_type_has_an_example_and_every_example_a_type() -> None:
    """A new type needs one: of requests in messages/examples.py, of events in tests/support/examples.py."""
    wanted = {f"requests/{kind}.json" for kind in registry.REQUESTS} | {
        f"events/{kind}.json" for kind in registry.EVENTS
    }
    assert {path.relative_to(examples.FOLDER).as_posix() for path in examples.FOLDER.rglob("*.json")} == wanted


def test_every_example_is_valid_as_our_own_check_has_it() -> None:
    """`mrs-relay schemas validate` and ajv agree."""
    for path in sorted(examples.FOLDER.rglob("*.json")):
        [checked] = checking.check(path.read_bytes())
        assert (checked.problem, checked.kind) == (None, path.stem)


def test_the_examples_are_what_the_service_tells(played: dict[str, Document]) -> None:
    """Played again, every event says the same; `make schemas` writes them again."""
    found = {name: json.loads((examples.FOLDER / name).read_text()) for name in {**examples.requests(), **played}}
    different = [
        name for name, message in {**examples.requests(), **played}.items() if not examples.same(found[name], message)
    ]
    assert different == []


def test_no_example_shows_what_must_not_be_reported(played: dict[str, Document]) -> None:
    """SQL text and arguments of the scenes are in no event."""
    text = codec.encode(list(played.values())).decode()
    assert "obs://shop/nightly.py" not in text
    assert "insert into orders" not in text
