"""
aiokafka's producer, made safe: one transaction or one plain write a call; after any error it is dead.

aiokafka commits transactions whose records failed, repeats EndTxn with the same epoch after a lost reply, and knows no
time limits; each of these loses or duplicates data. So every delivery is awaited before the commit, a lost reply to
EndTxn is final, every step has a limit, and a producer that saw trouble is replaced, never aborted.

Source: aiokafka 0.14, producer/sender.py, message_accumulator.py, transaction_manager.py; KIP-890 on late EndTxn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka_errors

from mrs_relay import errors
from mrs_relay.kafka import partitioning, records
from mrs_relay.kafka.adapter import connection as connections
from mrs_relay.kafka.adapter import failover, probe, quiet

_KILL_STEP_S = 2.0

_SENT_BY_TASKS = frozenset({"ProduceRequest", "AddPartitionsToTxnRequest", "AddOffsetsToTxnRequest", "EndTxnRequest"})
"""Requests that the library sends in tasks of their own; the others it sends in the task that needs the reply."""

log = structlog.get_logger(__name__)


class _ProducerLost(quiet.Expected):  # not an error of Kafka's: aiokafka would repeat the request
    """Makes the library stop: the outcome of the write is unknown."""


class KafkaProducer:
    """
    See `broker.Producer`.

    Args:
        connection: makes the options of the client.
        transactional_id: makes every write a transaction; None does not.
        idempotent: without a transactional id, whether retries leave no duplicates.
    """

    def __init__(self, connection: connections.Connection, transactional_id: str | None, *, idempotent: bool) -> None:
        self._connection = connection
        self._kafka = connection.kafka
        self._transactional_id = transactional_id
        self._idempotent = idempotent
        self._client: AIOKafkaProducer | None = None
        self._attended: failover.Failover | None = None
        self._tainted = False
        self._killed = False
        self._sending: set[asyncio.Task[Any]] = set()
        self._partitioner = partitioning.Partitioner()

    @property
    def tainted(self) -> bool:
        """Whether a request failed: replace the producer before the next write."""
        return self._tainted

    async def start(self) -> None:
        """Connect; a transactional one fences older producers of its id and ends their open transaction."""
        self._client = self._make_client()
        try:
            async with self._connection.asking("start a producer", self._kafka.commit_timeout_s):
                await self._client.start()
        except BaseException:
            await self.kill()
            raise

    async def write(self, outgoing: Sequence[records.Outgoing]) -> Sequence[records.Block]:
        """Write all records; a transactional producer in one transaction. After an error it is dead."""
        if self._client is None or self._killed or self._tainted:
            raise errors.Fenced("this producer has been given up")
        try:
            async with asyncio.timeout(self._kafka.commit_timeout_s):
                return await self._write(self._client, outgoing)
        except BaseException as error:
            self._tainted = True
            await self.kill()
            if not isinstance(error, Exception):
                raise
            raise self._unknown_outcome(error) from error

    async def kill(self) -> None:
        """
        Stop all sending and close; safe to call twice.

        Sending must be cut before the batches are failed: otherwise the library commits the rest of them.
        """
        client, self._killed = self._client, True
        if client is None or self._attended is None:
            return

        client.client.send = connections.silence
        client._closed = True  # noqa: SLF001 - stops the library's warning about a producer that was not stopped
        sender = client._sender.sender_task  # noqa: SLF001 - the library offers no way to stop without flushing
        if sender is not None and not sender.done():
            client._message_accumulator.fail_all(_ProducerLost("killed"))  # noqa: SLF001 - the same
            sender.cancel()
            # The tasks would repeat their requests after a pause; the first that fails leaves the others running.
            for task in self._sending:
                task.cancel()

        if (error := await connections.stopped(self._attended, client.client.close(), _KILL_STEP_S)) is not None:
            log.debug("producer_close_failed", error=repr(error))
        if running := {task for task in (sender, *self._sending) if task is not None and not task.done()}:
            await asyncio.wait(running, timeout=_KILL_STEP_S)

    def _make_client(self) -> AIOKafkaProducer:
        client = AIOKafkaProducer(
            **self._connection.options("producer"),
            acks="all",
            enable_idempotence=self._idempotent or self._transactional_id is not None,
            transactional_id=self._transactional_id,
            transaction_timeout_ms=self._kafka.transaction_timeout_ms,
            request_timeout_ms=self._kafka.request_timeout_ms,
            max_batch_size=self._kafka.batch_bytes,
            linger_ms=0,
        )
        self._attended = self._connection.attend(client.client)
        client.client.send = self._guard(client.client.send)
        return client

    def _guard(self, send: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """Wrap the library's only way to send: note transport errors, and prevent the repetition of EndTxn."""

        async def guarded(node_id: object, request: object, **options: object) -> object:
            task = asyncio.current_task()
            if task is not None and type(request).__name__ in _SENT_BY_TASKS and task not in self._sending:
                self._sending.add(task)
                task.add_done_callback(self._sending.discard)
            try:
                return await send(node_id, request, **options)
            except kafka_errors.KafkaError as error:
                # Only a transaction can be ended twice; the library's plain retries are in order and marked as such.
                self._tainted = self._tainted or self._transactional_id is not None
                if self._killed:
                    raise asyncio.CancelledError from error
                if type(request).__name__ == "EndTxnRequest":
                    raise _ProducerLost("no reply to EndTxn") from error
                raise

        return guarded

    async def _write(self, client: AIOKafkaProducer, outgoing: Sequence[records.Outgoing]) -> Sequence[records.Block]:
        if self._transactional_id is None:
            return await self._deliver(client, outgoing)
        await client.begin_transaction()
        blocks = await self._deliver(client, outgoing)
        await client.commit_transaction()
        return blocks

    async def _deliver(self, client: AIOKafkaProducer, outgoing: Sequence[records.Outgoing]) -> list[records.Block]:
        """Send all records, then await every reply: the library would commit without them."""
        sent: list[tuple[records.Position, int, asyncio.Future[Any]]] = []
        for position, group in (await self._grouped(client, outgoing)).items():
            batch = client.create_batch()
            for record in group:
                if not _append(batch, record):
                    sent.append(await _submit(client, batch, position))
                    batch = client.create_batch()
                    _append(batch, record)
            sent.append(await _submit(client, batch, position))
        return [records.Block(position, (await reply).offset, count) for position, count, reply in sent]

    async def _grouped(
        self, client: AIOKafkaProducer, outgoing: Sequence[records.Outgoing]
    ) -> dict[records.Position, list[records.Outgoing]]:
        spread = {record.topic for record in outgoing if record.partition is None}
        counts = {topic: len(await client.partitions_for(topic)) for topic in spread}

        groups: dict[tuple[str, int], list[records.Outgoing]] = {}
        for record in outgoing:
            partition = record.partition
            if partition is None:
                partition = self._partitioner.choose(record.key, counts[record.topic])
            groups.setdefault((record.topic, partition), []).append(record)
        return {records.Position(*place): group for place, group in groups.items()}

    def _unknown_outcome(self, error: Exception) -> errors.StreamError:
        """Return an error that names the cause for people; the caller treats all of them alike."""
        root: BaseException = error
        while not isinstance(root, kafka_errors.ProducerFenced | kafka_errors.InvalidProducerEpoch):
            if root.__cause__ is None or isinstance(root, TimeoutError):
                # Kafka has answered before, so the address is right; a probe would delay the restore.
                found = f"no answer in time; {probe.REPLICAS}" if isinstance(root, TimeoutError) else None
                return self._connection.down("write, and the outcome is unknown", root, found)
            root = root.__cause__
        return errors.Fenced(f"another producer has taken over, or a transaction ran out of time: {root!r}")


def _append(batch: Any, record: records.Outgoing) -> bool:  # noqa: ANN401 - the library ships no types
    headers = list(record.headers)
    return batch.append(timestamp=None, key=record.key, value=record.value, headers=headers) is not None


async def _submit(
    client: AIOKafkaProducer,
    batch: Any,  # noqa: ANN401 - the library ships no types
    position: records.Position,
) -> tuple[records.Position, int, asyncio.Future[Any]]:
    batch.close()
    reply = await client.send_batch(batch, position.topic, partition=position.partition)
    reply.add_done_callback(_retrieve)
    return position, batch.record_count(), reply


def _retrieve(reply: asyncio.Future[Any]) -> None:
    """Mark a failure as retrieved: after the first one the other replies are not awaited."""
    if not reply.cancelled():
        reply.exception()
