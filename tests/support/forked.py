"""
Processes of `python -m …` that have their imports from the start: forked by a server that holds them.

A command of the service spends nearly two seconds of a processor on its imports, and the tests start hundreds of them.
So each process of pytest keeps a fork server, which has imported what commands need and has done nothing else. The
child is a process like any other: it has its own environment, folder, input, output, session and signals, and dies with
the tests. Only what happens before the first line of a command is not its own: `unlike` says for which environments
that matters.

The server is `python -m tests.support.forked FD`. On the socket FD it gets orders, each with the descriptors
of the child's input, output and errors and of a pipe for its exit code, and answers with the child's process id.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mrs_relay.cli import exec_with_parent

_LONGEST_ORDER: Final = 1 << 20
_READ_AT_IMPORT: Final = ("PYTHON", "AIOKAFKA", "PYDANTIC", "FORCE_", "TERMINAL_", "_TYPER", "PY_COLORS")
_HELD: Final = ("mrs_relay.app", "mrs_relay.web_role", "mrs_relay.lineage_role", "mrs_emulator.http.server", "uvloop")
_ROOT: Final = Path(__file__).parents[2]


class Forked:
    """A process that the server has forked; as `subprocess.Popen` as far as the tests use it."""

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self._status: int | None = status
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal; None while it runs."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises subprocess.TimeoutExpired."""
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout_s: float | None) -> int | None:
        if self._status is None:
            return self._code
        ready, _, _ = select.select([self._status], [], [], timeout_s)
        if not ready:
            return None
        said = os.read(self._status, 32)  # nothing: the server is gone, and its children with it
        os.close(self._status)
        self._status, self._code = None, int(said) if said else -signal.SIGKILL
        return self._code


class ForkServer:
    """
    The process that holds the imports; started with the first order.

    Args:
        start: starts a process that ends with the tests; takes what `subprocess.Popen` does.
    """

    def __init__(self, start: Callable[..., subprocess.Popen[bytes]]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._orders: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self, words: Sequence[str], streams: Sequence[int], env: Mapping[str, str] | None, cwd: Path | None
    ) -> Forked:
        """Have a child run `python -m` with these words; `streams` are its input, output and errors."""
        order = {"words": list(words), "env": dict(os.environ if env is None else env), "cwd": str(cwd or Path.cwd())}
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        try:
            with self._lock:
                orders = self._orders or self._begin()
                socket.send_fds(orders, [json.dumps(order).encode()], [*streams, theirs])
                pid = int(orders.recv(32))
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return Forked(pid, ours)

    def close(self) -> None:
        """End it, and the children that still run."""
        if self._orders is not None:
            self._orders.close()
            self._orders = None
        if self._process is not None:
            self._process.wait()

    def _begin(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", __name__, str(theirs.fileno())]
        self._process = self._start(command, stdin=subprocess.DEVNULL, cwd=_ROOT, pass_fds=[theirs.fileno()])
        theirs.close()
        self._orders = ours
        return ours


def unlike(env: Mapping[str, str] | None) -> bool:
    """Return whether an environment differs from that of the tests in what is read while modules are imported."""
    given = os.environ if env is None else env
    names = {name for name in {*given, *os.environ} if name.startswith(_READ_AT_IMPORT)} - {"PYTHONPATH"}
    return any(given.get(name) != os.environ.get(name) for name in names)


@dataclass(slots=True)
class _Order:
    """What a child is to be."""

    words: list[str]
    env: dict[str, str]
    cwd: str
    streams: list[int]


def _serve(orders: socket.socket) -> _Order | None:
    """Fork a child for each order; returns None when the tests are over, and in each child what it is to be."""
    woken, wakes = socket.socketpair()
    woken.setblocking(False)
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    server, reported = os.getpid(), dict[int, int]()

    while True:
        ready, _, _ = select.select([orders, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            _report(reported)
        if orders not in ready:
            continue
        text, descriptors, _, _ = socket.recv_fds(orders, _LONGEST_ORDER, 4)
        if not text:
            return None
        *streams, status = descriptors
        order = _Order(**json.loads(text), streams=streams)
        pid = os.fork()
        if pid == 0:
            for end in (orders, woken, wakes):
                end.detach()
            _become(order, server)
            return order
        reported[pid] = status
        for descriptor in streams:
            os.close(descriptor)
        orders.send(str(pid).encode())


def _report(reported: dict[int, int]) -> None:
    """Write the exit codes of the children that have ended to their pipes."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        descriptor = reported.pop(pid)
        with contextlib.suppress(BrokenPipeError):
            os.write(descriptor, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(descriptor)


def _become(order: _Order, server: int) -> None:
    """Make this fork the process that a start of its own would be."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    exec_with_parent.tie(server)

    os.setsid()
    for stream, descriptor in enumerate(order.streams):
        os.dup2(descriptor, stream)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(order.cwd)
    os.environ.clear()
    os.environ.update(order.env)
    time.tzset()
    added = [folder for folder in order.env.get("PYTHONPATH", "").split(os.pathsep) if folder not in sys.path]
    sys.path[:1] = [order.cwd, *filter(None, added)]
    gc.unfreeze()


def _hold() -> None:
    """Import what commands need."""
    for name in _HELD:
        importlib.import_module(name)
    package = importlib.import_module("mrs_relay.cli")
    for found in pkgutil.iter_modules(package.__path__, "mrs_relay.cli."):
        importlib.import_module(found.name)
    if (threads := len(list(Path("/proc/self/task").iterdir()))) != 1:
        raise RuntimeError(f"imports have started threads ({threads - 1}); a fork would lose them")
    gc.collect()
    gc.freeze()


def main() -> None:
    """Serve the tests; each child continues here as the module that it was ordered to be."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which end their children in order
    orders = socket.socket(fileno=int(sys.argv[1]))
    _hold()
    if (order := _serve(orders)) is not None:
        os._exit(_run(order.words))


def _run(words: Sequence[str]) -> int:
    """Run a module as `python -m` does, and return its exit code; without taking the interpreter apart afterwards."""
    module, *arguments = words
    sys.argv = [module, *arguments]
    code: object = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 - the interpreter's own handling, at the end of a process
        traceback.print_exc()
        code = 1
    if code is not None and not isinstance(code, int):
        sys.stderr.write(f"{code}\n")
        code = 1

    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code or 0


if __name__ == "__main__":
    main()
