"""
Rows of V1.1 (data sources, binaries, job objects): a shelf per kind, list pages by marker, and what all kinds share.

Pages start after the marker; `next` and `prev` are the markers of the neighbouring pages, null where there is none or
no limit was sent. Chosen as in OpenStack Sahara where MRS says nothing: sorted by id, unknown sort fields refused.

Source: API reference V1.1, list pages mrs_02_0024, 0036, 0044, 0050; Sahara v1.1 for the rest.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from mrs_relay.emulator import checks, ids, keeping, oldrefusals, refusals, routes, settings, state, wire

_OK = 200
_NO_CONTENT = 204
_LIMIT_MAX = 1_073_741_822


class Row(Protocol):
    """What every row has."""

    @property
    def row_id(self) -> str:
        """Its id."""

    @property
    def name(self) -> str:
        """Its name."""


@dataclass(frozen=True, slots=True)
class Ground:
    """
    What all handlers of V1.1 jobs and data stand on.

    Attributes:
        world: clusters, and what was created.
        making: source of ids.
        chosen: the settings.
        keeper: keeps rows over a restart.
    """

    world: state.World
    making: ids.Ids
    chosen: settings.EmulatorSettings
    keeper: keeping.Keeper


RowT = TypeVar("RowT", bound=Row)
ItemT = TypeVar("ItemT")


class Collection(Generic[RowT]):
    """
    The rows of one kind, in the order in which they came.

    Args:
        kind: class of the rows.
        name: name of the kind in the state file.
        keeper: keeps the rows over a restart.
    """

    def __init__(self, kind: type[RowT], name: str, keeper: keeping.Keeper) -> None:
        self._kind = kind
        self._rows: dict[str, RowT] = {}
        self._shelf = keeper.shelf(name, self._restore)

    def __iter__(self) -> Iterator[RowT]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, row_id: str) -> RowT | None:
        """The row with this id."""
        return self._rows.get(row_id)

    def put(self, row: RowT) -> None:
        """Add a row, or put it in the place of its older version."""
        self._rows[row.row_id] = row
        self._shelf.put(row.row_id, row)

    def remove(self, row_id: str) -> None:
        """Forget a row."""
        del self._rows[row_id]
        self._shelf.drop(row_id)

    def _restore(self, kept: Iterable[keeping.Row]) -> None:
        for row in kept:
            self._rows[row.key] = row.read(self._kind)


@dataclass(frozen=True, slots=True)
class Kind(Generic[RowT]):
    """
    What is particular to a kind of row.

    Attributes:
        noun: its name in messages.
        envelope: key of one row in replies.
        plural: key of a list page.
        parameter: path parameter that holds the id.
        print: the JSON members of a row.
        used: whether something refers to the row.
        fields: what list pages can be sorted by.
    """

    noun: str
    envelope: str
    plural: str
    parameter: str
    print: Callable[[RowT], dict[str, Any]]
    used: Callable[[RowT], bool]
    fields: tuple[str, ...] = ("id", "name", "created_at", "updated_at")


class Rows(Generic[RowT]):
    """
    Reads and removal of one kind of row.

    Args:
        collection: the rows.
        kind: what is particular to them.
        old: disputed behaviour.
    """

    def __init__(self, collection: Collection[RowT], kind: Kind[RowT], old: settings.OldApi) -> None:
        self._collection = collection
        self._kind = kind
        self._old = old

    def find(self, call: routes.Call) -> RowT:
        """
        The row that the path names.

        Raises:
            Refusal: there is none.
        """
        row = self._collection.get(call.path[self._kind.parameter])
        if row is None:
            raise oldrefusals.unknown(self._kind.noun, self._old.missing_status)
        return row

    def check_name(self, name: str, own_id: str | None = None) -> None:
        """
        See that no other row has this name.

        Raises:
            Refusal: 12000002, another row has it.
        """
        if self._old.unique_names and any(row.name == name and row.row_id != own_id for row in self._collection):
            raise refusals.invalid(f"a {self._kind.noun} with the name {name} already exists")

    def reply(self, status: int, row: RowT) -> wire.Reply:
        """One row in its envelope."""
        return wire.as_json(status, {self._kind.envelope: self._kind.print(row)})

    async def list_page(self, call: routes.Call) -> wire.Reply:
        """A page of the rows."""
        printed = [self._kind.print(row) for row in self._collection]
        query = dict(call.request.pairs())
        markers, page = paged(printed, query, self._kind.fields, self._missing_marker)
        return wire.as_json(_OK, {"markers": markers, self._kind.plural: page})

    async def show(self, call: routes.Call) -> wire.Reply:
        """One row."""
        return self.reply(_OK, self.find(call))

    async def delete(self, call: routes.Call) -> wire.Reply:
        """Forget a row that nothing refers to."""
        row = self.find(call)
        if self._old.in_use_refused and self._kind.used(row):
            raise oldrefusals.coded("12000054", why=f"the {self._kind.noun} is in use")
        self._collection.remove(row.row_id)
        return wire.Reply(_NO_CONTENT)

    def _missing_marker(self) -> refusals.Refusal:
        return oldrefusals.unknown(f"{self._kind.noun} of the marker", self._old.missing_status)


def paged(
    items: Iterable[dict[str, Any]],
    query: Mapping[str, str],
    fields: Sequence[str],
    missing: Callable[[], refusals.Refusal],
) -> tuple[dict[str, str | None], list[dict[str, Any]]]:
    """
    The markers and the items of a list page.

    Args:
        items: all items, printed, each with its `id`.
        query: parameters limit, marker and sort_by.
        fields: what may be sorted by.
        missing: makes the refusal of an unknown marker.

    Raises:
        Refusal: 12000002 for a wrong limit or sort field, or that of `missing`.
    """
    limit = checks.whole_number(query, "limit", least=1)
    if limit is not None and limit > _LIMIT_MAX:
        raise refusals.invalid(f"limit must not exceed {_LIMIT_MAX}")
    field = query.get("sort_by") or "id"
    name = field.removeprefix("-")
    if name not in fields:
        raise refusals.invalid(f"sort_by must be one of {', '.join(fields)}, or one of them behind a minus sign")
    ordered = sorted(items, key=lambda item: item["id"])
    ordered.sort(key=lambda item: str(item.get(name) or ""), reverse=field.startswith("-"))
    found = [item["id"] for item in ordered]
    start = 0
    marker = query.get("marker")
    if marker:
        try:
            start = found.index(marker) + 1
        except ValueError:
            raise missing() from None
    if limit is None:
        return {"prev": None, "next": None}, ordered[start:]
    stop = start + limit
    markers = {
        "prev": found[start - 1 - limit] if start - 1 - limit >= 0 else None,
        "next": found[stop - 1] if stop < len(found) else None,
    }
    return markers, ordered[start:stop]


def stamp(epoch_ms: int | None) -> str | None:
    """A moment as rows print it, in UTC; the pages name no zone."""
    if epoch_ms is None:
        return None
    return dt.datetime.fromtimestamp(epoch_ms // 1000, tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
