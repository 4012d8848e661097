"""
Child processes that end with this process: each has a log file, and is ended by its process id.

On Linux the kernel kills a child when its parent dies for any reason; elsewhere only `Family` ends a child. Neighbour:
`demo` starts the broker, the emulator and the relay with it.
"""

from __future__ import annotations

import asyncio
import os
import pathlib
import random
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from mrs_relay import errors

_EXEC: Final = pathlib.Path(__file__).with_name("exec_with_parent.py")
_POLL_S: Final = 0.05
_LOG_LINES: Final = 12
_PORTS: Final = range(20_000, 32_000)
"""Ports below the ephemeral range, from which an outgoing connection could take a port that was free before."""


class ChildFailed(errors.RelayError):
    """A child process ended, or was not ready in time; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Child:
    """
    A running child process.

    Attributes:
        name: its name for people.
        process: the process.
        log: file of its standard output and error.
    """

    name: str
    process: asyncio.subprocess.Process
    log: pathlib.Path

    def alive(self) -> bool:
        """Return whether it still runs."""
        return self.process.returncode is None

    def check(self) -> None:
        """
        Check that it still runs.

        Raises:
            ChildFailed: it ended.
        """
        if not self.alive():
            raise ChildFailed(self.story(f"ended with code {self.process.returncode}"))

    async def listening(self, port: int, *, timeout_s: float) -> None:
        """
        Wait until it accepts connections on `port` of the loopback address.

        Raises:
            ChildFailed: it ended, or the time was up.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while not await accepts(port):
                    self.check()
                    await asyncio.sleep(_POLL_S)
        except TimeoutError as error:
            raise ChildFailed(self.story(f"did not listen on port {port} within {timeout_s:g} s")) from error

    def story(self, what: str) -> str:
        """Describe an event of the child, with the last lines of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
        return f"{self.name} (pid {self.process.pid}) {what}; the end of its log:\n" + "\n".join(lines)

    async def stop(self, timeout_s: float) -> int:
        """Send SIGTERM, kill the child after `timeout_s` seconds; returns its exit code."""
        if self.alive():
            self.process.terminate()
            try:
                async with asyncio.timeout(timeout_s):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
        return await self.process.wait()


class Family:
    """
    The children of this process; leaving the context ends them, the last started first.

    Args:
        folder: for their logs.
        stop_s: seconds after SIGTERM until a child is killed.
    """

    def __init__(self, folder: pathlib.Path, *, stop_s: float = 15.0) -> None:
        self._folder = folder
        self._stop_s = stop_s
        self._children: list[Child] = []

    async def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> Child:
        """
        Start `command` with exactly the environment `env`.

        Its own session keeps Ctrl-C from reaching it: this process ends its children in order.
        """
        log = self._folder / f"{name}.log"
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_EXEC), str(os.getpid()), *command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=dict(env),
                cwd=self._folder,
                start_new_session=True,
            )
        child = Child(name, process, log)
        self._children.append(child)
        return child

    async def complete(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        """
        Run `command` to its end.

        Raises:
            ChildFailed: its exit code was not 0.
        """
        child = await self.start(name, command, env)
        code = await child.process.wait()
        self._children.remove(child)
        if code:
            raise ChildFailed(child.story(f"ended with code {code}"))

    def check(self) -> None:
        """
        Check that all still run.

        Raises:
            ChildFailed: one ended.
        """
        for child in self._children:
            child.check()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while self._children:
                await self._children[-1].stop(self._stop_s)
                self._children.pop()
        finally:
            for child in self._children:  # a second interrupt aborts the orderly stop
                if child.alive():
                    child.process.kill()


def free_port() -> int:
    """
    Find a port of the loopback address on which no process listens.

    Raises:
        OSError: there is none.
    """
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port on the loopback address")


def require_free(port: int, option: str) -> int:
    """
    Return the same port if it is free.

    Raises:
        SettingsError: it is in use; names the option.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise errors.SettingsError(f"{option} {port} cannot be used: {error.strerror}") from error
    return port


async def accepts(port: int) -> bool:
    """Return whether a process accepts connections on `port` of the loopback address."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def fetch(port: int, path: str, *, timeout_s: float = 5.0) -> tuple[int, bytes]:
    """
    GET `path` from one of our servers on the loopback address; returns status and body, status 0 without an answer.

    It speaks HTTP/1.0, in which the body ends with the connection, and so needs no client library.
    """
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return 0, b""
    words = head.split(maxsplit=2)
    return (int(words[1]) if len(words) > 1 and words[1].isdigit() else 0), body
