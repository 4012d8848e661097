"""
Write and read jobs by the names of their fields: JSON, format 1 of the ledger. Pure.

The values of a job are arrays to msgspec, since that is format 2. Here each of their types has a counterpart with the
same fields that is an object. Fields with their default are left out.
"""

from __future__ import annotations

import types
import typing
from typing import Any, Final, Generic, TypeVar

import msgspec

from mrs_relay.engine.model import job_values, jobs, later_fields
from mrs_relay.messages import codec

J = TypeVar("J", bound=jobs.Job)

_LATER: Final = "~later"


class NamedRecords(Generic[J]):
    """
    Writes and reads jobs of one type.

    Args:
        job: the type; a test plays a later version by one with more fields.
    """

    def __init__(self, job: type[J]) -> None:
        self._named: dict[type[Any], type[Any]] = {}
        named = self._named_type(job)
        self._to_named = {original: _Copying(other, _values(original)) for original, other in self._named.items()}
        self._to_original = {other: _Copying(original, _values(original)) for original, other in self._named.items()}
        self._encoder = msgspec.json.Encoder(decimal_format="number")
        self._decoder = msgspec.json.Decoder(named, float_hook=codec.number)  # a call's body keeps its numbers' values
        self._known = frozenset(job.__struct_encode_fields__) - {_LATER}

    def encode(self, job: J) -> bytes:
        """Encode a job; members of a later version are put back."""
        if not job.later:
            return self._encoder.encode(_copied(job, self._to_named))
        known = self._encoder.encode(_copied(msgspec.structs.replace(job, later=b""), self._to_named))
        return later_fields.join(known, job.later)

    def decode(self, value: bytes) -> J:
        """
        Read a record.

        Raises:
            MsgspecError, UnicodeDecodeError: it is not a job that this version knows.
        """
        later = b""
        try:
            named = self._decoder.decode(value)
        except msgspec.ValidationError:
            known, later = later_fields.split(value, self._known)
            if not later:
                raise
            named = self._decoder.decode(known)
        job: J = _copied(named, self._to_original)
        return msgspec.structs.replace(job, later=later) if later else job

    def known_later(self, job: J) -> J:
        """Return a job with those fields by name that an earlier version has kept for this one."""
        return self.decode(self.encode(job)) if job.later else job

    def _named_type(self, original: type[Any]) -> type[Any]:
        """Return the type with the same fields whose records are JSON objects."""
        if original not in self._named:
            fields = [
                (field.name, self._with_named(field.type), _default(field))
                for field in msgspec.structs.fields(original)
            ]
            self._named[original] = msgspec.defstruct(
                original.__name__,
                fields,
                frozen=True,
                gc=False,
                omit_defaults=True,
                forbid_unknown_fields=True,
                tag=original.__struct_config__.tag,
            )

        return self._named[original]

    def _with_named(self, annotation: Any) -> Any:  # noqa: ANN401 - any annotation
        if isinstance(annotation, type) and issubclass(annotation, job_values.Record):
            return self._named_type(annotation)
        if typing.get_origin(annotation) in (typing.Union, types.UnionType):
            return typing.Union[tuple(self._with_named(one) for one in typing.get_args(annotation))]  # noqa: UP007 - made
        return annotation


class _Copying(typing.NamedTuple):
    """How to copy a value into its counterpart: the type to make, and the places of values that have one themselves."""

    made: type[Any]
    values: tuple[int, ...]


def _copied(value: Any, copying: dict[type[Any], _Copying]) -> Any:  # noqa: ANN401 - a value or its counterpart
    made, values = copying[type(value)]
    parts = msgspec.structs.astuple(value)
    if not values:
        return made(*parts)
    inner = list(parts)
    for place in values:
        if inner[place] is not None:
            inner[place] = _copied(inner[place], copying)
    return made(*inner)


def _values(original: type[Any]) -> tuple[int, ...]:
    fields = msgspec.structs.fields(original)
    return tuple(place for place, field in enumerate(fields) if _has_record(field.type))


def _has_record(annotation: Any) -> bool:  # noqa: ANN401 - any annotation
    if isinstance(annotation, type):
        return issubclass(annotation, job_values.Record)
    return any(_has_record(one) for one in typing.get_args(annotation))


def _default(field: msgspec.structs.FieldInfo) -> Any:  # noqa: ANN401 - msgspec's field
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory, name=field.encode_name)
    return msgspec.field(default=field.default, name=field.encode_name)
