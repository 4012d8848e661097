"""
`mrs-relay dead-letters`: show the messages that no event could answer, and send them again.

`dead_letter_view` filters and formats; this module has the commands. The content is the sender's own data, so only
`show` prints it.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich import console

from mrs_relay import tenants
from mrs_relay.cli import audit, connect, dead_letter_view, options, run, table_layout, view
from mrs_relay.common import clock
from mrs_relay.kafka import topic_io
from mrs_relay.kafka.topics import topic_setup
from mrs_relay.messages import audit as decisions
from mrs_relay.messages import codec, reasons

app = typer.Typer(no_args_is_help=True, help="Look at messages that no event could answer, and send them once more.")

_SHOWN_CHARACTERS: Final = 4_000

Reasons = Annotated[
    list[str] | None, typer.Option("--reason", "--code", metavar="CODE", help="Only this reason; repeat for more.")
]
Since = Annotated[
    str | None,
    typer.Option("--since", metavar="WHEN", help="Only messages written since: a time back such as 2h, or RFC 3339."),
]
Until = Annotated[
    str | None, typer.Option("--until", metavar="WHEN", help="Only messages written before; like --since.")
]
Position = Annotated[
    str, typer.Argument(metavar="POSITION", help="Where it stood, as `list` shows it: TOPIC-PARTITION-OFFSET.")
]


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a replay: sent, would be sent, or the reason against it."""

    found: dead_letter_view.FoundLetter
    sent: bool
    text: str


@app.command(
    name="list",
    epilog=run.epilog("mrs-relay dead-letters list --since 1d", "mrs-relay dead-letters list --reason bad_id --json"),
)
def show_all(
    *,
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Rows at most, the last ones; 0 shows all.")] = 50,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.Tenant = None,
) -> None:
    """
    Show which messages were set aside, where they stood and why.

    A message whose replay failed again is shown once; `times` says how often it was set aside.
    """
    choice = _choice(None, reason, since, until)
    kafka = connect.kafka(config, bootstrap, tenant)
    chosen = choice.of(run.loop(dead_letter_view.collect(connect.broker(kafka), kafka.topics.dead_letters, None)))
    shown = chosen[-limit:] if limit else chosen
    if as_json:
        for one in shown:
            typer.echo(codec.encode(one.as_row()))
        return
    out = view.out()
    out.print(table(shown, total=len(chosen), width=out.width))


@app.command(
    epilog=run.epilog(
        "mrs-relay dead-letters show mrs.requests-0-17", "mrs-relay dead-letters show mrs.requests-0-17 --raw > message"
    )
)
def show(
    *,
    position: Position,
    raw: Annotated[
        bool, typer.Option("--raw", help="Write the original bytes to standard output, nothing else.")
    ] = False,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.Tenant = None,
) -> None:
    """Show one message whole: reason, key, headers and content."""
    kafka = connect.kafka(config, bootstrap, tenant)
    choice = dead_letter_view.Choice(frozenset({position}))
    chosen = choice.of(run.loop(dead_letter_view.collect(connect.broker(kafka), kafka.topics.dead_letters, choice)))
    _complain_of(choice.missing(chosen), kafka.topics.dead_letters)
    for one in chosen:
        if raw:
            sys.stdout.buffer.write(one.letter.value or b"")
        elif as_json:
            typer.echo(codec.encode(one.whole()))
        else:
            view.out().print(_page(one), soft_wrap=True)


@app.command(
    epilog=run.epilog(
        "mrs-relay dead-letters replay mrs.requests-0-17 --dry-run",
        "mrs-relay dead-letters replay --code unreadable_encoding --since 2h --note 'the sender was repaired'",
    )
)
def replay(
    *,
    position: Annotated[
        list[str] | None, typer.Argument(metavar="POSITION", help="Which; none means by option.")
    ] = None,
    reason: Reasons = None,
    since: Since = None,
    until: Until = None,
    whole: Annotated[bool, typer.Option("--all", help="All of them; without it something must choose.")] = False,
    note: Annotated[
        str, typer.Option("--note", metavar="WHY", help="Why; it is on record. Needed unless positions choose.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent and send nothing.")] = False,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.Tenant = None,
) -> None:
    """
    Send messages once more, to the partition on which they stood, with their own key, bytes and headers.

    So a request keeps its idempotency key: replayed twice, or replayed and sent again, it is carried out once. The
    header mrs_relay_replay_of says where the message stood first. One that is still unreadable is set aside again.
    --reason and --code choose by the reason for which they were set aside; --note says why they are sent again.
    """
    choice = _choice(position, reason, since, until)
    if choice == dead_letter_view.Choice() and not whole:
        raise typer.BadParameter("say which: a POSITION, --reason, --since, --until, or --all")
    if not (position or dry_run or note.strip()):
        raise typer.BadParameter("many messages are concerned: say why they are sent again", param_hint="--note")

    found = connect.tenancies(config, bootstrap)
    mine = connect.chosen(found, tenant)

    if not position:  # tenants may share the topic of dead letters
        others = {one.kafka.topics.requests for one in found} - {mine.kafka.topics.requests}
        choice = dataclasses.replace(choice, others=frozenset(others))

    outcomes, missing = run.loop(_replay(mine, choice, note, dry_run=dry_run))
    if as_json:
        for one in outcomes:
            typer.echo(codec.encode({**one.found.as_row(), "sent": one.sent, "outcome": one.text}))
    else:
        out = view.out()
        out.print(outcome_table(outcomes, width=out.width))

    _complain_of(missing, mine.kafka.topics.dead_letters)
    if any(not one.sent for one in outcomes) and not dry_run:
        raise typer.Exit(run.Code.FAILED)


async def _replay(
    mine: tenants.ResolvedTenant, choice: dead_letter_view.Choice, note: str, *, dry_run: bool
) -> tuple[list[Outcome], list[str]]:
    kafka, broker = mine.kafka, connect.broker(mine.kafka)
    chosen = choice.of(await dead_letter_view.collect(broker, kafka.topics.dead_letters, choice))
    async with broker.admin() as admin:
        counts = await admin.partition_counts()
        there = sorted({one.letter.topic for one in chosen} & counts.keys())
        limits_bytes = topic_setup.limits(await admin.configs(there)) if there else {}

    outcomes, sending = [], []
    for one in chosen:
        try:
            sending.append(dead_letter_view.outgoing(one, kafka.topics.requests, counts, limits_bytes))
        except ValueError as error:
            outcomes.append(Outcome(one, sent=False, text=f"not sent: {error}"))
        else:
            outcomes.append(Outcome(one, sent=not dry_run, text="would be sent" if dry_run else "sent"))

    if sending and not dry_run:
        replayed = [one for one in outcomes if one.sent]
        await audit.note(kafka, *((one.found.letter.origin, _decision(one.found, note, mine.name)) for one in replayed))
        await topic_io.send(broker, sending)
    return outcomes, choice.missing(chosen)


def _decision(found: dead_letter_view.FoundLetter, note: str, tenant: str) -> decisions.Data:
    letter = found.letter
    return audit.data("replay", note, {"position": letter.origin}, before={"code": letter.code}, tenant=tenant)


def table(shown: Sequence[dead_letter_view.FoundLetter], *, total: int, width: int) -> console.Group:
    """Draw the messages as a table of at most `width` characters, in the given order."""
    body = table_layout.fitted(
        [*_columns(shown), table_layout.Column("times", [str(len(one.places)) for one in shown], drop=3)],
        table_layout.Column("message", [view.plain(one.letter.message) for one in shown]),
        width,
    )
    footer = f"the last {len(shown)} of {total}; --limit 0 shows all" if len(shown) < total else ""
    return view.titled("", body, footer or ("" if total else "no dead letters"))


def outcome_table(outcomes: Sequence[Outcome], *, width: int) -> console.Group:
    """Draw the outcome of each replay."""
    body = table_layout.fitted(
        _columns([one.found for one in outcomes]),
        table_layout.Column("outcome", [view.plain(one.text, "" if one.sent else "yellow") for one in outcomes]),
        width,
    )
    hint = "what comes of them: mrs-relay watch --from 10m" if any(one.sent for one in outcomes) else ""
    return view.titled("", body, hint or ("" if outcomes else "no dead letter is meant"))


def _columns(shown: Sequence[dead_letter_view.FoundLetter]) -> list[table_layout.Column]:
    return [
        table_layout.Column("position", [view.plain(one.letter.origin) for one in shown]),
        table_layout.Column("written", [clock.shown(one.time_ms) for one in shown], drop=2),
        table_layout.Column("reason", [view.plain(one.letter.code) for one in shown]),
        table_layout.Column("bytes", [str(one.value_bytes or 0) for one in shown], drop=1),
    ]


def _page(one: dead_letter_view.FoundLetter) -> console.Group:
    letter = one.letter
    lines = [view.plain(f"{name:<12} {'(none)' if value is None else value}") for name, value in one.as_row().items()]
    lines += [
        view.plain(f"header       {name}: {(raw or b'').decode(errors='backslashreplace')}")
        for name, raw in letter.headers
    ]
    content = (letter.value or b"").decode(errors="backslashreplace")
    more = len(content) - _SHOWN_CHARACTERS
    lines.append(view.plain("\n" + content[:_SHOWN_CHARACTERS]))
    return console.Group(*lines, *([view.plain(f"… {more} more; --raw writes all of it", "dim")] if more > 0 else []))


def _complain_of(missing: Sequence[str], topic: str) -> None:
    for position in missing:
        view.err().print(view.plain(f"no dead letter of {position} in {topic}", "bold red"), soft_wrap=True)
    if missing:
        raise typer.Exit(run.Code.FAILED)


def _choice(
    positions: Sequence[str] | None, codes: Sequence[str] | None, since: str | None, until: str | None
) -> dead_letter_view.Choice:
    if unknown := sorted(set(codes or ()) - reasons.CODES.keys()):
        known = ", ".join(sorted(reasons.CODES))
        raise typer.BadParameter(f"no reason {', '.join(unknown)}; known: {known}", param_hint="--reason")
    choice = dead_letter_view.Choice(frozenset(positions or ()), frozenset(codes or ()))
    if since is not None:
        choice = dataclasses.replace(choice, since_ms=options.moment_ms(since, "--since"))
    return choice if until is None else dataclasses.replace(choice, until_ms=options.moment_ms(until, "--until"))
