"""The promise under a seeded scheduler: hundreds of small worlds in which everything goes wrong, each repeatable."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 40
"""About a minute of a processor; `make simulate` plays thousands."""


def simulate(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the simulation in a process of its own: its order of sets must not depend on this one."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "tests.support.simulation", *words]
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=880)


@pytest.mark.timeout(900)
def test_whatever_goes_wrong_every_request_ends_in_one_job_and_a_story_without_gaps() -> None:
    """Replicas die and freeze, Kafka and MRS fail: nothing is lost, doubled or left out, in any seed."""
    done = simulate("1", str(SEEDS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{SEEDS} seeds" in done.stdout
    assert "results in chunks of arrow" in done.stdout


def test_a_seed_decides_all_that_happens() -> None:
    """One that fails can be looked at again: what MRS and the broker saw is the same, to the microsecond."""
    first, again, other = (re.findall(r"trace \w{16}", simulate(seed).stdout) for seed in ("7", "7", "8"))
    assert len(first) == 1
    assert first == again
    assert first != other
