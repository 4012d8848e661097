"""Play a scenario through a client program; note for each call which operations the emulator answered with success."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tools.foreign import scenario

from mrs_emulator.core import core, settings
from mrs_emulator.http import server

ROOT = Path(__file__).resolve().parents[2]
_REPLY_S = 120.0
_UNTIL_S = 30.0
_PAUSE_S = 0.2


@dataclass(slots=True)
class Row:
    """
    One call of a client, with the operations that the emulator answered, and what was wrong.

    Attributes:
        call: the client's own name of it.
        operations: names of the operations that succeeded.
        error: what was wrong; empty when nothing was.
    """

    call: str
    operations: set[str] = field(default_factory=set)
    error: str = ""


@dataclass(slots=True)
class Played:
    """What one client did: its version, and a row for each of its calls."""

    name: str
    version: str = ""
    rows: dict[str, Row] = field(default_factory=dict)

    @property
    def failed(self) -> list[Row]:
        """The rows with an error."""
        return [row for row in self.rows.values() if row.error]


class Answers(Protocol):
    """A client program as the player sees it."""

    async def read(self) -> Any:
        """Read the next line that it writes."""

    async def ask(self, what: Mapping[str, Any]) -> Any:
        """Have it make one call, and return its reply."""


class Program:
    """
    A client program under way.

    Args:
        process: the program, which answers a line with a line.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, command: Sequence[str], live: server.Running) -> Program:
        """Start a program with the emulator's address and keys in its environment."""
        pair = settings.Credential()
        environment = {
            **os.environ,
            "CLIENT_ENDPOINT": live.url,
            "CLIENT_OBS": live.obs_url,
            "CLIENT_AK": pair.access_key,
            "CLIENT_SK": pair.secret_key.get_secret_value(),
            "CLIENT_PROJECT": settings.EmulatorSettings().project_id,
            "PYTHONPATH": str(ROOT),
            "AIRFLOW_HOME": str(ROOT / ".cache" / "foreign" / "airflow-home"),
        }

        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=sys.stderr, cwd=ROOT, env=environment, limit=1 << 24
        )
        return cls(process)

    async def read(self) -> Any:
        """
        Read the next line that the program writes.

        Raises:
            RuntimeError: it ended, or said nothing for a long time.
        """
        if self._process.stdout is None:
            raise RuntimeError("the program has no standard output")
        async with asyncio.timeout(_REPLY_S):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the program ended with code {await self._process.wait()}")
        return json.loads(line)

    async def ask(self, what: Mapping[str, Any]) -> Any:
        """Have the program make one call, and return its reply."""
        if self._process.stdin is None:
            raise RuntimeError("the program has no standard input")
        self._process.stdin.write(json.dumps(what).encode() + b"\n")
        await self._process.stdin.drain()
        return await self.read()

    async def end(self) -> None:
        """End the program and wait for it."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


class Player:
    """
    Plays the steps of a scenario, in order.

    Args:
        name: of the client, for people.
        program: the client.
        emulator: what it calls.
    """

    def __init__(self, name: str, program: Answers, emulator: core.Emulator) -> None:
        self._program = program
        self._emulator = emulator
        self._saved: dict[str, Any] = {}
        self._played = Played(name)

    async def play(self, steps: Sequence[scenario.Step], known: frozenset[str] | None) -> Played:
        """
        Play all steps.

        Args:
            steps: the scenario.
            known: names of methods that the steps must call if the client has them; None: all that it has.
        """
        hello = await self._program.read()
        self._played.version = hello["version"]
        for step in steps:
            await self._play(step)
        for api, names in hello["methods"].items():
            for name in names:
                call = f"{api}.{name}" if api else name
                if call not in self._played.rows and (known is None or name in known):
                    self._played.rows[call] = Row(call, error="no step calls it")
        return self._played

    async def _play(self, step: scenario.Step) -> None:
        row = self._played.rows.setdefault(step.call, Row(step.call))
        before = self._succeeded()
        api, _, call = (
            step.call.rpartition(".") if step.call.partition(".")[0] in scenario.APIS else ("", "", step.call)
        )

        try:
            wanted = {
                "api": api,
                "call": call,
                "fields": self._filled(step.fields),
                "values": self._filled(step.values),
            }
            error = await self._answered(step, wanted)
        except (KeyError, RuntimeError, TimeoutError) as failed:
            error = f"{type(failed).__name__}: {failed}"

        row.error = row.error or error
        after = self._succeeded()
        answered = {name for name, number in after.items() if number > before.get(name, 0)}
        if not (answered or step.local or row.error):
            row.error = "the emulator has answered no operation with success"
        row.operations |= answered

    async def _answered(self, step: scenario.Step, wanted: Mapping[str, Any]) -> str:
        """Make the call, again until the reply is right where the step says so; return what is wrong."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + _UNTIL_S

        while True:
            reply = await self._program.ask(wanted)
            if "error" in reply:
                return str(reply["error"])
            wrong = [
                f"{path or 'reply'}: expected {self._filled(value)!r}, got {found(reply['reply'], path)!r}"
                for path, value in step.expect.items()
                if found(reply["reply"], path) != self._filled(value)
            ]
            if not (wrong and step.until) or loop.time() > end_s:
                break
            await asyncio.sleep(_PAUSE_S)

        self._saved |= {name: found(reply["reply"], path) for name, path in step.save.items()}
        return "; ".join(wrong)

    def _filled(self, value: Any) -> Any:
        """Return a value with the names that stand for saved ones replaced."""
        if isinstance(value, str) and value.startswith("$"):
            return self._saved[value[1:]]
        if isinstance(value, Mapping):
            return {key: self._filled(one) for key, one in value.items()}
        return [self._filled(one) for one in value] if isinstance(value, list | tuple) else value

    def _succeeded(self) -> dict[str, int]:
        return {
            name: sum(number for status, number in by_status.items() if status.startswith("2"))
            for name, by_status in self._emulator.calls().items()
        }


def found(reply: Any, path: str) -> Any:
    """Return the value at a dotted path, or None."""
    for part in path.split(".") if path else ():
        if isinstance(reply, list):
            reply = reply[int(part)] if int(part) < len(reply) else None
        elif isinstance(reply, Mapping):
            reply = reply.get(part)
        else:
            return None
    return reply
