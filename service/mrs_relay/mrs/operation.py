"""
The type of an operation: all facts that the client needs to perform it, as one frozen value.

The values are in `operations/`, a file per resource; a new operation is one more value and its models.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

from mrs_relay import errors
from mrs_relay.common import safe_text
from mrs_relay.mrs import signing
from mrs_relay.mrs.models import base

Verb = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

Q = TypeVar("Q", bound=base.Asked | None)
"""Model of the request body; None for an operation without one."""

R = TypeVar("R", bound=base.Reply)
"""Model of the reply."""

_FIELD = re.compile(r"\{(\w+)\}")

_PATTERNS: Final = {
    "project_id": re.compile(r"[A-Za-z0-9]{1,64}"),
    "cluster_id": re.compile(r"[A-Za-z0-9_-]{1,64}"),
    "job_execution_id": re.compile(r"[A-Za-z0-9-]{1,64}"),
}
"""Documented formats of path values. Source: v2 reference, id formats."""

_ANY_VALUE: Final = re.compile(r"(?!\.{1,2}$)[^/\x00-\x1f\x7f]{1,256}")
"""
Format of any other path value. An encoded slash would be signed as a separator, and proxies would resolve a dot
segment.
"""


class Safety(enum.Enum):
    """Whether a call may be repeated when its outcome is unknown."""

    READ = "read"
    """Changes nothing: repeat at will."""
    REPEATABLE_WRITE = "repeatable write"
    """Its effect happens at most once, however often it is sent: kill, delete, cancel."""
    NON_REPEATABLE_WRITE = "non-repeatable write"
    """Sent twice, it may happen twice: look it up first."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operation(Generic[Q, R]):
    """
    One operation of the API.

    Attributes:
        name: the API's own name for it, unique.
        verb: HTTP verb.
        path: path with its fields in braces; the client fills in project_id.
        safety: what may be repeated.
        per_minute: documented calls a minute and tenant; None where no limit is documented.
        body: model of the request body, or None.
        query: model of the query, or None.
        reply: model of the reply.
        accepted: HTTP statuses that mean success.
        failed_reply: whether a 4xx or 5xx with a `status` and no error code is a reply of this operation, not an error.
        source: page on which the facts were read.
    """

    name: str
    verb: Verb
    path: str
    safety: Safety
    per_minute: int | None
    reply: type[R]
    source: str
    body: type[Q] | None = None
    query: type[base.Asked] | None = None
    accepted: frozenset[int] = frozenset({200, 202})
    failed_reply: bool = False

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the path fields that the caller must give."""
        return tuple(name for name in _FIELD.findall(self.path) if name != "project_id")

    def at(self, project_id: str, values: Mapping[str, str]) -> str:
        """
        Return the path of one call, percent-encoded.

        Raises:
            MrsRefused: a value is missing, unknown or not well formed; nothing was sent.
        """
        return _fill(self.path, project_id, tuple(values.items()))


AnyOperation = Operation[Any, Any]
"""An operation whose models do not matter."""


@functools.lru_cache(maxsize=4096)
def _fill(template: str, project_id: str, values: tuple[tuple[str, str], ...]) -> str:
    given = {"project_id": project_id, **dict(values)}
    wanted = _FIELD.findall(template)
    for name in given:
        if name not in wanted:
            raise errors.MrsRefused(f"path value {safe_text.name(name)!r} is not part of {template}")
    for name in wanted:
        if name not in given:
            raise errors.MrsRefused(f"path value {name!r} is missing for {template}")
        pattern = _PATTERNS.get(name, _ANY_VALUE)
        if not pattern.fullmatch(given[name]):
            raise errors.MrsRefused(f"path value {name!r} must match {pattern.pattern}")
    return _FIELD.sub(lambda found: signing.encode(given[found[1]]), template)
