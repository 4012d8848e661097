"""Make request messages of HTTP bodies, checked by the relay's own models; reads bodies, sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import pydantic
from aiohttp import web

from mrs_relay import errors
from mrs_relay.api import models, problems
from mrs_relay.client import wording
from mrs_relay.kafka import records
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.messages import codec, digests, envelope
from mrs_relay.messages import requests as messages

FOLLOW_UPS: Final = {"mrs.job.cancel": "cancel", "mrs.job.resolve": "resolve"}
_JSON_TYPES: Final = ("application/json", envelope.STRUCTURED)

_Body = TypeVar("_Body", bound=pydantic.BaseModel)


@dataclass(frozen=True, slots=True)
class Message:
    """A checked message, its tenant and its Kafka key."""

    tenant: str
    source: str
    id: str
    kafka_key: bytes
    value: bytes


class Composer:
    """
    Makes messages.

    Args:
        tenants: the settings of Kafka of each tenant by its name; "" without tenants.
        source: of messages that name none.
    """

    def __init__(self, tenants: Mapping[str, kafka_settings.KafkaSettings], source: str) -> None:
        self.tenants = tenants
        self.source = source

    def kafka(self, tenant: str) -> kafka_settings.KafkaSettings:
        """Return the settings of a tenant. Raises ProblemError: there is none of this name."""
        kafka = self.tenants.get(tenant)
        if kafka is None:
            known = ", ".join(filter(None, self.tenants)) or "there are no tenants; leave it out"
            raise problems.ProblemError(422, "invalid-request", f"tenant {tenant!r} is not known; known: {known}")
        return kafka

    def message(
        self,
        body: models.NewRequest,
        request_id: str,
        attributes: Mapping[str, str],
        *,
        kafka_key: bytes | None = None,
    ) -> tuple[Message, str]:
        """
        Compose the message of a new request; returns it with the digest of its payload.

        Args:
            body: the request.
            request_id: its id.
            attributes: further attributes of the message.
            kafka_key: its Kafka key, instead of the body's or the usual one.

        Raises:
            ProblemError: it would be rejected, with all its faults, or is too large.
        """
        found, value = self._read(body, request_id, attributes)
        if faults := messages.faults(found):
            raise invalid(faults)

        checked = messages.parse(found)
        key = kafka_key or (body.key.encode() if body.key else wording.key(checked, request_id))
        message = Message(body.tenant, found.source, request_id, key, value)
        self._require_size(message)
        return message, digests.of(found, checked)

    def _read(
        self, body: models.NewRequest, request_id: str, attributes: Mapping[str, str]
    ) -> tuple[envelope.Envelope, bytes]:
        """
        Return the envelope of a new request as the relay reads it, and its bytes.

        Raises:
            ProblemError: the id or the tenant cannot be used, or there is a path of its own for this type.
        """
        if body.type in FOLLOW_UPS:
            text = f"type: POST /v1/requests/ID/{FOLLOW_UPS[body.type]} sends {body.type}"
            raise problems.ProblemError(422, "invalid-request", text)
        value = encoded(body.type, request_id, body.source or self.source, body.data, attributes)
        try:
            return envelope.read(self.kafka(body.tenant).topics.requests, value, wording.HEADERS), value
        except errors.BadMessage as error:
            raise invalid([error]) from None

    def _require_size(self, message: Message) -> None:
        """Refuse a message that Kafka would not take. Raises ProblemError."""
        most_bytes = self.kafka(message.tenant).record_bytes
        size_bytes = records.size_bytes(message.kafka_key, message.value, wording.HEADERS)
        if size_bytes > most_bytes:
            text = f"the message takes {size_bytes} bytes; kafka.record_bytes allows {most_bytes}"
            raise problems.ProblemError(413, "too-large", text)


def invalid(faults: list[errors.BadMessage]) -> problems.ProblemError:
    """Return the problem of a message that the relay would reject."""
    first = faults[0]
    shown = [models.Fault(field=fault.field or "", message=str(fault)) for fault in faults]
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return problems.ProblemError(422, "invalid-request", f"{first}{more}", faults=shown, extra={"code": first.code})


def encoded(
    kind: str,
    message_id: str,
    source: str,
    data: Mapping[str, Any],
    attributes: Mapping[str, str],
) -> bytes:
    """Write a message as CloudEvents JSON."""
    members = {"specversion": "1.0", "id": message_id, "source": source, "type": kind, **attributes}
    return codec.encode({**members, "data": data})


async def body(request: web.Request, model: type[_Body]) -> _Body:
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


def request_id(request: web.Request, given: str | None) -> str | None:
    """
    Return the id of a new request: the header `Idempotency-Key`, or what the body says; None: neither does.

    Raises:
        ProblemError: they differ, or the header cannot be read.
    """
    header = request.headers.get("Idempotency-Key")
    if header is not None and not _is_text(header):
        raise problems.ProblemError(400, "invalid-parameter", "Idempotency-Key: expected UTF-8")
    if header is not None and given is not None and header != given:
        raise problems.ProblemError(
            400, "ambiguous-id", "Idempotency-Key and `id` differ: send one of them, or the same"
        )
    return header or given


def _is_text(given: str) -> bool:
    """Return whether a header is UTF-8; aiohttp reads other bytes as lone surrogates."""
    try:
        given.encode()
    except UnicodeEncodeError:
        return False
    return True
