"""The read model keeps the same contract on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from tests.contract import read_models
from tests.support import cells, web_role

from mrs_relay import errors
from mrs_relay import settings as all_settings
from mrs_relay.kafka import broker, records
from mrs_relay.messages import controls as control_records
from mrs_relay.messages import events, reasons
from mrs_relay.read_model import controls, database, event_log, letters, queries, record_reader, settings, store, tables


async def test_the_last_event_decides_in_whatever_order_and_number_they_come(opened: database.Database) -> None:
    """At least once means copies, and copies of early events may come late."""
    accepted, submitted, running, succeeded = web_role.story("r-1", cluster="c-1")
    writes = await read_models.writer(opened)
    await writes.write(accepted, submitted, accepted)
    await writes.write(succeeded, running, succeeded, submitted)
    await writes.write(running, submitted)
    row = await read_models.shown(opened)
    assert (row["state"], row["sequence"], row["ended"]) == ("succeeded", 4, True)
    assert row["started_ms"] == web_role.NOW_MS + 1000
    assert sorted(await read_models.sequences(opened)) == [("r-1", 1), ("r-1", 2), ("r-1", 3), ("r-1", 4)]


async def test_answers_that_change_nothing_leave_the_state_alone(opened: database.Database) -> None:
    """A refused second message and a repeated state are events, but no new state."""
    conflict = web_role.refused("r-1", 3)
    repeated = web_role.event("r-1", 4, "submitted", repeated=True)
    writes = await read_models.writer(opened)
    await writes.write(*web_role.story("r-1")[:2], conflict, repeated, web_role.refused("unknown", 1))
    assert ((await read_models.shown(opened))["state"], (await read_models.shown(opened))["sequence"]) == (
        "submitted",
        2,
    )
    assert len(await read_models.sequences(opened)) == 5
    assert not await queries.of_id(opened, "unknown", tenant=None, source=None)


async def test_a_request_known_only_by_a_repeated_state_is_shown(opened: database.Database) -> None:
    """Its earlier events have left the topic."""
    writes = await read_models.writer(opened)
    await writes.write(web_role.event("r-1", 9, "running", repeated=True))
    assert (await read_models.shown(opened))["state"] == "running"
    await writes.write(web_role.event("r-1", 10, "succeeded"))
    assert (await read_models.shown(opened))["state"] == "succeeded"


async def test_an_id_that_is_sent_again_after_it_was_forgotten_begins_anew(opened: database.Database) -> None:
    """Its events count from 1 again, and the earlier ones stay in its history."""
    later_ms = web_role.NOW_MS + 8 * read_models.DAY_MS
    writes = await read_models.writer(opened)
    await writes.write(*web_role.story("r-1", labels={"run": "old"}))
    await writes.write(*web_role.story("r-1", labels={"run": "new"}, start_ms=later_ms)[:2])
    row = await read_models.shown(opened)
    assert (row["state"], row["sequence"], row["started_ms"]) == ("submitted", 2, later_ms + 1000)
    assert len(await event_log.events_of(opened, row["key"], limit=100)) == 6
    for label, count in (("run=old", 0), ("run=new", 1)):
        page = await queries.requests(opened, queries.Filter(label=label), None, 10)
        assert len(page.rows) == count


async def test_events_of_either_layout_are_the_same(opened: database.Database) -> None:
    """Binary and structured mode carry the same event."""
    writes = await read_models.writer(opened)
    await writes.write(*web_role.story("r-1"), *web_role.story("r-2", mode="structured"))
    rows = [await read_models.shown(opened, name) for name in ("r-1", "r-2")]
    same = [
        {name: row[name] for name in ("tenant", "source", "kind", "state", "sequence", "updated_ms")} for row in rows
    ]
    assert same[0] == same[1]


async def test_texts_with_nul_are_stored_without_it(opened: database.Database) -> None:
    """PostgreSQL refuses the character, and the batch would be tried for ever."""
    nul = "a\0b"
    mrs = events.BodyMrs(job_id=nul, job_name=nul, app_id=nul, tracking_url=nul)
    reason = reasons.Reason(kind="job_failed", code=nul, message=nul)
    given: dict[str, Any] = {"labels": {nul: nul}, "mrs": mrs, "reason": reason, "cluster": nul}
    writes = await read_models.writer(opened)
    await writes.write(web_role.event("r\0-1", 1, "failed", source=nul, event_source=nul, **given))
    row = await read_models.shown(opened)
    texts = ("tenant", "source", "cluster", "job_id", "job_name", "app_id", "tracking_url", "reason_code")
    assert {row[name] for name in (*texts, "reason_message")} == {"ab"}
    page = await queries.requests(opened, queries.Filter(label="ab=ab", text="ab"), None, 10)
    assert [found["id"] for found in page.rows] == ["r-1"]

    letter = web_role.letter(3, code=nul)
    dead = record_reader.dead_letter(
        records.Record(read_models.TOPIC, 0, 3, 0, letter.key, letter.value, letter.headers), {}
    )
    assert dead is not None
    await writes.writes.apply(store.Batch(dead_letters={writes.log.log: [dead]}))
    ((found,), _) = await letters.page(opened, letters.Filter(code="ab"), None, 10)
    assert found["code"] == "ab"

    scope = control_records.Scope("label", "a=\0b")
    await writes.writes.replace_controls(
        [controls.row(control_records.Control(scope=scope, mode="hold", reason=nul, by=nul, at_ms=1))]
    )
    (held,) = await controls.in_effect(opened, 2)
    assert (str(held.scope), held.reason, held.by) == ("label/a=b", "ab", "ab")
    await writes.writes.replace_controls([])


@pytest.mark.parametrize("name", ["sequence", "attempt"])
def test_an_event_whose_numbers_do_not_fit_the_tables_is_not_read(name: str) -> None:
    """The relay writes none; the database would refuse the batch for ever."""
    body = {"request": {"id": "r-1", "source": "/tests"}, "state": "running", "sequence": 1, "attempt": 1}
    headers = (("ce_type", b"mrs.sql.running"), ("ce_time", b"2026-11-30T00:00:00Z"))
    for number, is_read in ((2**31 - 1, True), (2**31, False), (-(2**31) - 1, False)):
        record = records.Record(
            read_models.TOPIC, 0, 0, 0, b"r-1", msgspec.json.encode({**body, name: number}), headers
        )
        assert (record_reader.event(record, {}) is not None) == is_read


async def test_no_text_is_too_long_for_an_index(opened: database.Database) -> None:
    """An index of PostgreSQL refuses long texts, and the batch would be tried for ever; the longest of ours fit."""
    chance = random.Random(1)  # noqa: S311 - PostgreSQL compresses what repeats itself

    def text(length: int) -> str:
        return "".join(chr(chance.randrange(0x20000, 0x2A000)) for _ in range(length))

    writes = await read_models.writer(opened)
    longest: dict[str, Any] = {"cluster": text(256), "labels": {text(63): text(255)}, "event_source": text(256)}
    request_id, state = text(256), text(64)
    sent = web_role.event(request_id, 1, "running", source=text(256), **longest)
    value = (sent.value or b"").replace(b'"running"', b'"%b"' % state.encode())
    await writes.write(records.Outgoing(sent.topic, sent.key, value, sent.headers))
    row = await read_models.shown(opened, request_id)
    assert (row["state"], row["cluster"]) == (state, longest["cluster"])

    odd: Mapping[str, Mapping[str, Any]] = {
        "cluster": {"cluster": text(3_000)},
        "label": {"labels": {"a": text(3_000)}},
        "name of a label": {"labels": {text(3_000): "a"}},
        "source of the event": {"event_source": text(3_000)},
        "source": {"source": text(3_000)},
    }
    for name, changes in odd.items():
        with cells.cell(name):
            sent = web_role.event("r-1", 1, "accepted", **changes)
            record = records.Record(read_models.TOPIC, 0, 0, 0, sent.key, sent.value, sent.headers)
            assert record_reader.event(record, {}) is None
    sent = web_role.event("r-1", 1, "accepted")
    for old, new in ((b'"accepted"', text(3_000)), (b'"r-1"', text(3_000))):
        value = (sent.value or b"").replace(old, b'"%b"' % new.encode())
        record = records.Record(read_models.TOPIC, 0, 0, 0, sent.key, value, sent.headers)
        assert record_reader.event(record, {}) is None
    headers = tuple((name, f"mrs.{text(3_000)}".encode() if name == "ce_type" else raw) for name, raw in sent.headers)
    assert record_reader.event(records.Record(read_models.TOPIC, 0, 0, 0, sent.key, sent.value, headers), {}) is None


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_an_event_that_is_nested_too_deeply_is_not_read(mode: events.Mode) -> None:
    """Whoever may write to the topic could stop the projection else."""
    sent = web_role.event("r-1", 1, "accepted", mode=mode)
    deep = b'"more":%b%b,"state"' % (b"[" * 100_000, b"]" * 100_000)
    value = (sent.value or b"").replace(b'"state"', deep)
    assert record_reader.event(records.Record(read_models.TOPIC, 0, 0, 0, sent.key, value, sent.headers), {}) is None


def test_a_dead_letter_whose_time_does_not_fit_the_tables_is_not_read() -> None:
    """The same."""
    for time_ms, is_read in ((2**63 - 1, True), (2**63, False)):
        letter = web_role.letter(3, time_ms=time_ms)
        record = records.Record(read_models.TOPIC, 0, 3, 0, letter.key, letter.value, letter.headers)
        assert (record_reader.dead_letter(record, {}) is not None) == is_read


async def test_offsets_and_rows_are_written_together_or_not_at_all(opened: database.Database) -> None:
    """A writer that has been overtaken writes nothing."""
    writes = await read_models.writer(opened)
    late = await read_models.writer(opened, "two")
    await writes.write(*web_role.story("r-1"))
    with pytest.raises(store.Overtaken):
        await late.write(*web_role.story("r-2"))
    assert await read_models.sequences(opened) == [("r-1", number) for number in range(1, 5)]
    (log,) = await event_log.current(opened, [read_models.TOPIC])
    assert log.next == 4


async def test_one_process_writes_until_it_is_silent_or_gives_the_lease_back(opened: database.Database) -> None:
    """The lease ends by itself."""
    one, two = store.Store(opened, "one", lease_s=10), store.Store(opened, "two", lease_s=10)
    assert await one.claim(1_000, complete=False)
    assert not await two.claim(5_000, complete=False)
    assert await one.claim(5_000, complete=False)
    assert not await two.claim(15_000, complete=False)
    assert await two.claim(15_001, complete=False)
    assert not await one.claim(16_000, complete=False)
    await two.release()
    assert await one.claim(16_001, complete=False)


async def test_a_topic_that_lost_records_before_they_were_read_says_so(opened: database.Database) -> None:
    """Retention was faster than we were."""
    writes = await read_models.writer(opened)
    await writes.write(*web_role.story("r-1"))
    position = event_log.end(await event_log.current(opened, [read_models.TOPIC]))
    logs = await writes.writes.open_logs(read_models.TOPIC, {0: broker.Bounds(50, 100, "topic-1")})
    assert (logs[0].first, logs[0].next) == (50, 50)
    with pytest.raises(event_log.Gone, match="before offset 50"):
        await event_log.Cursor(opened, [read_models.TOPIC], position).read(10, read_models.MOST_BYTES)


async def test_a_topic_that_was_created_again_has_a_log_of_its_own(opened: database.Database) -> None:
    """The same offset means another event."""
    writes = await read_models.writer(opened)
    await writes.write(*web_role.story("r-1"))
    again = (await writes.writes.open_logs(read_models.TOPIC, {0: broker.Bounds(0, 100, "topic-2")}))[0]
    assert (again.first, again.next) == (0, 0)
    assert again.life != writes.log.life
    assert [log.log for log in await event_log.current(opened, [read_models.TOPIC])] == [again.log]
    assert len(await read_models.sequences(opened)) == 4


async def test_a_topic_that_shows_its_first_identity_again_has_its_first_log_again(opened: database.Database) -> None:
    """Without a present log its streams would be silent."""
    writes = await read_models.writer(opened)
    for topic_id in ("topic-2", "topic-1"):
        logs = await writes.writes.open_logs(read_models.TOPIC, {0: broker.Bounds(0, 100, topic_id)})
    assert logs[0].log == writes.log.log
    assert [log.log for log in await event_log.current(opened, [read_models.TOPIC])] == [writes.log.log]


async def test_a_topic_that_stays_shorter_than_it_was_is_read_again_and_its_readers_learn_of_it(
    opened: database.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new leader may show fewer records for a moment; a topic that was cut has others at the same offsets."""
    monkeypatch.setattr(store, "_PRUNED_AT_ONCE", 2)
    writes = await read_models.writer(opened)
    await writes.write(*web_role.story("r-1"))
    position = event_log.end(await event_log.current(opened, [read_models.TOPIC]))
    shorter = {0: broker.Bounds(0, 2, "topic-1")}
    with pytest.raises(store.Shorter):
        await writes.writes.open_logs(read_models.TOPIC, shorter)
    assert (await event_log.current(opened, [read_models.TOPIC]))[0].next == 4

    with read_models.counted("DELETE") as counts:
        log = (await writes.writes.open_logs(read_models.TOPIC, shorter, accept_shorter=True))[0]
    assert counts == [2, 2, 0]
    assert (log.next, log.epoch) == (0, 1)
    with pytest.raises(event_log.Gone):
        await event_log.Cursor(opened, [read_models.TOPIC], position).read(10, read_models.MOST_BYTES)
    await read_models.Writer(writes.writes, log).write(*web_role.story("r-2"))
    row = await read_models.shown(opened)
    assert await event_log.event_at(opened, row["log"], row["offset"], row["key"]) is None
    assert await read_models.sequences(opened) == [("r-2", number) for number in range(1, 5)]


async def test_the_lease_is_extended_while_a_statement_waits(opened: database.Database) -> None:
    """PostgreSQL has many writers; a slow one must not cost the lease."""
    if opened.has_one_writer:
        return
    writes = await read_models.writer(opened)
    await writes.write(*web_role.story("r-1"))
    async with opened.transaction() as connection, asyncio.timeout(30):
        await connection.execute(sa.select(tables.REQUESTS).with_for_update())
        pruning = asyncio.create_task(writes.writes.prune(web_role.NOW_MS + read_models.DAY_MS))
        await asyncio.sleep(0)
        assert await writes.writes.claim(1_000, complete=False)
        assert not pruning.done()
    assert await pruning == 1


async def test_tables_of_another_version_are_made_again(chosen: settings.ReadModelSettings) -> None:
    """The topics have everything that is needed."""
    async with database.opened(chosen) as opened:
        await read_models.empty(opened)
        writes = await read_models.writer(opened)
        await writes.write(*web_role.story("r-1"))
        async with opened.transaction() as connection:
            await connection.execute(sa.update(tables.VERSIONS).values(version=0))
    async with database.opened(chosen) as opened:
        assert not await event_log.current(opened, [read_models.TOPIC])
        page = await queries.requests(opened, queries.Filter(), None, 10)
        assert not page.rows


async def test_replicas_on_one_database_read_each_record_once_and_take_over(
    chosen: settings.ReadModelSettings,
) -> None:
    """One writes, both answer; when the writer ends, the other one continues."""
    assert chosen.database is not None
    address = chosen.database.get_secret_value()
    async with database.opened(chosen) as opened:
        await read_models.empty(opened)

    stage = web_role.Stage()
    with_lease = web_role.chosen(address, read_model={"lease_s": 5})
    await stage.put(*web_role.story("r-1"))
    async with web_role.role(stage, with_lease) as other:
        async with web_role.role(stage, with_lease) as second:
            writing = [(await one.get("/ready"))["writes"] for one in (other, second)]
            assert writing == [True, False]
            position = (await second.get("/v1/events?after=beginning&wait=0"))["position"]
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(second.get(f"/v1/events?after={position}&wait=30"))
                await stage.put(*web_role.story("r-2"))
            assert {one["subject"] for one in waiting.result()["items"]} == {"r-2"}
        await stage.put(*web_role.story("r-3"))
        await other.seen("r-3")


async def test_a_database_that_does_not_answer_is_said_so() -> None:
    """No error of a library leaves the module."""
    away = settings.ReadModelSettings.model_validate({"database": "postgresql://tests@127.0.0.1:1/none"})
    with pytest.raises(database.DatabaseDown, match="the database does not answer"):
        async with database.opened(away):
            pass


async def test_a_database_is_not_waited_for_without_limit(
    opened: database.Database, chosen: settings.ReadModelSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost connection or a lost replica's lock would stop the read model for ever."""
    if opened.has_one_writer:
        return
    names = ("idle_in_transaction_session_timeout", "lock_timeout", "tcp_keepalives_idle")
    (rows,) = await opened.rows(sa.select(*(sa.func.current_setting(name) for name in names)))
    assert tuple(rows[0]) == ("30s", "10s", "30")

    monkeypatch.setattr(database, "_COMMAND_S", 0.2)
    async with asyncio.timeout(30), database.opened(chosen) as limited:
        with pytest.raises(database.DatabaseDown, match="the database does not answer: TimeoutError"):
            await limited.rows(sa.select(sa.func.pg_sleep(60)))


@pytest.mark.parametrize(
    "address", ["sqlite://", "postgresql:secret", "postgresql://u:se[cret@h:80x/n", "postgresql://u:secret@h:80x/n"]
)
async def test_an_address_that_cannot_be_read_is_refused_without_its_password(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The libraries' own texts quote it."""
    monkeypatch.setenv("MRS_RELAY_READ_MODEL__DATABASE", address)
    monkeypatch.setenv("MRS_RELAY_KAFKA__BOOTSTRAP_SERVERS", "kafka:9092")
    with pytest.raises(errors.SettingsError, match="expected sqlite:///FILE or postgresql://USER") as caught:
        async with database.opened(all_settings.load_web_role(None).read_model):
            pass
    assert not any(part in str(caught.value) for part in ("secret", "cret@", "80x"))
