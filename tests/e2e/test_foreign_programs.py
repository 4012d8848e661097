"""Services in Node and on librdkafka, which import nothing of ours, submit jobs and follow their events."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import brokers, child, nodejs, service

_PROGRAMS = Path(__file__).resolve().parents[2] / "tools" / "programs"


@pytest.fixture(scope="module")
def here(kafka: brokers.KafkaNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[service.Deployment]:
    """One relay and one emulator for all programs."""
    folder = tmp_path_factory.mktemp("foreign")
    with service.emulator(folder, "--run-s", "1") as mrs:
        deployment = service.Deployment(kafka.bootstrap, f"foreign-{time.time_ns()}", mrs.url, folder)
        deployment.create_topics(3)
        relay = deployment.start_relay("one")
        yield deployment
        assert relay.stop() == 0


def _commands(name: str, folder: Path) -> list[str]:
    if name.endswith(".py"):
        return [sys.executable, str(_PROGRAMS / name)]
    # Modules are looked for beside the program.
    (folder / "node_modules").symlink_to(nodejs.MODULES)
    (folder / name).write_text((_PROGRAMS / name).read_text())
    return [nodejs.require_node(), str(folder / name)]


@pytest.mark.parametrize(("name", "prefix"), [("jobs.mjs", "n"), ("jobs_librdkafka.py", "l")])
def test_a_foreign_program_submits_jobs_and_follows_their_events(
    here: service.Deployment, tmp_path: Path, name: str, prefix: str
) -> None:
    """In binary mode and as plain JSON: each story is whole, in order, and ends as it must."""
    log = tmp_path / "program.log"
    arguments = [here.bootstrap, here.requests, here.events, service.CLUSTER]
    program = child.Child([*_commands(name, tmp_path), *arguments], log=log)

    assert program.wait(120) == 0, log.read_text()

    stories = json.loads(log.read_text().splitlines()[-1])
    ends = {key: [kind for _, kind, _, _ in story][-1] for key, story in stories.items()}

    assert ends == {
        f"{prefix}-1": "mrs.job.succeeded",
        f"{prefix}-2": "mrs.job.failed",
        f"{prefix}-3": "mrs.sql.succeeded",
        f"{prefix}-4": "mrs.sql.rejected",
    }

    for key, story in stories.items():
        assert [number for number, *_ in story] == list(range(1, len(story) + 1)), key
        assert len({event_id for _, _, event_id, _ in story}) == len(story)

    reported = {key: {correlation for *_, correlation in story} for key, story in stories.items()}
    assert reported == {
        f"{prefix}-1": {"run-7"},
        f"{prefix}-2": {f"{prefix}-2"},
        f"{prefix}-3": {"run-7"},
        f"{prefix}-4": {f"{prefix}-4"},
    }


def test_the_programs_import_nothing_of_ours() -> None:
    """They are what another team would write."""
    programs = sorted(_PROGRAMS.iterdir())
    assert {program.suffix for program in programs} >= {".mjs", ".py"}
    assert not [program.name for program in programs if program.is_file() and "mrs_relay" in program.read_text()]
