"""`mrs-relay schemas` as people and scripts call it, and a schema registry that speaks the documented API."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from typer.testing import CliRunner

from mrs_relay import errors
from mrs_relay.cli import main, registration
from mrs_relay.messages import examples, export, registry

_SQL = "requests/mrs.sql.submit/v1.json"


def _run(*words: str, text: str | None = None) -> tuple[int, str]:
    result = CliRunner().invoke(main.app, ["schemas", *words], input=text)
    return result.exit_code, result.output


def _narrow(folder: Path) -> None:
    """Make the folder promise a field that the models do not have."""
    path = folder / _SQL
    old = json.loads(path.read_text())
    old["properties"]["data"]["properties"]["hints"] = {"type": "string"}
    path.write_text(json.dumps(old))


def test_export_writes_what_check_wants(tmp_path: Path) -> None:
    """Exported at once, nothing differs."""
    assert _run("export", str(tmp_path))[0] == 0
    assert _run("check", str(tmp_path)) == (0, "")


def test_export_refuses_to_break_a_promise_unless_asked_to(tmp_path: Path) -> None:
    """What the files promise is not lost by regenerating them; the lines say what would be."""
    _run("export", str(tmp_path))
    _narrow(tmp_path)
    code, output = _run("export", str(tmp_path))
    assert code == 1
    assert f"{_SQL}: data.hints: removed" in output
    assert "hints" in (tmp_path / _SQL).read_text()
    assert _run("export", "--breaking", str(tmp_path))[0] == 0
    assert "hints" not in (tmp_path / _SQL).read_text()


def test_check_fails_on_a_broken_promise_of_the_baseline(tmp_path: Path) -> None:
    """The folder is up to date, and still something that was released is gone."""
    folder, released = tmp_path / "schemas", tmp_path / "released"
    for each in (folder, released):
        _run("export", str(each))
    _narrow(released)
    assert _run("check", str(folder), "--baseline", str(folder))[0] == 0
    code, output = _run("check", str(folder), "--baseline", str(released))
    assert code == 1
    assert f"{_SQL}: data.hints: removed" in output


def test_check_names_what_is_out_of_date(tmp_path: Path) -> None:
    """An addition breaks no reader, but the file must be written again."""
    _run("export", str(tmp_path))
    (tmp_path / "asyncapi.json").write_text("{}")
    code, output = _run("check", str(tmp_path))
    assert code == 1
    assert "asyncapi.json: differs from the models" in output
    assert "break" not in output


def test_the_baseline_is_what_check_takes(tmp_path: Path) -> None:
    """One command writes what the other reads."""
    _run("export", str(tmp_path / "schemas"))
    code, output = _run("baseline")
    assert code == 0
    (tmp_path / "0.1.json").write_text(output)
    assert _run("check", str(tmp_path / "schemas"), "--baseline", str(tmp_path / "0.1.json")) == (0, "")


@pytest.mark.parametrize("kind", ["mrs.sql.submit", "mrs.job.failed"])
def test_show_prints_the_schema_of_a_type(kind: str) -> None:
    """Requests and events, each its own."""
    code, output = _run("show", kind)
    assert code == 0
    assert kind in json.loads(output)["$id"]


def test_show_prints_the_asyncapi_document_and_examples() -> None:
    """All that a team needs to begin can be printed."""
    assert json.loads(_run("show", "asyncapi")[1])["asyncapi"] == "3.0.0"
    assert json.loads(_run("show", "mrs.call", "--example")[1]) == examples.message("mrs.call")


@pytest.mark.parametrize("words", [("show", "mrs.sql.sumbit"), ("show", "mrs.job.failed", "--example")])
def test_an_unknown_name_is_wrong_usage(words: tuple[str, ...]) -> None:
    """It says where the names are."""
    assert _run(*words)[0] == 2


def test_list_names_every_type() -> None:
    """Requests and events."""
    output = _run("list")[1]
    assert all(kind in output for kind in (*registry.REQUESTS, *registry.EVENTS))


def test_validate_says_which_field_of_which_line_is_wrong(tmp_path: Path) -> None:
    """Exit 1, one line for each wrong message, with file, line, type, field and code."""
    file = tmp_path / "m.jsonl"
    bad = examples.message("mrs.sql.submit")
    bad = {**bad, "data": {**bad["data"], "engine": "oracle"}}
    file.write_text("\n".join(json.dumps(each) for each in (examples.message("mrs.call"), bad)))
    code, output = _run("validate", str(file))
    assert code == 1
    assert output.startswith(f"{file}: line 2: mrs.sql.submit: `data.engine`: ")
    assert output.endswith("[bad_value]\n")
    code, output = _run("validate", "--json", str(file))
    assert code == 1
    assert [(each["valid"], each["field"]) for each in map(json.loads, output.splitlines())] == [
        (True, None),
        (False, "data.engine"),
    ]


def test_validate_reads_standard_input() -> None:
    """`-` as everywhere."""
    code, output = _run("validate", "-", text=json.dumps(examples.message("mrs.call")))
    assert (code, output) == (0, "-: valid mrs.call\n")


@pytest.mark.parametrize("text", ["", None])
def test_validate_of_nothing_is_no_success(tmp_path: Path, text: str | None) -> None:
    """An empty or missing file is wrong usage: a script would take silence for success."""
    file = tmp_path / "m.json"
    if text is not None:
        file.write_text(text)
    code, output = _run("validate", str(file))
    assert code == 2
    assert "m.json" in output


class FakeRegistry:
    """A schema registry in memory: subjects, versions, the check of each new version against the latest one."""

    def __init__(self) -> None:
        self.subjects: dict[str, list[str]] = {}
        self.ids: dict[str, int] = {}
        self.incompatible: set[str] = set()
        self.user: tuple[str, str] | None = None
        self.media: set[str] = set()

    def routes(self) -> web.Application:
        """Return its REST API, as far as it is used."""
        app = web.Application()
        app.router.add_post("/subjects/{subject}/versions", self._register)
        app.router.add_post("/compatibility/subjects/{subject}/versions/latest", self._probe)
        return app

    async def _register(self, request: web.Request) -> web.Response:
        subject, text = await self._asked(request)
        if subject in self.incompatible:
            return self._error(409, 409, f'Schema being registered is incompatible with an earlier one for "{subject}"')
        versions = self.subjects.setdefault(subject, [])
        if text not in versions:
            versions.append(text)
        return self._reply({"id": self.ids.setdefault(text, len(self.ids) + 1)})

    async def _probe(self, request: web.Request) -> web.Response:
        subject, _ = await self._asked(request)
        if subject not in self.subjects:
            return self._error(404, 40401, f"Subject '{subject}' not found.")
        return self._reply({"is_compatible": subject not in self.incompatible})

    async def _asked(self, request: web.Request) -> tuple[str, str]:
        self.media.add(request.headers["Content-Type"])
        if self.user is not None:
            wanted = "Basic " + base64.b64encode(":".join(self.user).encode()).decode()
            if request.headers.get("Authorization") != wanted:
                raise web.HTTPUnauthorized(text='{"error_code": 401, "message": "Unauthorized"}')
        body: dict[str, Any] = await request.json()
        assert body["schemaType"] == "JSON"
        json.loads(body["schema"])
        return request.match_info["subject"], body["schema"]

    def _error(self, status: int, code: int, message: str) -> web.Response:
        return self._reply({"error_code": code, "message": message}, status)

    def _reply(self, body: Any, status: int = 200) -> web.Response:
        return web.Response(status=status, text=json.dumps(body), content_type="application/vnd.schemaregistry.v1+json")


@contextlib.asynccontextmanager
async def _running(fake: FakeRegistry) -> AsyncIterator[str]:
    runner = web.AppRunner(fake.routes())
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


_SUBJECTS = registration.subjects("in", "out")


async def test_every_schema_is_registered_under_topic_and_type() -> None:
    """Registered twice, nothing changes: the registry knows them."""
    fake = FakeRegistry()
    async with _running(fake) as url:
        outcomes = await registration.register(registration.Registry(url), _SUBJECTS)
        again = await registration.register(registration.Registry(url + "/"), _SUBJECTS)
    assert set(fake.subjects) == {f"in-{kind}" for kind in registry.REQUESTS} | {
        f"out-{kind}" for kind in registry.EVENTS
    }
    assert all(len(versions) == 1 for versions in fake.subjects.values())
    assert json.loads(fake.subjects["in-mrs.sql.submit"][0]) == export.schemas()[_SQL]
    assert outcomes == again
    assert all(each.fine for each in outcomes)
    assert fake.media == {"application/vnd.schemaregistry.v1+json"}


async def test_a_schema_that_the_registry_refuses_is_reported_and_the_others_continue() -> None:
    """Its own words are passed on."""
    fake = FakeRegistry()
    fake.incompatible.add("in-mrs.call")
    async with _running(fake) as url:
        outcomes = await registration.register(registration.Registry(url), _SUBJECTS)
    refused = [each for each in outcomes if not each.fine]
    assert [each.subject for each in refused] == ["in-mrs.call"]
    assert "incompatible with an earlier one" in refused[0].said
    assert len(fake.subjects) == len(_SUBJECTS) - 1


async def test_a_dry_run_asks_and_changes_nothing() -> None:
    """What is new, what fits and what does not is reported."""
    fake = FakeRegistry()
    fake.subjects = {"in-mrs.call": ["{}"], "in-mrs.job.cancel": ["{}"]}
    fake.incompatible.add("in-mrs.call")
    async with _running(fake) as url:
        outcomes = await registration.register(registration.Registry(url), _SUBJECTS, dry_run=True)
    said = {each.subject: each.said for each in outcomes}
    assert said["in-mrs.call"] == "would be refused: not compatible with its latest version"
    assert said["in-mrs.job.cancel"] == "compatible, would be registered"
    assert said["in-mrs.sql.submit"] == "new, would be registered"
    assert fake.subjects == {"in-mrs.call": ["{}"], "in-mrs.job.cancel": ["{}"]}


async def test_credentials_are_sent_and_wrong_ones_named_without_showing_them() -> None:
    """A refusal names the option, never the password."""
    fake = FakeRegistry()
    fake.user = ("ci", "hunter2")
    async with _running(fake) as url:
        assert await registration.register(registration.Registry(url, "ci", "hunter2"), _SUBJECTS)
        wrong = registration.Registry(url, "ci", "hunter3")
        with pytest.raises(errors.SettingsError, match="--user") as caught:
            await registration.register(wrong, _SUBJECTS)
    assert "hunter3" not in str(caught.value) + repr(wrong)


async def test_a_server_that_is_no_registry_is_named() -> None:
    """Any web server answers something; that is no success."""
    async with _running(FakeRegistry()) as url:
        with pytest.raises(errors.StreamDown, match="does not answer as a schema registry"):
            await registration.register(registration.Registry(url + "/elsewhere"), _SUBJECTS)


def test_an_unreachable_registry_is_named_with_its_option() -> None:
    """Exit 3 as for Kafka and MRS."""
    code, output = _run("register", "--registry", "http://127.0.0.1:1")
    assert code == 3
    assert "http://127.0.0.1:1" in output
    assert "--registry" in output


@pytest.mark.parametrize("url", ["nonsense", "http://ci:hunter2@127.0.0.1:1"])
def test_a_wrong_address_is_wrong_usage(url: str) -> None:
    """A password in an address would be shown in errors, so it is refused there."""
    code, output = _run("register", "--registry", url)
    assert code == 2
    assert "hunter2" not in output
