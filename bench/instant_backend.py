"""
An MRS that accepts everything at once: the backend of the benchmarks, where the other side must not be the bottleneck.

A raw asyncio protocol speaks HTTP/1.1 with keep-alive. It checks nothing, remembers each submitted job and shows it in
lists and single reads: RUNNING until `--life-s` seconds after its submission, then FINISHED and SUCCEEDED.

    python bench/instant_backend.py --port 8765
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import time
import uuid
from typing import cast
from urllib.parse import parse_qsl

DEFAULT_LIFE_S = 3600.0
PAGE_SIZE = 10  # what MRS takes when `limit` is absent

_JOB_NAME = re.compile(rb'"job_name"\s*:\s*"([^"]*)"')
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_SUBMITTED = b'{"job_submit_result":{"job_id":"%s","state":"COMPLETE"}}'
_HEAD = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nX-Request-Id: %s\r\nContent-Length: %d\r\n\r\n%s"


class Jobs:
    """
    Every job of one cluster, in the order of submission.

    Args:
        life_s: seconds after its submission at which a job has succeeded.
    """

    def __init__(self, life_s: float) -> None:
        self.life_s = life_s
        self.rows: list[tuple[str, str, float]] = []
        self.at: dict[str, int] = {}

    def add(self, job_id: str, name: str) -> None:
        """Remember a job submitted now."""
        self.at[job_id] = len(self.rows)
        self.rows.append((job_id, name, time.time()))

    def detail(self, index: int, now_s: float) -> dict[str, object]:
        """Return the job at `index` the way MRS shows it."""
        job_id, name, since_s = self.rows[index]
        ended = now_s - since_s >= self.life_s
        submitted_ms = int(since_s * 1000)

        return {
            "job_id": job_id,
            "user": "bench",
            "job_name": name,
            "job_result": "SUCCEEDED" if ended else "UNDEFINED",
            "job_state": "FINISHED" if ended else "RUNNING",
            "job_progress": 100 if ended else 50,
            "job_type": "SparkSubmit",
            "started_time": submitted_ms,
            "submitted_time": submitted_ms,
            "finished_time": submitted_ms + int(self.life_s * 1000) if ended else 0,
            "elapsed_time": int(self.life_s * 1000) if ended else 0,
            "queue": "default",
            "arguments": "[]",
            "launcher_id": "application_1_0001",
            "app_id": "application_1_0002",
            "properties": "{}",
        }

    def page(self, query: dict[str, str]) -> dict[str, object]:
        """Return one page of the list; knows the filters job_result, job_id, job_name and the submission window."""
        now_s = time.time()
        indexes = [index for index in range(len(self.rows)) if self._matches(index, query, now_s)]
        if query.get("sort_by", "desc") == "desc":
            indexes.reverse()
        size, number = int(query.get("limit", PAGE_SIZE)), int(query.get("offset", 1))
        shown = indexes[(number - 1) * size : number * size]
        return {"total_record": len(indexes), "job_list": [self.detail(index, now_s) for index in shown]}

    def _matches(self, index: int, query: dict[str, str], now_s: float) -> bool:
        job_id, name, since_s = self.rows[index]
        if "job_result" in query and (query["job_result"] == "UNDEFINED") != (now_s - since_s < self.life_s):
            return False
        since_ms = since_s * 1000
        return (
            query.get("job_id", job_id) == job_id
            and query.get("job_name", name) == name
            and int(query.get("submitted_time_begin", 0)) <= since_ms <= int(query.get("submitted_time_end", 1 << 62))
        )


class Backend(asyncio.Protocol):
    """One connection: requests in, replies out, in order."""

    def __init__(self, clusters: dict[str, Jobs], life_s: float) -> None:
        self._clusters = clusters
        self._life_s = life_s
        self._buffer = b""
        self._transport: asyncio.WriteTransport | None = None
        self._prefix = str(uuid.uuid4())[:24]
        self._count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's class is no subclass of it

    def data_received(self, data: bytes) -> None:
        """Answer every whole request in the buffer."""
        buffer = self._buffer + data if self._buffer else data
        replies = []
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            found = _CONTENT_LENGTH.search(buffer, 0, end + 2)
            stop = end + 4 + (int(found[1]) if found else 0)
            if len(buffer) < stop:
                break
            verb, target, _ = buffer[: buffer.find(b"\r\n")].split(b" ", 2)
            replies.append(self._reply(verb, target, buffer[end + 4 : stop]))
            buffer = buffer[stop:]
        self._buffer = buffer
        if replies and self._transport is not None:
            self._transport.write(b"".join(replies))

    def _reply(self, verb: bytes, target: bytes, body: bytes) -> bytes:
        self._count += 1
        unique = b"%s%012x" % (self._prefix.encode(), self._count)

        path, _, query = target.partition(b"?")
        if verb == b"POST" and path.endswith(b"/job-executions"):
            name = _JOB_NAME.search(body)
            self._cluster(path).add(unique.decode(), name[1].decode() if name else "")
            status, content = 202, _SUBMITTED % unique
        elif verb == b"GET":
            status, content = self._read(path, dict(parse_qsl(query.decode())))
        elif path.endswith(b"/sql-execution"):
            status, content = 200, b'{"id":"","status":"FINISHED","content":[]}'
        elif path.endswith(b"/cancel"):
            status, content = 200, b'{"status":"SUCCEED"}'
        else:
            status, content = 202, b""

        return _HEAD % (status, unique, len(content), content)

    def _read(self, path: bytes, query: dict[str, str]) -> tuple[int, bytes]:
        if path.endswith(b"/job-executions"):
            return 202, json.dumps(self._cluster(path).page(query)).encode()

        if b"/job-executions/" in path:
            jobs, job_id = self._cluster(path), path.rsplit(b"/", 1)[1].decode()
            if job_id not in jobs.at:
                return 400, b'{"error_code":"0176","error_msg":"The job does not exist."}'
            return 202, json.dumps({"job_detail": jobs.detail(jobs.at[job_id], time.time())}).encode()

        if path.endswith(b"/cluster_infos"):
            clusters = [{"clusterId": name, "clusterName": name, "clusterState": "running"} for name in self._clusters]
            return 200, json.dumps({"clusterTotal": len(clusters), "clusters": clusters}).encode()

        if b"/cluster_infos/" in path:
            name = path.rsplit(b"/", 1)[1].decode()
            cluster = {"clusterId": name, "clusterName": name, "clusterState": "running"}
            return 200, json.dumps({"cluster": cluster}).encode()

        return 404, b'{"error_code":"APIGW.0101","error_msg":"The API does not exist or has not been published."}'

    def _cluster(self, path: bytes) -> Jobs:
        name = path.split(b"/", 5)[4].decode()
        jobs = self._clusters.get(name)
        if jobs is None:
            jobs = self._clusters[name] = Jobs(self._life_s)
        return jobs


async def serve(host: str, port: int, life_s: float) -> None:
    """Serve until SIGTERM or SIGINT; prints `ready <port>` once connections are accepted."""
    loop = asyncio.get_running_loop()
    clusters: dict[str, Jobs] = {}
    server = await loop.create_server(lambda: Backend(clusters, life_s), host, port)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    print(f"ready {server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await stop.wait()


def main() -> None:
    """Read the flags and serve."""
    parser = argparse.ArgumentParser(description="An MRS that accepts everything at once.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port; the port is printed")
    parser.add_argument("--life-s", type=float, default=DEFAULT_LIFE_S, help="seconds until a job has succeeded")
    flags = parser.parse_args()
    try:
        import uvloop  # noqa: PLC0415 - optional here: the backend runs on the plain loop too
    except ImportError:
        asyncio.run(serve(flags.host, flags.port, flags.life_s))
    else:
        uvloop.run(serve(flags.host, flags.port, flags.life_s))


if __name__ == "__main__":
    main()
