"""
Rows of V1.1 (data sources, binaries, job objects): a table per kind, and what all kinds share.

A kind brings its own fields and their checks; names, flags, times, uses and replies are the same for all and are here.
`v11_paging` makes the list pages.

Source: API reference V1.1, pages mrs_02_0022 to 0026, 0034 to 0038, 0041 to 0048 (2022).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from mrs_emulator.core import ids, persistence, refusals, routes, settings, state, wire
from mrs_emulator.v11 import v11_paging, v11_refusals, v11_validation

_OK = 200
_ACCEPTED = 202
_NO_CONTENT = 204


class Kept(Protocol):
    """What a collection keeps."""

    @property
    def row_id(self) -> str:
        """Its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What every data source, binary and job object has; times in milliseconds since the epoch."""

    row_id: str
    name: str
    description: str
    is_public: bool
    is_protected: bool
    created_ms: int
    updated_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Shared:
    """
    What all handlers of V1.1 jobs and data stand on.

    Attributes:
        world: clusters, and what was created.
        making: source of ids.
        chosen: the settings.
        state_file: keeps rows over a restart.
    """

    world: state.World
    making: ids.Ids
    chosen: settings.EmulatorSettings
    state_file: persistence.StateFile


KeptT = TypeVar("KeptT", bound=Kept)
RowT = TypeVar("RowT", bound=Row)


class Collection(Generic[KeptT]):
    """
    The rows of one kind, in the order in which they came.

    Args:
        kind: class of the rows.
        name: name of the kind in the state file.
        state_file: keeps the rows over a restart.
    """

    def __init__(self, kind: type[KeptT], name: str, state_file: persistence.StateFile) -> None:
        self._kind = kind
        self._rows: dict[str, KeptT] = {}
        self._table = state_file.table(name, self._restore)

    def __iter__(self) -> Iterator[KeptT]:
        return iter(self._rows.values())

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, row_id: str) -> KeptT | None:
        """Return the row with this id."""
        return self._rows.get(row_id)

    def put(self, row: KeptT) -> None:
        """Add a row, or put it in the place of its older version."""
        self._rows[row.row_id] = row
        self._table.put(row.row_id, row)

    def remove(self, row_id: str) -> None:
        """Forget a row."""
        del self._rows[row_id]
        self._table.drop(row_id)

    def _restore(self, kept: Iterable[persistence.Row]) -> None:
        for row in kept:
            self._rows[row.key] = row.read(self._kind)


def _never(_row_id: str, _now_ms: int) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Kind(Generic[RowT]):
    """
    What is particular to a kind of row.

    Attributes:
        noun: its name in messages.
        effect: its name among the effects.
        envelope: key of one row in replies.
        plural: key of a list page.
        parameter: path parameter that holds the id.
        print: the JSON members that only this kind has.
        used: whether something refers to the row with this id, so that it cannot be deleted.
        waiting: whether a run that has not started at a moment refers to it, so that it cannot be changed.
        fields: what list pages can be sorted by.
        names: what names must look like.
        born_changed: whether a new row has the time of its making as the time of its last change.
    """

    noun: str
    effect: str
    envelope: str
    plural: str
    parameter: str
    print: Callable[[RowT], dict[str, Any]]
    used: Callable[[str], bool]
    waiting: Callable[[str, int], bool] = _never
    fields: tuple[str, ...] = ("id", "name", "created_at", "updated_at")
    names: re.Pattern[str] = v11_validation.ROW_NAME
    born_changed: bool = False


class Rows(Generic[RowT]):
    """
    A table: the operations on one kind of row, as far as all kinds have them in common.

    Args:
        collection: the rows.
        kind: what is particular to them.
        shared: what all handlers of V1.1 share.
    """

    def __init__(self, collection: Collection[RowT], kind: Kind[RowT], shared: Shared) -> None:
        self._collection = collection
        self._kind = kind
        self._world = shared.world
        self._ids = shared.making
        self._old = shared.chosen.v11
        self._project_id = shared.chosen.project_id

    def find(self, call: routes.Call) -> RowT:
        """
        Return the row that the path names.

        Raises:
            Refusal: there is none.
        """
        row = self._collection.get(call.path[self._kind.parameter])
        if row is None:
            raise v11_refusals.unknown(self._kind.noun, self._old.missing_status)
        return row

    def begun(self, call: routes.Call) -> dict[str, Any]:
        """
        Return the fields of `Row` for a new row, as the body asks for them.

        Raises:
            Refusal: 12000002, one of them is wrong, or another row has the name.
        """
        body = call.body()
        name = v11_validation.row_name(body, self._kind.names)
        self._check_name(name)
        return {
            "row_id": self._ids.uuid(),
            "name": name,
            "description": v11_validation.text(body, "description", most=v11_validation.DESCRIPTION_MAX),
            "is_public": v11_validation.flag(body, "is_public"),
            "is_protected": v11_validation.flag(body, "is_protected"),
            "created_ms": call.now_ms,
            "updated_ms": call.now_ms if self._kind.born_changed else None,
        }

    def created(self, row: RowT) -> wire.Reply:
        """Keep a new row: complete at once, though the status is 202."""
        self._collection.put(row)
        self._world.note(state.Effect(self._kind.effect, row.row_id, row.name, "", row.created_ms))
        return self._reply(_ACCEPTED, row)

    def changed(self, call: routes.Call, row: RowT, particular: dict[str, Any]) -> wire.Reply:
        """
        Keep a row with the shared fields that the body has and the `particular` ones; what is not sent stays as it is.

        Raises:
            Refusal: 12000002, a field is wrong or another row has the name; 12000054, a waiting run needs the row.
        """
        body = call.body()
        name = row.name if body.get("name") is None else v11_validation.row_name(body, self._kind.names)
        description = v11_validation.text(body, "description", most=v11_validation.DESCRIPTION_MAX)
        self._check_name(name, row.row_id)
        if self._old.in_use_refused and self._kind.waiting(row.row_id, call.now_ms):
            raise v11_refusals.coded("12000054", why=f"a job that has not started uses the {self._kind.noun}")

        newer = replace(
            row,
            name=name,
            description=row.description if body.get("description") is None else description,
            is_public=v11_validation.flag(body, "is_public", default=row.is_public),
            is_protected=v11_validation.flag(body, "is_protected", default=row.is_protected),
            updated_ms=call.now_ms,
            **particular,
        )

        self._collection.put(newer)
        return self._reply(_ACCEPTED, newer)

    async def list_page(self, call: routes.Call) -> wire.Reply:
        """Return a page of the rows."""
        printed = [self._printed(row) for row in self._collection]
        query = dict(call.request.pairs())
        neighbours, page = v11_paging.paged(printed, query, self._kind.fields, self._missing_marker)
        return wire.as_json(_OK, {"markers": neighbours, self._kind.plural: page})

    async def show(self, call: routes.Call) -> wire.Reply:
        """Return one row."""
        return self._reply(_OK, self.find(call))

    async def delete(self, call: routes.Call) -> wire.Reply:
        """Forget a row that nothing refers to."""
        row = self.find(call)
        if self._old.in_use_refused and self._kind.used(row.row_id):
            raise v11_refusals.coded("12000054", why=f"the {self._kind.noun} is in use")
        self._collection.remove(row.row_id)
        return wire.Reply(_NO_CONTENT)

    def _check_name(self, name: str, own_id: str | None = None) -> None:
        if self._old.unique_names and any(row.name == name and row.row_id != own_id for row in self._collection):
            raise refusals.invalid(f"a {self._kind.noun} with the name {name} already exists")

    def _reply(self, status: int, row: RowT) -> wire.Reply:
        return wire.as_json(status, {self._kind.envelope: self._printed(row)})

    def _printed(self, row: RowT) -> dict[str, Any]:
        times = {"created_at": stamp(row.created_ms), "updated_at": stamp(row.updated_ms)}
        return {**shared(row, self._project_id), **times, **self._kind.print(row)}

    def _missing_marker(self) -> refusals.Refusal:
        return v11_refusals.unknown(f"{self._kind.noun} of the marker", self._old.missing_status)


def shared(row: Row, project_id: str) -> dict[str, Any]:
    """Return the members that all rows print, but for their times."""
    return {
        "name": row.name,
        "description": row.description,
        "id": row.row_id,
        "tenant_id": project_id,
        "is_public": row.is_public,
        "is_protected": row.is_protected,
    }


def stamp(epoch_ms: int | None) -> str | None:
    """Return a moment as rows print it, in UTC; the pages name no zone."""
    if epoch_ms is None:
        return None
    return dt.datetime.fromtimestamp(epoch_ms // 1000, tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
