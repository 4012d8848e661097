"""
What all tests share: the two brokers, and the check that no test leaves a task or a process behind.

A test that asks for `kafka` or `embedded` gets the marker of that name, so `-m "not kafka"` leaves it out. One that is
not left out fails when the broker is missing; it is never skipped.

Virtual time: mark the test `looptime`; the fixture `looptime` reads the clock, which starts at 0. Only for in-memory
parts: while a timer is pending the clock does not wait for another process's answer.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import hypothesis
import pytest
import structlog
from tests.support import brokers, child, clocks, kafka_parts, leaks

# Plain stacks: the default prints every local variable, which takes seconds and thousands of lines.
_CONSOLE = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
_PROCESSORS: list[Any] = [structlog.processors.add_log_level, _CONSOLE]
structlog.configure(processors=_PROCESSORS)

# Without a deadline for each example: a busy machine is no failure.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")

_LOGS = pytest.StashKey[list[brokers.Node]]()
_AFTER_BROKERS = pytest.StashKey[bool]()
_WORKERS_LOGS = pytest.StashKey[list[str]]()
_BROKERS = frozenset({"kafka", "embedded"})
"""The fixtures that are brokers for all tests of a process."""


def pytest_configure() -> None:
    """Say that there is no event loop yet: looptime asks for one even in sync tests, which would open one for good."""
    asyncio.set_event_loop(None)
    child.fork_modules = True


def pytest_collection() -> None:
    """Look for no garbage while the tests are collected: thousands of modules, marks and items stay."""
    gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Pass over all of that in each later search for garbage, and note after which tests no broker is needed."""
    gc.freeze()
    gc.enable()
    for item in reversed(session.items):
        if _BROKERS.intersection(getattr(item, "fixturenames", ())):
            break
        item.stash[_AFTER_BROKERS] = True


def pytest_unconfigure() -> None:
    """Let go of it, since libraries count at the end of the process what was left."""
    gc.unfreeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the brokers it asks for, and have virtual time lose none of the real one."""
    for item in items:
        if item.get_closest_marker("looptime") is not None:
            item.add_marker(pytest.mark.looptime(noop_cycles=clocks.NOOP_CYCLES))
        for name in _BROKERS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(name)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test marked `kafka` at once where there is no Kafka, and end brokers that no later test asks for."""
    if item.stash.get(_AFTER_BROKERS, False):
        for node in item.config.stash.get(_LOGS, []):
            node.kill()  # an idle Kafka takes 2 % of a processor
    if item.get_closest_marker("kafka") is not None:
        try:
            kafka_parts.require_kafka()
        except kafka_parts.BrokerMissing as error:
            pytest.fail(str(error), pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that prints the summary where the brokers of this worker had their logs."""
    if (reported := getattr(session.config, "workeroutput", None)) is not None:
        reported["logs"] = [f"log of {node.name}: {node.log}" for node in session.config.stash.get(_LOGS, [])]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Keep what a worker has reported."""
    node.config.stash.setdefault(_WORKERS_LOGS, []).extend(getattr(node, "workeroutput", {}).get("logs", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say, after a failure, where the logs of the brokers are."""
    if terminalreporter.stats.keys() & {"failed", "error"}:
        own = [f"log of {node.name}: {node.log}" for node in config.stash.get(_LOGS, [])]
        for line in [*own, *config.stash.get(_WORKERS_LOGS, [])]:
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[brokers.KafkaNode]:
    """One real Kafka for the whole session; a test that kills its broker starts one of its own instead."""
    with brokers.start_kafka(tmp_path_factory.mktemp("kafka"), brokers.QUICK_JVM, brokers.IMPATIENT) as node:
        pytestconfig.stash.setdefault(_LOGS, []).append(node)
        yield node


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[brokers.TansuNode]:
    """One embedded broker for the whole session; it knows neither idempotent nor transactional producers."""
    with brokers.start_tansu(tmp_path_factory.mktemp("tansu")) as node:
        pytestconfig.stash.setdefault(_LOGS, []).append(node)
        yield node


@pytest.fixture(autouse=True)
def _logs_as_found() -> Iterator[None]:
    """A test that runs a command sets up logging as the command does; the next test finds it as it was."""
    yield
    structlog.reset_defaults()
    structlog.configure(processors=_PROCESSORS)


@pytest.fixture(autouse=True)
def _processes_as_found(pytestconfig: pytest.Config) -> Iterator[None]:
    """What a failed test left running is ended at once: it would take ports, partitions and time from the next."""
    before = child.running()
    yield
    shared = {node.pid for node in pytestconfig.stash.get(_LOGS, [])}  # perhaps started within this test
    child.end(process for process in child.running() - before if process.pid not in shared)


@pytest.fixture
async def _no_task_left_behind() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    if left := await leaks.end_left_behind(before):
        pytest.fail("the test left tasks behind:\n" + "\n".join(left), pytrace=False)


@pytest.fixture(autouse=True)
def _async_tests_end_their_tasks(request: pytest.FixtureRequest) -> None:
    """Check async tests for tasks left behind; autouse, so that it is set up first and looks last."""
    if inspect.iscoroutinefunction(request.function):
        request.getfixturevalue("_no_task_left_behind")
