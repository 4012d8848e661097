"""
Data sources of V1.1: pointers to input and output data that job objects are executed with.

Whether a location exists is not looked at; MRS does not say that it looks.

Source: API reference V1.1, pages mrs_02_0022 to mrs_02_0026 (2022).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mrs_relay.emulator import oldchecks, oldrefusals, refusals, routes, rows, state, wire

_ACCEPTED = 202
_BASE = "/v1.1/{project_id}/data-sources"
_TYPES = ("hdfs", "obs")
_NOT_SUPPORTED = "swift"


@dataclass(frozen=True, slots=True)
class DataSource:
    """One data source; times in milliseconds since the epoch."""

    row_id: str
    name: str
    type: str
    url: str
    description: str
    is_public: bool
    is_protected: bool
    created_ms: int
    updated_ms: int | None = None


class Sources:
    """
    Handlers of the data source operations.

    Args:
        ground: what all handlers of V1.1 stand on.
        used: whether a run refers to the data source with this id.
        waiting: whether a run that has not started at a moment refers to it.
    """

    def __init__(
        self,
        ground: rows.Ground,
        used: Callable[[str], bool],
        waiting: Callable[[str, int], bool],
    ) -> None:
        self._world = ground.world
        self._ids = ground.making
        self._old = ground.chosen.v11
        self._project_id = ground.chosen.project_id
        self._waiting = waiting
        self.collection = rows.Collection(DataSource, "data-sources", ground.keeper)
        kind = rows.Kind(
            noun="data source",
            envelope="data_source",
            plural="data_sources",
            parameter="data_source_id",
            print=self._printed,
            used=lambda row: used(row.row_id),
            fields=("id", "name", "type", "created_at", "updated_at"),
        )
        self._rows = rows.Rows(self.collection, kind, self._old)

    def operations(self) -> Iterable[routes.Route]:
        """The operations; no limit is documented for V1.1."""
        one = f"{_BASE}/{{data_source_id}}"
        return (
            routes.Route("CreateDataSource", "POST", _BASE, self.create),
            routes.Route("ListDataSources", "GET", _BASE, self._rows.list_page),
            routes.Route("ShowDataSource", "GET", one, self._rows.show),
            routes.Route("UpdateDataSource", "PUT", one, self.update),
            routes.Route("DeleteDataSource", "DELETE", one, self._rows.delete),
        )

    async def create(self, call: routes.Call) -> wire.Reply:
        """CreateDataSource: complete at once, though the status is 202."""
        body = call.body()
        name = oldchecks.row_name(body)
        kind = _type(body)
        url = self._url(body, kind)
        self._rows.check_name(name)
        row = DataSource(
            row_id=self._ids.uuid(),
            name=name,
            type=kind,
            url=url,
            description=oldchecks.text(body, "description", most=oldchecks.DESCRIPTION_MAX),
            is_public=oldchecks.flag(body, "is_public"),
            is_protected=oldchecks.flag(body, "is_protected"),
            created_ms=call.now_ms,
        )
        self.collection.put(row)
        self._world.note(state.Effect("data_source", row.row_id, row.name, "", call.now_ms))
        return self._rows.reply(_ACCEPTED, row)

    async def update(self, call: routes.Call) -> wire.Reply:
        """UpdateDataSource: what is not sent stays as it is; the type must be sent."""
        row = self._rows.find(call)
        body = call.body()
        kind = row.type if body.get("type") is None and not self._old.strict_required else _type(body)
        name = oldchecks.row_name(body) if body.get("name") is not None else row.name
        url = self._url({"url": row.url, **{key: one for key, one in body.items() if one is not None}}, kind)
        described = body.get("description") is not None
        self._rows.check_name(name, row.row_id)
        if self._old.in_use_refused and self._waiting(row.row_id, call.now_ms):
            raise oldrefusals.coded("12000054", why="a job that has not started uses the data source")
        changed = replace(
            row,
            name=name,
            type=kind,
            url=url,
            description=oldchecks.text(body, "description", most=oldchecks.DESCRIPTION_MAX)
            if described
            else row.description,
            is_public=oldchecks.flag(body, "is_public", default=row.is_public),
            is_protected=oldchecks.flag(body, "is_protected", default=row.is_protected),
            updated_ms=call.now_ms,
        )
        self.collection.put(changed)
        return self._rows.reply(_ACCEPTED, changed)

    def _url(self, body: Mapping[str, Any], kind: str) -> str:
        url = oldchecks.text(body, "url", most=oldchecks.URL_MAX)
        if not url:
            raise refusals.invalid("url must have 1 to 255 characters")
        if kind == "hdfs":
            if not url.startswith("/"):
                raise refusals.invalid("url must start with / if the type is hdfs")
        else:
            oldchecks.check_scheme("url", url, self._old, hdfs=False)
        return url

    def _printed(self, row: DataSource) -> dict[str, Any]:
        return {
            "name": row.name,
            "type": row.type,
            "url": row.url,
            "description": row.description,
            "created_at": rows.stamp(row.created_ms),
            "updated_at": rows.stamp(row.updated_ms),
            "id": row.row_id,
            "tenant_id": self._project_id,
            "is_public": row.is_public,
            "is_protected": row.is_protected,
        }


def _type(body: Mapping[str, Any]) -> str:
    kind = body.get("type")
    if kind == _NOT_SUPPORTED:
        raise oldrefusals.coded("12000054", why="type swift")
    if kind not in _TYPES:
        raise refusals.invalid("type must be hdfs or obs")
    return str(kind)
