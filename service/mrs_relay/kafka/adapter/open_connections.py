"""
Keep all connections that a client of aiokafka opens, so that none outlives the client.

The library loses some of them:

    beginnings  the one that asks for the brokers, if the client is cancelled while it waits for the answer
    openings    one that is still being opened when the client closes
    endings     all of them, if the closing ends early: by an error, at its limit, or by a cancellation

Source: aiokafka 0.14, client.py (`bootstrap`, `_get_conn`, `close`), consumer/consumer.py (`stop`).
"""

from __future__ import annotations

import types
from typing import Any

from aiokafka import client as kafka_client
from aiokafka import conn as kafka_conn
from aiokafka import errors as kafka_errors


class OpenConnections:
    """
    The connections of one client, not yet started.

    Args:
        client: its two methods that connect are replaced by themselves, with an own `create_conn`.
    """

    def __init__(self, client: kafka_client.AIOKafkaClient) -> None:
        self._client = client
        self._opened: set[kafka_conn.AIOKafkaConnection] = set()
        self._is_closed = False
        client.bootstrap = self._rebound(kafka_client.AIOKafkaClient.bootstrap)
        client._get_conn = self._rebound(kafka_client.AIOKafkaClient._get_conn)  # noqa: SLF001 - where it connects

    def close(self) -> None:
        """Close all at once, without waiting, and each one that is opened later; may be called twice."""
        self._is_closed = True
        if self._client._sync_task is not None:  # noqa: SLF001 - the library's task that connects by itself
            self._client._sync_task.cancel()  # noqa: SLF001 - the same
        while self._opened:
            self._opened.pop().close(reason=kafka_conn.CloseReason.SHUTDOWN)

    def _rebound(self, method: Any) -> types.MethodType:  # noqa: ANN401 - the library ships no types
        """Return a method of this client that connects by `_open`; those of other clients stay as they are."""
        names = {**vars(kafka_client), "create_conn": self._open}
        function = types.FunctionType(method.__code__, names, method.__name__, method.__defaults__)
        function.__kwdefaults__ = method.__kwdefaults__
        return types.MethodType(function, self._client)

    async def _open(self, *address: Any, **options: Any) -> kafka_conn.AIOKafkaConnection:  # noqa: ANN401 - handed through
        connection = await kafka_conn.create_conn(*address, **options)
        if self._is_closed:
            connection.close(reason=kafka_conn.CloseReason.SHUTDOWN)
            raise kafka_errors.KafkaConnectionError("the client was closed meanwhile")
        is_open = {one for one in self._opened if one._writer is not None}  # noqa: SLF001 - the library has closed the others
        self._opened = is_open | {connection}
        return connection
