"""All of V1.1 jobs and data, put together: 23 operations over four kinds of rows."""

from __future__ import annotations

from mrs_emulator.core import routes
from mrs_emulator.jobs import jobs
from mrs_emulator.v11 import binaries, sources, templates, v11_jobs, v11_runs, v11_store


class V11Api:
    """
    The operations of data sources, job binaries, job objects and runs.

    Args:
        shared: what all of them share.
        playing: enters, kills and forgets the jobs of clusters.
    """

    def __init__(self, shared: v11_store.Shared, playing: jobs.Jobs) -> None:
        self._runs = v11_runs.Runs(shared.world, shared.state_file)
        data = sources.Sources(shared, self._runs.use_source, self._source_waits)
        programs = binaries.Binaries(shared, self._in_object, self._program_waits)
        self._objects = templates.Templates(shared, programs.collection, self._runs.use_template)
        running = v11_jobs.V11Jobs(shared, playing, self._runs, self._objects, programs.collection, data.collection)
        self._parts = (data, programs, running, self._objects)

    def operations(self) -> tuple[routes.Route, ...]:
        """Return all 23 operations."""
        return tuple(route for part in self._parts for route in part.operations())

    def name_of(self, object_id: str) -> str:
        """Name of a job object, or nothing when there is no such object; faults are aimed by it."""
        found = self._objects.collection.get(object_id)
        return found.name if found else ""

    def _program_waits(self, binary_id: str, now_ms: int) -> bool:
        return any(binary_id in run.binary_ids for run in self._runs.waiting(now_ms))

    def _source_waits(self, source_id: str, now_ms: int) -> bool:
        return any(source_id in {run.input_id, run.output_id} for run in self._runs.waiting(now_ms))

    def _in_object(self, binary_id: str) -> bool:
        return any(binary_id in {*one.mains, *one.libs} for one in self._objects.collection)
