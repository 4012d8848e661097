"""
Send requests again, each under a new id that names the old one.

The read model keeps no content of requests, so the messages are looked for in their topic, those of one call together.
What is found is checked by the relay's models, like every other new request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from aiohttp import web

from mrs_relay import errors
from mrs_relay.api import composing, decisions, models, problems, requests, submissions
from mrs_relay.api.access import callers, scopes
from mrs_relay.client import originals as searches
from mrs_relay.kafka import topic_io
from mrs_relay.messages import codec, envelope

_FIND_S: Final = 20.0
_AT_ONCE: Final = 4
"""Topics that are searched at the same time; further calls wait."""

_log = structlog.get_logger(__name__)

FITTING: Final = frozenset({"failed", "cancelled", "rejected"})
"""States of requests that may be sent again without a second effect."""

Found = Sequence[envelope.Envelope] | problems.ProblemError
"""The messages that have the id of a request, or why they were not found."""


class Retries:
    """
    The handler of retries, and what sends one request again.

    Args:
        composer: makes messages.
        asked: finds requests.
        submitted: sends messages.
        kafka: reads the topics of requests.
        noted: keeps who decided what.
    """

    def __init__(
        self,
        composer: composing.Composer,
        asked: requests.Requests,
        submitted: submissions.Submissions,
        kafka: topic_io.TopicClient,
        noted: decisions.Decisions,
    ) -> None:
        self._decisions = noted
        self._composer = composer
        self._asked = asked
        self._submitted = submitted
        self._kafka = kafka
        self._searches = asyncio.Semaphore(_AT_ONCE)

    async def retry(self, request: web.Request) -> web.StreamResponse:
        """Send a request that has ended badly again."""
        self._submitted.require_writable()
        body = await composing.body(request, models.RetryRequest)
        row, caller = await self._asked.one(request), scopes.of(request).caller
        _require_fitting(row)
        [found] = await self.originals([row])
        return submissions.accepted(
            await self.retry_one(row, found, body.note, caller, composing.request_id(request, body.id))
        )

    async def retry_one(
        self,
        row: Mapping[str, Any],
        found: Found,
        note: str,
        caller: callers.Caller,
        request_id: str | None = None,
    ) -> composing.Message:
        """
        Send a request again; returns the new message.

        Args:
            row: the request.
            found: its messages, of `originals`.
            note: why.
            caller: who wants it.
            request_id: of the new request; None: it follows from the old id and state, so that a call that is repeated
                starts nothing twice.

        Raises:
            ProblemError: its state or its message does not allow it, nothing may be written, or Kafka is away.
        """
        self._submitted.require_writable()
        _require_fitting(row)
        original = _one_of(found, self._topic(row))
        attributes = {**caller.attributes, "correlationid": original.text("correlationid") or row["id"]}
        again = models.NewRequest.model_construct(
            type=original.type, data=original.data, source=row["source"], tenant=row["tenant"], key=None
        )
        new_id = request_id or usual_id(row)
        try:
            message, digest = self._composer.message(again, new_id, attributes, kafka_key=row["kafka_key"])
        except errors.BadMessage as error:
            raise composing.invalid([error]) from None

        after = {"id": new_id, "source": row["source"]}
        decided = decisions.of_request(row, "retry", new_id, caller, why=note, after=after)
        await self._decisions.note(caller, row["id"], decided)
        await self._submitted.send(message, digest)
        return message

    async def originals(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[Found]:
        """Look for the messages of requests, in their order; each topic is searched once."""
        wanted: list[searches.Wanted | problems.ProblemError] = []
        for row in rows:
            try:
                wanted.append(searches.Wanted(self._topic(row), row["id"], row["source"], row["kafka_key"]))
            except problems.ProblemError as problem:  # of a tenant that is no longer in the settings
                wanted.append(problem)

        found: dict[searches.Wanted, Found] = {}
        known = [one for one in wanted if isinstance(one, searches.Wanted)]
        for topic in {one.topic for one in known}:
            found |= await self._search(topic, [one for one in known if one.topic == topic])
        return [found[one] if isinstance(one, searches.Wanted) else one for one in wanted]

    async def _search(self, topic: str, wanted: Sequence[searches.Wanted]) -> Mapping[searches.Wanted, Found]:
        try:
            async with asyncio.timeout(_FIND_S), self._searches:
                return await searches.find(self._kafka, topic, wanted)
        except TimeoutError:
            text = f"topic {topic} could not be searched for the message within {_FIND_S:.0f} s: try again"
            return dict.fromkeys(wanted, problems.unavailable(text))
        except errors.SettingsError as error:
            _log.warning("topic_not_read", error=str(error))
            return dict.fromkeys(wanted, problems.unavailable(str(error)))

    def _topic(self, row: Mapping[str, Any]) -> str:
        return self._composer.kafka(row["tenant"]).topics.requests


def usual_id(row: Mapping[str, Any]) -> str:
    """Return the id of the retry of a request in its present state."""
    return f"{row['id']}-retry-{row['sequence']}"


def _require_fitting(row: Mapping[str, Any]) -> None:
    if row["state"] not in FITTING:
        text = f"the request is {row['state']}: expected one that has {', '.join(sorted(FITTING))}"
        raise problems.ProblemError(409, "wrong-state", text)


def _one_of(found: Found, topic: str) -> envelope.Envelope:
    """
    Return the message of a request.

    Raises:
        ProblemError: it has left the topic, was not found in time, or several payloads have the id.
    """
    if isinstance(found, problems.ProblemError):
        raise found
    if not found:
        text = f"the message of the request has left topic {topic}: send the request as a new one, by POST /v1/requests"
        raise problems.ProblemError(410, "original-gone", text)
    if len({codec.encode_ordered([one.type, one.data]) for one in found}) > 1:
        text = "several payloads have this id: send a new request, by POST /v1/requests"
        raise problems.ProblemError(409, "several-payloads", text)
    return found[-1]
