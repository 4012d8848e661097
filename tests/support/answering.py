"""A broker that answers what a client asks first, over a real socket, and hangs where a test wants it to."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import errors as kafka_errors
from aiokafka.protocol import coordination, group, metadata
from aiokafka.protocol.admin import ApiVersionResponse_v0
from tests.support import runtimes

API_VERSIONS, METADATA, FIND_COORDINATOR, JOIN, HEARTBEAT = 18, 3, 10, 11, 12
_VERSIONS = [(API_VERSIONS, 0, 0), (METADATA, 0, 1), (FIND_COORDINATOR, 0, 0), (JOIN, 0, 2), (HEARTBEAT, 0, 0)]


class AnsweringBroker:
    """
    Answers a few requests, those of one connection one after the other, as Kafka does; JoinGroup never.

    Attributes:
        hung: connections are taken, and nothing is answered.
        mute: nothing is answered but what a new connection asks first.
        cluster: the brokers that metadata names.
        leader: of the partition 0 of the topic `in`; -1: none.
        coordinates: it knows the coordinator; otherwise it says that there is none at the moment.
        asked: the keys of all requests.
        open: number of connections that the other side has not ended.
    """

    def __init__(self, node_id: int) -> None:
        self.node_id = node_id
        self.port = 0
        self.hung = self.mute = False
        self.cluster: list[AnsweringBroker] = []
        self.leader = node_id
        self.coordinates = True
        self.asked: list[int] = []
        self.open = 0
        self._wires: list[asyncio.StreamWriter] = []

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self.break_connections()
            await server.wait_closed()

    def break_connections(self) -> None:
        for wire in self._wires:
            wire.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._wires.append(writer)
        self.open += 1

        try:
            while True:
                (size,) = struct.unpack(">i", await reader.readexactly(4))
                key, _version, number = struct.unpack(">hhi", (await reader.readexactly(size))[:8])
                self.asked.append(key)
                if self.hung or key == JOIN or (self.mute and key != API_VERSIONS):
                    await reader.read()
                    return
                reply = struct.pack(">i", number) + self._reply(key).encode()
                writer.write(struct.pack(">i", len(reply)) + reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.open -= 1
            writer.close()

    def _reply(self, key: int) -> Any:
        if key == API_VERSIONS:
            return ApiVersionResponse_v0(0, _VERSIONS)
        if key == METADATA:
            named = [(one.node_id, "127.0.0.1", one.port, None) for one in self.cluster]
            partition = (0, 0, self.leader, [self.node_id], [self.node_id])
            return metadata.MetadataResponse_v1(named, self.node_id, [(0, runtimes.IN, False, [partition])])
        if key == FIND_COORDINATOR:
            code = 0 if self.coordinates else kafka_errors.CoordinatorNotAvailableError.errno
            return coordination.FindCoordinatorResponse_v0(code, self.node_id, "127.0.0.1", self.port)
        return group.HeartbeatResponse_v0(0)
