"""The page of controls: what is held back, set aside or passed over, by whom and why; set one, lift one."""

from __future__ import annotations

from aiohttp import web

from mrs_relay.api import controls as api_controls
from mrs_relay.api import models
from mrs_relay.api.access import scopes
from mrs_relay.dashboard import forms, links, sources
from mrs_relay.messages import controls

_NOTICES = {
    "set": "The control was sent. Every relay follows it within a second.",
    "lifted": "The control was lifted. What it held goes on.",
}


class ControlPage:
    """
    The handlers of the page.

    Args:
        used: what pages are made of.
    """

    def __init__(self, used: sources.Sources) -> None:
        self._used = used

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Answer with the controls in effect, and the form that sets one."""
        given = links.given(request)
        found = await self._used.controlled.listed(scopes.of(request))
        tenants = {one.scope: api_controls.deciding_tenant(controls.scope(one.scope)) for one in found.items}
        may_lift = {scope for scope, tenant in tenants.items() if self._used.may_decide(request, tenant)}

        return self._used.renderer.page(
            "controls",
            path="/controls",
            here=links.url("/controls"),
            given=given,
            controls=found.items,
            problem=found.problem,
            modes=controls.MODES,
            may_decide=self._used.may_decide(request),
            may_lift=may_lift,
            notice=_NOTICES.get(given.get("done", "")),
        )

    async def set(self, request: web.Request) -> web.StreamResponse:
        """Take the form that sets a control, and go back to the page."""
        given = await forms.fields(request, self._used.own)
        moment = links.with_zone(given.get("until", "").strip())
        fields = {name: given.get(name, "").strip() for name in ("mode", "reason", "by")}
        body = forms.checked({**fields, "until": moment or None}, models.NewControl)
        await self._used.controlled.set_one(scopes.of(request), given.get("scope", "").strip(), body)
        raise web.HTTPSeeOther(links.url("/controls", done="set"))

    async def lift(self, request: web.Request) -> web.StreamResponse:
        """Take the form that lifts a control, and go back to the page."""
        given = await forms.fields(request, self._used.own)
        await self._used.controlled.lift_one(scopes.of(request), given.get("scope", ""))
        raise web.HTTPSeeOther(links.url("/controls", done="lifted"))
