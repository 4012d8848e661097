"""
Verb and path to handler; another operation is one more `Route`.

Names of operations are those of the vendor's SDK. Names of V1.1 operations that also exist in V2 end in `V11`
(CreateClusterV11). A path that serves two operations of the SDK bears the first one's name (BatchCreateClusterTags).

A `Call` is what a handler gets: the request with its path taken apart, its signer and the time at which MRS sees it.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from mrs_emulator.core import refusals, wire


@dataclass(frozen=True, slots=True)
class Call:
    """
    One admitted request.

    Attributes:
        request: the request itself.
        path: values of the path's parameters, decoded.
        user: name of the user who signed it.
        now_ms: time at which MRS sees it, in milliseconds since the epoch.
    """

    request: wire.Request
    path: Mapping[str, str]
    user: str
    now_ms: int

    def body(self) -> dict[str, Any]:
        """
        Return the JSON object in the body.

        Raises:
            Refusal: 12000002, the body is no JSON object.
        """
        try:
            value = msgspec.json.decode(self.request.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise refusals.invalid("the request body is not valid JSON") from None
        if not isinstance(value, dict):
            raise refusals.invalid("the request body must be a JSON object")
        return value


Handler = Callable[[Call], Awaitable[wire.Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """
    One operation.

    Attributes:
        operation: its name in the API reference.
        verb: HTTP method.
        template: path with parameters in braces, a whole segment each.
        handler: plays it.
        per_minute: documented calls per minute; 0 where none is documented.
        gateway: the gateway checks who calls, and for which project; IAM's own calls do that by themselves.
    """

    operation: str
    verb: str
    template: str
    handler: Handler
    per_minute: int = 0
    gateway: bool = True


@dataclass(frozen=True, slots=True)
class _Pattern:
    segments: tuple[str | None, ...]
    names: tuple[str, ...]
    route: Route

    def read(self, segments: list[str]) -> dict[str, str] | None:
        """Return values of the parameters, or None when a fixed segment differs."""
        values = []
        for wanted, found in zip(self.segments, segments, strict=True):
            if wanted is None:
                values.append(urllib.parse.unquote(found) if "%" in found else found)
            elif wanted != found:
                return None
        return dict(zip(self.names, values, strict=True))


class Table:
    """
    All routes, found by verb and number of segments.

    Args:
        routes: the operations played; where two match a path, the one that comes first wins.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._patterns: dict[tuple[str, int], list[_Pattern]] = {}
        for route in self.routes:
            parts = route.template.removesuffix("/").split("/")
            segments = tuple(None if part.startswith("{") else part for part in parts)
            names = tuple(part[1:-1] for part in parts if part.startswith("{"))
            self._patterns.setdefault((route.verb, len(parts)), []).append(_Pattern(segments, names, route))

    def match(self, verb: str, path: str) -> tuple[Route, dict[str, str]]:
        """
        Return the route of a request and the values of its path parameters.

        Raises:
            Refusal: APIGW.0101, no operation has this verb and path.
        """
        segments = path.removesuffix("/").split("/")
        for pattern in self._patterns.get((verb, len(segments)), ()):
            values = pattern.read(segments)
            if values is not None:
                return pattern.route, values
        raise refusals.no_such_api()
