"""Hold, set aside and release the requests that a filter matches, each by a control of its own scope `request/ID`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from mrs_relay.cli import audit, bulk
from mrs_relay.engine.model import jobs
from mrs_relay.engine.scheduling import controls as standing
from mrs_relay.kafka import records
from mrs_relay.messages import controls

_WAITING: Final = frozenset({jobs.State.CHOOSING, jobs.State.QUEUED})

Present = Mapping[controls.Scope, controls.Control]
"""The controls in effect by their scopes."""


def of(one: bulk.Found) -> controls.Scope:
    """Return the scope of one request."""
    return controls.Scope("request", one.job.id)


def setting(one: bulk.Found, control: controls.Control) -> bulk.Step | str:
    """Return what sets a control for a request that waits, or why it is passed over."""
    if one.job.state not in _WAITING:
        return f"it is {one.job.state.value}: a control holds only what has not been submitted"
    mine = msgspec.structs.replace(control, scope=of(one))
    return _step(one, mine, mine.reason, f"set: {mine}")


def releasing(one: bulk.Found, present: Present, release: controls.Control) -> bulk.Step | str:
    """Return what lets a request go that a control of its own or a quarantine keeps, or why it is passed over."""
    own = present.get(of(one))
    wider = [present[scope] for scope in standing.scopes_of(one.job, one.tenant.name) if scope in present]
    wider = [control for control in wider if control.scope != of(one)]
    if own is not None and own.mode == "release":
        return "it is released already"

    has_ended = jobs.TRAITS[one.job.state].last  # its own control can be lifted; a wider one keeps it no longer
    if not has_ended and any(control.mode in controls.SET_ASIDE for control in wider):
        mine = msgspec.structs.replace(release, scope=of(one))
        return _step(one, mine, release.reason, "released from the quarantine", before=own)
    if own is not None:
        return _step(one, None, release.reason, f"lifted: {own}", before=own)
    if has_ended:
        return f"it is {one.job.state.value}: no control keeps it"
    held = next((control for control in wider if control.is_holding), None)

    return f"held by {held}: release that scope" if held else "no control keeps it"


def _step(
    one: bulk.Found, control: controls.Control | None, why: str, text: str, *, before: controls.Control | None = None
) -> bulk.Step:
    """Return what sets a request's control, or lifts it, with the record of the decision."""
    scope = of(one)
    key, value = (str(scope).encode(), None) if control is None else controls.write(control)
    decided = audit.data(
        "release" if control is None else control.mode,
        why,
        {"scope": str(scope), **one.target},
        before={} if before is None else controls.shown(before),
        after={} if control is None else controls.changes(control),
        tenant=one.tenant.name,
    )
    return bulk.Step(records.Outgoing(one.tenant.kafka.topics.control, key, value), decided, text)
