"""The examples of docs/client.md and docs/emulator.md run as they stand, over a socket."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
from tests.support import emulated

from mrs_emulator.core import settings
from mrs_emulator.http import server
from mrs_relay.mrs import client
from mrs_relay.mrs import reference as operations
from mrs_relay.mrs import settings as mrs_settings

_ROOT = Path(__file__).resolve().parents[2]
_PAGE = (_ROOT / "docs" / "client.md").read_text()


def _blocks() -> list[Any]:
    head = ""
    found = []
    for part in re.split(r"^(## .*|```python\n[\s\S]*?^```)$", _PAGE, flags=re.MULTILINE):
        if part.startswith("## "):
            head = part[3:]
        elif part.startswith("```python"):
            found.append(pytest.param(part.removeprefix("```python\n").removesuffix("```"), id=head))
    return found


@pytest.mark.parametrize("example", _blocks())
async def test_the_example_runs(example: str) -> None:
    """A program with a copy of it gets what the page says."""
    chosen = settings.EmulatorSettings(port=0)
    async with server.running(chosen) as live:
        group = mrs_settings.MrsSettings(endpoint=live.url, project_id=emulated.PROJECT, **emulated.KEYS)
        async with client.connected(group) as mrs:
            known = {"mrs": mrs, "cluster_id": emulated.CLUSTER, "url": live.url, "project_id": emulated.PROJECT}
            program = compile(example, "docs/client.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            with contextlib.redirect_stdout(None):
                await eval(program, {**known, **emulated.KEYS})  # noqa: S307 - our own page


async def test_the_program_for_the_vendor_s_sdk_runs() -> None:
    """The emulator's defaults, and nothing but them, make it print a list of jobs."""
    page = (_ROOT / "docs" / "emulator.md").read_text()
    program, _ = re.findall(r"^```python\n([\s\S]*?)^```$", page, flags=re.MULTILINE)
    written = f"http://127.0.0.1:{settings.EmulatorSettings().port}"
    assert program.count(written) == 1
    async with server.running(settings.EmulatorSettings(port=0)) as live:
        code = compile(program.replace(written, live.url), "docs/emulator.md", "exec")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            await asyncio.to_thread(exec, code, {})
    assert '"total_record": 0' in printed.getvalue()


async def test_the_program_for_boto3_runs(tmp_path: Path) -> None:
    """The emulator's defaults and the port of the page make it put an object, which is a file then."""
    page = (_ROOT / "docs" / "emulator.md").read_text()
    _, program = re.findall(r"^```python\n([\s\S]*?)^```$", page, flags=re.MULTILINE)
    assert program.count("http://127.0.0.1:8182") == page.count("--obs-port 8182") == 1
    async with server.running(settings.EmulatorSettings(port=0, obs_port=0, obs_dir=tmp_path)) as live:
        code = compile(
            f"{program}\ns3.close()\n".replace("http://127.0.0.1:8182", live.obs_url), "docs/emulator.md", "exec"
        )
        await asyncio.to_thread(exec, code, {})
    assert (tmp_path / "lake" / "in" / "one.csv").read_bytes() == b"n\n7\n"


def test_there_is_an_example_for_each_group() -> None:
    """Every module of operations is used in at least one example."""
    for name, module in operations.GROUPS.items():
        own = module.__name__.rpartition(".")[2]
        lists = {"executions": "lists.EXECUTIONS"}
        assert re.search(rf"\b{own}\.[A-Z]", _PAGE) or lists.get(own, "-") in _PAGE, name
