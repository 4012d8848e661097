"""
Turn HTTP requests into request messages, each for the topic of requests of its tenant.

What becomes of a message is an event, as for any sender. The relay judges it: this module refuses only what the relay
would refuse whatever the tenant's rules are.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from aiohttp import web

from mrs_relay.api import composing, decisions, event_json, models, problems, requests, settings, streams, writing
from mrs_relay.api.access import callers, scopes
from mrs_relay.client import sending, wording
from mrs_relay.kafka import records
from mrs_relay.messages import events
from mrs_relay.read_model import record_reader, sent

_WAIT: Final = re.compile(r"\s*wait\s*=\s*\"?(\d{1,4})\"?\s*", re.IGNORECASE)
_MOST_WAIT_S: Final = 60
_MOST_WAITING: Final = 500
"""Messages that may wait for Kafka; they are in memory, and each may be as large as `api.body_bytes`."""

FITTING: Final[Mapping[str, frozenset[str]]] = {
    "mrs.job.cancel": frozenset(events.STATES) - events.LAST | {"unknown"},
    "mrs.job.resolve": frozenset({"unknown"}),
}
"""States in which a message about a request may have an effect."""


class _Reason(msgspec.Struct, frozen=True):
    kind: str = msgspec.field(name="class", default="")
    message: str = ""


class _Data(msgspec.Struct, frozen=True):
    state: str
    reason: _Reason | None = None
    repeated: bool = False

    @property
    def conflict(self) -> str | None:
        """Why a message was refused whose id is used for another payload; None: the event refuses none."""
        return self.reason.message if self.reason is not None and self.reason.kind == "conflict" else None


class _Event(msgspec.Struct, frozen=True):
    """The part of an event that shows whether it is the answer."""

    data: _Data


@dataclass(frozen=True, slots=True)
class Output:
    """
    What writes for `Submissions`.

    Attributes:
        sender: writes records.
        memory: which payloads were sent under which ids.
        noted: keeps who decided what.
    """

    sender: sending.Sender
    memory: sent.Sent
    noted: decisions.Decisions


class Submissions:
    """
    The handlers that write.

    Args:
        composer: makes messages.
        output: what writes.
        asked: finds requests.
        readers: makes readers of events.
        chosen: the settings.
    """

    def __init__(
        self,
        composer: composing.Composer,
        output: Output,
        asked: requests.Requests,
        readers: streams.EventReaders,
        chosen: settings.ApiSettings,
    ) -> None:
        self._composer = composer
        self._sender = output.sender
        self._memory = output.memory
        self._decisions = output.noted
        self._asked = asked
        self._readers = readers
        self._settings = chosen

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Send a request message; answers at once, or with its end if the caller prefers to wait."""
        self.require_writable()
        body = await composing.body(request, models.NewRequest)
        scope = scopes.of(request)
        scope.require(body.tenant)
        message, digest = self._composer.message(body, _id(request, body), scope.caller.attributes)

        wait_s = _preferred_wait_s(request)
        if not wait_s:
            await self.send(message, digest)
            return accepted(message)

        with self._readers.counted():
            await self._note(message, digest)
            reader = await self._reader(request, message)  # before sending, so that no event is missed
            await self._send(message)
            end = await self._end(reader, wait_s)
            if await scopes.has_changed(request):
                return accepted(message)  # it was sent; who may not read any longer learns no more
            return accepted(message, end, waited=True)

    async def send(self, message: composing.Message, digest: str) -> None:
        """
        Send the message of a new request, and wait until Kafka has it.

        Raises:
            ProblemError: another payload was sent under its id, or Kafka does not take it.
        """
        await self._note(message, digest)
        await self._send(message)

    async def _note(self, message: composing.Message, digest: str) -> None:
        """
        Note the payload of a request.

        Raises:
            ProblemError: another one was sent under its id, and the relay neither rejected nor has forgotten that one.
        """
        key = record_reader.request_key(message.tenant, message.source, message.id)
        if await self._memory.note(key, digest):
            return
        text = (
            f"Idempotency-Key {message.id!r} was used for another request: send the same body again, "
            "or a new request under a new key"
        )
        raise problems.ProblemError(422, "key-reused", text)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """Ask that a request be stopped."""
        self.require_writable()
        body = await composing.body(request, models.CancelRequest)
        row, caller = await self._asked.one(request), scopes.of(request).caller
        return accepted(await self.cancel_one(row, body.note, caller))

    async def resolve(self, request: web.Request) -> web.StreamResponse:
        """Settle a request that is unknown."""
        self.require_writable()
        body = await composing.body(request, models.ResolveRequest)
        row, caller = await self._asked.one(request), scopes.of(request).caller
        return accepted(await self.resolve_one(row, body.verdict, body.note, caller))

    async def cancel_one(self, row: Mapping[str, Any], note: str, caller: callers.Caller) -> composing.Message:
        """Send the cancel of a request. Raises ProblemError: see `_follow_up`."""
        return await self._follow_up(row, "mrs.job.cancel", {"note": note}, caller)

    async def resolve_one(
        self, row: Mapping[str, Any], verdict: str, note: str, caller: callers.Caller
    ) -> composing.Message:
        """Send how a request that is unknown ended. Raises ProblemError: see `_follow_up`."""
        return await self._follow_up(row, "mrs.job.resolve", {"verdict": verdict, "note": note}, caller)

    async def _follow_up(
        self, row: Mapping[str, Any], kind: str, data: Mapping[str, Any], caller: callers.Caller
    ) -> composing.Message:
        """
        Send a message about a request that the read model knows, with the request's own Kafka key.

        Raises:
            ProblemError: nothing may be written, the state does not allow it, or Kafka has not acknowledged it.
        """
        self.require_writable()
        if row["state"] not in FITTING[kind]:
            text = f"the request is {row['state']}: {composing.FOLLOW_UPS[kind]} has no effect on it"
            raise problems.ProblemError(409, "wrong-state", text)
        self._composer.kafka(row["tenant"])

        message_id = wording.new_id()
        after = {"verdict": data["verdict"]} if "verdict" in data else {}
        decided = decisions.of_request(
            row, composing.FOLLOW_UPS[kind], message_id, caller, why=data["note"], after=after
        )
        await self._decisions.note(caller, row["id"], decided)

        target = {"id": row["id"], "source": row["source"]}
        value = composing.encoded(
            kind, message_id, self._composer.source, {"request": target, **data}, caller.attributes
        )
        message = composing.Message(row["tenant"], row["source"], row["id"], row["kafka_key"], value)
        await self._send(message)
        return message

    def require_writable(self) -> None:
        """Refuse to send anything if the settings say so. Raises ProblemError."""
        writing.require_writable(self._settings, "message")

    async def _send(self, message: composing.Message) -> None:
        """
        Write a message and wait until Kafka has it.

        Raises:
            ProblemError: too many messages wait, or it may have been written or not.
        """
        if (waiting := self._sender.waiting) >= _MOST_WAITING:
            text = f"{waiting} messages wait for Kafka; this one was not written: send it again, with the same key"
            raise problems.unavailable(text)

        topic = self._composer.kafka(message.tenant).topics.requests
        outgoing = records.Outgoing(topic, message.kafka_key, message.value, wording.HEADERS)
        await writing.send(self._sender, outgoing, "message", "send it again, with the same key")

    async def _reader(self, request: web.Request, message: composing.Message) -> streams.Reader:
        query = models.EventsQuery(tenant=message.tenant, source=message.source, id=message.id)
        return await self._readers.open(request, query)

    async def _end(self, reader: streams.Reader, wait_s: float) -> str | None:
        """
        Wait for the last event of the request; None: it has not come in time.

        Raises:
            ProblemError: the relay refused the message because the id is used for another request.
        """
        until_s = asyncio.get_running_loop().time() + wait_s
        is_taken = False
        while (left_s := until_s - asyncio.get_running_loop().time()) > 0 and not self._readers.closed:
            for one in await reader.take(left_s):
                if one.event is None:
                    continue
                data = msgspec.json.decode(one.event, type=_Event).data
                if data.conflict is not None and not is_taken:
                    raise problems.ProblemError(422, "key-reused", data.conflict)
                is_taken = is_taken or data.state == "accepted" or data.repeated
                # A conflict after our message was taken answers another one, sent elsewhere under the same id.
                if data.state in events.LAST and data.conflict is None:
                    return one.event
        return None


def _id(request: web.Request, body: models.NewRequest) -> str:
    request_id = composing.request_id(request, body.id)
    if request_id is None:
        text = (
            "expected the header Idempotency-Key (or `id`), a new one for each request: the same one again never "
            "starts a second job, so a call without an answer can be repeated"
        )
        raise problems.ProblemError(400, "missing-idempotency-key", text)
    return request_id


def _preferred_wait_s(request: web.Request) -> float:
    """Return the seconds of `Prefer: wait=N`, 60 at most; 0 without it. Source: RFC 7240, section 4.3."""
    for one in ",".join(request.headers.getall("Prefer", [])).split(","):
        if (found := _WAIT.fullmatch(one)) is not None:
            return float(min(int(found[1]), _MOST_WAIT_S))
    return 0.0


def accepted(message: composing.Message, end: str | None = None, *, waited: bool = False) -> web.Response:
    """Return the answer to who has sent a message, with its last event if there is one."""
    names = urlencode({"source": message.source, "tenant": message.tenant})
    path = f"/v1/requests/{quote(message.id, safe='')}"
    answer = models.Accepted(
        id=message.id,
        source=message.source,
        tenant=message.tenant,
        request=f"{path}?{names}",
        events=f"{path}/events?{names}",
        last_event=None if end is None else event_json.decoded(end),
    )
    headers = {"Location": answer.request, **({"Preference-Applied": "wait"} if waited else {})}
    body = answer.model_dump_json(exclude_none=True).encode()
    status = 202 if end is None else 200
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
