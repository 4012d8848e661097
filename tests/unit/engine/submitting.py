"""A submitter on a fake MRS, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, cast

from tests.unit.engine import samples, scheduling_fakes

from mrs_relay.common import clock
from mrs_relay.engine import settings as engine_settings
from mrs_relay.engine.execution import submitter
from mrs_relay.engine.model import jobs
from mrs_relay.mrs import client as clients


class Mrs(Protocol):
    """What answers the calls, by whichever of their arguments it looks at."""

    @property
    def call(self) -> Callable[..., Any]:
        """Answer one."""


def made(mrs: Mrs) -> submitter.Submitter:
    """Return one with the default settings."""
    settings = engine_settings.EngineSettings()
    return submitter.Submitter(
        cast("clients.Client", mrs), scheduling_fakes.open_scheduler().pauses, settings, clock.LoopClock()
    )


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Return what comes of some work."""
    found: list[Any] = []

    async def noted() -> None:
        found.append(await work)

    scheduling_fakes.run_virtually(noted())
    return found[0]


def job(name: str) -> jobs.Job:
    """Return a job of the samples."""
    found = samples.JOBS[name]
    assert found is not None
    return found
