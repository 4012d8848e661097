"""Every example of the pages for newcomers and subscribers runs as it stands there, but for addresses and topics."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support import brokers, child, java, kafka_parts, nodejs, pages, ports, service, waiting

_LAST = "mrs.job.succeeded"


@pytest.fixture(scope="module")
def here(kafka: brokers.KafkaNode, tmp_path_factory: pytest.TempPathFactory) -> Iterator[service.Deployment]:
    """A relay that has carried out one job: what subscribers see from the beginning."""
    folder = tmp_path_factory.mktemp("docs")
    with service.emulator(folder, "--run-s", "3") as mrs:
        deployment = service.Deployment(kafka.bootstrap, f"docs-{time.time_ns()}", mrs.url, folder)
        deployment.create_topics(3)
        relay = deployment.start_relay("one")
        asyncio.run(_carried_out(deployment))
        yield deployment
        assert relay.stop() == 0


async def _carried_out(here: service.Deployment) -> None:
    await here.send([(service.CLUSTER.encode(), service.job("order-1"))])
    await here.until_ended(["order-1"])


def _python(folder: Path, program: str) -> list[str]:
    (folder / "events.py").write_text(program)
    return [sys.executable, str(folder / "events.py")]


def _java(folder: Path, program: str) -> list[str]:
    parts = kafka_parts.require_kafka()
    compiler = java.find_compiler()
    assert compiler is not None, (
        "no Java 17 or newer with its compiler: install a JDK (Debian: openjdk-17-jdk-headless)"
    )
    (folder / "Events.java").write_text(program)
    return [str(compiler), "-cp", f"{parts.libs}/*", str(folder / "Events.java")]


def _node(folder: Path, program: str) -> list[str]:
    (folder / "node_modules").symlink_to(nodejs.MODULES)
    (folder / "events.mjs").write_text(program)
    return [nodejs.require_node(), str(folder / "events.mjs")]


def _kcat(folder: Path, program: str) -> list[str]:
    del folder
    command = shlex.split(program)
    assert command[0] == "kcat"
    return [nodejs.require("kcat"), *command[1:]]


def _seen(printed: str, request_id: str) -> list[tuple[int, str]]:
    """Return the numbers and types that a program printed of one request, in its order."""
    found = []
    for line in printed.splitlines():
        if plain := re.fullmatch(rf"{request_id} (\d+) (mrs\.\S+)", line):
            found.append((int(plain[1]), plain[2]))
        elif f"ce_subject={request_id}" in line and "ce_type=" in line:
            kind = re.search(r"ce_type=([^,\s]+)", line)
            assert kind is not None
            data = json.loads(line[line.index(" {") :])
            assert data["request"]["id"] == request_id
            found.append((data["sequence"], kind[1]))
    return found


@pytest.mark.parametrize(("head", "command"), [("Python", _python), ("Java", _java), ("Node", _node), ("kcat", _kcat)])
def test_a_subscriber_sees_every_event_in_order(
    here: service.Deployment, tmp_path: Path, head: str, command: Callable[[Path, str], list[str]]
) -> None:
    """As on the page: the whole story of a job that ran before, and that of one which comes while it reads."""
    log = tmp_path / "seen.log"
    program = child.Child(command(tmp_path, pages.block("subscribe.md", head).at(here)), log=log)
    fresh = f"fresh-{head.lower()}"

    def ended(request_id: str) -> bool:
        return _LAST in [kind for _, kind in _seen(log.read_text(), request_id)]

    try:
        program.wait_ready(lambda: ended("order-1"), timeout_s=waiting.LIMIT_S)
        asyncio.run(here.send([(b"any", service.job(fresh))]))
        program.wait_ready(lambda: ended(fresh), timeout_s=waiting.LIMIT_S)
    finally:
        program.kill()
    events = asyncio.run(here.story())
    for request_id in ("order-1", fresh):
        reported = [(event.sequence, f"mrs.job.{event.state}") for event in events if event.request_id == request_id]
        assert [number for number, _ in reported] == list(range(1, len(reported) + 1))
        assert _seen(log.read_text(), request_id) == reported


def test_every_block_of_the_page_is_run() -> None:
    """A new example needs a test."""
    assert [each.head for each in pages.blocks("subscribe.md")] == ["Python", "Java", "Node", "kcat"]


def _shell(folder: Path, script: str, timeout_s: float = waiting.LIMIT_S) -> str:
    """Run a block in a shell that stops at the first failure; what it printed."""
    log = folder / f"shell-{time.monotonic_ns()}.log"
    shell = child.Child(["bash", "-euo", "pipefail", "-c", script], log=log, cwd=folder, env=_environment())
    code = shell.wait(timeout_s)
    if code is None:
        shell.kill()
    assert code == 0, f"{script}\n{log.read_text()}"
    return log.read_text()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MRS_RELAY_")}


@dataclass(frozen=True, slots=True)
class Demo:
    """
    A running `make demo ARGS="--keep --kafka-port 9092"`, with another port.

    Attributes:
        folder: a folder like that of the repository, with the tools in `.venv/bin`.
        port: of its broker.
        words: the arguments of the demo, as a page has them.
    """

    folder: Path
    port: int
    words: str = "--keep --kafka-port 9092"

    def run(self, text: str, timeout_s: float = waiting.LIMIT_S) -> str:
        """Run a page's block at this broker; return what it printed."""
        there = text.replace("localhost:9092", f"localhost:{self.port}")
        there = re.sub(r"mrs-relay (watch|submit sql)", rf"mrs-relay \1 --bootstrap localhost:{self.port}", there)
        return _shell(self.folder, there, timeout_s)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """The first command of README and "Send your first job", which both go on from there."""
    folder = tmp_path_factory.mktemp("demo")
    tools = folder / ".venv" / "bin"
    tools.mkdir(parents=True)
    (tools / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tools / "mrs-relay").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mrs_relay "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    running = Demo(folder, ports.free_port())
    words = running.words.replace("9092", str(running.port)).split()
    log = folder / "demo.log"
    process = child.Child([sys.executable, "-m", "mrs_relay", "demo", *words], log=log, env=_environment())

    try:
        process.wait_ready(lambda: "Ctrl-C ends everything" in log.read_text(), timeout_s=200)
        yield running
    finally:
        process.stop(30)


def test_a_newcomer_gets_a_result_by_following_the_page(demo: Demo) -> None:
    """All commands of "Send your first job", one after the other, in the folder of the repository as they know it."""
    start, *steps = [each for each in pages.blocks("first-job.md") if each.language == "bash"]
    assert start.text == f'make demo ARGS="{demo.words}"\n'
    request, valid, sent, story, waited = [demo.run(step.text) for step in steps]
    assert (request, sent) == ("", "")
    assert valid == "request.json: valid mrs.sql.submit\n"
    reported = [json.loads(line) for line in story.splitlines()]
    assert [each["type"] for each in reported][:: len(reported) - 1] == ["mrs.sql.accepted", "mrs.sql.succeeded"]
    [statement] = reported[-1]["data"]["result"]["statements"]
    assert [set(row) for row in statement["rows"]] == [{"n_name", "customers"}] * 3
    assert re.search(r"\d{4,}", waited)

    demo.run(steps[2].text)
    deadline_s = time.monotonic() + waiting.LIMIT_S
    while '"repeated":true' not in demo.run(steps[3].text).replace(" ", ""):
        assert time.monotonic() < deadline_s, "no event says that the request was repeated"


def test_the_three_commands_of_the_readme_show_a_result_and_every_event(demo: Demo) -> None:
    """README.md: the demo, a statement that waits for its rows, and the events of all requests so far."""
    start, submit, watch = re.findall(r"^    (make demo .*|\.venv/bin/.*)$", pages.README.read_text(), re.MULTILINE)
    assert start == f'make demo ARGS="{demo.words}"'
    assert re.search(r"\d{4,}", demo.run(submit))
    shown = demo.run(f"{watch} --until-done 33")
    assert "succeeded" in shown
    assert "rejected" in shown


def test_the_kcat_line_of_the_page_sends_a_request(here: service.Deployment, tmp_path: Path) -> None:
    """It stands in the text, for those who have kcat."""
    text = (pages.DOCS / "first-job.md").read_text()
    found = re.search(r"`(tr -d .* \| kcat -P .*)`", text)
    assert found is not None
    nodejs.require("kcat")
    request = json.loads(service.job("by-kcat"))
    (tmp_path / "request.json").write_text(json.dumps(request, indent=2))
    command = pages.Block("", "bash", found[1]).at(here).replace("demo-analytics", service.CLUSTER)
    _shell(tmp_path, command)
    events = asyncio.run(here.until_ended(["by-kcat"]))
    assert [event.state for event in events if event.request_id == "by-kcat"][-1] == "succeeded"


def test_the_commands_of_the_contract_page_work(tmp_path: Path) -> None:
    """In the order of the page; the registry is tested with `schemas register` itself."""
    first, registry = [each for each in pages.blocks("contract.md") if each.language == "bash"]
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "mrs-relay").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mrs_relay "$@"\n')
    (bin_folder / "mrs-relay").chmod(0o755)
    _shell(tmp_path, f'export PATH="{bin_folder}:$PATH"\n{first.text}')
    assert json.loads((tmp_path / "asyncapi.json").read_text())["asyncapi"] == "3.0.0"
    assert (tmp_path / "schemas" / "events" / "v1.json").is_file()
    assert all(line.startswith("mrs-relay schemas register --registry ") for line in registry.text.splitlines())
    shutil.rmtree(bin_folder)
