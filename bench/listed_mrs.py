"""
An MRS for benchmarks in virtual time with very many jobs: it lists jobs that run, accepts more, and counts its quota.

It stands where the emulator does, but for hundreds of thousands of jobs it takes little memory and little time of the
loop that is measured. Only what the relay does to jobs that run is played: submissions, lists, single reads.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import urllib.parse
from collections import deque
from typing import Any, Final

from mrs_relay.common import clock
from mrs_relay.mrs import transport

LATENCY_S: Final = 0.04
WINDOW_S: Final = 60.0

_JOBS: Final = re.compile(r"/v2/([^/]+)/clusters/([^/]+)/job-executions(?:/([^/?]+))?(?:\?(.*))?$")
_JSON: Final = {"Content-Type": "application/json"}


class ListedMrs:
    """
    One project.

    Args:
        time: the clock of the jobs.
        writes_per_minute: submissions that are accepted in any minute; the others get a 429.

    Attributes:
        taken_s: when each submission was accepted, seconds of the clock.
        throttled: submissions that were refused.
        reads: lists and single reads that were answered.
        looks: lists from their first page on.
    """

    def __init__(self, time: clock.Clock, writes_per_minute: int) -> None:
        self._time = time
        self._most = writes_per_minute
        self._clusters: dict[str, list[bytes]] = {}
        self._by_id: dict[str, bytes] = {}
        self._numbers = itertools.count()
        self._window_s: deque[float] = deque()
        self.taken_s: list[float] = []
        self.throttled = 0
        self.reads = 0
        self.looks = 0

    def run(self, cluster: str, job_id: str, **more: str) -> None:
        """Have a job run on a cluster; `more` are further fields that MRS shows of it."""
        detail = {
            "job_id": job_id,
            "job_state": "RUNNING",
            "job_result": "UNDEFINED",
            "job_progress": 45.0,
            "submitted_time": self._time.now_ms(),
            "started_time": self._time.now_ms(),
            **more,
        }
        shown = json.dumps(detail).encode()
        self._clusters.setdefault(cluster, []).append(shown)
        self._by_id[job_id] = shown

    async def send(self, request: transport.Request, timeout_s: float) -> transport.Response:  # noqa: ARG002 - a door
        """Answer one request."""
        await asyncio.sleep(LATENCY_S)
        found = _JOBS.search(request.target)
        assert found is not None, f"expected a call of the job API, got {request.verb} {request.target}"
        _, cluster, job_id, query = found.groups()
        if request.verb == "POST":
            return self._submit(cluster)
        self.reads += 1
        return self._show(job_id) if job_id else self._list(cluster, dict(urllib.parse.parse_qsl(query or "")))

    def _submit(self, cluster: str) -> transport.Response:
        now_s = self._time.monotonic_s()
        while self._window_s and self._window_s[0] <= now_s - WINDOW_S:
            self._window_s.popleft()
        if len(self._window_s) >= self._most:
            self.throttled += 1
            return _response(429, {"error_code": "APIGW.0308", "error_msg": "The throttling threshold is reached"})

        self._window_s.append(now_s)
        self.taken_s.append(now_s)
        job_id = f"new-{next(self._numbers)}"
        self.run(cluster, job_id)
        return _response(200, {"job_submit_result": {"job_id": job_id, "state": "COMPLETE"}})

    def _list(self, cluster: str, query: dict[str, str]) -> transport.Response:
        limit, page = int(query["limit"]), int(query["offset"])
        self.looks += page == 1
        listed = self._clusters.get(cluster, [])
        shown = b",".join(listed[(page - 1) * limit : page * limit])
        return transport.Response(200, b'{"job_list":[%b],"total_record":%d}' % (shown, len(listed)), _JSON)

    def _show(self, job_id: str) -> transport.Response:
        return transport.Response(200, b'{"job_detail":%b}' % self._by_id[job_id], _JSON)


def _response(status: int, body: dict[str, Any]) -> transport.Response:
    return transport.Response(status, json.dumps(body).encode(), _JSON)
