"""Say what would become of a request, without sending it: whether it is valid, and what MRS would be asked to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from mrs_relay.api import composing, models, replies
from mrs_relay.api.access import scopes
from mrs_relay.client import wording
from mrs_relay.kafka import records

Try = Callable[[str, records.Record], Awaitable[models.DryRun]]
"""Says what would become of a record on the topic of a tenant; the caller of this package knows the engine."""


class Trials:
    """
    The handlers of requests that are not sent.

    Args:
        composer: makes messages.
        attempt: says what would become of one.
    """

    def __init__(self, composer: composing.Composer, attempt: Try) -> None:
        self._composer = composer
        self._try = attempt

    async def validate(self, request: web.Request) -> web.StreamResponse:
        """Answer whether a request is valid, with all faults if it is not."""
        body, scope = await composing.body(request, models.NewRequest), scopes.of(request)
        scope.require(body.tenant)
        request_id = composing.request_id(request, body.id) or wording.new_id()
        message, _ = self._composer.message(body, request_id, scope.caller.attributes)
        return replies.reply(request, models.Valid(type=body.type, source=message.source, tenant=message.tenant))

    async def dry_run(self, request: web.Request) -> web.StreamResponse:
        """Answer what the relay would send to MRS for a request, or why it would reject it."""
        body, scope = await composing.body(request, models.NewRequest), scopes.of(request)
        scope.require(body.tenant)
        request_id = composing.request_id(request, body.id) or wording.new_id()
        message, _ = self._composer.message(body, request_id, scope.caller.attributes)
        topic = self._composer.kafka(body.tenant).topics.requests
        record = records.Record(topic, 0, 0, 0, message.kafka_key, message.value, wording.HEADERS)
        return replies.reply(request, await self._try(body.tenant, record))
