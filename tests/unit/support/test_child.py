from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from tests.support import child


def _python(tmp_path: Path, code: str) -> child.Child:
    return child.Child([sys.executable, "-c", code], log=tmp_path / "child.log")


def test_exit_code_and_output_of_an_ended_child_are_kept(tmp_path: Path) -> None:
    """They can be asked for after its end, as often as a test likes."""
    it = _python(tmp_path, "print('hello'); raise SystemExit(3)")
    assert it.wait(10) == 3
    assert not it.alive
    assert it.log.read_text() == "hello\n"


def test_child_that_ends_before_it_is_ready_fails_with_its_log(tmp_path: Path) -> None:
    """An early end is reported with the end of the log, without waiting for the time to pass."""
    it = _python(tmp_path, "raise SystemExit('no such setting')")
    with pytest.raises(child.ChildFailed, match=r"ended with code 1(?s:.*)no such setting"):
        it.wait_ready(lambda: False, timeout_s=30)


def test_child_that_is_never_ready_fails_when_the_time_is_up(tmp_path: Path) -> None:
    """Waiting has a limit."""
    it = _python(tmp_path, "input_ = __import__('time').sleep(30)")
    with pytest.raises(child.ChildFailed, match=r"was not ready after 0\.1 s"):
        it.wait_ready(lambda: False, timeout_s=0.1, poll_s=0.01)
    it.kill()
    assert it.exit_code() == -signal.SIGKILL


def test_child_that_ignores_sigterm_is_killed_and_reported(tmp_path: Path) -> None:
    """A polite stop has a limit, too."""
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('set', flush=True); time.sleep(30)"
    )
    it = _python(tmp_path, code)
    it.wait_ready(lambda: "set" in it.log.read_text(), timeout_s=10, poll_s=0.01)
    with pytest.raises(child.ChildFailed, match="ignored SIGTERM"):
        it.stop(timeout_s=0.1)
    assert not it.alive


def test_child_that_obeys_sigterm_returns_its_exit_code(tmp_path: Path) -> None:
    """A polite stop tells how the child ended."""
    code = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(7)); print('set', flush=True); time.sleep(30)"
    )
    it = _python(tmp_path, code)
    it.wait_ready(lambda: "set" in it.log.read_text(), timeout_s=10, poll_s=0.01)
    assert it.stop() == 7


_IGNORES = """
import pathlib, signal, sys
from tests.support import child
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
log = pathlib.Path(sys.argv[1])
it = child.Child([sys.executable, "-c", "print('up', flush=True); __import__('time').sleep(30)"], log=log)
it.wait_ready(lambda: "up" in log.read_text(), timeout_s=20)
it.send(signal.SIGHUP)
print(it.wait(20))
"""


def test_child_heeds_signals_that_the_tests_ignore(tmp_path: Path) -> None:
    """`nohup make test &` ignores SIGHUP and SIGINT; what is under test gets them all the same."""
    it = child.Child([sys.executable, "-c", _IGNORES, str(tmp_path / "inner.log")], log=tmp_path / "outer.log")
    assert it.wait(40) == 0
    assert it.log.read_text() == f"{-signal.SIGHUP}\n"


def test_children_that_were_left_running_are_ended(tmp_path: Path) -> None:
    """As the fixture of all tests does after each, so that a test that fails leaves none."""
    before = child.running()
    it = _python(tmp_path, "input_ = __import__('time').sleep(30)")
    assert child.running() - before
    child.end(child.running() - before)
    assert it.exit_code() == -signal.SIGKILL
    assert child.running() == before
