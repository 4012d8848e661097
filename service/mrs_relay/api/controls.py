"""List, set and lift controls over HTTP; one that is set is a record of the control topic, like any sender's."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from mrs_relay.api import composing, decisions, models, problems, replies, settings, writing
from mrs_relay.api.access import callers, scopes
from mrs_relay.client import sending
from mrs_relay.common import clock
from mrs_relay.kafka import records
from mrs_relay.messages import audit, controls
from mrs_relay.read_model import controls as projected
from mrs_relay.read_model import database

_MOST_BY: Final = 200


class Controls:
    """
    The handlers of controls.

    Args:
        opened: the database.
        projection: keeps its table of controls.
        sender: writes records.
        topic: the control topic.
        chosen: the settings.
        noted: keeps who decided what.
    """

    def __init__(
        self,
        opened: database.Database,
        projection: projected.ControlProjection,
        sender: sending.Sender,
        topic: str,
        chosen: settings.ApiSettings,
        noted: decisions.Decisions,
    ) -> None:
        self._decisions = noted
        self._database = opened
        self._projection = projection
        self._sender = sender
        self._topic = topic
        self._settings = chosen
        self._time = clock.SystemClock()

    async def list_controls(self, request: web.Request) -> web.StreamResponse:
        """Answer with the controls in effect."""
        query = replies.query(request, models.ControlsQuery)
        return replies.reply(request, await self.listed(scopes.of(request), query.mode))

    async def set_control(self, request: web.Request) -> web.StreamResponse:
        """Set the control of a scope."""
        self._require_writable()
        scope, body = request.match_info["scope"], await composing.body(request, models.NewControl)
        control = await self.set_one(scopes.of(request), scope, body)
        headers = {"Location": f"/v1/controls/{quote(control.scope, safe='')}"}
        shown = control.model_dump_json(exclude_none=True).encode()
        return web.Response(status=202, body=shown, content_type="application/json", headers=headers)

    async def lift_control(self, request: web.Request) -> web.StreamResponse:
        """Lift the control of a scope."""
        return replies.reply(request, await self.lift_one(scopes.of(request), request.match_info["scope"]))

    async def listed(self, allowed: scopes.Scope, mode: str | None = None) -> models.ControlList:
        """Return the controls in effect that the caller may see, of one mode or of all. Raises DatabaseDown."""
        found = [one for one in await self._in_effect() if mode in {None, one.mode}]
        items = [_shown(one) for one in found if allowed.may(_reader(one.scope))]
        return models.ControlList(items=items, problem=self._projection.problem)

    async def set_one(self, allowed: scopes.Scope, text: str, body: models.NewControl) -> models.Control:
        """
        Set the control of a scope.

        Raises:
            ProblemError: nothing may be written, the caller may not, scope or control is not valid, or Kafka has not
                acknowledged it.
        """
        self._require_writable()
        scope = _scope(text)
        allowed.require(deciding_tenant(scope))

        control = controls.Control(
            scope=scope,
            mode=body.mode,
            reason=body.reason,
            by=(allowed.caller.name or body.by)[:_MOST_BY],
            at_ms=self._time.now_ms(),
            until_ms=0 if body.until is None else round(body.until.timestamp() * 1000),
        )

        key, value = controls.write(control)
        try:
            _, checked = controls.read(key, value, control.at_ms)  # as every replica will
        except ValueError as error:
            raise problems.ProblemError(422, "invalid-control", str(error)) from None

        after = {"mode": body.mode, **({} if body.until is None else {"until": clock.rfc3339(control.until_ms)})}
        self._require_topic()
        await self._note(allowed.caller, scope, await self._find(scope), body.mode, body.reason, after)
        await self._send(key, value if checked is not None else None)
        return _shown(control)

    async def lift_one(self, allowed: scopes.Scope, text: str) -> models.Control:
        """
        Lift the control of a scope; returns what it was.

        Raises:
            ProblemError: nothing may be written, the caller may not, there is none, or Kafka has not acknowledged it.
            DatabaseDown.
        """
        self._require_writable()
        scope = _scope(text)
        allowed.require(deciding_tenant(scope))
        found = await self._find(scope)
        if found is None:
            raise problems.ProblemError(404, "no-such-control", f"{scope} has no control; GET /v1/controls lists them")
        self._require_topic()
        await self._note(allowed.caller, scope, found, "release", "", {})
        await self._send(str(scope).encode(), None)
        return _shown(found)

    async def _note(
        self,
        caller: callers.Caller,
        scope: controls.Scope,
        before: controls.Control | None,
        action: str,
        why: str,
        after: dict[str, Any],
    ) -> None:
        """Note who sets or lifts a control. Raises ProblemError: Kafka does not take the record."""
        data = audit.Data(
            action=action,
            via="http",
            place=caller.place,
            why=why,
            tenant=scope.tenant,
            what={"scope": str(scope)},
            before={} if before is None else controls.shown(before),
            after=after,
        )
        await self._decisions.note(caller, str(scope), data)

    def _require_topic(self) -> None:
        """Refuse to write without the topic: a broker that makes topics by itself would make one that forgets."""
        if self._projection.is_absent:
            text = f"topic {self._topic} is missing (`mrs-relay topics create` makes it) or hidden: the log says which"
            raise problems.unavailable(text)

    async def _find(self, scope: controls.Scope) -> controls.Control | None:
        """Return the control of a scope; None: it has none. Raises DatabaseDown."""
        return next((one for one in await self._in_effect() if one.scope == scope), None)

    async def _in_effect(self) -> list[controls.Control]:
        return await projected.in_effect(self._database, self._time.now_ms())

    def _require_writable(self) -> None:
        writing.require_writable(self._settings, "record")

    async def _send(self, key: bytes, value: bytes | None) -> None:
        await writing.send(self._sender, records.Outgoing(self._topic, key, value), "control")


def _scope(text: str) -> controls.Scope:
    try:
        return controls.scope(text)
    except ValueError as error:
        raise problems.ProblemError(422, "invalid-scope", str(error)) from None


_FOR_ALL: Final = frozenset({"all", "cluster", "type", "label"})


def deciding_tenant(scope: controls.Scope) -> str:
    """Return the tenant for which a caller needs the role of the route, `*` if for all."""
    return callers.EVERY if scope.tenant is None else scope.tenant


def _reader(scope: controls.Scope) -> str | callers.Some:
    """Return the tenant whose viewers see a control; one that may hold requests of any tenant is shown to everybody."""
    return callers.Some.TENANT if scope.kind in _FOR_ALL else deciding_tenant(scope)


def _shown(control: controls.Control) -> models.Control:
    return models.Control.model_validate(controls.shown(control))
