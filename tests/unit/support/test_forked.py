"""Processes that the fork server starts are as those that are started one by one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import child, forked

_WAITS = "import time\nprint('up', flush=True)\ntime.sleep(60)\n"


@pytest.fixture
def module(tmp_path: Path) -> Callable[[str], list[str]]:
    """Write a module; returns the command that runs it, in the folder where it lies."""

    def written(text: str) -> list[str]:
        (tmp_path / "played.py").write_text(text)
        return [sys.executable, "-m", "played"]

    return written


def _start(command: list[str], folder: Path, env: dict[str, str] | None = None) -> child.Child:
    return child.Child(command, log=folder / "log.txt", cwd=folder, env=env)


@pytest.mark.parametrize(
    ("text", "code", "shown"),
    [
        ("print('done')", 0, "done\n"),
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('no such file')", 1, "no such file\n"),
        ("import atexit; atexit.register(print, 'last')", 0, "last\n"),
        ("import os; os._exit(9)", 9, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
    ],
)
def test_output_and_exit_code_are_those_of_the_module(
    module: Callable[[str], list[str]], tmp_path: Path, text: str, code: int, shown: str
) -> None:
    """An end by return, by exit or by a signal is seen as of any process."""
    it = _start(module(text), tmp_path)
    assert it.wait(20) == code
    assert it.log.read_text() == shown


def test_an_error_shows_its_stack(module: Callable[[str], list[str]], tmp_path: Path) -> None:
    """A bug of a command is found in its log."""
    it = _start(module("1 / 0"), tmp_path)
    assert it.wait(20) == 1
    assert "ZeroDivisionError" in it.log.read_text()


def test_environment_folder_and_session_are_its_own(module: Callable[[str], list[str]], tmp_path: Path) -> None:
    """Nothing of one child is seen by the next."""
    show = "import os, sys; print(dict(os.environ), os.getcwd(), sys.argv[1:], os.getsid(0) == os.getpid())"
    it = _start([*module(show), "one", "two"], tmp_path, {"ONLY": "this", **_as_here()})
    assert it.wait(20) == 0
    assert it.log.read_text() == f"{ ({'ONLY': 'this', **_as_here()}) } {tmp_path} ['one', 'two'] True\n"


def test_modules_are_found_in_the_folders_of_the_environment(
    module: Callable[[str], list[str]], tmp_path: Path
) -> None:
    """As with any start of Python."""
    command = module("print('found')")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    log = tmp_path / "log.txt"
    it = child.Child(command, log=log, cwd=elsewhere, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert it.wait(20) == 0
    assert log.read_text() == "found\n"


def test_children_run_side_by_side_and_heed_signals(module: Callable[[str], list[str]], tmp_path: Path) -> None:
    """Each ends for itself."""
    command = module(_WAITS)
    first, second = (child.Child(command, log=tmp_path / f"{name}.txt", cwd=tmp_path) for name in "ab")
    for it in (first, second):
        it.wait_ready(lambda log=it.log: "up" in log.read_text(), timeout_s=20)  # type: ignore[misc]
    first.send(signal.SIGTERM)
    assert first.wait(20) == -signal.SIGTERM
    assert second.alive
    second.send(signal.SIGINT)
    assert second.wait(20) == -signal.SIGINT


def test_children_end_with_their_server(module: Callable[[str], list[str]], tmp_path: Path) -> None:
    """So nothing outlives the tests."""
    server = forked.ForkServer(subprocess.Popen)
    with (tmp_path / "log.txt").open("wb") as log, Path(os.devnull).open("rb") as nothing:
        it = server.start([*module(_WAITS)[2:]], [nothing.fileno(), log.fileno(), log.fileno()], None, tmp_path)
    assert it.poll() is None
    server.close()
    assert it.wait(20) == -signal.SIGKILL


def test_input_is_read_and_errors_stand_apart(module: Callable[[str], list[str]], tmp_path: Path) -> None:
    """As programs use a command."""
    command = module("import sys; print(sys.stdin.read()); sys.stderr.write('oops')")
    done = child.run(command, stdin="given", cwd=tmp_path, timeout_s=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, "given\n", "oops")


def test_a_run_that_takes_too_long_is_ended() -> None:
    """Waiting has a limit, and what is given up is gone."""
    before = child.running()
    with pytest.raises(subprocess.TimeoutExpired):
        child.run([sys.executable, "-c", _WAITS], timeout_s=0.2)
    assert child.running() == before


def test_environments_that_change_an_import_are_started_one_by_one() -> None:
    """What the server has imported, it has imported with the environment of the tests."""
    assert forked.unlike({**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"})
    assert not forked.unlike({**os.environ, "MRS_RELAY_WEB__PORT": "1"})
    assert not forked.unlike(None)


def _as_here() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("PYTHON")}
