"""
Digests: do two messages with one id ask for the same?

A digest is of the checked request, as it was sent (without a tenant's defaults), in canonical form: fields that say no
more than their default are left out, moments are instants, numbers are values (see `codec`) and members are ordered.
So no JSON writer, and no field that a later version adds, turns a repeat into a conflict. What stands in the words of
the sender or of MRS (labels, bodies, parameters) counts as it is; there null is not the same as absent.

Version 0.1 took its digests of the message's data as it was spelled; they stand in ledgers and are compared by `old`.
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
"""Begins each digest of this form. Digests are written to the ledger: a new form needs a new beginning."""

_HEX_DIGITS: Final = 32
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_NEEDED: Final = object()
"""Stands for the default of a field that has none; equals nothing else."""


def of(message: envelope.Envelope, request: requests.Request) -> str:
    """
    Name what a message asks for: `2:` and 32 hexadecimal digits (128 bits of SHA-256).

    Args:
        message: the message as it was sent; its data is an object.
        request: what it was read as, with a tenant's defaults or without.
    """
    asked = {name: value for name, value in _asked(request).items() if message.data.get(name) is not None}
    return _FORMAT + _hashed(message.type, codec.encode_ordered(asked))


def old(topic: str, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> str:
    """
    Name what a record asks for as version 0.1 did.

    Raises:
        BadMessage: the record is no request.
    """
    message = envelope.read(topic, value, headers, codec.decode_plainly)
    return _hashed(message.type, codec.encode_ordered(message.data))


def is_old(digest: str) -> bool:
    """Whether version 0.1 made this digest."""
    return not digest.startswith(_FORMAT)


def _hashed(kind: str, text: bytes) -> str:
    return hashlib.sha256(b"%b\n%b" % (kind.encode(), text)).hexdigest()[:_HEX_DIGITS]


def _asked(model: pydantic.BaseModel) -> dict[str, Any]:
    """What a model says beyond its defaults, as JSON values."""
    found: dict[str, Any] = {}
    defaults = _defaults(type(model))
    for name in model.model_fields_set:
        value = getattr(model, name)
        if value == defaults[name]:
            continue
        if isinstance(value, pydantic.BaseModel):
            value = _asked(value)
        elif isinstance(value, dt.datetime):
            value = (value - _EPOCH) // _MICROSECOND
        found[name] = value
    return found


@functools.cache
def _defaults(model: type[pydantic.BaseModel]) -> dict[str, Any]:
    return {
        name: _NEEDED if field.is_required() else field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
    }
