"""
Keep a client of aiokafka from waiting for a broker that is gone.

aiokafka has one time limit for connecting and for all requests of a client. A consumer needs a long one, because
JoinGroup is answered when the whole group has joined. So all its requests to a hung broker waited as long, one after
the other, although Kafka had moved leaders and coordinators long before. Instead:

    limits      connecting and each kind of request have limits of their own
    lanes       JoinGroup and SyncGroup have a connection of their own, and so have our questions for metadata: a broker
                answers the requests of one connection one after the other, so a commit behind a JoinGroup would wait
                for the group, and a question behind a write for the replicas
    beginnings  a new client begins with addresses that the newest metadata of this process names and that owe no reply:
                the library takes one of those in the settings at random, and a hung one costs it `connect_timeout_ms`
    departures  while a request is overdue, metadata is asked for every second, from a broker without an overdue reply.
                A broker that is missing there is fenced: Kafka has moved its partitions. Connections to it are closed,
                so that requests waiting there fail at once and are sent to the new leader or coordinator
    hang-ups    a connection that the broker has ended is closed before it is dropped: the library drops it, and if
                its reader has not noticed the end yet, nothing closes the socket
    ends        no connection outlives the client; see `open_connections`

Source: aiokafka 0.14, client.py (`send`, `_get_conn`), conn.py (`send`, `close`, `_read`), producer/sender.py
(`_find_coordinator`); Kafka 4.3, KRaftMetadataCache.getAliveBrokerNodes (fenced brokers are left out of metadata),
SocketServer.Processor (a connection is muted until its request is answered).
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
from collections.abc import Awaitable
from typing import Any, Final

from aiokafka import client as kafka_client
from aiokafka import cluster as kafka_cluster
from aiokafka import conn as kafka_conn
from aiokafka import errors as kafka_errors
from aiokafka import structs as kafka_structs
from aiokafka.protocol import coordination, metadata
from aiokafka.protocol import group as group_protocol

from mrs_relay.common import tasks
from mrs_relay.kafka import settings
from mrs_relay.kafka.adapter import open_connections

_OVERDUE_S: Final = 2.0
"""A healthy broker answers sooner: it delays a fetch for 0.5 s, a write until the replicas have it."""

_ASK_EVERY_S: Final = 1.0
_SUSPECTED_S: Final = 10.0
_TICK_S: Final = 0.1  # a timer may come a little early


class Lane(enum.Enum):
    """Kinds of additional connections; the library keeps its connections by broker and a value such as these."""

    JOINING = "joining"
    ASKING = "asking"


class Brokers:
    """The brokers as all clients of one process know them: the present ones, and those with an overdue reply."""

    def __init__(self) -> None:
        self._there: set[str] = set()
        self._silent_s: dict[str, float] = {}

    @property
    def known(self) -> bool:
        """Whether any broker has ever answered."""
        return bool(self._there)

    def note(self, cluster: kafka_cluster.ClusterMetadata) -> None:
        """Replace the known brokers by those of new metadata."""
        self._there = {_address(broker) for broker in cluster.brokers()}

    def suspect(self, broker: kafka_structs.BrokerMetadata) -> None:
        """Note that a broker has an overdue reply now."""
        self._silent_s[_address(broker)] = asyncio.get_running_loop().time()

    def preferred(self, servers: str) -> str:
        """Return the addresses in the settings that are likely to answer; all of them if none is."""
        before_s = asyncio.get_running_loop().time() - _SUSPECTED_S
        silent = {address for address, since_s in self._silent_s.items() if since_s > before_s}
        given = [server.strip() for server in servers.split(",")]
        return ",".join(server for server in given if server in self._there - silent) or servers


class Failover:
    """
    Replaces the sending of one client, not yet started.

    Args:
        client: the library's connections; its `bootstrap`, `send`, `close` and `_get_conn` are replaced.
        kafka: the limits.
        brokers: shared with the other clients.

    Attributes:
        heard_s: time of the last answer of any broker, on the event loop's clock; 0 before.
    """

    def __init__(self, client: kafka_client.AIOKafkaClient, kafka: settings.KafkaSettings, brokers: Brokers) -> None:
        self.heard_s = 0.0
        self._client = client
        self._brokers = brokers
        self._connect_s = min(kafka.connect_timeout_ms, kafka.request_timeout_ms) / 1000
        self._request_s = kafka.request_timeout_ms / 1000
        self._join_s = kafka.join_request_timeout_ms / 1000
        self._waiting: dict[object, tuple[int, float]] = {}
        self._asked = 0

        self._task_supervisor = tasks.TaskSupervisor(
            lambda _name, _error: None
        )  # a question that failed is asked again

        self._opened = open_connections.OpenConnections(client)
        self._bootstrap = client.bootstrap
        self._close = client.close
        self._get_connection = client._get_conn  # noqa: SLF001 - where it connects

        # NB: the library's own option is for connecting and for writes at once.
        client._request_timeout_ms = int(self._connect_s * 1000)  # noqa: SLF001 - see above
        client.bootstrap = self._begin
        client.send = self._send
        client.close = self._end
        client._get_conn = self._connect  # noqa: SLF001 - see above
        client.cluster.add_listener(self._note_metadata)

    async def _send(self, node_id: int, request: Any, *, group: object = kafka_client.ConnectionGroup.DEFAULT) -> Any:  # noqa: ANN401 - the library ships no types
        """Send a request and return its reply; the library's own method, with limit and lane by the kind of request."""
        limit_s = self._request_s
        if isinstance(request, group_protocol.JoinGroupRequest | group_protocol.SyncGroupRequest):
            group, limit_s = Lane.JOINING, self._join_s
        question = isinstance(request, coordination.FindCoordinatorRequest | metadata.MetadataRequest)
        if not await self._client.ready(node_id, group=group):
            raise kafka_errors.NodeNotReadyError(f"no connection to broker {node_id}")

        connection = self._client._conns[node_id, group]  # noqa: SLF001 - where the library keeps them
        loop, key = asyncio.get_running_loop(), object()
        self._waiting[key] = node_id, loop.time()
        timer = loop.call_later(_OVERDUE_S, self._begin_asking)
        try:
            reply = await _post(connection, request, self._connect_s if question else limit_s)
        except TimeoutError as error:
            if not question:
                connection.close(reason=kafka_conn.CloseReason.CONNECTION_TIMEOUT)
            raise kafka_errors.RequestTimedOutError(f"broker {node_id} has not answered in time") from error
        except kafka_errors.KafkaConnectionError as error:
            if question:  # NB: the library's producers ask again after the one error and die of the other
                raise kafka_errors.NodeNotReadyError(f"the connection to broker {node_id} broke") from error
            raise
        finally:
            timer.cancel()
            del self._waiting[key]
        self.heard_s = loop.time()
        return reply

    async def _connect(
        self,
        node_id: int | str,
        *,
        group: object = kafka_client.ConnectionGroup.DEFAULT,
        **named: Any,  # noqa: ANN401 - handed through
    ) -> kafka_conn.AIOKafkaConnection | None:
        """Return the connection to a broker, or None; one that the broker has ended is closed first."""
        connection = self._client._conns.get((node_id, group))  # noqa: SLF001 - where the library keeps them
        if connection is not None and not connection.connected():
            connection.close(reason=kafka_conn.CloseReason.CONNECTION_BROKEN)
        return await self._get_connection(node_id, group=group, **named)

    async def _begin(self) -> None:
        """Connect first to brokers that are likely to answer, then to all that the settings name."""
        servers = self._client._bootstrap_servers  # noqa: SLF001 - the library shuffles what it is given
        preferred = self._brokers.preferred(servers)
        if preferred != servers:
            self._client._bootstrap_servers = preferred  # noqa: SLF001 - the same
            try:
                await self._bootstrap()
            except kafka_errors.KafkaConnectionError:
                pass
            else:
                return
            finally:
                self._client._bootstrap_servers = servers  # noqa: SLF001 - the same
        await self._bootstrap()

    def cut(self) -> None:
        """Close all connections at once, without waiting, whatever the client does; may be called twice."""
        self._opened.close()

    async def _end(self) -> None:
        try:
            await self._task_supervisor.close()
            await self._close()
        finally:
            self.cut()

    def _begin_asking(self) -> None:
        if not len(self._task_supervisor):
            self._task_supervisor.start(self._request_metadata(), name="kafka failover")

    async def _request_metadata(self) -> None:
        """Request metadata until no request is overdue."""
        while overdue := self._overdue_brokers():
            cluster = self._client.cluster
            nodes = {broker.nodeId for broker in cluster.brokers()}
            for node_id in overdue & nodes:
                self._brokers.suspect(cluster.broker_metadata(node_id))

            candidates = sorted(nodes - overdue) or sorted(nodes)
            self._asked += 1
            with contextlib.suppress(kafka_errors.KafkaError):  # the next round asks the next broker
                await self._refresh(candidates[self._asked % len(candidates)])
            await asyncio.sleep(_ASK_EVERY_S)

    def _overdue_brokers(self) -> set[int]:
        """Return the brokers with an overdue reply."""
        before_s = asyncio.get_running_loop().time() - _OVERDUE_S + _TICK_S
        return {node_id for node_id, since_s in self._waiting.values() if since_s <= before_s}

    async def _refresh(self, node_id: int) -> None:
        topics = set(self._client._topics)  # noqa: SLF001 - the library asks a broker of its own choice, in a task that may hang
        reply = await self._send(node_id, metadata.MetadataRequest(sorted(topics)), group=Lane.ASKING)
        if topics == self._client._topics:  # noqa: SLF001 - the same
            self._client.cluster.update_metadata(reply)

    def _note_metadata(self, cluster: kafka_cluster.ClusterMetadata) -> None:
        """Close the connections to brokers that are no longer in the cluster."""
        self.heard_s = asyncio.get_running_loop().time()
        self._brokers.note(cluster)
        there = {"bootstrap", *(broker.nodeId for broker in cluster.brokers())}
        for (node_id, _), connection in list(self._client._conns.items()):  # noqa: SLF001 - where the library keeps them
            if node_id not in there:
                connection.close(reason=kafka_conn.CloseReason.SHUTDOWN)


def _address(broker: kafka_structs.BrokerMetadata) -> str:
    return f"{broker.host}:{broker.port}"


def _post(connection: kafka_conn.AIOKafkaConnection, request: Any, limit_s: float) -> Awaitable[Any]:  # noqa: ANN401 - the library ships no types
    """Write a request with a limit of its own for the reply; the library has one limit for all."""
    usual_s, connection._request_timeout = connection._request_timeout, limit_s  # noqa: SLF001 - see above
    try:
        reply: Awaitable[Any] = connection.send(request)
    except RuntimeError as error:  # uvloop's, of a connection that has just been closed; the library knows OSError
        connection.close(reason=kafka_conn.CloseReason.CONNECTION_BROKEN)
        raise kafka_errors.KafkaConnectionError(f"the connection was just closed: {error}") from error
    finally:
        connection._request_timeout = usual_s  # noqa: SLF001 - the same
    return reply
