"""An MRS that answers from a script, with the interface of `mrs.client.Client`, and an owner that keeps its facts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple, cast

from mrs_relay import errors
from mrs_relay.engine.model import facts as engine_facts
from mrs_relay.engine.model import jobs
from mrs_relay.mrs import client, operation

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Asked(NamedTuple):
    """One call: the operation's name, the loop's time, and the query, the body or the path that it came with."""

    name: str
    at_s: float
    sent: Any


class Mrs:
    """
    Answer each operation by its name: in order, then with the last answer again. An answer that is an error is raised.

    Args:
        answers: one answer, or a list of answers, by the operation's name; "" stands for any operation.
        reply: makes the reply of an answer; by default the answer is the reply.

    Attributes:
        asked: the calls so far.
        limits: a quota that is never short.
    """

    def __init__(self, answers: Mapping[str, Any], reply: Callable[[Any], Any] = lambda answer: answer) -> None:
        self.answers: dict[str, Any] = {**answers}
        self.asked: list[Asked] = []
        self.limits = SimpleNamespace(every_s=lambda _wanted: 0.0)
        self._reply = reply

    @property
    def client(self) -> client.Client:
        """The same under the type of the real client."""
        return cast("client.Client", self)

    @property
    def times(self) -> list[int]:
        """When it was asked, in whole seconds."""
        return [int(one.at_s) for one in self.asked]

    async def call(
        self,
        wanted: operation.Operation[Any, Any],
        *,
        path: Mapping[str, str] = _NOTHING,
        query: Any = None,
        body: Any = None,
        timeout_s: float | None = None,  # noqa: ARG002 - as the client's
        spend_budget: bool | None = None,  # noqa: ARG002 - as the client's
    ) -> Any:
        self.asked.append(Asked(wanted.name, asyncio.get_running_loop().time(), query or body or path))
        await asyncio.sleep(0)

        name = wanted.name if wanted.name in self.answers else ""
        answer = self.answers[name]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if isinstance(answer, errors.MrsError):
            raise answer
        return self._reply(answer)


class Owner:
    """The owner of followed jobs: keeps each fact with its key and the loop's time."""

    def __init__(self) -> None:
        self.reports: list[tuple[float, jobs.LedgerKey, engine_facts.Fact]] = []

    @property
    def facts(self) -> list[engine_facts.Fact]:
        """The facts alone, in the order in which they came."""
        return [fact for _, _, fact in self.reports]

    def report(self, key: jobs.LedgerKey, fact: engine_facts.Fact) -> None:
        self.reports.append((asyncio.get_running_loop().time(), key, fact))
