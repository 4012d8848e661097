"""
`mrs-relay cancel` and `mrs-relay resolve`: stop or settle requests that were sent before.

Both send a message for each request; the request's own events report the outcome (`mrs-relay events --id …`).
"""

from __future__ import annotations

import pathlib
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from mrs_relay import tenants
from mrs_relay.cli import audit, bulk, complete, compose, connect, options, run, settling, wait
from mrs_relay.engine.model import jobs
from mrs_relay.kafka import records

Request = Annotated[
    str | None,
    typer.Argument(metavar="[ID]", help="Id of the request.", show_default=False, autocompletion=complete.ids),
]
RequestSource = Annotated[str, typer.Option("--source", help="Source of the request.")]
Key = Annotated[str | None, typer.Option("--key", help="Kafka key of the request: usually its cluster id.")]


def cancel(
    *,
    request_id: Request = None,
    where: bulk.WhereText = None,
    note: Annotated[str, typer.Option("--note", "--reason", help="Why; it comes back in the reason.")] = "",
    source: RequestSource = compose.SOURCE,
    key: Key = None,
    dry_run: bulk.DryRun = False,
    yes: bulk.Yes = False,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.Tenant = None,
) -> None:
    """
    Stop a request, whatever its state, also before it came.

    `cancelled` is published once MRS confirms; a job that ends first is reported with its own verdict. --where stops
    all requests of the ledgers that match and have not ended.
    """
    options.require_one(request_id, where, dry_run=dry_run)
    if where is not None:
        if key is not None:
            raise typer.BadParameter("--where finds each request's own key; leave it out", param_hint="--key")
        tenancies = connect.meant(config, bootstrap, tenant)
        asked = bulk.wanted(where, note, tenancies, dry_run=dry_run, yes=yes, as_json=as_json)
        _follow_up_all(asked, _CANCEL)
        return
    data = {"request": {"id": request_id, "source": source}, "note": note}
    _send("mrs.job.cancel", [data], key, wait.How(config, bootstrap, tenant, as_json=as_json))


def resolve(
    *,
    request_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID]...", help="Ids of the requests.", show_default=False, autocompletion=complete.ids),
    ] = None,
    verdict: Annotated[str, typer.Argument(metavar="VERDICT", help="succeeded, failed or cancelled.")],
    note: Annotated[str, typer.Option("--note", "--reason", help="Who says so and why; it comes back in the reason.")],
    where: bulk.WhereText = None,
    file: Annotated[
        pathlib.Path | None,
        typer.Option("--file", metavar="FILE", exists=True, dir_okay=False, help="More ids, one a line."),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", help=f"Source of the requests; with ids {compose.SOURCE} by default.")
    ] = None,
    key: Key = None,
    clusters: Annotated[
        list[str] | None,
        typer.Option("--cluster", help="Only of this MRS cluster.", autocompletion=complete.clusters),
    ] = None,
    codes: Annotated[
        list[str] | None, typer.Option("--reason-code", metavar="CODE", help="Only unknown for this reason.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="DURATION", help="Only that came in the last 10m, 2h or 1d.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that are unknown.")] = False,
    dry_run: bulk.DryRun = False,
    yes: bulk.Yes = False,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.Tenant = None,
) -> None:
    """
    Settle requests that are `unknown`, after a look at MRS.

    The state of any other single request is published again. Many ids, a file, or a filter (--cluster, --reason-code,
    --since, --all, or --where) choose among the unknown requests of the ledger: they are shown, and settled once
    confirmed.
    """
    if where is not None:
        if any((request_ids, file, source, key, clusters, codes, since, everything)):
            raise typer.BadParameter("it says all: leave out ids and other filters", param_hint="--where")
        tenancies = connect.meant(config, bootstrap, tenant)
        asked = bulk.wanted(where, note, tenancies, dry_run=dry_run, yes=yes, as_json=as_json)
        _follow_up_all(asked, _FollowUp("resolve", _UNKNOWN, {"verdict": verdict}, f"settled as {verdict}"))
        return
    if dry_run:
        raise typer.BadParameter("it belongs to --where", param_hint="--dry-run")
    ids = [*(request_ids or ()), *(settling.ids_of(file) if file else ())]
    filters = bool(clusters or codes or since or everything)

    if not ids and (file is not None or not filters):
        raise typer.BadParameter("say which: an ID, --file, --cluster, --reason-code, --since, or --all")
    if key is not None and filters:
        raise typer.BadParameter("a filter finds each request's own key; leave it out", param_hint="--key")
    since_s = options.seconds(since) if since else None
    if since and since_s is None:
        raise typer.BadParameter(f"{since!r} is no duration such as 90s, 10m or 2h", param_hint="--since")

    # One request, or a key: send the message without reading the ledger.
    how = wait.How(config, bootstrap, tenant, as_json=as_json)
    by_id = source or (compose.SOURCE if ids else None)
    if not filters and (key is not None or len(ids) == 1):
        target = [{"request": {"id": one, "source": by_id}, "verdict": verdict, "note": note} for one in ids]
        _send("mrs.job.resolve", target, key, how)
        return

    # Otherwise choose among the unknown requests of the ledger.
    choice = settling.Choice(frozenset(ids) if ids else None, by_id, clusters or (), codes or (), since_s)
    mine = connect.chosen(connect.tenancies(config, bootstrap), tenant)
    said = settling.Verdict(verdict, note)
    _end(settling.settle(mine.kafka, choice, said, yes=yes, as_json=as_json, tenant=mine.name))


@dataclass(frozen=True, slots=True)
class _FollowUp:
    """
    A message about each of many requests.

    Attributes:
        action: cancel or resolve.
        fitting: states in which it may have an effect.
        data: further members of the message.
        text: how the outcome is called.
    """

    action: str
    fitting: frozenset[jobs.State]
    data: Mapping[str, str]
    text: str


_UNKNOWN: Final = frozenset({jobs.State.UNKNOWN})
_LIVE: Final = frozenset(state for state, trait in jobs.TRAITS.items() if not trait.last)
_CANCEL: Final = _FollowUp("cancel", _LIVE | _UNKNOWN, {}, "cancel sent")


def _follow_up_all(asked: bulk.Wanted, wanted: _FollowUp) -> None:
    async def prepared(_found: Sequence[bulk.Found]) -> bulk.Plan:
        return lambda one: _plan(one, asked.reason, wanted)

    bulk.carry_out(asked, wanted.action, prepared)


def _plan(one: bulk.Found, why: str, wanted: _FollowUp) -> bulk.Step | str:
    """Return the message about one request, for the partition that holds it, or why it is passed over."""
    job = one.job
    if job.state not in wanted.fitting:
        return f"it is {job.state.value}: {wanted.action} has no effect on it"

    data = {"request": one.target, "note": why, **wanted.data}
    made = compose.message({"type": f"mrs.job.{wanted.action}", "data": data}, compose.Defaults(key=job.id))

    decided = audit.data(
        wanted.action,
        why,
        one.target,
        before={"state": job.state.value},
        after=wanted.data,
        tenant=one.tenant.name,
        message=made.id,
    )

    topic = one.tenant.kafka.topics.requests
    return bulk.Step(records.Outgoing(topic, job.key, made.value, made.headers, one.partition), decided, wanted.text)


def _send(kind: str, data: Sequence[Mapping[str, Any]], key: str | None, how: wait.How) -> None:
    messages = [compose.message({"type": kind, "data": one}, compose.Defaults(key=key)) for one in data]
    _end(_noted(messages, data, connect.chosen(connect.tenancies(how.config, how.bootstrap), how.tenant), how))


async def _noted(
    messages: Sequence[compose.Message],
    data: Sequence[Mapping[str, Any]],
    mine: tenants.ResolvedTenant,
    how: wait.How,
) -> run.Code:
    """Note who decides, and then send the messages."""
    decided = []
    for message, one in zip(messages, data, strict=True):
        after = {"verdict": one["verdict"]} if "verdict" in one else {}
        action = message.type.rpartition(".")[2]
        made = audit.data(action, one["note"], one["request"], tenant=mine.name, after=after, message=message.id)
        decided.append((one["request"]["id"], made))
    await audit.note(mine.kafka, *decided)
    return await wait.deliver(messages, mine.kafka, how)


def _end(work: Coroutine[Any, Any, run.Code]) -> None:
    code = run.loop(work)
    if code:
        raise typer.Exit(code)
