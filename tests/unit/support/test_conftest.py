"""The shared fixtures, tried on small test files in a pytest of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[3]
_ASYNC_TESTS = """
    import asyncio, time, pytest

    def test_sync_before_any_loop() -> None:
        pass

    async def test_leaves_a_task() -> None:
        globals()["kept"] = asyncio.create_task(asyncio.sleep(60), name="forgotten")

    async def test_cancels_its_task() -> None:
        asyncio.create_task(asyncio.sleep(60)).cancel()

    @pytest.fixture
    async def server():
        task = asyncio.create_task(asyncio.sleep(60))
        yield
        task.cancel()
        await asyncio.wait([task])

    async def test_uses_a_fixture_with_a_task(server) -> None:
        await asyncio.sleep(0)

    def test_sync() -> None:
        pass

    @pytest.mark.looptime
    async def test_an_hour_of_virtual_time(looptime) -> None:
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(3600))
            group.create_task(asyncio.sleep(60))
        assert looptime == 3600
        assert time.monotonic() - started < 10

    async def test_real_time_without_the_marker() -> None:
        started = time.monotonic()
        await asyncio.sleep(0.02)
        assert time.monotonic() - started >= 0.02
    """


def _run(folder: Path, code: str, *options: str) -> str:
    (folder / "test_it.py").write_text(textwrap.dedent(code))
    config = ["-c", str(_ROOT / "pyproject.toml"), "--rootdir", str(folder), "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", *config, *options, str(folder)],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def _summary(output: str, outcome: str, name: str) -> list[str]:
    """Return the lines of the summary with this outcome of the test."""
    lines = [line.partition(" - ")[0] for line in output.splitlines()]
    return [line for line in lines if line.startswith(outcome) and line.endswith(f"::test_{name}")]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return what pytest says about `_ASYNC_TESTS`."""
    return _run(tmp_path_factory.mktemp("inner"), _ASYNC_TESTS, "-rAE")


def test_async_test_that_leaves_a_task_behind_fails(output: str) -> None:
    """A task that runs on after its test fails it and is named; nothing else in the file fails."""
    assert "the test left tasks behind:\nforgotten: <coroutine object sleep" in output
    assert "7 passed, 1 error" in output.splitlines()[-1]
    assert _summary(output, "ERROR", "leaves_a_task")


def test_synchronous_tests_open_no_event_loop(output: str) -> None:
    """No loop is left open, whichever test comes first."""
    assert "ResourceWarning" not in output


@pytest.mark.parametrize("name", ["cancels_its_task", "uses_a_fixture_with_a_task", "sync"])
def test_tasks_that_end_in_time_are_no_leak(name: str, output: str) -> None:
    """A cancelled task, a fixture's task and a synchronous test pass the check."""
    assert _summary(output, "PASSED", name)
    assert not _summary(output, "ERROR", name)


@pytest.mark.parametrize("name", ["an_hour_of_virtual_time", "real_time_without_the_marker"])
def test_time_is_virtual_only_for_marked_tests(name: str, output: str) -> None:
    """The marker `looptime` lets an hour pass at once; without it time is real."""
    assert _summary(output, "PASSED", name)


def test_broker_ends_with_the_last_test_that_asks_for_it(tmp_path: Path) -> None:
    """It runs between tests that ask for it, and not through the thousands that follow."""
    output = _run(
        tmp_path,
        """
        def test_first(embedded) -> None:
            globals()["node"] = embedded

        def test_between() -> None:
            assert node.pid is not None

        def test_last(embedded) -> None:
            assert embedded.pid is not None

        def test_after() -> None:
            assert node.pid is None
        """,
    )
    assert "4 passed" in output


def test_kafka_tests_without_kafka_fail(tmp_path: Path) -> None:
    """Where Kafka is missing, tests with its fixture or its marker fail and say what to run."""
    code = f"""
        import pathlib, pytest
        from tests.support import kafka_parts
        kafka_parts.require_kafka.__defaults__ = (pathlib.Path({str(tmp_path / "nothing")!r}),)
        def test_fixture(kafka) -> None: pass
        @pytest.mark.kafka
        def test_marker() -> None: pass
        """
    output = _run(tmp_path, code)
    assert "2 errors" in output.splitlines()[-1]
    assert output.count(f"no Kafka in {tmp_path / 'nothing'}: run `make kafka`") >= 2
    assert "skipped" not in output


def test_tests_of_a_broker_can_be_left_out(tmp_path: Path) -> None:
    """Asking for a broker is enough to carry its marker."""
    code = "def test_it(kafka): pass\ndef test_embedded(embedded): pass"
    assert "2 deselected" in _run(tmp_path, code, "-m", "not kafka and not embedded").splitlines()[-1]
