"""The client against the relay for tests, in virtual time."""

from __future__ import annotations

import asyncio
import pathlib
from typing import Any

import pytest

from mrs_relay import client as relay_client
from mrs_relay import errors
from mrs_relay.client import handle as handles
from mrs_relay.client import wording
from mrs_relay.kafka import topic_io
from mrs_relay.kafka.memory import memory_topic_io
from mrs_relay.messages import event_reader, events, registry, requests
from mrs_relay.testing import scripted

pytestmark = pytest.mark.looptime

SQL = relay_client.sql("c-1", "spark", "SELECT 1")


def _event(sequence: int, state: str = "running", **more: Any) -> events.EventData:
    ref = {"id": "r", "source": "/s"}
    return events.EventData.model_validate({"request": ref, "state": state, "sequence": sequence, "attempt": 1, **more})


async def _no_cancel(_handle: handles.Handle) -> None: ...


async def test_a_request_that_succeeds_gives_its_rows_and_is_forgotten() -> None:
    """`result` returns the last event's data, `events` all of them in order, and nothing of it stays."""
    async with scripted.Relay() as relay, relay.client() as client:
        relay.will_succeed({"n": 1})
        handle = await client.submit(SQL)
        assert (await handle.accepted(10)).sequence == 1
        data = await handle.result(10)
        assert data.result is not None
        assert data.result.statements[0].rows == [{"n": 1}]
        assert [event.state async for event in handle.events()] == ["accepted", "submitted", "running", "succeeded"]
        assert client.following == 0
        assert relay.received == [SQL]


async def test_file_is_put_beside_kafka_and_named_in_the_request(tmp_path: pathlib.Path) -> None:
    """The request has the path alone; a client without a place for files says what it needs."""
    (tmp_path / "app.jar").write_bytes(b"code")
    shown: list[tuple[int, int]] = []
    async with scripted.Relay() as relay, relay.client() as client:
        path = await client.upload(tmp_path / "app.jar", lambda given, total: shown.append((given, total)))
        await (await client.submit(relay_client.job("c-1", "SparkSubmit", arguments=[path]))).result(10)
        [received] = relay.received
        assert isinstance(received, requests.JobSubmit)
        assert relay.uploaded == {received.job.arguments[0]: b"code"}
        assert shown == [(4, 4)]
        with pytest.raises(errors.BadFile):
            await client.upload(tmp_path / "gone.jar")
        bare = relay_client.RelayClient(broker=memory_topic_io.MemoryTopicClient(relay.kafka))
        with pytest.raises(errors.SettingsError, match=r"RelayClient\(uploads="):
            await bare.upload(tmp_path / "app.jar")


async def test_each_bad_end_raises_its_own_error_with_the_reason() -> None:
    """A caller tells failed, unknown and cancelled apart by class, and reads why."""
    async with scripted.Relay() as relay, relay.client() as client:
        relay.will_fail(message="out of memory")
        relay.will_be_unknown()
        relay.will_run()
        failed, unknown, running = [await client.submit(SQL) for _ in range(3)]
        with pytest.raises(relay_client.RequestFailed, match="out of memory"):
            await failed.result(10)
        with pytest.raises(relay_client.RequestUnknown):
            await unknown.result(10)
        with pytest.raises(TimeoutError):
            await running.result(10)
        await running.cancel()
        with pytest.raises(relay_client.RequestCancelled):
            await running.result(10)


@pytest.mark.parametrize(
    ("request_", "types"),
    [
        (requests.Call(operation="ListClusters"), ["mrs.call.accepted", "mrs.call.succeeded"]),
        (
            requests.ClusterDelete(cluster="c-1"),
            [f"mrs.cluster.{state}" for state in ("accepted", "submitted", "running", "succeeded")],
        ),
    ],
)
async def test_calls_and_orders_are_reported_by_the_types_that_the_relay_has_for_them(
    request_: requests.Work, types: list[str]
) -> None:
    """The relay for tests tells no event that the real one never tells."""
    async with scripted.Relay() as relay, relay.client() as client:
        await (await client.submit(request_)).result(10)
        records = [
            record async for record in topic_io.read_all(memory_topic_io.MemoryTopicClient(relay.kafka), "mrs.events")
        ]
        assert [event_reader.read(record.value or b"", record.headers).type for record in records] == types
        assert set(types) <= set(registry.EVENTS)


@pytest.mark.parametrize(
    "wish",
    [
        requests.JobCancel(request=requests.Target(id="r-1")),
        requests.JobResolve(request=requests.Target(id="r-1"), verdict="failed", note="x"),
    ],
)
async def test_what_has_no_events_of_its_own_cannot_be_submitted(wish: Any) -> None:
    """A handle of a cancel would wait for ever: its answer is reported by the request that it names."""
    async with scripted.Relay() as relay, relay.client() as client:
        with pytest.raises(errors.BadMessage, match="`cancel` of the request's handle"):
            await client.submit(wish)
        assert client.following == 0


async def test_a_rejected_request_raises_at_once() -> None:
    """A caller that waits for acceptance only gets the rejection, too."""
    async with scripted.Relay() as relay, relay.client() as client:
        relay.will_reject(message="SparkSubmit is not allowed here")
        handle = await client.submit(SQL)
        with pytest.raises(relay_client.RequestRejected, match="not allowed here"):
            await handle.accepted(10)
        assert [event.state async for event in handle.events()] == ["rejected"]


async def test_an_id_of_another_payload_is_rejected_for_its_sender_and_continues_for_the_first() -> None:
    """A conflict ends the handle of the second sender alone."""
    async with scripted.Relay() as relay, relay.client() as one, relay.client() as other:
        relay.will_run()
        first = await one.submit(SQL, request_id="r-1")
        await first.accepted(10)
        await asyncio.sleep(5)
        second = await other.submit(relay_client.sql("c-1", "spark", "SELECT 2"), request_id="r-1")
        with pytest.raises(relay_client.RequestRejected, match="id_reused"):
            await second.accepted(10)
        assert not first.ended
        await first.cancel()
        with pytest.raises(relay_client.RequestCancelled):
            await first.result(10)


async def test_a_request_of_another_process_is_followed_from_its_first_event() -> None:
    """`attach` reads the past and continues with what comes."""
    async with scripted.Relay() as relay, relay.client() as client, relay.client() as later:
        relay.will_run()
        await client.submit(SQL, request_id="r-1")
        await asyncio.sleep(5)
        handle = await later.attach("r-1")
        await handle.cancel()
        assert [event.sequence async for event in handle.events()] == [1, 2, 3, 4]
        ended = await later.attach("r-1")
        assert ended.ended
        assert later.following == 0


async def test_the_same_id_again_is_answered_with_its_state_and_not_run_twice() -> None:
    """A sender that starts again may send its request again and gets its outcome."""
    async with scripted.Relay() as relay:
        async with relay.client() as client:
            await (await client.submit(SQL, request_id="r-1")).result(10)
        async with relay.client() as client:
            assert (await (await client.submit(SQL, request_id="r-1")).result(10)).repeated
        assert len(relay.received) == 1


async def test_kafka_away_for_a_while_is_only_a_delay() -> None:
    """Handles continue when Kafka is back; a request that could not be sent is reported and forgotten."""
    async with scripted.Relay() as relay, relay.client() as client:
        relay.will_run()
        handle = await client.submit(SQL)
        await handle.accepted(10)
        relay.kafka.go_down()
        with pytest.raises(errors.StreamError):
            await client.submit(SQL)
        await asyncio.sleep(300)
        assert client.following == 1
        relay.kafka.come_up()
        await handle.cancel()
        with pytest.raises(relay_client.RequestCancelled):
            await handle.result(120)


async def test_closing_the_client_tells_those_who_wait() -> None:
    """A waiter is not left hanging, and a closed client sends nothing."""
    async with scripted.Relay() as relay, relay.client() as client:
        relay.will_run()
        handle = await client.submit(SQL)
        waiting = asyncio.create_task(handle.result())
        await asyncio.sleep(1)
        await client.__aexit__(None, None, None)
        with pytest.raises(relay_client.ClientClosed):
            await waiting
        with pytest.raises(relay_client.ClientClosed):
            await client.submit(SQL)


async def test_repeats_are_dropped_and_a_gap_is_reported() -> None:
    """Each sequence comes once, and a missing one is an error behind which one can read on."""
    handle = handles.Handle("/s", "r", key=b"k", first=1, cancel=_no_cancel)
    for data in (_event(1), _event(2), _event(1), _event(2), _event(4), _event(5, "succeeded")):
        handle.take(data)
    got: list[int] = []
    with pytest.raises(relay_client.EventsMissing) as missing:  # noqa: PT012 - the loop is what raises
        async for data in handle.events():
            got.append(data.sequence)  # noqa: PERF401 - what came before the error counts
    assert got == [1, 2]
    assert [data.sequence async for data in handle.events(after=missing.value.found - 1)] == [4, 5]
    assert (await handle.result()).sequence == 5


async def test_rows_that_come_late_are_awaited_by_who_wants_them() -> None:
    """`result` returns the success, `full_result` the rows; the client follows the request until they are here."""
    handle = handles.Handle("/s", "r", key=b"k", cancel=_no_cancel)
    named = {"location": "obs://b/k", "late_until": "2026-11-30T08:00:00.000Z"}
    handle.take(_event(2, "succeeded", result={**named, "unavailable": "no answer"}))
    assert (await handle.result()).sequence == 2
    assert (handle.ended, handle.is_followed) == (True, True)
    handle.take(_event(3, "succeeded", repeated=True, result=named))  # the answer to a repetition
    with pytest.raises(TimeoutError):
        await handle.full_result(1)
    rows = {"statements": [{"rows": [["1"]], "row_count": 1}]}
    handle.take(_event(4, "succeeded", repeated=True, result=rows))
    handle.take(_event(5, "succeeded", repeated=True, result={"unavailable": "of something else"}))
    data = await handle.full_result()
    assert (data.sequence, data.result and data.result.statements[0].rows) == (4, [["1"]])
    assert not handle.is_followed


async def test_address_that_comes_late_ends_the_wait_for_rows() -> None:
    """Rows that are delivered by their location come without any statement."""
    handle = handles.Handle("/s", "r", key=b"k", cancel=_no_cancel)
    named = {"location": "obs://b/k/", "late_until": "2026-11-30T08:00:00.000Z"}
    handle.take(_event(2, "succeeded", result=named))
    handle.take(_event(3, "succeeded", repeated=True, result=named))  # the answer to a repetition
    assert handle.is_followed
    handle.take(_event(4, "succeeded", repeated=True, result={"location": "obs://b/k/", "url": "https://b.test/k"}))
    assert ((await handle.full_result(1)).sequence, handle.is_followed) == (4, False)


async def test_full_result_is_the_last_event_where_nothing_is_late() -> None:
    """A success with rows, and a failure, end at once; closing the client ends the wait for rows."""
    for state in ("succeeded", "failed"):
        handle = handles.Handle("/s", "r", key=b"k", cancel=_no_cancel)
        reason = None if state == "succeeded" else {"class": "job_failed", "code": "c", "message": "m"}
        handle.take(_event(1, state, reason=reason))
        assert not handle.is_followed
        if reason is None:
            assert (await handle.full_result(1)).sequence == 1
        else:
            with pytest.raises(relay_client.RequestFailed):
                await handle.full_result(1)

    waiting = handles.Handle("/s", "r", key=b"k", cancel=_no_cancel)
    waiting.take(_event(1, "succeeded", result={"late_until": "2026-11-30T08:00:00.000Z"}))
    waiting.lose(errors.StreamDown("gone"))
    with pytest.raises(relay_client.ClientClosed):
        await waiting.full_result()


async def test_a_first_event_that_is_not_the_first_is_a_gap() -> None:
    """A request with an id of its own begins at 1."""
    handle = handles.Handle("/s", "r", key=b"k", first=1, cancel=_no_cancel)
    handle.take(_event(2))
    with pytest.raises(relay_client.EventsMissing):
        await anext(handle.events())


async def test_an_end_whose_reason_has_a_new_class_is_an_end_all_the_same() -> None:
    """A relay of a later version may say words that this client does not know: a waiting caller still gets the end."""
    async with scripted.Relay() as relay, relay.client() as client:
        relay.will_run()
        handle = await client.submit(SQL)
        await asyncio.sleep(1)
        reason = {"class": "invalid", "code": "new_code", "message": "no"}
        data = _event(
            4, "rejected", reason=reason, previous_state="running", request={"id": handle.id, "source": "/tests"}
        )
        event = events.Event(
            subject="sql", key=b"k", time_ms=0, data=events.body(data), event_id="e", correlation_id="c"
        )
        key, value, headers = events.write(event, "/relay")
        relay.kafka.put("mrs.events", 0, key, value.replace(b'"invalid"', b'"new_class"'), headers)
        with pytest.raises(relay_client.RequestRejected, match="new_class/new_code: no"):
            await handle.result(10)

        assert [event.sequence async for event in handle.events()] == [1, 2, 3, 4]


def test_a_wrong_request_is_refused_before_it_is_sent() -> None:
    """The helpers check with the relay's own models and name the field."""
    with pytest.raises(errors.BadMessage, match=r"data\.engine"):
        relay_client.sql("c-1", "oracle", "SELECT 1")


@pytest.mark.parametrize("cluster", [{"name": "etl"}, requests.ClusterChoice(name="etl")])
async def test_a_cluster_may_be_asked_for_by_name_or_tags(cluster: Any) -> None:
    """A mapping and the model say the same; the Kafka key is the request's id, for where it will run is not known."""
    request = relay_client.sql(cluster, "spark", "SELECT 1")
    assert request.cluster == requests.ClusterChoice(name="etl")
    assert wording.key(request, "r-1") == b"r-1"
    assert b'"cluster":{"name":"etl"}' in wording.message(request, "/s", "r-1").replace(b" ", b"")
