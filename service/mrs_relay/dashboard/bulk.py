"""
Cancel, settle or send again everything that a filter matches, some requests with each step.

A step is one form that the page sends after another: it names the filter, the moment up to which requests began, and
where the step before ended. So any replica takes the next step, nothing continues unseen, and each request's
outcome is shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from mrs_relay.api import composing, models, problems, replies, requests, retries, submissions
from mrs_relay.api.access import callers, scopes
from mrs_relay.dashboard import forms, links, request_list, sources
from mrs_relay.read_model import queries

_STEP: Final = 50
_SAMPLE: Final = 10
_LOOKED_AT: Final = 500
_COUNTS: Final = ("looked_at", "sent", "passed", "failed")


@dataclass(frozen=True, slots=True)
class Action:
    """
    What is done to each request.

    Attributes:
        fitting: states of the requests that it may have an effect on.
        verb: for buttons.
        asked: what is said of the requests before it is done.
        done: how the outcome is called.
        needs_verdict: a person says how the request ended.
    """

    fitting: frozenset[str]
    verb: str
    asked: str
    done: str
    needs_verdict: bool = False


ACTIONS: Final[Mapping[str, Action]] = {
    "cancel": Action(submissions.FITTING["mrs.job.cancel"], "Cancel", "asked to stop", "cancel sent"),
    "resolve": Action(
        submissions.FITTING["mrs.job.resolve"], "Resolve", "resolved", "verdict sent", needs_verdict=True
    ),
    "retry": Action(retries.FITTING, "Retry", "sent again under new ids", "sent again"),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request: `sent`, `passed` (its state does not allow it) or `failed`, and why."""

    row: Mapping[str, Any]
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """What the caller says about all requests of a step."""

    action: str
    note: str
    verdict: str
    caller: callers.Caller


class Bulk:
    """
    The handlers of bulk actions.

    Args:
        used: what pages are made of.
    """

    def __init__(self, used: sources.Sources) -> None:
        self._used = used

    async def preview(self, request: web.Request) -> web.StreamResponse:
        """Answer with what would be done: how many requests, and the first of them."""
        given = links.given(request)
        name, action = _action(given)
        chosen = request_list.filters(given)
        until_ms = self._used.time.now_ms()
        wanted = _wanted(chosen, until_ms, scopes.of(request))

        counts = await queries.count(self._used.opened, wanted)
        sample = await queries.requests(self._used.opened, _narrowed(wanted, action), None, _LOOKED_AT)
        rows = [row for row in sample.rows if row["state"] in action.fitting]
        fitting = sum(count for state, count in counts.items() if state in action.fitting)
        return self._used.renderer.page(
            "bulk",
            path="/requests",
            name=name,
            action=action,
            chosen=chosen,
            until_ms=until_ms,
            matching=sum(counts.values()),
            fitting=fitting,
            total=fitting if len(action.fitting) == 1 else sum(counts.values()),
            sample=rows[:_SAMPLE],
            list_url=links.url("/requests", chosen),
            may_decide=self._used.may_decide(request),
        )

    async def step(self, request: web.Request) -> web.StreamResponse:
        """Do it to the next requests, and answer with their outcomes and the form of the next step."""
        given = await forms.fields(request, self._used.own)
        name, action = _action(given)
        note = forms.note(given)
        verdict = forms.verdict(given) if action.needs_verdict else ""
        chosen = {one: given[one] for one in request_list.FILTERS if given.get(one)}
        until_ms = forms.number(given, "until_ms")
        counts = {one: forms.number(given, one) for one in _COUNTS}
        total = forms.number(given, "total")
        scope = scopes.of(request)
        wanted = _narrowed(_wanted(chosen, until_ms, scope), action)

        after = replies.place(given.get("cursor") or None, queries.PageEnd, wanted)
        page = await queries.requests(self._used.opened, wanted, after, _STEP)
        outcomes = await self._all(page.rows, action, Said(name, note, verdict, scope.caller))
        counts["looked_at"] += len(outcomes)
        for outcome in outcomes:
            counts[outcome.kind] += 1

        return self._used.renderer.page(
            "bulk_step" if request.headers.get("HX-Request") else "bulk_page",
            path="/requests",
            name=name,
            action=action,
            chosen=chosen,
            note=note,
            verdict=verdict,
            until_ms=until_ms,
            outcomes=outcomes,
            counts=counts,
            total=max(total, counts["looked_at"]),
            cursor=replies.cursor(page.next, wanted),
            list_url=links.url("/requests", chosen),
        )

    async def _all(self, rows: Sequence[Mapping[str, Any]], action: Action, said: Said) -> Sequence[Outcome]:
        sending = _retries(rows) if said.action == "retry" else []
        found = await self._used.repeated.originals(sending)  # those of a step are looked for together
        originals = {row["key"]: one for row, one in zip(sending, found, strict=True)}
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(self._one(row, action, said, originals.get(row["key"], ())), name="bulk action")
                for row in rows
            ]
        return [task.result() for task in running]

    async def _one(self, row: Mapping[str, Any], action: Action, said: Said, found: retries.Found) -> Outcome:
        """Do it to one request; what fails is its outcome, and the others go on."""
        if row["state"] not in action.fitting:
            return Outcome(row, "passed", f"already {row['state']}" if row["ended"] else f"it is {row['state']}")
        try:
            message = await self._carry_out(row, said, found)
        except problems.ProblemError as problem:
            return Outcome(row, "failed", problem.detail)
        return Outcome(row, "sent", f"{action.done} as {message.id}" if said.action == "retry" else action.done)

    async def _carry_out(self, row: Mapping[str, Any], said: Said, found: retries.Found) -> composing.Message:
        if said.action == "retry":
            return await self._used.repeated.retry_one(row, found, said.note, said.caller)
        if said.action == "resolve":
            return await self._used.submitted.resolve_one(row, said.verdict, said.note, said.caller)
        return await self._used.submitted.cancel_one(row, said.note, said.caller)


def _retries(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [row for row in rows if row["state"] in retries.FITTING]


def _action(given: Mapping[str, str]) -> tuple[str, Action]:
    name = given.get("action", "")
    if name not in ACTIONS:
        text = f"action {name[:50]!r}: expected one of {', '.join(ACTIONS)}"
        raise problems.ProblemError(400, "invalid-parameter", text)
    return name, ACTIONS[name]


def _wanted(chosen: Mapping[str, str], until_ms: int, scope: scopes.Scope) -> queries.Filter:
    """
    Return the filter of a page, of requests that began up to the preview: later ones were not shown.

    Raises:
        ProblemError: a filter is wrong, or names a tenant for which the caller may not do this.
    """
    query = replies.checked(chosen, models.RequestsQuery)
    scope.require_named(query.tenant)
    found = requests.filter_of(query, scope.tenants)
    if found.until_ms is None or found.until_ms > until_ms:
        return queries.until(found, until_ms)
    return found


def _narrowed(wanted: queries.Filter, action: Action) -> queries.Filter:
    """Return a filter of the requests that an action fits, as far as one filter can say so; an index finds them."""
    if wanted.state is None and len(action.fitting) == 1:
        return queries.of_state(wanted, *action.fitting)
    return wanted
