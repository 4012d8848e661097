"""The last requests, for the page: what they were and how they ended, never what they carried."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from typing import Any

_KEPT = 200


@dataclass(slots=True)
class Entry:
    """
    One request; filled in while it is answered.

    Attributes:
        verb: HTTP method.
        at_ms: when it arrived, in milliseconds since the epoch.
        operation: name of the operation; empty where none has this verb and path.
        status: HTTP status; 0 when the connection was closed without a reply.
        took_ms: how long the answer took, in milliseconds.
        fault: name of the fault that hit it, or nothing.
    """

    verb: str
    at_ms: int
    operation: str = ""
    status: int = 0
    took_ms: float = 0.0
    fault: str = ""


class Recent:
    """The last requests, oldest first."""

    def __init__(self) -> None:
        self._entries: collections.deque[Entry] = collections.deque(maxlen=_KEPT)
        self._count = 0
        self._calls: collections.Counter[tuple[str, int]] = collections.Counter()

    @property
    def count(self) -> int:
        """How many there were since the start."""
        return self._count

    def note(self, entry: Entry) -> None:
        """Remember one."""
        self._count += 1
        self._entries.append(entry)
        self._calls[entry.operation, entry.status] += 1

    def calls(self) -> dict[str, dict[str, int]]:
        """Return how often each operation was called since the start, by HTTP status."""
        found: dict[str, dict[str, int]] = {}
        for (operation, status), number in sorted(self._calls.items()):
            found.setdefault(operation or "unknown", {})[str(status)] = number
        return found

    def listed(self, most: int) -> list[dict[str, Any]]:
        """Return the newest ones, newest first."""
        found = list(self._entries)[-most:]
        return [
            {
                "verb": one.verb,
                "at_ms": one.at_ms,
                "operation": one.operation,
                "status": one.status,
                "took_ms": round(one.took_ms, 1),
                "fault": one.fault,
            }
            for one in reversed(found)
        ]
