"""
Digests: compare what two messages with one id ask for.

A digest covers the checked request, as it was sent (without a tenant's defaults), in canonical form: fields that equal
their default are left out, moments are instants, numbers are values (see `codec`) and members are ordered. So neither
another JSON writer nor a field that a later version adds turns a repeat into a conflict. Values whose names the sender
or MRS defines (labels, bodies, parameters) count unchanged; there null differs from absent.

Version 0.1 made its digests of the message's data as it was spelled; ledgers hold them, and `old` compares them.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
from collections.abc import Iterable
from typing import Any, Final

import pydantic

from mrs_relay.messages import codec, envelope, requests

_FORMAT: Final = "2:"
"""The prefix of digests of this form. The ledger holds digests, so a new form needs a new prefix."""

_HEX_DIGITS: Final = 32
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_PLAIN: Final = frozenset({str, int, float, bool, list, dict})
"""Types of most values, which are JSON values."""

_NEEDED: Final = object()
"""The default of a field that has none; equal to no other value."""


def of(message: envelope.Envelope, request: requests.Request) -> str:
    """
    Make the digest of a request: `2:` and 32 hexadecimal digits (128 bits of SHA-256).

    Args:
        message: the message as it was sent; its data is an object.
        request: the request made from it, with a tenant's defaults or without.
    """
    data = message.data
    asked = _asked(request, [name for name in request.model_fields_set if data.get(name) is not None])
    return _FORMAT + _hashed(message.type, codec.encode_ordered(asked))


def old(topic: str, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> str:
    """
    Make the digest of a record as version 0.1 did.

    Raises:
        BadMessage: the record is no request.
    """
    message = envelope.read(topic, value, headers, codec.decode_plainly)
    return _hashed(message.type, codec.encode_ordered(message.data))


def is_old(digest: str) -> bool:
    """Return whether version 0.1 made this digest."""
    return not digest.startswith(_FORMAT)


def _hashed(kind: str, text: bytes) -> str:
    return hashlib.sha256(b"%b\n%b" % (kind.encode(), text)).hexdigest()[:_HEX_DIGITS]


def _asked(model: pydantic.BaseModel, names: Iterable[str]) -> dict[str, Any]:
    """Return those fields of a model that differ from their defaults, as JSON values."""
    found: dict[str, Any] = {}
    defaults, values = _defaults(type(model)), model.__dict__
    for name in names:
        value = values[name]
        if value == defaults[name]:
            continue
        found[name] = value if type(value) in _PLAIN else _as_json(value)
    return found


def _as_json(value: Any) -> Any:  # noqa: ANN401 - the value of any field
    if isinstance(value, pydantic.BaseModel):
        return _asked(value, value.model_fields_set)
    return (value - _EPOCH) // _MICROSECOND if isinstance(value, dt.datetime) else value


@functools.cache
def _defaults(model: type[pydantic.BaseModel]) -> dict[str, Any]:
    return {
        name: _NEEDED if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
    }
