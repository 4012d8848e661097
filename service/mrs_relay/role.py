"""
Run a role that reads Kafka and works beside the relay, `mrs-relay web` or `lineage forward`, until it is to end.

Neighbours: `web_role` and `lineage_role` say what runs; `app` runs the relay, whose end has an order of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import structlog

from mrs_relay.common import log_settings, signals
from mrs_relay.kafka.adapter import client as kafka_client

_log = structlog.get_logger(__name__)

Report = Callable[[str, BaseException], None]
"""Takes the name of a task, and what it failed with."""

Running = Callable[[Report], AbstractAsyncContextManager[object]]
"""Runs a role for the length of a context; a task that fails in a way that nothing handles is reported."""


def run(log: log_settings.LogSettings, running: Running) -> None:
    """
    Run a role in an event loop of its own, until SIGTERM, SIGINT or SIGHUP, or until a task of it fails.

    Raises:
        RelayError: the role cannot begin, or what its task failed with.
    """
    log_settings.set_up(log)
    kafka_client.quieten()
    asyncio.run(_until_signalled(running))


async def _until_signalled(running: Running) -> None:
    stop = asyncio.Event()
    signals.handle(lambda _number: stop.set())
    await until(stop, running)


async def until(stop: asyncio.Event, running: Running) -> None:
    """
    Run a role until an event is set, or until a task of it fails.

    Raises:
        RelayError: the role cannot begin, or what its task failed with.
    """
    failed: list[BaseException] = []

    def report(task: str, error: BaseException) -> None:
        _log.error("task_failed", task=task, exc_info=error)
        failed.append(error)
        stop.set()

    async with running(report):
        await stop.wait()
    _log.info("role_stopped")
    if failed:
        raise failed[0]
