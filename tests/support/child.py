"""
A process of the tests' own: started with a log file, ended by its pid, never outliving its test or the test run.

Every call here blocks; async tests wrap the slow ones in `asyncio.to_thread`.
"""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, TypeAlias

from tests.support import forked

from mrs_relay.cli import exec_with_parent

_TIED = Path(exec_with_parent.__file__)
_FRESH = Path(__file__).with_name("fresh.py")
_LOG_TAIL_LINES = 30

Process: TypeAlias = "subprocess.Popen[bytes] | forked.Forked"

fork_modules = False
"""Whether `python -m …` is forked from a process that holds the imports; the tests' conftest wants it."""

# Linux delivers the parent-death signal when the starting *thread* ends, so one thread that lives as long as the
# process starts every child; a child started from a worker thread would die with that worker.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="child-starter")
_running: set[Process] = set()


def tied_to_tests(command: Sequence[str]) -> list[str]:
    """Return the command as a process that ends with the tests, whatever ends them, and heeds the usual signals."""
    return [sys.executable, "-I", "-S", str(_FRESH), str(_TIED), str(os.getpid()), *command]


def _tied(command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    start: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen
    return _starter.submit(start, tied_to_tests(command), **options).result()


_fork_server = forked.ForkServer(_tied)


def running() -> frozenset[Process]:
    """Return the children that have not been seen to end."""
    return frozenset(_running)


def end(children: Iterable[Process]) -> None:
    """Kill what still runs of these and wait until it is gone."""
    for process in children:
        process.kill()
        process.wait()
        _running.discard(process)


class ChildFailed(RuntimeError):  # noqa: N818 - named for what happened
    """A process ended or did not become ready; the message holds the end of its log."""


class Child:
    """
    One running process.

    Args:
        command: program and arguments.
        log: file that receives standard output and error; appended to.
        env: the whole environment of the process; None: the one of the tests.
        cwd: its working folder; None: the one of the tests.
    """

    def __init__(
        self, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        self.log = log
        self.name = Path(command[0]).name
        with log.open("ab") as output, Path(os.devnull).open("rb") as nothing:
            self._process: Process = _start(command, (nothing, output, output), env, cwd)
        _running.add(self._process)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.exit_code() is None

    def exit_code(self) -> int | None:
        """Return its exit code, negative for a signal, or None while it runs."""
        code = self._process.poll()
        if code is not None:
            _running.discard(self._process)
        return code

    def wait(self, timeout_s: float) -> int | None:
        """Wait at most `timeout_s` seconds for its end; its exit code, or None when it still runs."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        return self.exit_code()

    def wait_ready(self, ready: Callable[[], bool], *, timeout_s: float, poll_s: float = 0.05) -> None:
        """
        Ask `ready` every `poll_s` seconds until it says yes, for at most `timeout_s` seconds.

        Raises:
            ChildFailed: the process ended first, or the time was up (it still runs then).
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            if not self.alive:
                raise ChildFailed(self._story(f"ended with code {self.exit_code()}"))
            if time.monotonic() > deadline:
                raise ChildFailed(self._story(f"was not ready after {timeout_s:g} s"))
            time.sleep(poll_s)

    def send(self, signal_number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it has ended."""
        self._process.send_signal(signal_number)

    def kill(self) -> None:
        """End it by SIGKILL and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        _running.discard(self._process)

    def stop(self, timeout_s: float = 60.0) -> int:
        """
        Ask it to end by SIGTERM and return its exit code.

        Raises:
            ChildFailed: it still ran after `timeout_s` seconds and was killed.
        """
        self._process.terminate()
        code = self.wait(timeout_s)
        if code is None:
            self.kill()
            raise ChildFailed(self._story(f"ignored SIGTERM for {timeout_s:g} s"))
        return code

    def _story(self, what: str) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]
        return f"{self.name} (pid {self.pid}) {what}; the end of {self.log}:\n" + "\n".join(lines)


def run(
    command: Sequence[str],
    *,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout_s: float,
) -> subprocess.CompletedProcess[str]:
    """
    Run a command to its end and return its exit code and what it printed; `env` and `cwd` as of `Child`.

    Raises:
        subprocess.TimeoutExpired: it still ran after `timeout_s` seconds and was killed.
    """
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as output,
        tempfile.TemporaryFile() as errors,
    ):
        given.write(stdin.encode())
        given.seek(0)
        process = _start(command, (given, output, errors), env, cwd)
        _running.add(process)

        try:
            code = process.wait(timeout_s)
        finally:
            end([process])

        output.seek(0)
        errors.seek(0)
        return subprocess.CompletedProcess(command, code, output.read().decode(), errors.read().decode())


def _start(
    command: Sequence[str],
    streams: tuple[IO[bytes], IO[bytes], IO[bytes]],
    env: Mapping[str, str] | None,
    cwd: Path | None,
) -> Process:
    if fork_modules and list(command[:2]) == [sys.executable, "-m"] and not forked.unlike(env):
        return _fork_server.start(command[2:], [stream.fileno() for stream in streams], env, cwd)
    stdin, stdout, stderr = streams
    return _tied(
        command,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=None if env is None else dict(env),
        cwd=cwd,
        start_new_session=True,  # Ctrl-C reaches the tests alone; they end their children in order
    )


@atexit.register
def _kill_the_rest() -> None:
    end(running())
    _fork_server.close()
