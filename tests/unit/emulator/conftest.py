"""What the emulator's tests share: TPC-H files, made once per session."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support import clocks
from tests.unit.emulator import http_client

from mrs_emulator.core import core

Opener = Callable[..., AbstractAsyncContextManager[http_client.Client]]


@pytest.fixture(scope="session")
def tpch_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The eight TPC-H tables at scale 0.01, as Parquet files."""
    folder = tmp_path_factory.mktemp("tpch")
    program = Path(sys.executable).with_name("tpchgen-cli")
    subprocess.run([program, "parquet", "-s", "0.01", f"--output-dir={folder}", "-q"], check=True, timeout=60)
    return folder


@pytest.fixture
def open_client(tmp_path: Path) -> Opener:
    """Open an emulator that runs SQL; no job waits, and OBS is a folder of the test."""

    @asynccontextmanager
    async def opened(**changes: Any) -> Any:
        pace = {"new_s": 0, "submitted_s": 0, "accepted_s": 0, "run_s": 0, "kill_s": 0}
        chosen = http_client.options(**{"pace": pace, "obs_dir": tmp_path / "obs", **changes})
        timer = clocks.HandClock()
        async with core.Emulator(chosen, timer) as emulator:
            yield http_client.Client(emulator, timer)

    return opened
