"""
Send a request again, under a new id that names the old one.

The read model keeps no content of requests, so the message is looked for in its topic. What is found is checked by the
relay's models, like every other new request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from mrs_relay import errors
from mrs_relay.api import composing, decisions, models, problems, requests, submissions
from mrs_relay.api.access import scopes
from mrs_relay.client import originals
from mrs_relay.kafka import topic_io
from mrs_relay.messages import codec, envelope

_FIND_S: Final = 20.0
_AT_ONCE: Final = 4
"""Topics that are searched at the same time; further calls wait."""

_RETRIED: Final = frozenset({"failed", "cancelled", "rejected"})


class Retries:
    """
    The handler of retries.

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
        row = await self._asked.one(request)
        if row["state"] not in _RETRIED:
            text = f"the request is {row['state']}: expected one that has {', '.join(sorted(_RETRIED))}"
            raise problems.ProblemError(409, "wrong-state", text)

        # Without a key the id follows from the state, so that a call that is repeated starts nothing twice.
        request_id = composing.request_id(request, body.id) or f"{row['id']}-retry-{row['sequence']}"
        original, caller = await self._original(row), scopes.of(request).caller
        attributes = {
            **caller.attributes,
            "correlationid": original.text("correlationid") or row["id"],
        }
        again = models.NewRequest.model_construct(
            type=original.type, data=original.data, source=row["source"], tenant=row["tenant"], key=None
        )
        try:
            message, digest = self._composer.message(again, request_id, attributes, kafka_key=row["kafka_key"])
        except errors.BadMessage as error:
            raise composing.invalid([error]) from None
        decided = decisions.of_request(
            row, "retry", request_id, caller, why=body.note, after={"id": request_id, "source": row["source"]}
        )
        await self._decisions.note(caller, row["id"], decided)
        return await self._submitted.send(message, digest)

    async def _original(self, row: Mapping[str, Any]) -> envelope.Envelope:
        """
        Return the message of a request.

        Raises:
            ProblemError: it has left the topic, was not found in time, or several payloads have the id.
        """
        topic = self._composer.kafka(row["tenant"]).topics.requests
        wanted = originals.Wanted(topic, row["id"], row["source"], row["kafka_key"])
        try:
            async with asyncio.timeout(_FIND_S), self._searches:
                found = await originals.find(self._kafka, wanted)
        except TimeoutError:
            text = f"the message was not found in topic {topic} within {_FIND_S:.0f} s: send the request anew"
            raise problems.ProblemError(503, "unavailable", text) from None
        except errors.SettingsError as error:
            raise problems.unavailable(str(error)) from None
        if not found:
            text = f"the message of the request has left topic {topic}: send the request anew, by POST /v1/requests"
            raise problems.ProblemError(410, "original-gone", text)
        if len({codec.encode_ordered([one.type, one.data]) for one in found}) > 1:
            text = "several payloads have this id: send a new request, by POST /v1/requests"
            raise problems.ProblemError(409, "several-payloads", text)
        return found[-1]
