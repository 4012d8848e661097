"""
Implement the protocols of `broker.py` with aiokafka: `KafkaBroker`.

Each kind of client has a module in this folder; no other module imports the library.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from mrs_relay.kafka import broker, records, settings, topic_io
from mrs_relay.kafka.adapter import admin, connection, consumer, producer, quiet, reader, topic


def quieten() -> None:
    """Filter the library's log in this process; for the service and the command line, never for a library."""
    quiet.install()


class KafkaBroker:
    """
    A real Kafka; see `broker.Broker`.

    Raises:
        SettingsError: a certificate or key cannot be used.
    """

    def __init__(self, kafka: settings.KafkaSettings) -> None:
        self._connection = connection.connect(kafka)

    def consumer(self) -> broker.GroupConsumer:
        """Return a member of the group, not yet started."""
        return consumer.KafkaGroupConsumer(self._connection)

    def reader(
        self, position: records.Position, offset: int | None, *, few: bool = False
    ) -> AbstractAsyncContextManager[broker.LogReader]:
        """Return a reader from `offset`, or from the beginning."""
        return reader.reading(self._connection, position, offset, few=few)

    def producer(self, transactional_id: str | None, *, idempotent: bool) -> broker.Producer:
        """Return a producer, not yet started."""
        return producer.KafkaProducer(self._connection, transactional_id, idempotent=idempotent)

    def admin(self) -> AbstractAsyncContextManager[broker.Admin]:
        """Return an admin client."""
        return admin.administering(self._connection)

    def topic(self, name: str, partitions: int) -> AbstractAsyncContextManager[topic_io.TopicReader]:
        """Return a reader of a whole topic; see `topic_io`."""
        return topic.whole(self._connection, name, partitions)
