"""`mrs-relay call` against the emulator over a socket, as a person would use it."""

from __future__ import annotations

import asyncio
import json
import pathlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest
from tests.support import clocks, emulated, overview, scenarios, scenarios_v11
from typer import testing

from mrs_emulator.core import settings
from mrs_emulator.http import server
from mrs_relay import errors
from mrs_relay.cli import main, run
from mrs_relay.common import clock
from mrs_relay.mrs import client
from mrs_relay.mrs.operations import registry

_AT = f"cluster_id={emulated.CLUSTER}"


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """A running emulator."""
    async with server.running(settings.EmulatorSettings(port=0)) as live:
        yield live.url


async def _call(url: str, *words: str, **login: str) -> tuple[int, str]:
    """Exit code and output of a call; runs beside the emulator in a thread."""
    who = login or {"project_id": emulated.PROJECT, **emulated.KEYS}
    env = {f"MRS_RELAY_MRS__{name.upper()}": value for name, value in {"endpoint": url, **who}.items()}
    found = await asyncio.to_thread(testing.CliRunner().invoke, main.app, ["call", *words], env=env)
    return found.exit_code, found.output


@dataclass(frozen=True)
class _Shell(emulated.Pair):
    """Performs operations by the command, each in a run of its own."""

    url: str

    async def call(self, name: str, path: Mapping[str, str] | None = None, **parts: Any) -> Any:
        """Perform an operation; what the command prints is read as the reply."""
        given = {key: _plain(part) for key, part in parts.items()}
        words = [word for key, value in (path or {}).items() for word in ("--path", f"{key}={value}")]
        words += [word for key, value in given.get("query", {}).items() for word in ("--query", f"{key}={value}")]
        words += ["--body", json.dumps(given["body"])] if "body" in given else []
        code, output = await _call(self.url, name, *words, "--json")
        if code != run.Code.OK:
            assert code == run.Code.FAILED, output
            raise errors.MrsRefused(output)
        return registry.named(name).reply.model_validate_json(output)


def _plain(part: Any) -> dict[str, Any]:
    found: dict[str, Any] = part.model_dump(mode="json") if isinstance(part, pydantic.BaseModel) else part
    return found


@pytest.mark.parametrize("name", overview.OVERVIEW)
async def test_every_operation_works_from_the_shell(name: str) -> None:
    """The command does all that the client does: the same scenes, the same effects."""
    hand = clocks.HandClock(clock.SystemClock().now_ms())
    chosen = settings.EmulatorSettings.model_validate({"port": 0, "limits": {"on": False}, "seed": 7, **scenarios.LIVE})
    async with server.running(chosen, timer=hand) as live:
        door = emulated.Door(live.emulator)
        unused = client.Client(emulated.group(), door, hand)
        await scenarios_v11.ALL[name](_Shell(unused, live.emulator, hand, door, live.url))
    assert door.sent == []


async def test_a_job_is_submitted_read_and_stopped(url: str) -> None:
    """Names in any case; the reply is JSON with the API's names."""
    body = json.dumps({"job_type": "Flink", "job_name": "by-hand"})
    code, output = await _call(url, "createexecutejob", "--path", _AT, "--body", body, "--json")
    assert code == run.Code.OK
    job_id = json.loads(output)["job_submit_result"]["job_id"]
    code, output = await _call(url, "ShowSingleJobExe", "--path", _AT, "--path", f"job_execution_id={job_id}")
    assert (code, json.loads(output)["job_detail"]["job_name"]) == (0, "by-hand")
    code, output = await _call(url, "ShowJobExeListNew", "--path", _AT, "--query", "limit=5", "--query", "offset=1")
    assert json.loads(output)["total_record"] == 1


async def test_a_refusal_is_reported_with_code_and_request_id(url: str) -> None:
    """Exit code 1, and what support asks for."""
    code, output = await _call(url, "ShowClusterDetails", "--path", "cluster_id=none")
    assert code == run.Code.FAILED
    assert "12000003" in output
    assert "request id" in output


async def test_tags_with_odd_characters_are_found_again(url: str) -> None:
    """What a path value holds is percent-encoded once."""
    body = json.dumps({"tag": {"key": "für alle", "value": ""}})
    assert (await _call(url, "CreateClusterTag", "--path", _AT, "--body", body))[0] == 0
    assert (await _call(url, "DeleteClusterTag", "--path", _AT, "--path", "key=für alle"))[0] == 0
    code, output = await _call(url, "ListClusterTags", "--path", _AT, "--json")
    assert (code, json.loads(output)) == (0, {"tags": []})


@pytest.mark.parametrize("by_file", [False, True])
async def test_a_person_logs_in_by_password(url: str, tmp_path: pathlib.Path, by_file: bool) -> None:
    """From the environment or from a file; the project is found by the region's name."""
    who = {"iam_user": "emulator", "iam_password": "emulator-password", "iam_domain": "emulator-account"}
    place = {"iam_endpoint": url, "project_name": "cn-north-4"}
    if by_file:
        file = tmp_path / "login.json"
        file.write_text(json.dumps(who))
        who = {"credentials_file": str(file)}
    code, output = await _call(url, "ListClusters", "--json", **place, **who)
    assert code == run.Code.OK
    assert json.loads(output)["clusters"][0]["clusterId"] == emulated.CLUSTER


async def test_a_wrong_password_is_refused_without_showing_it(url: str) -> None:
    """One line with what to check."""
    who = {"iam_user": "emulator", "iam_password": "secret-word", "iam_domain": "emulator-account"}
    code, output = await _call(url, "ListClusters", iam_endpoint=url, project_name="cn-north-4", **who)
    assert code == run.Code.FAILED
    assert "iam_user and iam_password" in output
    assert "secret-word" not in output
