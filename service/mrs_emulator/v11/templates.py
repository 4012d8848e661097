"""
Job objects of V1.1: a type and the binaries it needs, stored to be executed any number of times.

Chosen where the pages are silent: an update that sends mains or libs leaves them as they are; an unknown binary id is
12000002; names of types are compared exactly.

Source: API reference V1.1, pages mrs_02_0041, 0042, 0044, 0045, 0048 (2022); Open Telekom Cloud for the codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mrs_emulator.core import checks, refusals, routes, wire
from mrs_emulator.v11 import binaries, v11_refusals, v11_store

_BASE = "/v1.1/{project_id}/jobs"
_TYPES: Mapping[str, int] = {
    "MapReduce": 1,
    "Spark": 2,
    "Hive": 3,
    "hql": 4,
    "DistCp": 5,
    "SparkScript": 6,
    "SparkSql": 7,
}
_UPDATE_TYPES = ("MapReduce", "Spark", "Hive", "DistCp", "SparkScript")
_NEED_MAINS = frozenset({"Hive", "SparkScript"})
_NEED_LIBS = frozenset({"MapReduce", "Spark"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Template(v11_store.Row):
    """One job object; binaries by id."""

    type: str
    mains: tuple[str, ...]
    libs: tuple[str, ...]

    @property
    def type_code(self) -> int:
        """The number of its type."""
        return _TYPES[self.type]


class Templates:
    """
    Handlers of the job object operations that run nothing.

    Args:
        shared: what all handlers of V1.1 share.
        programs: the binaries that job objects refer to.
        used: whether a run refers to the job object with this id.
    """

    def __init__(
        self,
        shared: v11_store.Shared,
        programs: v11_store.Collection[binaries.JobBinary],
        used: Callable[[str], bool],
    ) -> None:
        self._old = shared.chosen.v11
        self._project_id = shared.chosen.project_id
        self._binaries = programs
        self.collection = v11_store.Collection(Template, "job-objects", shared.state_file)

        kind = v11_store.Kind(
            noun="job",
            effect="job_object",
            envelope="job",
            plural="jobs",
            parameter="job_id",
            print=self._printed,
            used=used,
            fields=("id", "name", "type", "created_at", "updated_at"),
            names=checks.NAME,
            born_changed=True,
        )

        self._rows = v11_store.Rows(self.collection, kind, shared)

    def operations(self) -> Iterable[routes.Route]:
        """Return the operations; no limit is documented for V1.1."""
        one = f"{_BASE}/{{job_id}}"
        return (
            routes.Route("CreateJob", "POST", _BASE, self.create),
            routes.Route("ListJobs", "GET", _BASE, self._rows.list_page),
            routes.Route("ShowJob", "GET", one, self._rows.show),
            routes.Route("UpdateJob", "PATCH", one, self.update),
            routes.Route("DeleteJob", "DELETE", one, self._rows.delete),
        )

    def find(self, call: routes.Call) -> Template:
        """
        Return the job object that the path names.

        Raises:
            Refusal: there is none.
        """
        return self._rows.find(call)

    async def create(self, call: routes.Call) -> wire.Reply:
        """Answer CreateJob: store a job object."""
        body = call.body()
        kind = _type(body, tuple(_TYPES))
        if kind == "SparkSql" and not self._old.sql_types:
            raise v11_refusals.coded("12000054", why="type SparkSql")
        mains, libs = self._ids_in(body, "mains"), self._ids_in(body, "libs")
        _check_complete(kind, mains, libs)
        return self._rows.created(Template(type=kind, mains=mains, libs=libs, **self._rows.begun(call)))

    async def update(self, call: routes.Call) -> wire.Reply:
        """Answer UpdateJob: name, type, description; everything else stays as it is."""
        row = self._rows.find(call)
        body = call.body()
        kind = row.type if body.get("type") is None else _type(body, _UPDATE_TYPES)
        _check_complete(kind, row.mains, row.libs)
        return self._rows.changed(call, row, {"type": kind})

    def _ids_in(self, body: Mapping[str, Any], name: str) -> tuple[str, ...]:
        found = body.get(name)
        if found is None:
            return ()
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise refusals.invalid(f"{name} must be an array of job binary ids")
        for one in found:
            if self._binaries.get(one) is None:
                raise refusals.invalid(f"{name} names a job binary that does not exist")
        return tuple(found)

    def _printed(self, row: Template) -> dict[str, Any]:
        return {
            "type": row.type,
            "mains": self._references(row.mains),
            "libs": self._references(row.libs),
            "interface": [],
        }

    def _references(self, wanted: Sequence[str]) -> list[dict[str, Any]]:
        found = (self._binaries.get(one) for one in wanted)
        return [binaries.reference(one, self._project_id) for one in found if one is not None]


def _type(body: Mapping[str, Any], allowed: Sequence[str]) -> str:
    kind = body.get("type")
    if kind not in allowed:
        raise refusals.invalid(f"type must be one of {', '.join(allowed)}")
    return str(kind)


def _check_complete(kind: str, mains: Sequence[str], libs: Sequence[str]) -> None:
    if kind in _NEED_MAINS and not mains:
        raise v11_refusals.coded("12000068")
    if kind in _NEED_LIBS and not libs:
        raise v11_refusals.coded("12000069")
