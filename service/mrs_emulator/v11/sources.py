"""
Data sources of V1.1: pointers to input and output data that job objects are executed with.

Whether a location exists is not looked at; MRS does not say that it looks.

Source: API reference V1.1, pages mrs_02_0022 to mrs_02_0026 (2022).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mrs_emulator.core import refusals, routes, wire
from mrs_emulator.v11 import v11_refusals, v11_store, v11_validation

_BASE = "/v1.1/{project_id}/data-sources"
_TYPES = ("hdfs", "obs")
_NOT_SUPPORTED = "swift"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource(v11_store.Row):
    """One data source."""

    type: str
    url: str


class Sources:
    """
    Handlers of the data source operations.

    Args:
        shared: what all handlers of V1.1 share.
        used: whether a run refers to the data source with this id.
        waiting: whether a run that has not started at a moment refers to it.
    """

    def __init__(
        self,
        shared: v11_store.Shared,
        used: Callable[[str], bool],
        waiting: Callable[[str, int], bool],
    ) -> None:
        self._old = shared.chosen.v11
        self.collection = v11_store.Collection(DataSource, "data-sources", shared.state_file)
        kind: v11_store.Kind[DataSource] = v11_store.Kind(
            noun="data source",
            effect="data_source",
            envelope="data_source",
            plural="data_sources",
            parameter="data_source_id",
            print=lambda row: {"type": row.type, "url": row.url},
            used=used,
            waiting=waiting,
            fields=("id", "name", "type", "created_at", "updated_at"),
        )
        self._rows = v11_store.Rows(self.collection, kind, shared)

    def operations(self) -> Iterable[routes.Route]:
        """Return the operations; no limit is documented for V1.1."""
        one = f"{_BASE}/{{data_source_id}}"
        return (
            routes.Route("CreateDataSource", "POST", _BASE, self.create),
            routes.Route("ListDataSources", "GET", _BASE, self._rows.list_page),
            routes.Route("ShowDataSource", "GET", one, self._rows.show),
            routes.Route("UpdateDataSource", "PUT", one, self.update),
            routes.Route("DeleteDataSource", "DELETE", one, self._rows.delete),
        )

    async def create(self, call: routes.Call) -> wire.Reply:
        """Answer CreateDataSource: a name, a type, and a place that fits the type."""
        body = call.body()
        kind = _type(body)
        url = self._url(body, kind)
        return self._rows.created(DataSource(type=kind, url=url, **self._rows.begun(call)))

    async def update(self, call: routes.Call) -> wire.Reply:
        """Answer UpdateDataSource: what is not sent stays as it is; the type must be sent."""
        row = self._rows.find(call)
        body = call.body()
        kind = row.type if body.get("type") is None and not self._old.strict_required else _type(body)
        url = self._url({"url": row.url, **{key: one for key, one in body.items() if one is not None}}, kind)
        return self._rows.changed(call, row, {"type": kind, "url": url})

    def _url(self, body: Mapping[str, Any], kind: str) -> str:
        url = v11_validation.text(body, "url", most=v11_validation.URL_MAX)
        if not url:
            raise refusals.invalid("url must have 1 to 255 characters")
        if kind == "hdfs":
            if not url.startswith("/"):
                raise refusals.invalid("url must start with / if the type is hdfs")
        else:
            v11_validation.check_scheme("url", url, self._old, hdfs=False)
        return url


def _type(body: Mapping[str, Any]) -> str:
    kind = body.get("type")
    if kind == _NOT_SUPPORTED:
        raise v11_refusals.coded("12000054", why="type swift")
    if kind not in _TYPES:
        raise refusals.invalid("type must be hdfs or obs")
    return str(kind)
