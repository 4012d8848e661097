"""The demo as a newcomer meets it: it ends well, says so, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support import child, waiting

pytestmark = pytest.mark.embedded

_DEMO = [sys.executable, "-m", "mrs_relay", "demo", "--scale", "0.01", "--speed", "4"]


def _environment(tmp_path: Path, **more: str) -> Mapping[str, str]:
    """Return the tests' own, with temporary folders in a place where they can be counted."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MRS_RELAY_")}
    return {**plain, "TMPDIR": str(tmp_path), **more}


def _left_behind(tmp_path: Path) -> list[str]:
    """Return temporary folders of the demo, and processes that work in one."""
    folders = [str(path) for path in tmp_path.glob("mrs-relay-demo-*")]
    processes = []
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if str(tmp_path) in str(entry.readlink()):
                processes.append(f"process {entry.parent.name}")
        except OSError:
            continue
    return folders + processes


async def _printed(log: Path, words: str, process: child.Child, timeout_s: float = waiting.LIMIT_S) -> str:
    async with asyncio.timeout(timeout_s):
        while words not in (shown := log.read_text()):  # noqa: ASYNC240 - a small file
            assert process.alive, shown
            await asyncio.sleep(0.1)
    return shown


def test_the_demo_ends_well_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Every request ends as planned: exit 0, rows shown, no process and no folder left; foreign settings stay out."""
    log = tmp_path / "demo.txt"
    foreign = _environment(tmp_path, MRS_RELAY_KAFKA__BOOTSTRAP_SERVERS="production:9092")
    demo = child.Child(_DEMO, log=log, env=foreign)
    code = demo.wait(180)
    shown = log.read_text()

    assert code == 0, shown
    assert "33 of 33 requests ended as they should" in shown
    assert "none missing, none twice" in shown
    assert re.search(r"MRS ran 32 jobs and statements for 32 accepted requests", shown)
    assert re.search(r"rejected\s+misspelt", shown)
    assert re.search(r"failed\s+nightly-etl", shown)
    assert "unreadable_json" in shown
    assert re.search(r"^(INDONESIA|CHINA|INDIA|JAPAN|VIETNAM) +\d+\.\d+ *$", shown, re.MULTILINE)
    assert re.search(r"^ *\d+ +\d+\.\d+ +1995-\d\d-\d\d +0 *$", shown, re.MULTILINE)
    assert re.search(r"^1-URGENT +\d+ *$", shown, re.MULTILINE)
    assert re.search(r"rows of Presto, Spark and Hive are in their events", shown)
    assert re.search(r"the cause of nightly-etl's failure was read from its log", shown)
    assert "OutOfMemoryError" in shown
    assert "✗" not in shown
    assert _left_behind(tmp_path) == []


async def test_kept_running_it_takes_a_readers_own_messages(tmp_path: Path) -> None:
    """`--keep` prints how to send; what it prints works; SIGTERM then ends everything."""
    log = tmp_path / "demo.txt"
    demo = child.Child([*_DEMO, "--keep"], log=log, env=_environment(tmp_path))

    try:
        shown = await _printed(log, "Ctrl-C ends everything", demo)
        command = re.search(r"^\S[^\n]* submit sql [^\n]*\n[^\n]+", shown, re.MULTILINE)
        assert command is not None, shown

        own = await asyncio.create_subprocess_exec(
            *child.tied_to_tests(["sh", "-c", command[0]]),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(_environment(tmp_path)),
        )

        out, err = await asyncio.wait_for(own.communicate(), waiting.LIMIT_S)
        assert own.returncode == 0, err.decode()
        assert "25 rows" in out.decode()

        program = shown[shown.index("import asyncio, json") : shown.index("asyncio.run(main())") + 19]
        sender = await asyncio.create_subprocess_exec(*child.tied_to_tests([sys.executable, "-c", program]))
        assert await asyncio.wait_for(sender.wait(), waiting.LIMIT_S) == 0

        bootstrap = re.search(r"--bootstrap (\S+)", shown)
        assert bootstrap is not None

        watching = child.tied_to_tests([sys.executable, "-m", "mrs_relay", "watch", "--bootstrap", bootstrap[1]])
        watcher = await asyncio.create_subprocess_exec(
            *watching, "--from", "beginning", "--id", "mine-2", "--until-done", "1", stdout=asyncio.subprocess.PIPE
        )
        out, _ = await asyncio.wait_for(watcher.communicate(), waiting.LIMIT_S)

        assert "succeeded" in out.decode()
    finally:
        code = await asyncio.to_thread(demo.stop, waiting.LIMIT_S)

    assert code == 0
    assert _left_behind(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])  # SIGTERM ends it in the test above
async def test_interrupted_in_the_middle_it_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C or a closed terminal while it runs: another exit code, and nothing is left."""
    log = tmp_path / "demo.txt"
    demo = child.Child(_DEMO, log=log, env=_environment(tmp_path))
    await _printed(log, "Sending", demo)
    demo.send(number)
    code = await asyncio.to_thread(demo.wait, waiting.LIMIT_S)
    assert code == (130 if number is signal.SIGINT else 143), log.read_text()
    assert "Traceback" not in log.read_text()
    assert _left_behind(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
async def test_killed_it_takes_its_children_along(tmp_path: Path) -> None:
    """Even SIGKILL leaves no process behind."""
    log = tmp_path / "demo.txt"
    demo = child.Child(_DEMO, log=log, env=_environment(tmp_path))
    await _printed(log, "emulator at", demo)
    demo.kill()
    await waiting.until(lambda: not [one for one in _left_behind(tmp_path) if one.startswith("process")])
