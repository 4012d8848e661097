"""
Fill one ledger partition from a file, as its owner: no relay uses a ledger that is filled in part.

    open     read the ledger and refuse it, or fence its owner and claim it, as `ledger.py` does
    add      write values that the ledger does not have; each commit says that an import is under way, in place of an
             offset, so every version refuses the ledger until the end
    finish   write the offset, and with it make the ledger one that relays continue with

An import that was interrupted is continued by another one of the same file.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from mrs_relay import errors
from mrs_relay.kafka import broker as brokers
from mrs_relay.kafka import import_marks, ledger_format, log_reading, records, settings
from mrs_relay.kafka.ledger_files import last_values


@dataclass(frozen=True, slots=True)
class Target:
    """
    What one partition becomes.

    Attributes:
        position: the input partition.
        file_id: of the file.
        next_offset: where relays are to read on, unless the ledger has an offset of its own.
        topic_id: of the input topic.
        format: the highest ledger format of a value in the file.
        merge: a ledger that was used may be filled: what it has stays.
    """

    position: records.Position
    file_id: str
    next_offset: int
    topic_id: str | None
    format: int
    merge: bool = False


class Filling:
    """
    Fills one ledger partition.

    Args:
        broker: keeps it.
        kafka: the settings.
        target: what it becomes.
        has: gets the keys that the ledger has; empty.

    Attributes:
        kept_offset: the offset that the ledger has of its own; None: it had none.
        is_filled: an import of the same file has filled it, and no relay has used it since: there is nothing to do.
    """

    def __init__(
        self, broker: brokers.Broker, kafka: settings.KafkaSettings, target: Target, has: last_values.LastValues
    ) -> None:
        self.kept_offset: int | None = None
        self.is_filled = False
        self._broker = broker
        self._kafka = kafka
        self._target = target
        self._has = has
        self._place = records.Position(kafka.topics.ledger, target.position.partition)
        self._producer: brokers.Producer | None = None
        self._token: records.Headers = ()
        self._mark = ledger_format.FORMAT
        self._end = 0
        self._beginning = 0

    async def look(self) -> None:
        """
        Read the ledger and see that it may be filled; nothing is changed. Instead of `open`.

        Raises:
            SettingsError: it may not. StateUnreadable: it is damaged. StreamDown.
        """
        replay = ledger_format.Replay(self._target.position, "", values=self._has)
        async with self._broker.reader(self._place, None) as reader:
            async for read in log_reading.to_end(reader):
                replay.add(read)
            self._require_fillable(replay, reader)

    async def open(self) -> None:
        """
        Become the ledger's owner.

        Raises:
            SettingsError: it may not be filled; nothing was changed, unless somebody has written meanwhile.
            StateUnreadable: it is damaged. Fenced, StreamDown: try again with another object.
        """
        nonce = f"import-{uuid.uuid4().hex}.{uuid.uuid4().hex}"
        replay = ledger_format.Replay(self._target.position, nonce, values=self._has)
        async with self._broker.reader(self._place, None) as reader:
            async for read in log_reading.to_end(reader):
                replay.add(read)
            self._require_fillable(replay, reader)
            if self.is_filled:
                return

            # From here on a relay that owns the partition cannot commit, and we shall notice one that claims it.
            transactional_id = (
                self._kafka.transactional_id(self._place.partition) if self._kafka.transactional else None
            )
            self._producer = self._broker.producer(transactional_id, idempotent=False)
            await self._producer.start()
            self._mark = max(self._kafka.ledger_format, replay.values_format, self._target.format)
            key, value = ledger_format.claim(nonce, self._mark)
            await self._producer.write([self._record(key, value)])
            while not replay.done:
                replay.add(await log_reading.next_records(reader, self._place, self._kafka.restore_timeout_s))

        self._require_fillable(replay, reader)
        claim_offset = -1 if replay.claim_offset is None else replay.claim_offset
        self._end, self._beginning = claim_offset + 1, reader.beginning
        if not self._kafka.transactional:
            self._token = ledger_format.token(claim_offset)

    def has(self, key: bytes) -> bool:
        """Return whether the ledger has the key, or had it lately: its value stays as it is."""
        return key in self._has

    async def add(self, changes: Sequence[records.Change]) -> None:
        """
        Write values whose keys the ledger does not have.

        Raises:
            Fenced, StreamDown: another process has claimed the partition, or Kafka is away.
        """
        said = import_marks.under_way(self._target.file_id, self.kept_offset)
        await self._commit([self._record(one.key, one.value) for one in changes], said)

    async def finish(self, unsent: Sequence[records.Outgoing]) -> None:
        """
        Write the offset, with the records that the next owner sends first.

        Raises:
            Fenced, StreamDown: as `add`.
        """
        outbox = [self._record(key, value) for key, value in ledger_format.outbox(unsent)]
        offset = self._target.next_offset if self.kept_offset is None else self.kept_offset
        said = {self._target.position.topic: offset, **import_marks.ended(self._target.file_id)}
        await self._commit(outbox, said, outbox=len(outbox))

    async def close(self) -> None:
        """Stop all writes; never raises."""
        if self._producer is not None:
            await self._producer.kill()

    def _require_fillable(self, replay: ledger_format.Replay, reader: brokers.LogReader) -> None:
        target = self._target
        if (loss := replay.loss(reader.beginning)) is not None:
            raise errors.StateUnreadable(loss)

        if (unfinished := import_marks.unfinished(replay.offsets)) is not None:
            self.kept_offset = unfinished.next_offset
            if unfinished.file_id != target.file_id:
                raise errors.SettingsError(
                    f"the ledger of {target.position} is filled in part from file {unfinished.file_id}, and this is "
                    f"file {target.file_id}: import that file, or delete the topic {self._place.topic} and create it "
                    "again"
                )
            return

        self.kept_offset = replay.next_offset
        self.is_filled = import_marks.has_ended(replay.offsets, target.file_id)
        if self.kept_offset is None or self.is_filled:
            return
        if not target.merge:
            raise errors.SettingsError(
                f"the ledger of {target.position} is not empty: it has {len(self._has)} requests and continues at "
                f"offset {self.kept_offset}; expected a topic {self._place.topic} without records. --merge adds what "
                "it lacks and keeps what it has"
            )
        # Our first commit would end theirs, without its events.
        if replay.unsent or replay.tentative or replay.rest:
            raise errors.SettingsError(
                f"the last owner of {target.position} has not ended its last commit, or has left records that are "
                "perhaps not sent: start a relay and stop it again, then import"
            )

    async def _commit(self, written: Sequence[records.Outgoing], said: Mapping[str, int], *, outbox: int = 0) -> None:
        topic, topic_id = self._target.position.topic, self._target.topic_id
        ends = {"outbox": outbox, "end": self._end, "beginning": self._beginning}
        key, _, headers = ledger_format.offsets(topic, 0, **ends, topic_id=topic_id)
        last = self._record(key, msgspec.json.encode(said), ledger_format.format_header(self._mark) + headers)
        if self._producer is None:
            raise errors.Fenced(f"the ledger of {self._target.position} was never opened")
        blocks = [one for one in await self._producer.write([*written, last]) if one.position == self._place]

        for block in blocks:
            if not self._kafka.transactional and block.first_offset != self._end:
                await self.close()
                raise errors.Fenced(
                    f"another process has written to the ledger of {self._target.position} at {self._end}: stop all "
                    "relays and import again"
                )
            self._end = block.first_offset + block.count

    def _record(self, key: bytes, value: bytes | None, headers: records.Headers = ()) -> records.Outgoing:
        return records.Outgoing(self._place.topic, key, value, headers + self._token, self._place.partition)
