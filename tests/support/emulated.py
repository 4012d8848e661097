"""The client and the emulator in one process, without sockets, on a clock that the test moves by hand."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support import clocks

from mrs_emulator.core import core, wire
from mrs_emulator.core import settings as emulator_settings
from mrs_relay.common import clock as loop_clocks
from mrs_relay.common import tasks
from mrs_relay.mrs import client, credentials, settings, transport
from mrs_relay.mrs.models import base
from mrs_relay.mrs.operations import registry

HOST = "mrs.test"
PROJECT = emulator_settings.EmulatorSettings().project_id
CLUSTER = emulator_settings.Cluster().cluster_id
KEYS = {"access_key": "EMULATORACCESSKEY001", "secret_key": "emulator-secret-key-for-local-use-only"}


class Door:
    """Carries requests to the emulator at once; what it drops is lost."""

    def __init__(self, mrs: core.Emulator) -> None:
        self._mrs = mrs
        self.sent: list[transport.Request] = []

    async def send(self, request: transport.Request, timeout_s: float) -> transport.Response:
        """Answer one request with one reply."""
        del timeout_s
        self.sent.append(request)
        headers = {**request.headers, "Host": HOST}
        reply = await self._mrs.handle(wire.Request.of(request.verb, request.target, headers, request.body))
        if reply.dropped:
            raise transport.Lost("the connection was closed without a reply")
        return transport.Response(reply.status, reply.body, {**reply.headers, "Content-Type": reply.content_type})


@dataclass(frozen=True)
class Pair:
    """A client and the emulator that it talks to."""

    client: client.Client
    mrs: core.Emulator
    clock: clocks.HandClock
    door: Door

    async def call(self, name: str, path: Mapping[str, str] | None = None, **parts: Any) -> Any:
        """Perform an operation by its name; `query` and `body` as the client takes them."""
        reply: base.Reply = await self.client.call(registry.named(name), path=path or {}, **parts)
        return reply


def group(**changes: Any) -> settings.MrsSettings:
    """Return settings that fit the emulator's."""
    return settings.MrsSettings(
        **{"endpoint": f"http://{HOST}", "project_id": PROJECT, "budgets": False, **KEYS, **changes}
    )


@contextlib.asynccontextmanager
async def pair(emulated: Mapping[str, Any] | None = None, **changes: Any) -> AsyncIterator[Pair]:
    """
    Yield a client at a fresh emulator that checks signatures.

    Args:
        emulated: settings of the emulator.
        changes: settings of the client.
    """
    clock = clocks.HandClock()
    chosen = emulator_settings.EmulatorSettings(**{"limits": {"on": False}, "seed": 7, **(emulated or {})})
    async with core.Emulator(chosen, clock) as mrs:
        door = Door(mrs)
        yield Pair(client.Client(group(**changes), door, clock), mrs, clock, door)


@dataclass(frozen=True)
class Kept:
    """A client whose credentials are kept good, at an emulator in virtual time."""

    client: client.Client
    mrs: core.Emulator
    keeper: credentials.Keeper
    door: Door

    def asked_iam(self, path: str) -> int:
        """Return how many calls IAM had on this path."""
        return sum(request.target.partition("?")[0] == path for request in self.door.sent)


@contextlib.asynccontextmanager
async def kept(
    *, emulated: Mapping[str, Any] | None = None, patient: bool = False, **changes: Any
) -> AsyncIterator[Kept]:
    """
    Yield a client that logs in by itself.

    Args:
        emulated: settings of the emulator.
        patient: begin also where the file of credentials cannot be used.
        changes: settings of the client; without them it has no credentials at all.
    """
    time = loop_clocks.LoopClock()
    chosen = emulator_settings.EmulatorSettings(**{"limits": {"on": False}, "seed": 7, **(emulated or {})})
    place = {"endpoint": f"http://{HOST}", "iam_endpoint": f"http://{HOST}", "iam_over_http": True}
    given = {**place, "region": "cn-north-4", "budgets": False}
    group_ = settings.MrsSettings(**{**given, **changes})

    failed: list[BaseException] = []
    async with (
        core.Emulator(chosen, time) as mrs,
        tasks.TaskSupervisor(lambda _, error: failed.append(error)) as task_supervisor,
    ):
        door = Door(mrs)
        keeper = credentials.Keeper(group_, door, time)
        await (keeper.load_or_wait() if patient else keeper.load())
        task_supervisor.start(keeper.run(), name="credentials")
        yield Kept(client.Client(group_, door, time, keeper), mrs, keeper, door)

    assert not failed
