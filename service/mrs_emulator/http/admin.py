"""
The emulator's own paths under /emulator/: health, what was really created, and faults. They carry no signature.

A web page elsewhere on the machine must not change anything here: whatever changes state is refused when a browser
sends it from another origin, and bodies must say that they are JSON, which a form of a page cannot.

    GET    /emulator/health     alive, and what there is
    GET    /emulator/effects    jobs and statements really created; ?kind=job&name=PATTERN&start=0&limit=1000
    GET    /emulator/faults     faults in force
    POST   /emulator/faults     more faults: a list of orders, or one
    DELETE /emulator/faults     lift all faults
    GET    /emulator/clock      the emulator's time
    POST   /emulator/clock      {"advance_s": 3600} puts it forward, {"stopped": true} or {"stopped": false} stops it
                                or lets it catch up; it never goes back
    GET    /emulator/overview   what the page at / shows
    GET    /emulator/jobs/CLUSTER/JOB    the page of a job, as its tracking_url names it
    GET    /emulator/calls      how often each operation was called, by HTTP status
"""

from __future__ import annotations

import collections
import fnmatch
import ipaddress
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pydantic

from mrs_emulator.core import adjustable_clock, faults, refusals, state, wire
from mrs_emulator.http import job_page, overview
from mrs_emulator.jobs import life

PREFIX = "/emulator/"
_DIGITS_MAX = 18


class _Turn(pydantic.BaseModel):
    """An order for the clock."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    advance_s: float = pydantic.Field(default=0.0, ge=0, le=31_536_000_000)
    stopped: bool | None = None


class Admin:
    """
    Answers on the emulator's own paths.

    Args:
        world: what was created.
        standing: the faults in force.
        project_id: the project, shown with the health.
        clock: the emulator's clock.
        shown: what the page shows.
    """

    def __init__(
        self,
        world: state.World,
        standing: faults.Faults,
        project_id: str,
        clock: adjustable_clock.AdjustableClock,
        shown: overview.Overview,
    ) -> None:
        self._world = world
        self._faults = standing
        self._project_id = project_id
        self._clock = clock
        self._overview = shown

    def answer(self, request: wire.Request, now_ms: int) -> wire.Reply:
        """
        Return the reply to a request under the prefix.

        Raises:
            Refusal: 404 for an unknown path, 400 for a wrong parameter or order, 403 and 415 as `_check_writer` says.
        """
        if request.verb != "GET":
            _check_writer(request)
        query = dict(request.pairs())

        answers: dict[tuple[str, str], Callable[[], wire.Reply]] = {
            ("GET", "health"): lambda: self._health(now_ms),
            ("GET", "effects"): lambda: self._effects(query, now_ms),
            ("GET", "faults"): lambda: wire.as_json(200, {"faults": self._faults.listed()}),
            ("POST", "faults"): lambda: self._order(request.body),
            ("DELETE", "faults"): self._lift,
            ("GET", "clock"): self._time,
            ("POST", "clock"): lambda: self._turn(request.body),
            ("GET", "overview"): lambda: wire.as_json(200, self._overview.members(now_ms)),
            ("GET", "calls"): lambda: wire.as_json(200, self._overview.calls()),
        }

        if request.verb == "GET" and request.path.startswith(job_page.PREFIX):
            return self._job(request.path.removeprefix(job_page.PREFIX), now_ms)

        answer = answers.get((request.verb, request.path.removeprefix(PREFIX)))
        if answer is None:
            raise refusals.Refusal(404, {"error": "no such path of the emulator"})
        return answer()

    def _job(self, place: str, now_ms: int) -> wire.Reply:
        cluster_id, _, job_id = urllib.parse.unquote(place).partition("/")
        cluster = self._world.clusters.get(cluster_id)
        job = cluster.index.get(job_id) if cluster else None
        if cluster is None or job is None:
            raise refusals.Refusal(404, {"error": "no such job: it was deleted, or never existed"})
        return job_page.reply(job, cluster.created_ms, now_ms)

    def _lift(self) -> wire.Reply:
        self._faults.clear()
        return wire.Reply(204)

    def _health(self, now_ms: int) -> wire.Reply:
        clusters = [
            {
                "id": one.record.cluster_id,
                "name": one.record.name,
                "state": one.state(now_ms),
                "slots": one.record.slots,
                "jobs": len(one.index),
                "unfinished": one.index.unfinished(now_ms),
            }
            for one in self._world.clusters.values()
        ]
        return wire.as_json(200, {"status": "ok", "project_id": self._project_id, "clusters": clusters})

    def _effects(self, query: Mapping[str, str], now_ms: int) -> wire.Reply:
        start, limit = _number(query, "start", 0), _number(query, "limit", None)
        kind, pattern = query.get("kind"), query.get("name")
        found = [
            one
            for one in self._world.effects()
            if kind in {None, "", one.kind} and (not pattern or fnmatch.fnmatchcase(one.name, pattern))
        ]
        page = found[start : None if limit is None else (start or 0) + limit]
        effects = [self._members(one, now_ms) for one in page]
        counts = {"job": 0, "statement": 0, **collections.Counter(one.kind for one in found)}
        return wire.as_json(200, {"count": len(found), "counts": counts, "effects": effects})

    def _members(self, effect: state.Effect, now_ms: int) -> dict[str, Any]:
        members: dict[str, Any] = {
            "kind": effect.kind,
            "id": effect.effect_id,
            "name": effect.name,
            "cluster": effect.cluster_id,
            "created_ms": effect.created_ms,
        }

        if effect.kind == "statement":
            return members | {"statement": effect.statement}
        if effect.kind != "job":
            return members

        cluster = self._world.clusters.get(effect.cluster_id)
        job = cluster.index.get(effect.effect_id) if cluster else None
        if job is None:
            return members | {"deleted": True}

        seen = life.stage(job, now_ms)
        members |= {"job_type": job.job_type, "state": seen.state, "result": seen.result}
        return members | ({"error": job.error} if job.error else {})

    def _order(self, body: bytes) -> wire.Reply:
        try:
            orders = self._faults.read(msgspec.json.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise refusals.Refusal(400, {"error": f"Invalid JSON: {error}"}) from error
        except ValueError as error:
            raise refusals.Refusal(400, {"error": str(error)}) from error
        self._faults.add(orders)
        return wire.as_json(201, {"faults": self._faults.listed()})

    def _turn(self, body: bytes) -> wire.Reply:
        try:
            order = _Turn.model_validate_json(body)
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise refusals.Refusal(400, {"error": f"{where}: {first['msg']}"}) from error
        self._clock.advance(order.advance_s)
        if order.stopped is True:
            self._clock.stop()
        elif order.stopped is False:
            self._clock.go()
        return self._time()

    def _time(self) -> wire.Reply:
        clock = self._clock
        members = {"now_ms": clock.now_ms(), "ahead_s": clock.ahead_ms / 1000, "stopped": clock.stopped}
        return wire.as_json(200, members)


def _check_writer(request: wire.Request) -> None:
    """
    Make sure that no page of another origin sends this.

    Raises:
        Refusal: 403 for a foreign origin, 415 for a body of another type than JSON.
    """
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if origin is not None and (origin.partition("://")[2] != host or not _is_address(host)):
        text = f"origin {origin[:200]!r}: pages of other origins may not change the emulator; call it without a browser"
        raise refusals.Refusal(403, {"error": text})
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise refusals.Refusal(403, {"error": "sec-fetch-site: pages of other sites may not change the emulator"})
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.body and kind != "application/json":
        text = f"content-type: expected 'application/json', got {kind[:100]!r}; send the header with the body"
        raise refusals.Refusal(415, {"error": text})


def _is_address(host: str) -> bool:
    """Return whether a Host header is this machine's address; a name could be made to point here (DNS rebinding)."""
    try:
        name = urllib.parse.urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _number(query: Mapping[str, str], name: str, default: int | None) -> int | None:
    text = query.get(name, "")
    if not text:
        return default
    if not text.isdecimal() or len(text) > _DIGITS_MAX:
        raise refusals.Refusal(400, {"error": f"{name}: must be a whole number of at most {_DIGITS_MAX} digits"})
    return int(text)
