"""
Send the messages of dead letters once more, to the partitions on which they stood, with their own bytes and headers.

A filter chooses messages, not their replays: one that was set aside again stands beside its original, and both together
would double with each call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from mrs_relay.api import composing, decisions, letter_models, letters, problems, replies, settings, writing
from mrs_relay.api.access import callers, scopes
from mrs_relay.client import replaying, sending
from mrs_relay.common import clock
from mrs_relay.kafka import records, topic_io
from mrs_relay.kafka.topics import topic_setup
from mrs_relay.messages import audit, dead_letters
from mrs_relay.read_model import database, queries
from mrs_relay.read_model import letters as letter_rows

_Outcome = letter_models.ReplayOutcome


@dataclass(frozen=True, slots=True)
class _Topics:
    """What the topics take: numbers of partitions, and the largest record of each in bytes."""

    partitions: Mapping[str, int]
    limits_bytes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Ready:
    """A message, and the record that replays it."""

    letter: dead_letters.DeadLetter
    outgoing: records.Outgoing


@dataclass(frozen=True, slots=True)
class Output:
    """
    What writes for `Replays`.

    Attributes:
        sender: writes records.
        kafka: knows the topics.
        noted: keeps who decided what.
        time: the clock.
    """

    sender: sending.Sender
    kafka: topic_io.TopicClient
    noted: decisions.Decisions
    time: clock.Clock


class Replays:
    """
    The handler of replays.

    Args:
        composer: knows the topics of the tenants.
        found: finds dead letters.
        output: what writes.
        opened: the database.
        chosen: the settings.
    """

    def __init__(
        self,
        composer: composing.Composer,
        found: letters.Letters,
        output: Output,
        opened: database.Database,
        chosen: settings.ApiSettings,
    ) -> None:
        self._composer = composer
        self._letters = found
        self._output = output
        self._database = opened
        self._settings = chosen

    async def replay_dead_letters(self, request: web.Request) -> web.StreamResponse:
        """Replay dead letters, or say what would be sent."""
        body = await composing.body(request, letter_models.ReplayRequest)
        return replies.reply(request, await self.replay(body, scopes.of(request)))

    async def replay(self, body: letter_models.ReplayRequest, scope: scopes.Scope) -> letter_models.Replayed:
        """
        Replay the dead letters that a call names or the next ones that its filters match; each has an outcome.

        Raises:
            ProblemError: nothing may be written, the caller's role does not suffice, or Kafka does not answer.
            DatabaseDown.
        """
        if not body.dry_run:
            writing.require_writable(self._settings, "message")
        if body.positions is not None:
            rows = await self._letters.at(body.positions, scope.visible)
            for row in rows:
                scope.require(row["tenant"])
            missing = sorted(set(body.positions) - {row["position"] for row in rows})
            unknown = [_outcome(one, "", "", "failed", "there is no such dead letter") for one in missing]
            items = [*await self._all(rows, body, scope.caller), *unknown]
            return letter_models.Replayed(matching=len(rows), items=items)

        scope.require_named(body.tenant)
        until_ms = self._output.time.now_ms() if body.until is None else queries.milliseconds(body.until)
        wanted = letter_rows.Filter(body.tenant, body.code, until_ms, scope.tenants)
        after = replies.place(body.cursor, queries.RecordPageEnd, wanted)
        rows, following = await letter_rows.page(self._database, wanted, after, body.limit)
        return letter_models.Replayed(
            matching=await letter_rows.count(self._database, wanted),
            until=clock.rfc3339(until_ms),
            items=await self._all(rows, body, scope.caller),
            next=replies.cursor(following, wanted),
        )

    async def _all(
        self, rows: Sequence[Mapping[str, Any]], body: letter_models.ReplayRequest, caller: callers.Caller
    ) -> list[_Outcome]:
        """Do it to each dead letter; what fails is its outcome, and the others go on."""
        if not rows:
            return []
        found, topics = await self._letters.contents(rows), await self._topics()
        seen: set[str] = set()
        judged = [
            self._judged(row, letter, topics, seen, by_filter=body.positions is None)
            for row, letter in zip(rows, found, strict=True)
        ]
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(self._one(row, one, body, caller), name="replay")
                for row, one in zip(rows, judged, strict=True)
            ]
        return [task.result() for task in running]

    async def _topics(self) -> _Topics:
        async with self._output.kafka.admin() as admin:
            counts = await admin.partition_counts()
            there = sorted({kafka.topics.requests for kafka in self._composer.tenants.values()} & counts.keys())
            return _Topics(counts, topic_setup.limits(await admin.configs(there)) if there else {})

    def _judged(
        self,
        row: Mapping[str, Any],
        letter: dead_letters.DeadLetter | None,
        topics: _Topics,
        seen: set[str],
        *,
        by_filter: bool,
    ) -> _Ready | _Outcome:
        """Return a message with the record that replays it, or why there is none."""
        if letter is None:
            return _of(row, "failed", "the message is no longer in the topic of dead letters")
        if by_filter and letter.origin != letter.position:
            text = f"it is a replay of {letter.origin}: filters choose originals; to send this one, name its position"
            return _of(row, "passed", text)
        if letter.origin in seen:
            return _of(row, "passed", f"it repeats {letter.origin}, which is sent by the same call")

        tenant = self._composer.tenants.get(row["tenant"])
        if tenant is None or tenant.topics.requests != letter.topic:  # what is written there is no replay
            return _of(row, "failed", f"{letter.topic} is no topic of requests of a tenant")

        try:
            outgoing = replaying.outgoing(letter, topics.partitions, topics.limits_bytes)
        except ValueError as error:
            return _of(row, "failed", str(error))

        seen.add(letter.origin)
        return _Ready(letter, outgoing)

    async def _one(
        self,
        row: Mapping[str, Any],
        judged: _Ready | _Outcome,
        body: letter_models.ReplayRequest,
        caller: callers.Caller,
    ) -> _Outcome:
        if not isinstance(judged, _Ready):
            return judged

        letter = judged.letter
        if body.dry_run:
            return _of(row, "would_be_sent", f"to partition {letter.partition} of {letter.topic}")

        decided = audit.Data(
            action="replay",
            via="http",
            place=caller.place,
            why=body.note,
            tenant=row["tenant"],
            what={"position": letter.origin},
            before={"code": letter.code},
        )

        try:
            await self._output.noted.note(caller, letter.origin, decided)
            await writing.send(self._output.sender, judged.outgoing, "message")
        except problems.ProblemError as problem:
            return _of(row, "failed", problem.detail)

        return _of(row, "sent", f"to partition {letter.partition} of {letter.topic}")


def _of(row: Mapping[str, Any], outcome: Any, text: str) -> _Outcome:  # noqa: ANN401 - one of the literals
    return _outcome(row["position"], row["tenant"], row["code"], outcome, text)


def _outcome(position: str, tenant: str, code: str, outcome: Any, text: str) -> _Outcome:  # noqa: ANN401 - the same
    return _Outcome(position=position, tenant=tenant, code=code, outcome=outcome, message=text)
