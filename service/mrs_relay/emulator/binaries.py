"""
Job binaries of V1.1: pointers to the programs and scripts that job objects are made of.

Source: API reference V1.1, pages mrs_02_0034 to mrs_02_0038 (2022).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mrs_relay.emulator import oldchecks, oldrefusals, refusals, routes, rows, state, wire

_ACCEPTED = 202
_BASE = "/v1.1/{project_id}/job-binaries"


@dataclass(frozen=True, slots=True)
class JobBinary:
    """One program or script; times in milliseconds since the epoch."""

    row_id: str
    name: str
    url: str
    description: str
    is_public: bool
    is_protected: bool
    created_ms: int
    updated_ms: int | None = None


class Binaries:
    """
    Handlers of the job binary operations.

    Args:
        ground: what all handlers of V1.1 stand on.
        used: whether a job object refers to the binary with this id.
        waiting: whether a run that has not started at a moment does.
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
        self.collection = rows.Collection(JobBinary, "job-binaries", ground.keeper)
        kind = rows.Kind(
            noun="job binary",
            envelope="job_binary",
            plural="binaries",
            parameter="job_binary_id",
            print=self._printed,
            used=lambda row: used(row.row_id),
        )
        self._rows = rows.Rows(self.collection, kind, self._old)

    def operations(self) -> Iterable[routes.Route]:
        """The operations; no limit is documented for V1.1."""
        one = f"{_BASE}/{{job_binary_id}}"
        return (
            routes.Route("CreateJobBinary", "POST", _BASE, self.create),
            routes.Route("ListJobBinaries", "GET", _BASE, self._rows.list_page),
            routes.Route("ShowJobBinary", "GET", one, self._rows.show),
            routes.Route("UpdateJobBinary", "PUT", one, self.update),
            routes.Route("DeleteJobBinary", "DELETE", one, self._rows.delete),
        )

    async def create(self, call: routes.Call) -> wire.Reply:
        """CreateJobBinary: complete at once, though the status is 202."""
        body = call.body()
        name = oldchecks.row_name(body)
        url = self._url(body)
        description = self._description(body)
        self._rows.check_name(name)
        row = JobBinary(
            row_id=self._ids.uuid(),
            name=name,
            url=url,
            description=description or "",
            is_public=oldchecks.flag(body, "is_public"),
            is_protected=oldchecks.flag(body, "is_protected"),
            created_ms=call.now_ms,
        )
        self.collection.put(row)
        self._world.note(state.Effect("job_binary", row.row_id, row.name, "", call.now_ms))
        return self._rows.reply(_ACCEPTED, row)

    async def update(self, call: routes.Call) -> wire.Reply:
        """UpdateJobBinary: what is not sent stays as it is; the description must be sent."""
        row = self._rows.find(call)
        body = call.body()
        name = oldchecks.row_name(body) if body.get("name") is not None else row.name
        url = self._url(body) if body.get("url") is not None else row.url
        description = self._description(body)
        self._rows.check_name(name, row.row_id)
        if self._old.in_use_refused and self._waiting(row.row_id, call.now_ms):
            raise oldrefusals.coded("12000054", why="a job that has not started uses the job binary")
        changed = replace(
            row,
            name=name,
            url=url,
            description=row.description if description is None else description,
            is_public=oldchecks.flag(body, "is_public", default=row.is_public),
            is_protected=oldchecks.flag(body, "is_protected", default=row.is_protected),
            updated_ms=call.now_ms,
        )
        self.collection.put(changed)
        return self._rows.reply(_ACCEPTED, changed)

    def _url(self, body: Mapping[str, Any]) -> str:
        url = oldchecks.text(body, "url", most=oldchecks.URL_MAX)
        if not url:
            raise refusals.invalid("url must have 1 to 255 characters")
        oldchecks.check_scheme("url", url, self._old)
        return url

    def _description(self, body: Mapping[str, Any]) -> str | None:
        """The description, mandatory by the pages; an empty one counts as sent."""
        if body.get("description") is None:
            if self._old.strict_required:
                raise refusals.invalid("description is mandatory")
            return None
        return oldchecks.text(body, "description", most=oldchecks.DESCRIPTION_MAX)

    def _printed(self, row: JobBinary) -> dict[str, Any]:
        members = reference(row, self._project_id)
        del members["extra"]
        return members | {"created_at": rows.stamp(row.created_ms), "updated_at": rows.stamp(row.updated_ms)}


def reference(row: JobBinary, project_id: str) -> dict[str, Any]:
    """A binary as it is printed inside of a job object."""
    return {
        "name": row.name,
        "url": row.url,
        "description": row.description,
        "id": row.row_id,
        "tenant_id": project_id,
        "is_public": row.is_public,
        "is_protected": row.is_protected,
        "extra": None,
    }
