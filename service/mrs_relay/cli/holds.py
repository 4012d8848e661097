"""
`mrs-relay hold`, `drain`, `quarantine`, `skip`, `release` and `controls`: set, lift and list controls.

A control is a record of the topic `kafka.topics.control`, which every replica follows; docs/controls.md describes it.
The topic is shared by all tenants of a deployment, so no command here takes a tenant.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Annotated, Final

import typer

from mrs_relay import tenants
from mrs_relay.cli import audit, bulk, bulk_holds, complete, connect, ledger, options, run, view
from mrs_relay.client import auditing
from mrs_relay.common import clock
from mrs_relay.engine.scheduling import controls as standing
from mrs_relay.kafka import records, topic_io
from mrs_relay.messages import codec, controls

ScopeText = Annotated[
    str,
    typer.Argument(
        metavar="SCOPE",
        help="all, tenant/NAME, cluster/ID, label/KEY=VALUE, type/KIND (job, sql, cluster, call), or request/ID.",
        autocompletion=complete.scopes,
    ),
]
ScopeOrNone = Annotated[
    str | None,
    typer.Argument(
        metavar="[SCOPE]",
        help="As in `mrs-relay drain`; --where sets a control for each request instead.",
        show_default=False,
        autocompletion=complete.scopes,
    ),
]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is shown wherever the control is.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who sets it; your user name unless it is given.")]
Until = Annotated[
    str | None,
    typer.Option(
        "--until", metavar="TIME", help="When it ends by itself: 2026-11-24T06:00:00Z, or after a duration such as 2h."
    ),
]

_ANY: Final = "request/each"
"""A scope that stands for that of each request, until its own takes its place."""

_LOOK_S: Final = 2.0
"""Seconds between two looks at the ledgers; within the first ones every replica has read the control."""


def hold(
    *,
    scope: ScopeOrNone = None,
    where: bulk.WhereText = None,
    reason: Reason,
    until: Until = None,
    by: By = "",
    dry_run: bulk.DryRun = False,
    yes: bulk.Yes = False,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
) -> None:
    """
    Submit nothing new that SCOPE names; intake, tracking and cancels go on.

    With --where each request of the ledgers that matches and waits gets a control of its own, `request/ID`.
    """
    options.require_one(scope, where, dry_run=dry_run)
    found = connect.tenancies(config, bootstrap)
    if where is not None:
        asked = bulk.wanted(where, reason, found, dry_run=dry_run, yes=yes, as_json=as_json)
        _set_all(asked, _control(_ANY, "hold", reason, by, until))
        return
    _set(_control(scope or "", "hold", reason, by, until), found, as_json=as_json)


def drain(
    *,
    scope: ScopeText,
    reason: Reason,
    until: Until = None,
    by: By = "",
    wait: Annotated[bool, typer.Option("--wait", help="Return when the last job that runs has ended.")] = False,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
) -> None:
    """Submit nothing new that SCOPE names, and report when the last job that runs has ended."""
    control, found = _control(scope, "drain", reason, by, until), connect.tenancies(config, bootstrap)
    _set(control, found, as_json=as_json)
    if wait:
        run.loop(_drained(control.scope, found, as_json=as_json))


def quarantine(
    *,
    scope: ScopeOrNone = None,
    where: bulk.WhereText = None,
    reason: Reason,
    until: Until = None,
    by: By = "",
    reject: Annotated[
        bool, typer.Option("--reject", help="End what has been set aside so far, with the event cancelled.")
    ] = False,
    dry_run: bulk.DryRun = False,
    yes: bulk.Yes = False,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
) -> None:
    """
    Set aside the requests that SCOPE names, until they are released or rejected.

    `mrs-relay release request/ID` lets one go, `mrs-relay release SCOPE` all. With --where each request of the ledgers
    that matches and waits is set aside by itself.
    """
    options.require_one(scope, where, dry_run=dry_run)
    mode: controls.Mode = "reject" if reject else "quarantine"
    found = connect.tenancies(config, bootstrap)
    if where is not None:
        asked = bulk.wanted(where, reason, found, dry_run=dry_run, yes=yes, as_json=as_json)
        _set_all(asked, _control(_ANY, mode, reason, by, until))
        return
    _set(_control(scope or "", mode, reason, by, until), found, as_json=as_json)


def skip(
    *,
    message: Annotated[
        str, typer.Argument(metavar="TOPIC/PARTITION/OFFSET", help="The message to pass over.", show_default=False)
    ],
    reason: Reason,
    by: By = "",
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
) -> None:
    """Pass over one message of a topic of requests that has not been read yet; it becomes a dead letter."""
    control = _control(f"offset/{message}", "skip", reason, by, None)
    _set(control, connect.tenancies(config, bootstrap), as_json=as_json)


def release(
    *,
    scope: ScopeOrNone = None,
    where: bulk.WhereText = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; --where needs it.")] = "",
    by: By = "",
    dry_run: bulk.DryRun = False,
    yes: bulk.Yes = False,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
) -> None:
    """
    Lift the control of SCOPE.

    A request without a control of its own is let out of the quarantine that it is in. With --where that is done for
    each request of the ledgers that matches.
    """
    options.require_one(scope, where, dry_run=dry_run)
    found = connect.tenancies(config, bootstrap)

    if where is not None:
        asked = bulk.wanted(where, reason, found, dry_run=dry_run, yes=yes, as_json=as_json)
        _release_all(asked, _control(_ANY, "release", reason, by, None))
        return

    wanted = _scope(scope or "")
    present = {one.scope: one for one in run.loop(in_effect(found))}
    if wanted in present:
        run.loop(_send(found, str(wanted).encode(), None, reason))
        if as_json:
            typer.echo(codec.encode({"scope": str(wanted), "lifted": present[wanted].mode}))
        else:
            view.out().print(view.plain(f"lifted: {present[wanted]}"))
        return

    if wanted.kind != "request":
        view.err().print(view.plain(f"{wanted} has no control; `mrs-relay controls` lists those in effect", "red"))
        raise typer.Exit(run.Code.FAILED)
    _set(_control(scope or "", "release", reason, by, None), found, as_json=as_json)


def _set_all(asked: bulk.Wanted, control: controls.Control) -> None:
    async def prepared(_found: Sequence[bulk.Found]) -> bulk.Plan:
        return lambda one: bulk_holds.setting(one, control)

    bulk.carry_out(asked, control.mode, prepared)


def _release_all(asked: bulk.Wanted, release: controls.Control) -> None:
    async def prepared(_found: Sequence[bulk.Found]) -> bulk.Plan:
        present = {one.scope: one for one in await in_effect(asked.tenancies)}
        return lambda one: bulk_holds.releasing(one, present, release)

    bulk.carry_out(asked, "release", prepared)


def list_controls(
    *, as_json: options.AsJson = False, config: options.Config = None, bootstrap: options.Bootstrap = None
) -> None:
    """List the controls in effect."""
    found = run.loop(in_effect(connect.tenancies(config, bootstrap)))
    if as_json:
        for one in found:
            typer.echo(codec.encode(as_row(one)))
        return
    table = view.grid("scope", "mode", "since", "until", "by")
    table.add_column("reason", overflow="fold")
    for one in found:
        until = clock.shown(one.until_ms) if one.until_ms else ""
        cells = (str(one.scope), one.mode, clock.shown(one.at_ms), until, one.by, one.reason)
        table.add_row(*(view.plain(cell) for cell in cells))
    view.out().print(table if found else "no control is in effect")


def as_row(control: controls.Control) -> dict[str, str]:
    """Make the row of a control for programs; members without a value are left out."""
    return {name: value for name, value in controls.shown(control).items() if value}


def _scope(text: str) -> controls.Scope:
    try:
        return controls.scope(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="SCOPE") from None


def _control(scope: str, mode: controls.Mode, reason: str, by: str, until: str | None) -> controls.Control:
    now_ms = clock.SystemClock().now_ms()
    made = controls.Control(
        scope=_scope(scope),
        mode=mode,
        reason=reason,
        by=by or auditing.user() or "",
        at_ms=now_ms,
        until_ms=_until_ms(until, now_ms),
    )
    try:
        controls.read(*controls.write(made), now_ms)  # as every replica will
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return made


def _until_ms(text: str | None, now_ms: int) -> int:
    if text is None:
        return 0
    if (after_s := options.seconds(text)) is not None:
        return now_ms + round(after_s * 1000)
    try:
        until_ms = clock.epoch_ms(text)
    except ValueError:
        text = f"{text!r} is neither a duration such as 2h nor a time with offset such as 2026-11-24T06:00:00Z"
        raise typer.BadParameter(text, param_hint="--until") from None
    if until_ms <= now_ms:
        raise typer.BadParameter(f"{text} is over", param_hint="--until")
    return until_ms


def _set(control: controls.Control, found: Iterable[tenants.ResolvedTenant], *, as_json: bool) -> None:
    run.loop(_send(found, *controls.write(control)))
    if as_json:
        typer.echo(codec.encode(as_row(control)))
    else:
        view.out().print(view.plain(f"set: {control}"))


async def _send(found: Iterable[tenants.ResolvedTenant], key: bytes, value: bytes | None, why: str = "") -> None:
    kafka, scope = next(iter(found)).kafka, controls.scope(key.decode())
    given = {"mode": "release"} if value is None else codec.decode(value)
    after = {name: given[name] for name in ("mode", "until") if name in given}
    what = {"scope": str(scope)}
    decided = audit.data(given["mode"], given.get("reason", why), what, tenant=scope.tenant, after=after)
    await audit.note(kafka, (str(scope), decided))
    await topic_io.send(connect.broker(kafka), [records.Outgoing(kafka.topics.control, key, value)])


async def in_effect(found: Iterable[tenants.ResolvedTenant]) -> list[controls.Control]:
    """
    Read the controls in effect, in the order in which they were set; records that are none are passed over.

    Raises:
        SettingsError: there is no such topic. StreamDown: Kafka cannot be reached.
    """
    kafka = next(iter(found)).kafka
    latest = standing.Controls(clock.SystemClock().now_ms)
    async for record in topic_io.read_all(connect.broker(kafka), kafka.topics.control):
        try:
            latest.put(*controls.read(record.key, record.value, record.timestamp_ms))
        except ValueError as error:
            view.err().print(view.plain(f"record {record.partition}/{record.offset} is no control: {error}", "red"))
    return list(latest)


async def _drained(scope: controls.Scope, found: Iterable[tenants.ResolvedTenant], *, as_json: bool) -> None:
    """Wait until the ledgers of all tenants hold no job under way that the scope names."""
    before = -1
    while True:
        await asyncio.sleep(_LOOK_S)
        count = 0
        for tenant in found:
            jobs = await ledger.read(tenant.kafka)
            count += sum(standing.is_under_way(scope, job, tenant.name) for job in jobs)
        if count != before:
            if as_json:
                typer.echo(codec.encode({"scope": str(scope), "running": count}))
            else:
                view.out().print(view.plain(f"{count} still run" if count else "the last one has ended"))
        if not count:
            return
        before = count
