"""
Do something to all requests that a filter matches: `--where`, `--dry-run`, `--reason`.

The requests are those of the ledgers, as last committed. What is to be done is shown and confirmed first. Each request
gets a record and a decision of its own, the same as a single command, and its outcome is printed.
"""

from __future__ import annotations

import collections
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from mrs_relay import errors, tenants
from mrs_relay.cli import audit, connect, ledger, run, view
from mrs_relay.cli import where as filters
from mrs_relay.common import clock
from mrs_relay.engine.model import jobs
from mrs_relay.kafka import records, topic_io
from mrs_relay.messages import audit as decisions
from mrs_relay.messages import codec

_SAMPLE: Final = 10
_STEP: Final = 500
_MOST_REASON: Final = 500

WhereText = Annotated[
    str | None,
    typer.Option(
        "--where", metavar="FILTER", help="All requests that match, such as 'state=queued label.team=etl older=2h'."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="With --where: show what would be done, and do nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before many requests are concerned.")]


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What was asked for.

    Attributes:
        where: the filter.
        reason: for the record, and for the request's events where they have one.
        tenancies: the tenants whose ledgers are read.
        dry_run: only show it.
        yes: do not ask.
        as_json: a JSON text for each request.
        single: exactly one request is meant, by its id.
    """

    where: filters.Where
    reason: str
    tenancies: Sequence[tenants.ResolvedTenant]
    dry_run: bool = False
    yes: bool = False
    as_json: bool = False
    single: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A request of a ledger, with its tenant and partition."""

    tenant: tenants.ResolvedTenant
    partition: int
    job: jobs.Job

    @property
    def target(self) -> dict[str, str]:
        """Its name in messages and records."""
        return {"id": self.job.id, "source": self.job.source}


@dataclass(frozen=True, slots=True)
class Step:
    """What is written for one request: a record, and before it the decision."""

    outgoing: records.Outgoing
    decided: decisions.Data
    text: str


Plan = Callable[[Found], Step | str]
"""Returns what is written for a request, or why it is passed over."""

Prepare = Callable[[Sequence[Found]], Awaitable[Plan]]
"""Reads what the plan needs."""


def wanted(
    text: str,
    reason: str,
    tenancies: Sequence[tenants.ResolvedTenant],
    *,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> Wanted:
    """
    Check what was asked for.

    Raises:
        typer.BadParameter: the filter is none, or there is no reason. SettingsError: it names an unknown tenant.
    """
    try:
        where = filters.read(text, clock.SystemClock().now_ms())
    except filters.BadFilter as error:
        raise typer.BadParameter(str(error), param_hint="--where") from None
    if not reason.strip() or len(reason) > _MOST_REASON:
        text = f"many requests are concerned: give the reason, up to {_MOST_REASON} characters"
        raise typer.BadParameter(text, param_hint="--reason")
    if where.tenant is not None:
        tenancies = [connect.chosen(tenancies, where.tenant)]
    return Wanted(where, reason, tenancies, dry_run, yes, as_json)


def carry_out(asked: Wanted, verb: str, prepare: Prepare) -> None:
    """
    Do it to all requests that match, after showing them.

    Args:
        asked: what was asked for.
        verb: what is done, for people.
        prepare: reads what is needed, and returns the plan.

    Raises:
        typer.Exit: a request could not be dealt with. RelayError: Kafka cannot be reached; what was done is printed.
    """
    if run.loop(_carry_out(asked, verb, prepare)):
        raise typer.Exit(run.Code.FAILED)


async def _carry_out(asked: Wanted, verb: str, prepare: Prepare) -> run.Code:
    found = await _chosen(asked)
    if asked.single and len(found) != 1:
        return _not_one(found, asked.where.text)
    plan = await prepare(found)
    planned = [(one, plan(one)) for one in found]
    sending = [(one, step) for one, step in planned if isinstance(step, Step)]
    shown = _Shown(asked.as_json)

    # For people a preview with a sample; programs get a line for each request.
    if not asked.as_json and not asked.single:
        _preview(found, sending, verb)
        if asked.dry_run:
            return run.Code.OK
    if sending and not asked.yes and not asked.dry_run:
        typer.confirm(f"{verb} {_requests(len(sending))}?", abort=True, err=True)

    for one, step in planned:
        if not isinstance(step, Step):
            shown.show(one, "passed", step)
        elif asked.dry_run:
            shown.show(one, "planned", f"would be done: {step.text}")
    if not asked.dry_run:
        await _send(sending, shown)
    if not asked.as_json and not asked.single:
        shown.sum_up(len(found))
    return run.Code.FAILED if asked.single and not sending else run.Code.OK


def _not_one(found: Sequence[Found], request_id: str) -> run.Code:
    """Say that no request of the ledgers has the id, or that several have it."""
    several = ", ".join(f"{one.job.source} of tenant {one.tenant.name or '-'}" for one in found)
    text = f"no ledger has a request {request_id!r}: it has not been read yet, or was forgotten after its time"
    if found:
        text = f"{len(found)} requests have the id {request_id!r} ({several}): add --source or --tenant"
    view.err().print(view.plain(text, "bold red"), soft_wrap=True)
    return run.Code.FAILED


def _requests(count: int) -> str:
    return f"{count} request{'' if count == 1 else 's'}"


async def _chosen(asked: Wanted) -> list[Found]:
    """Return the requests that match, in the order of their arrival."""
    found = [
        Found(tenant, partition, job)
        for tenant in asked.tenancies
        for partition, job in await ledger.placed(tenant.kafka)
        if asked.where.takes(job)
    ]
    return sorted(found, key=lambda one: (one.job.arrived_ms, one.job.order))


async def _send(sending: Sequence[tuple[Found, Step]], shown: _Shown) -> None:
    """
    Write decisions and records, some at a time, and print the outcomes.

    Raises:
        RelayError: Kafka did not take some; they and those behind them are printed as failed.
    """
    for first in range(0, len(sending), _STEP):
        some = sending[first : first + _STEP]
        kafka = some[0][0].tenant.kafka

        try:
            await audit.note(kafka, *((one.job.id, step.decided) for one, step in some))
            await topic_io.send(connect.broker(kafka), [step.outgoing for _, step in some])
        except errors.RelayError:
            for one, _ in some:
                shown.show(one, "failed", "Kafka has perhaps not taken it; repeating it does no harm")
            for one, _ in sending[first + _STEP :]:
                shown.show(one, "failed", "not tried")
            raise

        for one, step in some:
            shown.show(one, "sent", step.text)
        if len(sending) > _STEP:
            shown.progress(first + len(some), len(sending))


def _preview(found: Sequence[Found], sending: Sequence[tuple[Found, Step]], verb: str) -> None:
    out = view.out()
    states = collections.Counter(one.job.state.value for one in found)
    out.print(f"{len(found)} match, {verb} would concern {len(sending)}", view.counts(states), sep=": ")
    sample = [one.job for one, _ in sending[:_SAMPLE]]
    if sample:
        now_ms = clock.SystemClock().now_ms()
        out.print(ledger.jobs_table(sample, total=len(sample), now_ms=now_ms, width=out.width))
        if len(sending) > len(sample):
            out.print(f"… and {len(sending) - len(sample)} more")


class _Shown:
    """
    Prints the outcome of each request.

    Args:
        as_json: a JSON text a line, and nothing else on standard output.
    """

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._counts: collections.Counter[str] = collections.Counter()

    def show(self, one: Found, outcome: str, text: str) -> None:
        """Print what became of a request: sent, planned, passed or failed, and why."""
        self._counts[outcome] += 1
        job = one.job
        if self._as_json:
            row: dict[str, Any] = {**one.target, "tenant": one.tenant.name, "state": job.state.value}
            typer.echo(codec.encode({**row, "outcome": outcome, "text": text}))
        else:
            colour = {"failed": "red", "passed": "dim"}.get(outcome, "")
            view.out().print(view.plain(f"{job.id}: {text}", colour), soft_wrap=True)

    def progress(self, done: int, total: int) -> None:
        """Say how far it is."""
        view.err().print(view.plain(f"{done} of {total} done", "dim"))

    def sum_up(self, total: int) -> None:
        """Print the counts, for people."""
        if not self._as_json:
            counts = self._counts
            view.out().print(f"{total} looked at: {counts['sent']} sent, {counts['passed']} passed over")
