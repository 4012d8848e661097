"""
The emulator's own paths under /emulator/: health, what was really created, and faults. They carry no signature.

    GET    /emulator/health     alive, and what there is
    GET    /emulator/effects    jobs and statements really created; ?kind=job&name=PATTERN&start=0&limit=1000
    GET    /emulator/faults     faults in force
    POST   /emulator/faults     more faults: a list of orders, or one
    DELETE /emulator/faults     lift all faults
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from typing import Any

import pydantic

from mrs_relay.emulator import faults, life, refusals, state, wire

PREFIX = "/emulator/"

_ORDERS = pydantic.TypeAdapter(list[faults.Fault])


class Admin:
    """
    Answers on the emulator's own paths.

    Args:
        world: what was created.
        standing: the faults in force.
        operations: names that a fault may aim at.
        project_id: the project, told with the health.
    """

    def __init__(
        self, world: state.World, standing: faults.Faults, operations: frozenset[str], project_id: str
    ) -> None:
        self._world = world
        self._faults = standing
        self._operations = operations
        self._project_id = project_id

    def answer(self, request: wire.Request, now_ms: int) -> wire.Reply:
        """
        The reply to a request under the prefix.

        Raises:
            Refusal: 404 for an unknown path, 400 for a wrong parameter or order.
        """
        match request.verb, request.path.removeprefix(PREFIX):
            case "GET", "health":
                return self._health(now_ms)
            case "GET", "effects":
                return self._effects(dict(request.pairs()), now_ms)
            case "GET", "faults":
                return wire.as_json(200, {"faults": self._faults.listed()})
            case "POST", "faults":
                return self._order(request.body)
            case "DELETE", "faults":
                self._faults.clear()
                return wire.Reply(204)
            case _:
                raise refusals.Refusal(404, {"error": "no such path of the emulator"})

    def _health(self, now_ms: int) -> wire.Reply:
        clusters = [
            {
                "id": one.record.cluster_id,
                "name": one.record.name,
                "state": one.state(now_ms),
                "slots": one.record.slots,
                "jobs": len(one.book),
                "unfinished": one.book.unfinished(now_ms),
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
        counts = {each: sum(1 for one in found if one.kind == each) for each in ("job", "statement")}
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
        cluster = self._world.clusters.get(effect.cluster_id)
        job = cluster.book.get(effect.effect_id) if cluster else None
        if job is None:
            return members | {"deleted": True}
        seen = life.stage(job, now_ms)
        members |= {"job_type": job.job_type, "state": seen.state, "result": seen.result}
        return members | ({"error": job.error} if job.error else {})

    def _order(self, body: bytes) -> wire.Reply:
        try:
            orders = _ORDERS.validate_json(b"[" + body + b"]" if body.lstrip()[:1] == b"{" else body)
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise refusals.Refusal(400, {"error": f"{where}: {first['msg']}"}) from error
        unknown = {one.operation for one in orders} - self._operations - {"*"}
        if unknown:
            raise refusals.Refusal(400, {"error": f"operation: {min(unknown)} is not played"})
        self._faults.add(orders)
        return wire.as_json(201, {"faults": self._faults.listed()})


def _number(query: Mapping[str, str], name: str, default: int | None) -> int | None:
    text = query.get(name, "")
    if not text:
        return default
    if not text.isdecimal():
        raise refusals.Refusal(400, {"error": f"{name}: must be a whole number, 0 or more"})
    return int(text)
