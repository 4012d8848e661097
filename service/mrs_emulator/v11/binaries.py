"""
Job binaries of V1.1: pointers to the programs and scripts that job objects are made of.

Source: API reference V1.1, pages mrs_02_0034 to mrs_02_0038 (2022).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mrs_emulator.core import refusals, routes, wire
from mrs_emulator.v11 import v11_store, v11_validation

_BASE = "/v1.1/{project_id}/job-binaries"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobBinary(v11_store.Row):
    """One program or script."""

    url: str


class Binaries:
    """
    Handlers of the job binary operations.

    Args:
        shared: what all handlers of V1.1 share.
        used: whether a job object refers to the binary with this id.
        waiting: whether a run that has not started at a moment does.
    """

    def __init__(
        self,
        shared: v11_store.Shared,
        used: Callable[[str], bool],
        waiting: Callable[[str, int], bool],
    ) -> None:
        self._old = shared.chosen.v11
        self.collection = v11_store.Collection(JobBinary, "job-binaries", shared.state_file)
        kind: v11_store.Kind[JobBinary] = v11_store.Kind(
            noun="job binary",
            effect="job_binary",
            envelope="job_binary",
            plural="binaries",
            parameter="job_binary_id",
            print=lambda row: {"url": row.url},
            used=used,
            waiting=waiting,
        )
        self._rows = v11_store.Rows(self.collection, kind, shared)

    def operations(self) -> Iterable[routes.Route]:
        """Return the operations; no limit is documented for V1.1."""
        one = f"{_BASE}/{{job_binary_id}}"
        return (
            routes.Route("CreateJobBinary", "POST", _BASE, self.create),
            routes.Route("ListJobBinaries", "GET", _BASE, self._rows.list_page),
            routes.Route("ShowJobBinary", "GET", one, self._rows.show),
            routes.Route("UpdateJobBinary", "PUT", one, self.update),
            routes.Route("DeleteJobBinary", "DELETE", one, self._rows.delete),
        )

    async def create(self, call: routes.Call) -> wire.Reply:
        """Answer CreateJobBinary: the description must be sent."""
        body = call.body()
        url = self._url(body)
        self._check_described(body)
        return self._rows.created(JobBinary(url=url, **self._rows.begun(call)))

    async def update(self, call: routes.Call) -> wire.Reply:
        """Answer UpdateJobBinary: what is not sent stays as it is; the description must be sent."""
        row = self._rows.find(call)
        body = call.body()
        url = row.url if body.get("url") is None else self._url(body)
        self._check_described(body)
        return self._rows.changed(call, row, {"url": url})

    def _url(self, body: Mapping[str, Any]) -> str:
        url = v11_validation.text(body, "url", most=v11_validation.URL_MAX)
        if not url:
            raise refusals.invalid("url must have 1 to 255 characters")
        v11_validation.check_scheme("url", url, self._old)
        return url

    def _check_described(self, body: Mapping[str, Any]) -> None:
        """Require a description, as the pages do; an empty one counts as sent."""
        if body.get("description") is None and self._old.strict_required:
            raise refusals.invalid("description is mandatory")


def reference(row: JobBinary, project_id: str) -> dict[str, Any]:
    """Return a binary as it is printed inside of a job object."""
    return {**v11_store.shared(row, project_id), "url": row.url, "extra": None}
