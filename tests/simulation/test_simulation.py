"""The promise under a seeded scheduler: hundreds of small worlds in which everything goes wrong, each repeatable."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SEEDS = 200


def simulate(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the simulation in a process of its own: its order of sets must not depend on this one."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "tests.support.simulation", *words]
    environment = {**os.environ, "PYTHONPATH": paths}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=880)


@pytest.mark.timeout(900)
def test_whatever_goes_wrong_every_request_ends_in_one_job_and_a_story_without_gaps() -> None:
    """Replicas die and freeze, Kafka and MRS fail: nothing is lost, doubled, left out or told twice, in any seed."""
    done = simulate("1", str(SEEDS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{SEEDS} seeds" in done.stdout


def test_the_same_seed_runs_the_same_way_in_two_processes() -> None:
    """A seed that fails can be looked at again: all that MRS and the broker saw is the same, to the microsecond."""
    first, second = simulate("7"), simulate("7")
    traces = [re.search(r"trace (\w{16})", done.stdout) for done in (first, second)]
    assert traces[0] is not None
    assert traces[1] is not None
    assert traces[0].group() == traces[1].group()


def test_another_seed_runs_another_way() -> None:
    """The trace says something: two seeds do not have the same."""
    traces = {found.group() for seed in ("7", "8") if (found := re.search(r"trace \w{16}", simulate(seed).stdout))}
    assert len(traces) == 2
