"""No connection outlives the client that has opened it, however the client ends."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import client as kafka_client
from aiokafka import errors as kafka_errors
from tests.support import answering, runtimes, waiting

from mrs_relay.kafka.adapter import connection, failover, unpacking


@asynccontextmanager
async def _serving() -> AsyncIterator[answering.AnsweringBroker]:
    one = answering.AnsweringBroker(1)
    async with one.serving():
        one.cluster = [one]
        yield one


def _client(broker: answering.AnsweringBroker) -> tuple[kafka_client.AIOKafkaClient, failover.Failover]:
    client = kafka_client.AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{broker.port}")
    return client, connection.connect(runtimes.kafka_settings()).attend(client)


async def test_connection_that_asks_for_the_brokers_is_closed_with_a_client_that_was_cancelled() -> None:
    """The library knows it by a local name alone, and closes it only if Kafka refuses."""
    async with _serving() as broker:
        broker.mute = True
        client, _ = _client(broker)
        beginning = asyncio.create_task(client.bootstrap())
        await waiting.until(lambda: answering.METADATA in broker.asked)
        beginning.cancel()
        await asyncio.wait([beginning])
        assert broker.open == 1
        await client.close()
        await waiting.until(lambda: not broker.open)


async def test_connection_that_is_opened_while_the_client_closes_is_closed_at_once() -> None:
    """A task of the library may still be connecting when all others have ended."""
    async with _serving() as broker:
        client, _ = _client(broker)
        await client.bootstrap()
        await client.close()
        assert not await client.ready(1)
        await waiting.until(lambda: not broker.open)


async def test_other_clients_of_the_library_connect_as_ever() -> None:
    """It is not changed for a program that uses it beside ours."""
    async with _serving() as broker:
        client, _ = _client(broker)
        await client.close()
        other = kafka_client.AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{broker.port}")
        await other.bootstrap()
        assert await other.ready(1)
        await other.close()


@pytest.mark.parametrize("how", ["fails", "hangs", "is cancelled"])
async def test_connections_are_closed_however_the_stop_ends(how: str) -> None:
    """The library closes them last, after what may fail or hang."""
    async with _serving() as broker:
        client, attended = _client(broker)
        await client.bootstrap()
        assert await client.ready(1)

        async def stop() -> None:
            if how == "fails":
                raise kafka_errors.KafkaError
            await asyncio.sleep(60)

        stopping = asyncio.create_task(connection.stopped(attended, stop(), 60 if how == "is cancelled" else 0.01))
        await asyncio.sleep(0)
        if how == "is cancelled":
            stopping.cancel()
        await asyncio.wait([stopping])
        await waiting.until(lambda: not broker.open)


async def test_consumer_stops_in_the_pause_after_a_fetch_that_failed() -> None:
    """The library's way to stop would end there, with its connections open and its other fetches under way."""
    async with _serving() as broker:
        client = AIOKafkaConsumer(
            bootstrap_servers=f"127.0.0.1:{broker.port}",
            enable_auto_commit=False,
            retry_backoff_ms=60_000,
            **unpacking.OPTIONS,
        )

        attended = connection.connect(runtimes.kafka_settings()).attend(client._client)
        await client.start()
        place = TopicPartition(runtimes.IN, 0)
        client.assign([place])
        client.seek(place, 0)  # the broker knows no fetches, so the first one fails
        await waiting.until(lambda: bool(client._fetcher._pending_tasks))
        fetches = set(client._fetcher._pending_tasks)
        await asyncio.sleep(0.1)

        assert await connection.stopped(attended, connection.stop_consumer(client), 10) is None
        assert all(task.done() for task in fetches)
        await waiting.until(lambda: not broker.open)


async def test_consumer_that_does_not_stop_in_time_leaves_no_task() -> None:
    """Its connections are closed, and all that would go on without them is cancelled."""
    async with _serving() as broker:
        client = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{broker.port}", enable_auto_commit=False)
        attended = connection.connect(runtimes.kafka_settings()).attend(client._client)
        await client.start()
        client._coordinator.close = functools.partial(asyncio.sleep, 60)
        assert isinstance(await connection.stopped(attended, connection.stop_consumer(client), 0.5), TimeoutError)
        await asyncio.wait({client._fetcher._fetch_task, client._coordinator._reset_committed_task})
        await waiting.until(lambda: not broker.open)


async def test_fetching_ends_although_a_cancellation_was_lost() -> None:
    """The library's task awaits those that it has cancelled, and takes its own cancellation for theirs."""
    async with _serving() as broker:
        client = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{broker.port}", enable_auto_commit=False)
        attended = connection.connect(runtimes.kafka_settings()).attend(client._client)
        await client.start()
        usual, lost = client._fetcher._fetch_task, asyncio.Event()
        usual.cancel()
        await asyncio.wait([usual])

        async def deaf() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost.set()
            await asyncio.sleep(60)

        client._fetcher._fetch_task = fetching = asyncio.create_task(deaf())
        await asyncio.sleep(0)
        began_s = asyncio.get_running_loop().time()
        await connection.stopped(attended, connection.stop_consumer(client), 30)
        assert lost.is_set()
        assert fetching.done()
        assert asyncio.get_running_loop().time() < began_s + 25  # the library would wait up to the limit
        await waiting.until(lambda: not broker.open)


async def test_consumer_whose_stop_is_cancelled_at_its_first_step_counts_as_closed() -> None:
    """The library has not come to its own way to stop; later, wherever its garbage is found, it would warn."""
    async with _serving() as broker:
        client = AIOKafkaConsumer(bootstrap_servers=f"127.0.0.1:{broker.port}", enable_auto_commit=False)
        attended = connection.connect(runtimes.kafka_settings()).attend(client._client)
        await client.start()
        stopping = asyncio.create_task(connection.stopped(attended, connection.stop_consumer(client), 30))
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.wait([stopping])

        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            client.__del__()
        assert seen == []
        await waiting.until(lambda: not broker.open)


async def test_own_way_to_stop_may_fail_in_any_way() -> None:
    """The library raises CancelledError although our task was not cancelled; it is returned like other errors."""

    async def spurious() -> None:
        raise asyncio.CancelledError

    async def failing() -> None:
        raise ValueError

    attended = connection.connect(runtimes.kafka_settings()).attend(kafka_client.AIOKafkaClient())
    assert isinstance(await connection.stopped(attended, spurious(), 1.0), asyncio.CancelledError)
    assert isinstance(await connection.stopped(attended, failing(), 1.0), ValueError)
    assert isinstance(await connection.stopped(attended, asyncio.sleep(9), 0.01), TimeoutError)
    assert await connection.stopped(attended, asyncio.sleep(0), 1.0) is None


async def test_real_cancellation_is_raised_on() -> None:
    """Who is cancelled while a client stops is cancelled."""
    attended = connection.connect(runtimes.kafka_settings()).attend(kafka_client.AIOKafkaClient())
    stopping: asyncio.Task[object] = asyncio.create_task(connection.stopped(attended, asyncio.sleep(9), 9.0))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping


async def _lose_a_cancellation() -> None:
    """Wait as the library does for a task of its own that it has cancelled."""
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.sleep(60)


async def test_a_cancellation_that_a_stop_loses_is_raised() -> None:
    """Or the task would go on, and who waits for its end would wait for ever; a limit that is reached is no cancel."""
    attended = connection.connect(runtimes.kafka_settings()).attend(kafka_client.AIOKafkaClient())
    stopping: asyncio.Task[object] = asyncio.create_task(connection.stopped(attended, _lose_a_cancellation(), 60))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    await connection.stopped(attended, _lose_a_cancellation(), 0.01)


@pytest.mark.parametrize("then", ["continues", "fails"])
async def test_a_cancellation_that_a_question_loses_is_raised(then: str) -> None:
    """Whether the library has the answer or an error."""

    async def ask() -> None:
        async with connection.connect(runtimes.kafka_settings()).asking("read", 60):
            await _lose_a_cancellation()
            if then == "fails":
                raise kafka_errors.KafkaError

    asking = asyncio.create_task(ask())
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
