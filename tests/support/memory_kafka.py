"""The broker in memory as commands use it: with readers of whole topics."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from mrs_relay.kafka import topic_io
from mrs_relay.kafka.memory import memory_broker, memory_topic_io


class MemoryKafka(memory_broker.MemoryBroker):
    """One Kafka."""

    def topic(self, name: str, partitions: int) -> AbstractAsyncContextManager[topic_io.TopicReader]:
        """Return a reader of a whole topic."""
        return memory_topic_io.MemoryTopicClient(self).topic(name, partitions)
