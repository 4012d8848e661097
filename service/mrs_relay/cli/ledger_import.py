"""The steps of `mrs-relay ledger import`: check file, settings and topics, then fill one partition after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from mrs_relay import errors, tenants
from mrs_relay.cli import audit, connect, options
from mrs_relay.common import clock
from mrs_relay.engine.model import imported, job_records, jobs
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import records, topic_io
from mrs_relay.kafka import settings as kafka_settings
from mrs_relay.kafka.ledger_files import filling, last_values, ledger_file

ENDED: Final = frozenset(state.value for state, trait in jobs.TRAITS.items() if trait.last)

_BATCH: Final = 500
_BATCH_BYTES: Final = 512 * 1024
_SHOWN: Final = 20
"""Requests that an error names at most."""

_PLACES: Final = ("earliest", "latest", "exported")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of an import; `only` is the tenant that it is limited to, `remember_s` the setting of the engine."""

    path: Path
    start: str
    reason: str
    is_final: bool
    merge: bool
    dry_run: bool
    only: str | None
    forgotten: str | None = None
    remember_s: float = 0.0


@dataclass(slots=True)
class Filled:
    """
    What one partition got.

    Attributes:
        position: the input partition.
        next_offset: where relays read on.
        added: number of requests that the ledger did not have.
        kept: number of requests of the file that it had.
        in_doubt: requests that waited, and are looked for on MRS before they are submitted.
        choosing: requests that were choosing their cluster.
        skipped: of `forgotten`, requests that were left out.
        forgotten: requests under way that a relay may have ended and forgotten after the export.
    """

    position: records.Position
    next_offset: int
    added: int = 0
    kept: int = 0
    in_doubt: int = 0
    choosing: int = 0
    skipped: int = 0
    forgotten: list[str] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Return the row for programs."""
        names = ("next_offset", "added", "kept", "in_doubt", "choosing", "skipped")
        counts = {name: getattr(self, name) for name in names}
        return {"requests": self.position.topic, "partition": self.position.partition, **counts}


@dataclass(frozen=True, slots=True)
class _Import:
    """
    An import that has been checked.

    Attributes:
        wanted: the options.
        file_id: of the file.
        kafka: the settings of each tenant.
        targets: by tenant and partition.
        outlived: the targets whose ledgers were written to when a request that was under way in the file may have been
            forgotten: `engine.remember_s` after the export.
        now_ms: the present, epoch milliseconds.
    """

    wanted: Wanted
    file_id: str
    kafka: Mapping[str, kafka_settings.KafkaSettings]
    targets: Mapping[tuple[str, int], filling.Target]
    outlived: frozenset[tuple[str, int]]
    now_ms: int


async def run_import(found: Sequence[tenants.ResolvedTenant], wanted: Wanted) -> list[Filled]:
    """
    Import a file into the ledgers of tenants.

    Raises:
        SettingsError: file, settings and topics do not fit; nothing was changed.
        FileUnreadable: the file is damaged; nothing was changed.
        Fenced, StreamDown: a part was imported; relays refuse it, and another import of the file continues.
    """
    checked = await _check(found, wanted)
    for (tenant, _), target in checked.targets.items():
        with last_values.LastValues() as has:
            await filling.Filling(connect.broker(checked.kafka[tenant]), checked.kafka[tenant], target, has).look()
    if wanted.forgotten is None and checked.outlived:
        counted = await _fill(replace(checked, wanted=replace(wanted, dry_run=True)))
        _require_remembered([name for one in counted for name in one.forgotten], wanted)
    if not wanted.dry_run:
        for one in found:
            what = {"file": checked.file_id, "topic": one.kafka.topics.ledger}
            decided = audit.data("ledger.import", wanted.reason, what, **({"tenant": one.name} if one.name else {}))
            await audit.note(one.kafka, (one.kafka.topics.requests, decided))
    return await _fill(checked)


async def partitions(found: Sequence[tenants.ResolvedTenant]) -> Mapping[str, int]:
    """
    Return the number of partitions of each tenant's requests.

    Raises:
        SettingsError: a topic is missing, or a ledger has another number than its requests. StreamDown.
    """
    async with connect.broker(found[0].kafka).admin() as admin:
        counts = await admin.partition_counts()
    numbers = {}
    for one in found:
        names = one.kafka.topics.requests, one.kafka.topics.ledger
        if missing := [name for name in names if name not in counts]:
            raise errors.SettingsError(f"Kafka has no topic {', '.join(missing)}; `mrs-relay topics create` makes them")
        requests, ledger = (counts[name] for name in names)
        if requests != ledger:
            raise errors.SettingsError(
                f"{names[0]} has {requests} partitions and {names[1]} has {ledger}: expected the same number"
            )
        numbers[one.name] = requests
    return numbers


def require_same_partitions(header: ledger_file.Header, counts: Mapping[str, int], only: str | None) -> None:
    """
    Compare the ledgers of a file with those of the settings.

    Raises:
        SettingsError: a tenant is missing on either side, or has another number of partitions.
    """
    ledgers = {one.tenant: one for one in header.ledgers}
    if only is not None:
        ledgers = {name: one for name, one in ledgers.items() if name == only}

    for name in counts.keys() ^ ledgers.keys():
        where = "file" if name in ledgers else "settings"
        whose = f"tenant {name!r}" if name else "the deployment without tenants"
        raise errors.SettingsError(
            f"{whose} is in the {where} alone: expected those of the file ({', '.join(map(repr, sorted(ledgers)))}); "
            "--tenant NAME limits both to one"
        )

    for name, one in ledgers.items():
        if one.partitions != counts[name]:
            raise errors.SettingsError(
                f"{one.requests} had {one.partitions} partitions and the topic of the settings has {counts[name]}: a "
                f"request is remembered in the partition of its Kafka key. Delete the topics and make them with "
                f"`mrs-relay topics create --partitions {one.partitions}`"
            )


async def _check(found: Sequence[tenants.ResolvedTenant], wanted: Wanted) -> _Import:
    """Read the whole file, compare it with settings and topics, and find out where relays are to read on."""
    header = ledger_file.header(wanted.path)
    heads: dict[tuple[str, int], ledger_file.Partition] = {}
    unreadable = 0
    for head, content in ledger_file.partitions(wanted.path):
        heads[head.tenant, head.partition] = head
        unreadable += sum(isinstance(one, ledger_file.Value) and not _is_readable(one.value) for one in content)
    if unreadable:
        raise ledger_file.FileUnreadable(
            f"{wanted.path} has {unreadable} values that this version does not read: import it with the version that "
            f"made it ({header.made_by}) or a later one"
        )

    app_id = found[0].kafka.app_id
    if header.app_id != app_id:
        raise errors.SettingsError(
            f"the file is of the deployment kafka.app_id={header.app_id}, and the settings say {app_id}: the names of "
            f"its jobs on MRS contain that name. Expected kafka.app_id={header.app_id}"
        )
    require_same_partitions(header, await partitions(found), wanted.only)

    targets: dict[tuple[str, int], filling.Target] = {}
    for one in found:
        places = await _starts(one, wanted.start, heads)
        for number, (offset, topic_id) in sorted(places.items()):
            position, ledger_format = (
                records.Position(one.kafka.topics.requests, number),
                heads[one.name, number].format,
            )
            targets[one.name, number] = filling.Target(
                position, header.id, offset, topic_id, ledger_format, merge=wanted.merge
            )
    kafka = {one.name: one.kafka for one in found}
    outlived = await _outlived(found, header, wanted) if wanted.merge else frozenset[tuple[str, int]]()
    return _Import(wanted, header.id, kafka, targets, outlived, clock.SystemClock().now_ms())


async def _outlived(
    found: Sequence[tenants.ResolvedTenant], header: ledger_file.Header, wanted: Wanted
) -> frozenset[tuple[str, int]]:
    """Return the ledgers with a record that was written when the end of a request of the file may be forgotten."""
    try:
        since_ms = clock.epoch_ms(header.made_at) + round(wanted.remember_s * 1000)
    except ValueError as error:
        raise ledger_file.FileUnreadable(f"{wanted.path}: made_at is no moment: {error}") from error
    places: set[tuple[str, int]] = set()
    for one in found:
        async with topic_io.reading(connect.broker(one.kafka), one.kafka.topics.ledger) as (reader, _):
            places.update((one.name, number) for number in await reader.offsets_since(since_ms))
    return frozenset(places)


def _require_remembered(forgotten: Sequence[str], wanted: Wanted) -> None:
    if not forgotten:
        return
    shown = ", ".join(forgotten[:_SHOWN])
    more = f" and {len(forgotten) - _SHOWN} more" if len(forgotten) > _SHOWN else ""
    raise errors.SettingsError(
        f"{len(forgotten)} requests are under way in {wanted.path}, and the ledgers do not have them: {shown}{more}. "
        f"Relays went on for more than engine.remember_s ({wanted.remember_s:g} s) after the export, so they may have "
        "ended and forgotten them. Look at their last events or on MRS; then --forgotten skip leaves them out, and "
        "--forgotten add has them followed, and perhaps run, once more"
    )


def _is_readable(value: bytes) -> bool:
    try:
        job_records.decode(value)
    except errors.StateUnreadable:
        return False
    return True


async def _starts(
    one: tenants.ResolvedTenant, start: str, heads: Mapping[tuple[str, int], ledger_file.Partition]
) -> dict[int, tuple[int, str | None]]:
    """Return for each partition where relays begin to read, and the id of the topic."""
    broker, topic = connect.broker(one.kafka), one.kafka.topics.requests
    bounds = await topic_io.bounds_of(broker, topic)
    if start == "exported":
        return {number: (_exported(heads[one.name, number], bound), bound.topic_id) for number, bound in bounds.items()}
    if start in _PLACES:
        return {
            number: (bound.first if start == "earliest" else bound.end, bound.topic_id)
            for number, bound in bounds.items()
        }

    since_ms = options.moment_ms(start, "--start", f"{', '.join(_PLACES)}, ")
    async with topic_io.reading(broker, topic) as (reader, _):
        since = await reader.offsets_since(since_ms)
    return {number: (since.get(number, bound.end), bound.topic_id) for number, bound in bounds.items()}


def _exported(head: ledger_file.Partition, bounds: brokers.Bounds) -> int:
    offset = head.next_offset
    if offset is None or not bounds.first <= offset <= bounds.end:
        raise errors.SettingsError(
            f"--start exported: the file continues partition {head.partition} at offset {offset}, and the topic has "
            f"{bounds.first} to {bounds.end}: its offsets are not those of the old one. Expected earliest, latest or a "
            "time"
        )
    return offset


async def _fill(checked: _Import) -> list[Filled]:
    """Read the file once more and fill the partitions in its order; a dry run only counts."""
    done: list[Filled] = []
    for head, content in ledger_file.partitions(checked.wanted.path):
        target = checked.targets.get((head.tenant, head.partition))
        if target is None:
            continue

        kafka = checked.kafka[head.tenant]
        with last_values.LastValues() as has:
            partition = filling.Filling(connect.broker(kafka), kafka, target, has)
            try:
                await (partition.look() if checked.wanted.dry_run else partition.open())
                filled = Filled(target.position, target.next_offset)

                if partition.is_filled:
                    filled.kept = head.values
                else:
                    is_outlived = (head.tenant, head.partition) in checked.outlived
                    rule = _Rule(checked, kafka.ledger_format, is_outlived and partition.kept_offset is not None)
                    unsent = await _add(partition, content, filled, rule)
                    if not checked.wanted.dry_run:
                        await partition.finish(unsent)

                if partition.kept_offset is not None:
                    filled.next_offset = partition.kept_offset
                done.append(filled)
            finally:
                await partition.close()

    return done


@dataclass(frozen=True, slots=True)
class _Rule:
    """
    What becomes of a value on its way.

    Attributes:
        checked: the import.
        ledger_format: of those that change.
        is_outlived: a relay may have ended a request after the export, and forgotten it.
    """

    checked: _Import
    ledger_format: int
    is_outlived: bool

    def changed(self, value: bytes, filled: Filled) -> bytes | None:
        """Return the value as the ledger gets it, None: not at all; count what was done."""
        job = job_records.decode(value)
        if self.is_outlived and not jobs.TRAITS[job.state].last:
            filled.forgotten.append(f"{job.id!r} ({job.state.value})")
            if self.checked.wanted.forgotten == "skip":
                filled.skipped += 1
                return None

        filled.added += 1
        filled.choosing += job.state is jobs.State.CHOOSING
        if self.checked.wanted.is_final:
            return value

        doubtful = imported.perhaps_sent(job, self.checked.now_ms)
        if doubtful is job:
            return value
        filled.in_doubt += 1
        return job_records.encode(doubtful, self.ledger_format)


async def _add(
    partition: filling.Filling, content: Iterable[ledger_file.Value | ledger_file.Unsent], filled: Filled, rule: _Rule
) -> list[records.Outgoing]:
    """Add the values of a partition in batches; returns its unsent records."""
    unsent: list[records.Outgoing] = []
    batch: list[records.Change] = []
    batch_bytes = 0

    for one in content:
        if isinstance(one, ledger_file.Unsent):
            unsent.append(records.Outgoing(one.topic, one.key, one.value, one.headers, one.partition))
        elif partition.has(one.key):
            filled.kept += 1
        elif (value := rule.changed(one.value, filled)) is not None:
            batch.append(records.Change(one.key, value))
            batch_bytes += len(one.key) + len(value)
        if len(batch) >= _BATCH or batch_bytes >= _BATCH_BYTES:
            await _write(partition, batch, rule.checked.wanted)
            batch, batch_bytes = [], 0

    await _write(partition, batch, rule.checked.wanted)
    return unsent


async def _write(partition: filling.Filling, batch: Sequence[records.Change], wanted: Wanted) -> None:
    if not wanted.dry_run:
        await partition.add(batch)
