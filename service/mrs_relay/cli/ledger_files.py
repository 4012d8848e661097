"""
`mrs-relay ledger`: export ledgers to a file, verify a file, and import it into empty ledgers on another Kafka.

Neighbours: `kafka.ledger_files` has the format and the writing, `ledger_import` the steps of an import. Contents of
requests are in the file as in the ledger, and are never shown.
"""

from __future__ import annotations

import collections
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

import mrs_relay
from mrs_relay import errors, settings, tenants
from mrs_relay.cli import connect, ledger_import, options, run, view
from mrs_relay.common import clock
from mrs_relay.engine.model import imported, job_records
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records, topic_io
from mrs_relay.kafka.ledger_files import last_values, ledger_file, snapshot
from mrs_relay.messages import codec

app = typer.Typer(
    no_args_is_help=True, help="Export ledgers to a file, verify the file, import it into ledgers on another Kafka."
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The file of `mrs-relay ledger export`.")]


@dataclass(slots=True)
class Tally:
    """
    What one partition of a file has, and how a ledger differs from it.

    Attributes:
        head: the partition's first line.
        states: number of jobs in each state.
        unreadable: values that are no job which this version reads.
        unsent: outgoing records that are perhaps not sent.
        missing: keys that the ledger lacks.
        different: keys with another value in the ledger.
        in_doubt: of these, requests that waited in the file and that an import has put in doubt.
        more: keys that the ledger has beside those of the file.
        live_offset: the ledger's own offset.
    """

    head: ledger_file.Partition
    states: collections.Counter[str] = field(default_factory=collections.Counter)
    unreadable: int = 0
    unsent: int = 0
    missing: int = 0
    different: int = 0
    in_doubt: int = 0
    more: int = 0
    live_offset: int | None = None

    @property
    def is_good(self) -> bool:
        """Whether every value is a job, and a ledger that was compared has the same ones."""
        return not (self.unreadable or self.missing or self.different or self.more)

    def count(self, value: bytes) -> None:
        """Count a value by the state of its job."""
        try:
            self.states[job_records.decode(value).state.value] += 1
        except errors.StateUnreadable:
            self.unreadable += 1

    def compare(self, value: bytes, live: bytes | None) -> None:
        """Compare a value of the file with the ledger's."""
        if live is None:
            self.missing += 1
        elif live != value:
            self._compare_jobs(value, live)

    def _compare_jobs(self, value: bytes, live: bytes) -> None:
        try:
            before, after = job_records.decode(value), job_records.decode(live)
        except errors.StateUnreadable:
            self.different += 1
            return
        if imported.was_put_in_doubt(before, after):
            self.in_doubt += 1
        elif before != after:
            self.different += 1

    def row(self, *, compared: bool) -> dict[str, Any]:
        """Return the row for programs."""
        row: dict[str, Any] = {
            **({"tenant": self.head.tenant} if self.head.tenant else {}),
            "partition": self.head.partition,
            "next_offset": self.head.next_offset,
            "unread": self.head.unread,
            "requests": self.head.values,
            "states": dict(self.states),
            "format": self.head.format,
            "unsent": self.unsent,
            "unreadable": self.unreadable,
        }

        if compared:
            names = ("missing", "different", "in_doubt", "more", "live_offset")
            row["ledger"] = {name: getattr(self, name) for name in names}

        return row


@app.command(
    epilog=run.epilog("mrs-relay ledger export relay.ledgers", "mrs-relay ledger export - | age -r KEY > relay.age")
)
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file; - is standard output.")],
    *,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.AnyTenant = None,
) -> None:
    """
    Write the ledgers to a file: jobs under way, remembered ids, cancels that wait, offsets; of all tenants or of one.

    Relays may run meanwhile: each partition is written as it was at one of its commits. The file has SQL and arguments
    of requests that MRS does not have yet; only its owner may read it.
    """
    found = connect.meant(config, bootstrap, tenant)
    path = None if str(file) == "-" else file
    with ledger_file.new_file(path) as out:
        tallies = run.loop(_export(found, out))

    if as_json and path is not None:
        for one in tallies:
            typer.echo(codec.encode(one.row(compared=False)))
        return
    _show(tallies, compared=False, is_output=path is not None)
    unread = sum(one.head.unread or 0 for one in tallies)
    if unread:
        text = f"up to {unread} messages in the requests topics were not read yet: they are not in the file"
        view.err().print(view.plain(text, "yellow"), soft_wrap=True)


@app.command(epilog=run.epilog("mrs-relay ledger verify relay.ledgers", "mrs-relay ledger verify relay.ledgers --live"))
def verify(
    file: File,
    *,
    live: Annotated[bool, typer.Option("--live", help="Compare it with the ledgers on Kafka.")] = False,
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.AnyTenant = None,
) -> None:
    """
    Check that a file is whole and that this version reads all its records; exit 1 if not.

    With --live, also that the ledgers have the same values: before an import those that it was made of, to see whether
    a relay has gone on since; after an import those that it was imported into. Requests that the import has put in
    doubt are counted, and are no difference.
    """
    found = {one.name: one for one in connect.meant(config, bootstrap, tenant)} if live else {}
    tallies = run.loop(_verify(file, found, only=tenant))
    if as_json:
        for one in tallies:
            typer.echo(codec.encode(one.row(compared=live)))
    else:
        _show(tallies, compared=live, is_output=True)
    if not all(one.is_good for one in tallies):
        raise typer.Exit(run.Code.FAILED)


@app.command(
    name="import",
    epilog=run.epilog(
        "mrs-relay ledger import relay.ledgers --dry-run",
        "mrs-relay ledger import relay.ledgers --final --reason 'move to the new Kafka'",
        "mrs-relay ledger import relay.ledgers --start 2h --reason 'the old Kafka is lost'",
    ),
)
def import_(
    file: File,
    *,
    start: Annotated[
        str,
        typer.Option(
            "--start",
            metavar="WHERE",
            help="Where relays begin to read requests: earliest, latest, exported (the offsets of the file, if the "
            "topic has them), or at a time such as 2h back or 2026-11-24T06:00:00Z.",
        ),
    ] = "earliest",
    final: Annotated[
        bool, typer.Option("--final", help="No relay has worked since the export: waiting requests are not in doubt.")
    ] = False,
    merge: Annotated[
        bool, typer.Option("--merge", help="Add to ledgers that relays have used; what they have stays.")
    ] = False,
    forgotten: Annotated[
        str | None,
        typer.Option(
            "--forgotten",
            metavar="add|skip",
            help="With --merge: what becomes of requests under way in the file that a relay may have ended and "
            "forgotten since (engine.remember_s); without it, a file with such requests is refused.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and change nothing.")] = False,
    reason: Annotated[str, typer.Option("--reason", "--note", help="Why; it is on record.")] = "",
    as_json: options.AsJson = False,
    config: options.Config = None,
    bootstrap: options.Bootstrap = None,
    tenant: options.AnyTenant = None,
) -> None:
    """
    Fill empty ledgers from a file, so that relays continue with its jobs and recognise its requests.

    All relays of the deployment must be stopped, on the old Kafka and on the new one. Topics must exist and have as
    many partitions as before; kafka.app_id must be that of the file. An import that was interrupted leaves ledgers
    that relays refuse: run it again. Without --final, requests that waited are looked for on MRS before they are
    submitted, since relays may have gone on after the export.
    """
    if forgotten not in {None, "add", "skip"}:
        raise typer.BadParameter(f"{forgotten!r}: expected add or skip", param_hint="--forgotten")

    found = connect.meant(config, bootstrap, tenant)
    remember_s = settings.load_import(config).engine.remember_s

    wanted = ledger_import.Wanted(
        file,
        start,
        reason,
        is_final=final,
        merge=merge,
        dry_run=dry_run,
        only=tenant,
        forgotten=forgotten,
        remember_s=remember_s,
    )

    done = run.loop(ledger_import.run_import(found, wanted))
    for one in done if as_json else ():
        typer.echo(codec.encode(one.row()))

    if not as_json:
        shown = view.grid("requests topic", "partition", "added", "kept", "in doubt", "skipped", "reads on at")
        for one in done:
            counts = (one.position.partition, one.added, one.kept, one.in_doubt, one.skipped, one.next_offset)
            shown.add_row(one.position.topic, *map(str, counts))
        view.out().print(shown)

    if any(one.choosing for one in done) and not final:
        text = (
            f"{sum(one.choosing for one in done)} requests were choosing their cluster: a relay that has gone on after "
            "the export may have submitted them elsewhere; see `mrs-relay orphans`"
        )
        view.err().print(view.plain(text, "yellow"), soft_wrap=True)


async def _export(found: Sequence[tenants.ResolvedTenant], out: BinaryIO) -> list[Tally]:
    counts = await ledger_import.partitions(found)
    ledgers = tuple(ledger_file.Ledger(one.name, one.kafka.topics.requests, counts[one.name]) for one in found)
    made_at = clock.shown(clock.SystemClock().now_ms())
    made_by = f"mrs-relay {mrs_relay.__version__}"
    header = ledger_file.Header(ledger_file.FORMAT, uuid.uuid4().hex, made_at, made_by, found[0].kafka.app_id, ledgers)
    writer, tallies = ledger_file.Writer(out, header), []

    for one in found:
        broker, topics = connect.broker(one.kafka), one.kafka.topics
        for number in range(counts[one.name]):
            with last_values.LastValues() as values:
                taken = await snapshot.take(broker, records.Position(topics.requests, number), topics.ledger, values)
                ends = await topic_io.bounds_of(broker, topics.requests)  # after the snapshot: no message is left out
                tally = Tally(_head(one.name, taken, ends[number]))
                end = writer.partition(tally.head, _counted(tally, values), taken.unsent)
            tally.unsent = end.unsent
            tallies.append(tally)
    writer.end()
    return tallies


def _head(tenant: str, taken: snapshot.Snapshot, bounds: brokers.Bounds) -> ledger_file.Partition:
    next_offset = taken.next_offset
    return ledger_file.Partition(
        tenant=tenant,
        partition=taken.position.partition,
        next_offset=next_offset,
        topic_id=taken.topic_id,
        unread=bounds.end - bounds.first if next_offset is None else max(0, bounds.end - next_offset),
        format=taken.format,
        values=len(taken.values),
    )


def _counted(tally: Tally, values: last_values.LastValues) -> Iterator[tuple[bytes, bytes]]:
    for key, value in values.items():
        tally.count(value)
        yield key, value


async def _verify(path: Path, found: Mapping[str, tenants.ResolvedTenant], *, only: str | None) -> list[Tally]:
    """Read a file to its end; compare it with the ledgers of tenants, where some are given."""
    if found:
        counts = await ledger_import.partitions(list(found.values()))
        ledger_import.require_same_partitions(ledger_file.header(path), counts, only)

    tallies: list[Tally] = []
    for head, content in ledger_file.partitions(path):
        if only is not None and head.tenant != only:
            continue

        tally = Tally(head)
        with last_values.LastValues() as live:
            if (one := found.get(head.tenant)) is not None:
                position = records.Position(one.kafka.topics.requests, head.partition)
                taken = await snapshot.take(connect.broker(one.kafka), position, one.kafka.topics.ledger, live)
                tally.live_offset = taken.next_offset
            for line in content:
                if isinstance(line, ledger_file.Unsent):
                    tally.unsent += 1
                    continue
                tally.count(line.value)
                if one is not None:
                    tally.compare(line.value, live.get(line.key))
            if one is not None:
                tally.more = len(live) - (head.values - tally.missing)

        tallies.append(tally)

    return tallies


def _show(tallies: Sequence[Tally], *, compared: bool, is_output: bool) -> None:
    more = ("missing", "different", "in doubt", "more") if compared else ()
    shown = view.grid("tenant", "partition", "requests", "under way", "format", "reads on at", "unreadable", *more)
    for one in tallies:
        under_way = sum(count for name, count in one.states.items() if name not in ledger_import.ENDED)
        counts = (one.head.partition, one.head.values, under_way, one.head.format, one.head.next_offset, one.unreadable)
        differences = (one.missing, one.different, one.in_doubt, one.more) if compared else ()
        shown.add_row(one.head.tenant, *map(str, (*counts, *differences)))
    out = view.out() if is_output else view.err()
    out.print(shown)
    out.print(view.counts(sum((one.states for one in tallies), collections.Counter())))
