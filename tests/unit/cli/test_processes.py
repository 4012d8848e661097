"""Children of the demo: logged, ended in order, never outliving their parent."""

from __future__ import annotations

import asyncio
import pathlib
import signal
import socket
import sys

import pytest

from mrs_relay import errors
from mrs_relay.cli import processes

_SLEEPER = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)")
_STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
)


async def _up(child: processes.Child) -> None:
    async with asyncio.timeout(60):
        while "up" not in child.log.read_text():
            await asyncio.sleep(0.02)


def _exists(pid: int) -> bool:
    """Return whether it runs; one that ended and waits to be collected counts as ended."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_leaving_the_family_ends_its_children(tmp_path: pathlib.Path) -> None:
    """After the context no child runs."""
    async with processes.Family(tmp_path) as family:
        child = await family.start("sleeper", _SLEEPER, {})
        await _up(child)
        assert child.alive()
    assert child.process.returncode == -signal.SIGTERM


async def test_a_child_that_ignores_sigterm_is_killed(tmp_path: pathlib.Path) -> None:
    """Asking comes first, force after the time is up."""
    async with processes.Family(tmp_path, stop_s=0.2) as family:
        child = await family.start("stubborn", _STUBBORN, {})
        await _up(child)
    assert child.process.returncode == -signal.SIGKILL


async def test_a_child_that_ended_is_noticed_with_the_end_of_its_log(tmp_path: pathlib.Path) -> None:
    """The error says which child, its code, and what it said last."""
    async with processes.Family(tmp_path) as family:
        child = await family.start("loser", (sys.executable, "-c", "raise SystemExit('no luck')"), {})
        await child.process.wait()
        with pytest.raises(processes.ChildFailed, match=r"loser .* code 1[\s\S]*no luck"):
            family.check()


async def test_a_child_that_never_listens_is_given_up(tmp_path: pathlib.Path) -> None:
    """Waiting for a port has an end."""
    async with processes.Family(tmp_path) as family:
        child = await family.start("sleeper", _SLEEPER, {})
        with pytest.raises(processes.ChildFailed, match="did not listen"):
            await child.listening(processes.free_port(), timeout_s=0.2)


async def test_a_child_gets_only_the_environment_it_is_given(tmp_path: pathlib.Path) -> None:
    """Nothing leaks in from the shell that the demo was started from."""
    command = (sys.executable, "-c", "import os; print(sorted(set(os.environ) - {'LC_CTYPE'}))")
    async with processes.Family(tmp_path) as family:
        child = await family.start("env", command, {"ONLY": "this"})
        await child.process.wait()
    assert child.log.read_text().strip() == "['ONLY']"


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
async def test_a_child_dies_with_its_parent(tmp_path: pathlib.Path) -> None:
    """Even when the parent is killed without a chance to clean up."""
    parent_code = (
        "import asyncio, pathlib, sys\n"
        "from mrs_relay.cli import processes\n"
        "async def main():\n"
        "    family = processes.Family(pathlib.Path(sys.argv[1]))\n"
        f"    child = await family.start('sleeper', {_SLEEPER!r}, {{}})\n"
        "    while 'up' not in child.log.read_text():\n"
        "        await asyncio.sleep(0.02)\n"
        "    print(child.process.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )

    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", parent_code, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )

    assert parent.stdout is not None

    pid = int(await parent.stdout.readline())
    assert _exists(pid)

    parent.kill()
    await parent.wait()

    async with asyncio.timeout(60):
        while _exists(pid):
            await asyncio.sleep(0.02)


def test_a_port_that_is_taken_is_refused_with_its_option() -> None:
    """The reader learns which option to change."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(errors.SettingsError, match=f"--kafka-port {port}"):
            processes.require_free(port, "--kafka-port")
    assert processes.require_free(port, "--kafka-port") == port


async def test_a_command_that_fails_is_reported_with_its_log(tmp_path: pathlib.Path) -> None:
    """A step of the preparation that goes wrong stops it."""
    async with processes.Family(tmp_path) as family:
        await family.complete("good", (sys.executable, "-c", "pass"), {})
        with pytest.raises(processes.ChildFailed, match=r"bad .* code 1[\s\S]*no luck"):
            await family.complete("bad", (sys.executable, "-c", "raise SystemExit('no luck')"), {})
        family.check()


async def test_fetch_reads_status_and_body() -> None:
    """A small GET for our own servers."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await processes.fetch(port, "/") == (200, b"hi")


async def test_fetch_says_zero_without_an_answer() -> None:
    """No server is a status, not an error."""
    assert await processes.fetch(processes.free_port(), "/") == (0, b"")
