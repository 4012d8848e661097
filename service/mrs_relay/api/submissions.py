"""
Turn HTTP requests into request messages: the only writes of the API, and all of them go to a topic of requests.

What becomes of a message is an event, as for any sender. The relay judges it: this module refuses only what the relay
would refuse whatever the tenant's rules are.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import pydantic
from aiohttp import web

from mrs_relay import errors
from mrs_relay.api import models, problems, requests, settings, streams
from mrs_relay.client import sending, wording
from mrs_relay.kafka import records
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.messages import codec, digests, envelope, events
from mrs_relay.messages import requests as messages
from mrs_relay.read_model import record_reader, sent

_WAIT: Final = re.compile(r"\s*wait\s*=\s*\"?(\d{1,4})\"?\s*", re.IGNORECASE)
_MOST_WAIT_S: Final = 60
_SEND_S: Final = 30.0
_MOST_WAITING: Final = 500
"""Messages that may wait for Kafka; they are in memory, and each may be as large as `api.body_bytes`."""

_FOLLOW_UPS: Final = {"mrs.job.cancel": "cancel", "mrs.job.resolve": "resolve"}
FITTING: Final[Mapping[str, frozenset[str]]] = {
    "mrs.job.cancel": frozenset(events.STATES) - events.LAST | {"unknown"},
    "mrs.job.resolve": frozenset({"unknown"}),
}
"""States in which a message about a request may have an effect."""
_JSON_TYPES: Final = ("application/json", envelope.STRUCTURED)

_Body = TypeVar("_Body", bound=pydantic.BaseModel)


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
class _Message:
    """A checked message and where it goes."""

    tenant: str
    source: str
    id: str
    kafka_key: bytes
    value: bytes


class Submissions:
    """
    The handlers that write.

    Args:
        tenants: the settings of Kafka of each tenant by its name; "" without tenants.
        sender: writes records.
        memory: which payloads were sent under which ids.
        asked: finds requests.
        readers: makes readers of events.
        chosen: the settings.
    """

    def __init__(
        self,
        tenants: Mapping[str, kafka_settings.KafkaSettings],
        sender: sending.Sender,
        memory: sent.Sent,
        asked: requests.Requests,
        readers: streams.EventReaders,
        chosen: settings.ApiSettings,
    ) -> None:
        self._tenants = tenants
        self._sender = sender
        self._memory = memory
        self._asked = asked
        self._readers = readers
        self._settings = chosen

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Send a request message; answers at once, or with its end if the caller prefers to wait."""
        self._require_writable()
        body = await _body(request, models.NewRequest)
        message, digest = self._composed(request, body)

        wait_s = _preferred_wait_s(request)
        if not wait_s:
            await self._note(message, digest)
            await self._send(message)
            return _accepted(message, None, waited=False)

        with self._readers.counted():
            await self._note(message, digest)
            reader = await self._reader(request, message)  # before sending, so that no event is missed
            await self._send(message)
            end = await self._end(reader, wait_s)
            return _accepted(message, end, waited=True)

    async def _note(self, message: _Message, digest: str) -> None:
        """
        Note the payload of a request.

        Raises:
            ProblemError: another one was sent under its id, and the relay did not reject that one.
        """
        key = record_reader.request_key(message.tenant, message.source, message.id)
        if await self._memory.note(key, digest):
            return

        # The relay takes the id of a rejected request again, with any payload.
        if await self._asked.is_rejected(message.id, message.tenant, message.source):
            await self._memory.replace(key, digest)
            return
        text = (
            f"Idempotency-Key {message.id!r} was used for another request: send the same body again, "
            "or a new request under a new key"
        )
        raise problems.ProblemError(422, "key-reused", text)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        """Ask that a request be stopped."""
        self._require_writable()
        body = await _body(request, models.CancelRequest)
        return _accepted(await self.cancel_one(await self._asked.one(request), body.note), None, waited=False)

    async def resolve(self, request: web.Request) -> web.StreamResponse:
        """Settle a request that is unknown."""
        self._require_writable()
        body = await _body(request, models.ResolveRequest)
        row = await self._asked.one(request)
        return _accepted(await self.resolve_one(row, body.verdict, body.note), None, waited=False)

    async def cancel_one(self, row: Mapping[str, Any], note: str) -> _Message:
        """Send the cancel of a request. Raises ProblemError: see `_follow_up`."""
        return await self._follow_up(row, "mrs.job.cancel", {"note": note})

    async def resolve_one(self, row: Mapping[str, Any], verdict: str, note: str) -> _Message:
        """Send how a request that is unknown ended. Raises ProblemError: see `_follow_up`."""
        return await self._follow_up(row, "mrs.job.resolve", {"verdict": verdict, "note": note})

    async def _follow_up(self, row: Mapping[str, Any], kind: str, data: Mapping[str, Any]) -> _Message:
        """
        Send a message about a request that the read model knows, with the request's own Kafka key.

        Raises:
            ProblemError: nothing may be written, the state does not allow it, or Kafka has not acknowledged it.
        """
        self._require_writable()
        if row["state"] not in FITTING[kind]:
            text = f"the request is {row['state']}: {_FOLLOW_UPS[kind]} has no effect on it"
            raise problems.ProblemError(409, "wrong-state", text)
        self._kafka(row["tenant"])

        target = {"id": row["id"], "source": row["source"]}
        value = _value(kind, wording.new_id(), self._settings.source, {"request": target, **data})
        message = _Message(row["tenant"], row["source"], row["id"], row["kafka_key"], value)
        await self._send(message)
        return message

    def _require_writable(self) -> None:
        if self._settings.read_only:
            raise problems.ProblemError(403, "read-only", "api.read_only is set: send the message to Kafka")

    def _composed(self, request: web.Request, body: models.NewRequest) -> tuple[_Message, str]:
        """
        Compose the message, checked by the relay's own models; returns it with the digest of its payload.

        Raises:
            ProblemError: it would be rejected, or has no id.
        """
        request_id = _id(request, body)
        source = body.source or self._settings.source
        if body.type in _FOLLOW_UPS:
            text = f"type: POST /v1/requests/ID/{_FOLLOW_UPS[body.type]} sends {body.type}"
            raise problems.ProblemError(422, "invalid-request", text)

        kafka = self._kafka(body.tenant)
        value = _value(body.type, request_id, source, body.data)
        try:
            found = envelope.read(kafka.topics.requests, value, wording.HEADERS)
            checked = messages.parse(found)
        except errors.BadMessage as error:
            fault = models.Fault(field=error.field or "", message=str(error))
            raise problems.ProblemError(
                422, "invalid-request", str(error), faults=[fault], extra={"code": error.code}
            ) from None

        kafka_key = body.key.encode() if body.key else wording.key(checked, request_id)
        message = _Message(body.tenant, source, request_id, kafka_key, value)
        size_bytes = records.size_bytes(message.kafka_key, value, wording.HEADERS)
        if size_bytes > kafka.record_bytes:
            text = f"the message takes {size_bytes} bytes; kafka.record_bytes allows {kafka.record_bytes}"
            raise problems.ProblemError(413, "too-large", text)
        return message, digests.of(found, checked)

    def _kafka(self, tenant: str) -> kafka_settings.KafkaSettings:
        kafka = self._tenants.get(tenant)
        if kafka is None:
            known = ", ".join(filter(None, self._tenants)) or "there are no tenants; leave it out"
            raise problems.ProblemError(422, "invalid-request", f"tenant {tenant!r} is not known; known: {known}")
        return kafka

    async def _send(self, message: _Message) -> None:
        """
        Write a message and wait until Kafka has it.

        Raises:
            ProblemError: too many messages wait, or it may have been written or not.
        """
        if (waiting := self._sender.waiting) >= _MOST_WAITING:
            text = f"{waiting} messages wait for Kafka; this one was not written: send it again, with the same key"
            raise problems.unavailable(text)

        topic = self._kafka(message.tenant).topics.requests
        try:
            async with asyncio.timeout(_SEND_S):
                await self._sender.send(records.Outgoing(topic, message.kafka_key, message.value, wording.HEADERS))
        except (errors.StreamError, TimeoutError):
            text = (
                "Kafka has not acknowledged the message, which may have been written: send it again, with the same key"
            )
            raise problems.unavailable(text) from None

    async def _reader(self, request: web.Request, message: _Message) -> streams.Reader:
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
    given = request.headers.get("Idempotency-Key")
    if given is not None and not _is_text(given):
        raise problems.ProblemError(400, "invalid-parameter", "Idempotency-Key: expected UTF-8")
    if given is not None and body.id is not None and given != body.id:
        raise problems.ProblemError(
            400, "ambiguous-id", "Idempotency-Key and `id` differ: send one of them, or the same"
        )
    request_id = given or body.id
    if request_id is None:
        text = (
            "expected the header Idempotency-Key (or `id`), a new one for each request: the same one again never "
            "starts a second job, so a call without an answer can be repeated"
        )
        raise problems.ProblemError(400, "missing-idempotency-key", text)
    return request_id


def _is_text(given: str) -> bool:
    """Return whether a header is UTF-8; aiohttp reads other bytes as lone surrogates."""
    try:
        given.encode()
    except UnicodeEncodeError:
        return False
    return True


def _value(kind: str, message_id: str, source: str, data: Mapping[str, Any]) -> bytes:
    return codec.encode({"specversion": "1.0", "id": message_id, "source": source, "type": kind, "data": data})


async def _body(request: web.Request, model: type[_Body]) -> _Body:
    """
    Read the body.

    Raises:
        ProblemError: it is no JSON, or not as the model wants it.
    """
    if request.content_type not in _JSON_TYPES:
        text = f"Content-Type {request.content_type[:100]!r}: expected application/json"
        raise problems.ProblemError(415, "not-json", text)
    raw = await request.read()
    try:
        return model.model_validate(codec.decode(raw))
    except errors.BadMessage as error:
        raise problems.ProblemError(400, "not-json", str(error)) from None
    except pydantic.ValidationError as error:
        raise problems.of_body(error) from None


def _preferred_wait_s(request: web.Request) -> float:
    """Return the seconds of `Prefer: wait=N`, 60 at most; 0 without it. Source: RFC 7240, section 4.3."""
    for one in ",".join(request.headers.getall("Prefer", [])).split(","):
        if (found := _WAIT.fullmatch(one)) is not None:
            return float(min(int(found[1]), _MOST_WAIT_S))
    return 0.0


def _accepted(message: _Message, end: str | None, *, waited: bool) -> web.Response:
    names = urlencode({"source": message.source, "tenant": message.tenant})
    path = f"/v1/requests/{quote(message.id, safe='')}"
    answer = models.Accepted(
        id=message.id,
        source=message.source,
        tenant=message.tenant,
        request=f"{path}?{names}",
        events=f"{path}/events?{names}",
        last_event=None if end is None else msgspec.json.decode(end),
    )
    headers = {"Location": answer.request, **({"Preference-Applied": "wait"} if waited else {})}
    body = answer.model_dump_json(exclude_none=True).encode()
    status = 202 if end is None else 200
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
