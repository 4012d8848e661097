"""The examples and the page of the client run as they stand; the e2e tests run those that need Kafka."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mrs_relay import client as relay_client
from mrs_relay.messages import events
from mrs_relay.testing import rehearsal, scripted

_ROOT = Path(__file__).resolve().parents[3]
_EXAMPLES = _ROOT / "examples"
_PAGE = (_ROOT / "docs" / "relay-client.md").read_text()
_BLOCKS = re.findall(r"^```python\n([\s\S]*?)^```$", _PAGE, flags=re.MULTILINE)


def test_a_service_is_tested_with_the_fixture_alone(tmp_path: Path) -> None:
    """The plugin that the package installs gives the fixture to tests that know nothing else of it."""
    plugin = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]["mrs_relay"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "pytest_asyncio.plugin",
        "-p",
        plugin,
        "-p",
        "no:cacheprovider",
    ]

    done = subprocess.run(
        [*command, f"--rootdir={tmp_path}", "-c", os.devnull, str(_EXAMPLES / "test_nightly.py")],
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_the_plugin_costs_nothing_until_it_is_used() -> None:
    """Every run of pytest loads it, so it brings in none of the package's libraries."""
    code = "import sys, mrs_relay.pytest_plugin; assert not {'aiokafka', 'pydantic', 'structlog'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_example_without_this_package_is_short_and_independent() -> None:
    """At most twenty lines of code, none of which imports ours."""
    text = (_EXAMPLES / "plain_aiokafka.py").read_text()
    code = [line for line in map(str.strip, text.splitlines()) if line and not line.startswith('"""')]
    assert len(code) <= 20
    assert "mrs_relay" not in text


def test_the_notebook_is_kept_without_outputs() -> None:
    """They would be another run's, and change with each; `tests/e2e/test_notebook.py` runs it."""
    cells = json.loads((_EXAMPLES / "plot_sql.ipynb").read_text())["cells"]
    kept = [one for one in cells if one["cell_type"] == "code" and (one["outputs"] or one["execution_count"])]
    assert kept == []


@pytest.mark.parametrize("block", _BLOCKS, ids=range(len(_BLOCKS)))
@pytest.mark.parametrize("result", [None, events.Result()], ids=["no-result", "no-rows"])
async def test_the_page_s_examples_run(block: str, result: events.Result | None) -> None:
    """
    Each block runs by itself, with `client` open and `relay`, `cluster`, `testing` and `rehearsal` known.

    Also where the statement has no rows: MRS may show a result without statements then.
    """
    async with scripted.Relay() as relay, relay.client() as client:
        if "will_" not in block:
            relay._outcomes.extend([scripted._Outcome(("submitted", "running", "succeeded"), result)] * 2)
        names = {name: getattr(relay_client, name) for name in relay_client.__all__}
        known = {**names, "client": client, "relay": relay, "cluster": "c-1", "kafka": None}
        program = compile(block, "docs/relay-client.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        with contextlib.redirect_stdout(io.StringIO()):
            ran = eval(program, {**known, "testing": scripted, "rehearsal": rehearsal})  # noqa: S307 - our own page
            if ran is not None:
                await ran
