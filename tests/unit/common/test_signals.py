"""Signals that end a program in order, in processes of their own."""

from __future__ import annotations

import asyncio
import signal
import sys
from concurrent import futures
from pathlib import Path

import pytest
from tests.support import child

from mrs_relay.common import signals

_WAITS = """
import asyncio, signal, sys
from mrs_relay.common import signals
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), signal.SIG_IGN)
async def main():
    caught = asyncio.Queue()
    handled = signals.handle(caught.put_nowait)
    print("up", *sorted(one.name for one in handled), flush=True)
    print((await caught.get()).name, flush=True)
asyncio.run(main())
"""

_COMMAND = """
import asyncio, signal, sys
from mrs_relay.cli import run
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), signal.SIG_IGN)
async def main():
    try:
        print("up", flush=True)
        await asyncio.sleep(60)
    finally:
        print("cleaned up", flush=True)
try:
    run.loop(main())
except KeyboardInterrupt:
    sys.exit(run.Code.INTERRUPTED)
"""


_TERMINALS = """
import os, pty
from mrs_relay.common import signals
print(signals.has_terminal(), flush=True)
child, terminal = pty.fork()
if child == 0:
    print(signals.has_terminal(), flush=True)
    os._exit(0)
print(os.read(terminal, 100).decode().split()[0], flush=True)
os.waitpid(child, 0)
"""


def _start(tmp_path: Path, program: str, *ignored: str) -> child.Child:
    started = child.Child([sys.executable, "-c", program, *ignored], log=tmp_path / "log.txt")
    started.wait_ready(lambda: "up" in started.log.read_text(), timeout_s=30)
    return started


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_each_of_the_three_is_handled_by_its_name(tmp_path: Path, number: signal.Signals) -> None:
    """A closed terminal is as good a reason as the other two."""
    process = _start(tmp_path, _WAITS)
    process.send(number)
    assert process.wait(20) == 0
    assert process.log.read_text().splitlines() == ["up SIGHUP SIGINT SIGTERM", number.name]


def test_what_was_ignored_from_the_start_stays_ignored(tmp_path: Path) -> None:
    """`nohup mrs-relay serve &` in a script outlives the terminal and Ctrl-C."""
    process = _start(tmp_path, _WAITS, "SIGHUP", "SIGINT")
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        process.send(number)
    assert process.wait(20) == 0
    assert process.log.read_text().splitlines() == ["up SIGTERM", "SIGTERM"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_command_cleans_up_and_exits_with_130(tmp_path: Path, number: signal.Signals) -> None:
    """Whatever ends a command that waits, it ends as by Ctrl-C."""
    process = _start(tmp_path, _COMMAND)
    process.send(number)
    assert process.wait(20) == 130
    assert process.log.read_text().splitlines() == ["up", "cleaned up"]


def test_a_command_under_nohup_continues_when_the_terminal_is_closed(tmp_path: Path) -> None:
    """SIGHUP does nothing to it; SIGTERM still ends it."""
    process = _start(tmp_path, _COMMAND, "SIGHUP")
    process.send(signal.SIGHUP)
    assert process.alive
    process.send(signal.SIGTERM)
    assert process.wait(20) == 130


def test_outside_the_main_thread_nothing_is_handled() -> None:
    """Where a command runs in a thread of another program, the signals are that program's."""

    async def handled() -> list[signal.Signals]:
        return signals.handle(lambda _number: None)

    with futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, handled()).result() == []


def test_a_process_knows_whether_it_has_a_terminal(tmp_path: Path) -> None:
    """One in a session of its own has none, whatever its input and output are."""
    process = child.Child([sys.executable, "-c", _TERMINALS], log=tmp_path / "log.txt")
    assert process.wait(20) == 0
    assert process.log.read_text().split() == ["False", "True"]
